"""Consume actions as a service: `ActionConsumer`, at least once, in a consumer group.

An action may come twice (after a crash, or when a slow consumer is taken for dead), so a handler
is idempotent by `Action.id`. Within a stream a consumer gets actions in the order of their ids;
across streams, and across the consumers of a group, there is no order but `Action.seq`.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

from state.actions import KINDS, Action
from state.stores.redis_connection import GROUPS_SINCE, READ_TIMEOUT_S, connect, store_error
from state.stores.redis_keys import (
    DISCOVER_EVERY_S,
    PREFIX,
    Poison,
    checked_name,
    networks_key,
    poison_key,
    read_entry,
    stream_key,
    text,
)

#: Re-connections: 0.05 s, 0.1 s, ... 1 s apart, so a failover of some 20 s is sat out.
RECONNECTS = 25
_Reply = TypeVar("_Reply")
_Entries = list[tuple[str, Mapping[bytes, bytes] | None]]


class _StoppedError(Exception):
    """`stop` was called while Redis could not be reached."""


class ActionConsumer:
    """One consumer of a group; iterate over it, or give `run` a handler.

    Each action is acknowledged when the handler returns, or when the loop asks for the next one.
    Whatever is raised before leaves it pending: this consumer gets it first thing when it is
    started again under the same name, any other one after it has been idle for `claim_idle_ms`.

    `consumer` is a name that no other *live* consumer of the group has; by default host and
    process. `networks` None means all there are, looked for again every `DISCOVER_EVERY_S`.
    `start` is for a group that does not exist yet: "0" everything kept, "$" only what comes from
    now on (networks that appear later are read from their beginning in any case).
    `claim_idle_ms` is longer than `batch` of the slowest handlings, or actions come twice.

    An entry that is no action goes to `on_poison`, or else to the stream
    ``{prefix}:{network}:poison:{group}``, and is acknowledged. `trimmed` counts actions that were
    delivered once and trimmed from the stream before they could be delivered again.

    Raises StoreError if Redis is older than 6.2, or cannot be reached for some 20 s.
    """

    def __init__(
        self,
        url: str,
        *,
        group: str,
        consumer: str | None = None,
        networks: Sequence[str] | None = None,
        kinds: Sequence[str] = KINDS,
        prefix: str = PREFIX,
        start: Literal["0", "$"] = "0",
        batch: int = 16,
        block_ms: int = 1_000,
        claim_idle_ms: int = 60_000,
        on_poison: Callable[[Poison], None] | None = None,
    ) -> None:
        self._group = checked_name(group, "group")
        self._prefix = checked_name(prefix, "prefix")
        self._me = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._networks = networks
        self._kinds = tuple(checked_name(kind, "kind") for kind in kinds)
        self._start = start
        self._batch = batch
        self._block_ms = max(1, block_ms)  # 0 would block for ever
        self._claim_idle_ms = claim_idle_ms
        self._on_poison = on_poison
        self._streams: dict[str, tuple[str, str]] = {}
        self._discover_at = self._claim_at = 0.0
        self._lost_replies = False
        self._stopped = False
        self.trimmed = 0
        # Its own connection, that does not send again by itself: a read that is lost on the way
        # has still made its actions pending, which only this class knows to look for.
        self._client = connect(
            url,
            since=GROUPS_SINCE,
            read_timeout_s=READ_TIMEOUT_S + self._block_ms / 1_000,
            retries=0,
        )
        self._retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), RECONNECTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, handler: Callable[[Action], object]) -> None:
        """Give each action to `handler` until `stop` is called; what it raises goes through."""
        for action in self:
            handler(action)

    def stop(self) -> None:
        """End the loop after the action in hand, within `block_ms`; safe in threads and signals."""
        self._stopped = True

    def close(self) -> None:
        """Close the connection. What is not acknowledged stays pending."""
        self._client.close()

    def __iter__(self) -> Iterator[Action]:
        """Actions as they come, each acknowledged when the next one is asked for."""
        self._lost_replies = True  # an earlier loop may have been left in the middle
        try:
            while not self._stopped:
                try:
                    self._discover()
                    yield from self._claimed()
                    yield from self._new()
                except ResponseError as error:
                    if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                        raise
                    self._begin_again()
        except _StoppedError:
            return
        except RedisError as error:
            raise store_error(self._client, f"consume as group {self._group}", error) from error

    def _new(self) -> Iterator[Action]:
        if not self._streams:
            time.sleep(self._block_ms / 1_000)
            return
        reply = self._ask(
            lambda: self._client.xreadgroup(
                self._group,
                self._me,
                dict.fromkeys(self._streams, ">"),
                count=self._batch,
                block=self._block_ms,
            )
        )
        for key, entries in _by_stream(reply):
            yield from self._handled(key, entries)

    def _claimed(self) -> Iterator[Action]:
        """Own actions that were read and never acknowledged, then those of dead consumers."""
        if self._lost_replies:
            self._lost_replies = False
            for key in tuple(self._streams):
                yield from self._own(key)
        if time.monotonic() < self._claim_at:
            return
        self._claim_at = time.monotonic() + self._claim_idle_ms / 2_000
        for key in tuple(self._streams):
            cursor = "0-0"
            while not self._stopped:
                cursor, taken = self._take_over(key, cursor)
                if taken:
                    yield from self._own(key)
                if cursor == "0-0":
                    break

    def _take_over(self, key: str, cursor: str) -> tuple[str, int]:
        reply: list[Any] = self._ask(
            lambda: self._client.xautoclaim(
                key, self._group, self._me, self._claim_idle_ms, cursor, self._batch
            )
        )
        if len(reply) > 2:  # from 7.0 on, Redis itself lets go of what was trimmed
            self.trimmed += len(reply[2])
        return text(reply[0]), len(reply[1])

    def _own(self, key: str) -> Iterator[Action]:
        after = "0"
        while not self._stopped:
            start = after
            reply = self._ask(
                lambda: self._client.xreadgroup(
                    self._group,
                    self._me,
                    {key: start},  # noqa: B023 - called at once
                    count=self._batch,
                )
            )
            entries = [entry for _, found in _by_stream(reply) for entry in found]
            if not entries:
                return
            yield from self._handled(key, entries)
            after = entries[-1][0]

    def _handled(self, key: str, entries: _Entries) -> Iterator[Action]:
        network, kind = self._streams[key]
        for entry_id, fields in entries:
            if self._stopped:
                return
            if not fields:  # pending, but no longer in the stream
                self.trimmed += 1
            else:
                found = read_entry(network, kind, entry_id, fields)
                if isinstance(found, Action):
                    yield found
                else:
                    self._put_aside(found)
            self._ask(lambda: self._client.xack(key, self._group, entry_id))  # noqa: B023

    def _put_aside(self, poison: Poison) -> None:
        if self._on_poison is not None:
            self._on_poison(poison)
            return
        fields: dict[Any, Any] = {
            "poison.kind": poison.kind,
            "poison.entry": poison.entry_id,
            "poison.reason": poison.reason,
            **poison.fields,
        }
        key = poison_key(self._prefix, poison.network, self._group)
        self._ask(lambda: self._client.xadd(key, fields))

    def _discover(self) -> None:
        if time.monotonic() < self._discover_at:
            return
        networks = self._networks
        if networks is None:
            members = self._ask(lambda: self._client.smembers(networks_key(self._prefix)))
            networks = sorted(text(member) for member in members)
        for network, kind in product(networks, self._kinds):
            key = stream_key(self._prefix, network, kind)
            if key not in self._streams:
                self._ask(lambda: self._make_group(key))  # noqa: B023
                self._streams[key] = (network, kind)
        self._start = "0"
        self._discover_at = time.monotonic() + DISCOVER_EVERY_S

    def _begin_again(self) -> None:
        """`--fresh` has removed streams, and the groups with them: all that is there is new."""
        self._streams.clear()
        self._start = "0"
        self._discover_at = 0.0

    def _make_group(self, key: str) -> None:
        try:
            self._client.xgroup_create(key, self._group, id=self._start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _ask(self, command: Callable[[], _Reply]) -> _Reply:
        return self._retry.call_with_retry(command, self._failed)

    def _failed(self, error: Exception) -> None:
        self._lost_replies = True
        if self._stopped:
            raise _StoppedError from error
        if isinstance(error, AuthenticationError):
            raise error


def _by_stream(reply: Any) -> Iterator[tuple[str, _Entries]]:
    for key, entries in reply or ():
        yield text(key), [(text(entry_id), fields) for entry_id, fields in entries]
