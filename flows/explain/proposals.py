"""Open proposals, in Redis or in a replay's folder."""

from pathlib import Path

import orjson
import redis
from redis.exceptions import RedisError

from flows.explain.action_log import actions_in
from state.actions import Action
from state.errors import JournalError
from state.stores.redis_connection import store_error
from state.stores.redis_follow import follow
from state.stores.redis_keys import DECIDED, PROPOSALS, networks_key, text
from state.stores.redis_proposals import decided


def open_in_folder(folder: Path) -> list[Action]:
    """Return open proposals of a replay, oldest first; raise JournalError if it has no actions."""
    whole = folder / f"{DECIDED}.jsonl"
    paths = [whole] if whole.exists() else sorted((folder / "parts").glob(f"{DECIDED}:*"))
    closed = set()
    try:
        for path in paths:
            with path.open("rb") as file:
                closed |= {orjson.loads(line)["proposal"] for line in file}
    except (OSError, ValueError, KeyError) as error:
        raise JournalError(f"expected decisions in {folder}, was {error}") from error
    return [a for a in actions_in(folder) if a.data.mode == "propose" and a.id not in closed]


def open_in_redis(client: redis.Redis, prefix: str, networks: list[str] | None) -> list[Action]:
    """Return open proposals, by network, oldest first; raises StoreError."""
    try:
        names = networks
        if names is None:
            names = sorted(text(member) for member in client.smembers(networks_key(prefix)))
        closed = {name for network in names for name in decided(client, prefix, network)}
    except RedisError as error:
        raise store_error(client, "read decisions", error) from error
    found = follow(client, names, [PROPOSALS], prefix=prefix)
    return [each.action for each in found if each.action.id not in closed]


def open_proposal(client: redis.Redis, prefix: str, action_id: str) -> Action | None:
    """Return the proposal, if it is open; raises StoreError."""
    network = action_id.rpartition(":")[0]
    waiting = open_in_redis(client, prefix, [network])
    return next((action for action in waiting if action.id == action_id), None)
