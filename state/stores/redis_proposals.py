"""Proposals that have been decided on, and those that wait for a person."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import redis

from state.actions import Action
from state.stores.redis_keys import DECIDED, FIELD, PROPOSALS, read_entry, stream_key, text

_PAGE = 1_000


def decided(client: redis.Redis, prefix: str, network: str) -> Iterator[str]:
    """Yield ids of a network's closed proposals, as far as kept; raises RedisError."""
    for _, fields in _entries(client, stream_key(prefix, network, DECIDED)):
        yield orjson.loads(fields[FIELD])["proposal"]


def first_open(
    client: redis.Redis, prefix: str, network: str, before: str, now: datetime
) -> str | None:
    """Return the entry id of the oldest proposal before id `before` open at `now`; RedisError.

    One past its deadline is not open, decided on or not: it can no longer be approved.
    """
    closed = set(decided(client, prefix, network))
    for entry_id, fields in _entries(client, stream_key(prefix, network, PROPOSALS), before):
        found = read_entry(network, PROPOSALS, entry_id, fields)
        if not isinstance(found, Action) or found.id in closed:
            continue
        if found.expirytime is None or found.expirytime > now:
            return entry_id
    return None


def _entries(
    client: redis.Redis, key: str, before: str | None = None
) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    after, end = "-", "+" if before is None else f"({before}"
    while True:
        page: Any = client.xrange(key, after, end, count=_PAGE)
        for entry_id, fields in page:
            yield text(entry_id), fields
        if len(page) < _PAGE:
            return
        after = f"({text(page[-1][0])}"
