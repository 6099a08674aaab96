"""Confirmation that the engine has taken in a person's command."""

import time
from typing import Any

import orjson
import redis
from msgspec import Struct
from redis.exceptions import RedisError

from flows.live.control import REDIS_READ_S, REDIS_RETRIES
from state.settings import RedisSettings
from state.stores.redis_connection import connect_with, store_error
from state.stores.redis_keys import CONTROL, FIELD, stream_key

_POLL_S = 0.1
#: Newest confirmations looked at: ours is among them, as people are slow.
_NEWEST = 200


class Confirmed(Struct, frozen=True):
    """The engine's answer to an event: where it took it in, and what came of it."""

    network: str
    seq: int
    time: str
    event: str
    took_effect: bool
    effect: str


def confirmed(
    settings: RedisSettings, network: str, event: str, within_s: float
) -> Confirmed | None:
    """Return what came of an event; None if unknown within so many s. Raises StoreError."""
    until = time.monotonic() + within_s
    with connect_with(settings, read_timeout_s=REDIS_READ_S, retries=REDIS_RETRIES) as client:
        while (found := _found(client, settings.prefix, network, event)) is None:
            if time.monotonic() > until:
                return None
            time.sleep(_POLL_S)
    return found


def _found(client: redis.Redis, prefix: str, network: str, event: str) -> Confirmed | None:
    try:
        newest: Any = client.xrevrange(stream_key(prefix, network, CONTROL), count=_NEWEST)
    except RedisError as error:
        raise store_error(client, "read confirmations", error) from error
    for _, fields in newest:
        body = orjson.loads(fields[FIELD])
        if body["event"] == event:
            return Confirmed(**{name: body[name] for name in Confirmed.__struct_fields__})
    return None
