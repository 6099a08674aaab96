"""Read actions without a group: all that are kept, and, if wished, those that come."""

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import RedisError

from state.actions import KINDS, Action
from state.errors import StoreError
from state.stores.redis_connection import place, store_error
from state.stores.redis_keys import (
    DISCOVER_EVERY_S,
    PREFIX,
    Poison,
    entry_order,
    networks_key,
    read_entry,
    stream_key,
    text,
)

#: Entries held at most, over all streams: some 3 kB each.
_HELD = 2_048
_BLOCK_MS = 500


class Found(NamedTuple):
    """An action and where it was found."""

    network: str
    kind: str
    action: Action


def follow(
    client: redis.Redis,
    networks: Sequence[str] | None = None,
    kinds: Sequence[str] = KINDS,
    from_id: str = "0",
    *,
    prefix: str = PREFIX,
    live: bool = False,
    on_poison: Callable[[Poison], None] | None = None,
) -> Iterator[Found]:
    """Yield actions after the entry `from_id` ("0" all that are kept, "$" only those that come).

    First the backlog, in the order of entry ids, networks and kinds taken together; then, if
    `live`, whatever comes, without end, in order of arrival. `networks` None means all, looked for
    again every `DISCOVER_EVERY_S` while `live`. Holds some 2,000 entries at most, or one per
    stream. An entry that is no action goes to `on_poison`, or raises StoreError if there is none.
    StoreError also where Redis fails. `client` is one of `redis_connection.connect`.
    """
    try:
        for network, kind, entry_id, fields in _entries(
            client, networks, kinds, from_id, prefix, live
        ):
            found = read_entry(network, kind, entry_id, fields)
            if isinstance(found, Action):
                yield Found(network, kind, found)
            elif on_poison is not None:
                on_poison(found)
            else:
                raise StoreError(
                    f"{found.reason}, at {place(client)} "
                    f"{stream_key(prefix, network, kind)} {entry_id}"
                )
    except RedisError as error:
        raise store_error(client, "read actions", error) from error


class _Entry(NamedTuple):
    network: str
    kind: str
    entry_id: str
    fields: dict[bytes, bytes]


class _Stream:
    """One stream, and the place reached in it."""

    def __init__(self, client: redis.Redis, key: str, network: str, kind: str, after: str) -> None:
        self.key = key
        self._client = client
        self._network = network
        self._kind = kind
        self.after = self._newest() if after == "$" else after

    def backlog(self, page: int) -> Iterator[_Entry]:
        while True:
            seq, n = entry_order(self.after)
            entries: Any = self._client.xrange(self.key, f"{seq}-{n + 1}", count=page)
            yield from self.taken(entries)
            if len(entries) < page:
                return

    def taken(self, entries: Any) -> Iterator[_Entry]:
        for raw_id, fields in entries:
            self.after = text(raw_id)
            yield _Entry(self._network, self._kind, self.after, fields)

    def _newest(self) -> str:
        last: Any = self._client.xrevrange(self.key, count=1)
        return text(last[0][0]) if last else "0-0"


def _entries(
    client: redis.Redis,
    networks: Sequence[str] | None,
    kinds: Sequence[str],
    from_id: str,
    prefix: str,
    live: bool,
) -> Iterator[_Entry]:
    streams: dict[str, _Stream] = {}
    after = from_id
    while True:
        fresh = _discover(client, networks, kinds, prefix, after, streams)
        if fresh:
            page = max(1, _HELD // len(streams))
            yield from heapq.merge(*(stream.backlog(page) for stream in fresh), key=_order)
        if not live:
            return
        after = "0"
        until = time.monotonic() + DISCOVER_EVERY_S
        while time.monotonic() < until:
            yield from _arrived(client, streams)


def _discover(
    client: redis.Redis,
    networks: Sequence[str] | None,
    kinds: Sequence[str],
    prefix: str,
    after: str,
    streams: dict[str, _Stream],
) -> list[_Stream]:
    """Add the streams not known yet to `streams`, and return them."""
    if networks is None:
        networks = sorted(text(member) for member in client.smembers(networks_key(prefix)))
    added = []
    for network in networks:
        for kind in kinds:
            key = stream_key(prefix, network, kind)
            if key not in streams:
                streams[key] = _Stream(client, key, network, kind, after)
                added.append(streams[key])
    return added


def _arrived(client: redis.Redis, streams: dict[str, _Stream]) -> list[_Entry]:
    if not streams:
        time.sleep(_BLOCK_MS / 1_000)
        return []
    reply: Any = client.xread(
        {key: stream.after for key, stream in streams.items()},
        count=max(1, _HELD // len(streams)),
        block=_BLOCK_MS,
    )
    arrived = [entry for key, entries in reply or () for entry in streams[text(key)].taken(entries)]
    return sorted(arrived, key=_order)


def _order(entry: _Entry) -> tuple[tuple[int, int], str, str]:
    return entry_order(entry.entry_id), entry.network, entry.kind
