"""Consumption of actions by a service: `ActionConsumer`, at least once, in a consumer group.

An action may come twice (after a crash, or when a slow consumer is taken for dead), so a handler
is idempotent by `Action.id`; `redis_once` helps with that. Within a stream a consumer gets actions
in the order of their ids; across streams, and across the consumers of a group, there is no order
but `Action.seq`. What cannot be carried out is put aside, for `redis_failed`.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from types import TracebackType
from typing import Any, Literal, Self

from redis.exceptions import RedisError, ResponseError

from state.actions import KINDS, Action
from state.stores.redis_connection import store_error
from state.stores.redis_failed import Failed, GiveUp
from state.stores.redis_group import Entry, GroupMember, StoppedError
from state.stores.redis_handling import Counts, Delivery, Handling, Patience
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
from state.stores.redis_missed import Missed

__all__ = ["ActionConsumer", "GiveUp", "Missed"]


def utc_now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


def warn_of(missed: Missed) -> None:
    """Log a warning, which goes to standard error where no logging is set up."""
    logging.getLogger("crossdock").warning("%s", missed)


class ActionConsumer:
    """One consumer of a group: give `run` a handler, or iterate over it.

    Each action is acknowledged when the handler returns, or when the loop asks for the next one.

    `run` tries an action whose handler raises again, `attempts` times in all, first after
    `first_delay_s`, then after twice that, and so on up to `delay_cap_s`; meanwhile the others
    wait, so order holds. After that, or at once if it raises `GiveUp`, the action is moved to
    ``{prefix}:{network}:failed:{group}`` (see `redis_failed`), acknowledged, and passed to
    `on_failed`. If that has happened `most_failed` times in a row in a network, for the group as a
    whole and over restarts, nothing more is put aside before an action succeeds: the next failure
    raises KeepsFailing, and leaves its action pending. None: there is no such limit.

    What a dead process, or a loop that was left, had in hand stays pending: this consumer gets it
    first thing when it is started again under the same name, any other one after it has been idle
    for `claim_idle_ms`. An action that has been delivered `max_deliveries` times without an end is
    put aside like one whose handler fails, without being tried again: it probably kills whoever
    handles it. A `stop` in the middle does not count as a delivery.

    `consumer` is a name that no other *live* consumer of the group has; by default host and
    process. `networks` None means all there are, looked for again every `DISCOVER_EVERY_S`.
    `start` is for a group that does not exist yet: "0" everything kept, "$" only what comes from
    now on (networks that appear later are read from their beginning in any case).
    `claim_idle_ms` is longer than one handling ever takes, or actions come twice.
    With `skip_expired`, an action whose `expirytime` is before `now()` is acknowledged unhandled.

    An entry that is no action goes to `on_poison`, or else to the stream
    ``{prefix}:{network}:poison:{group}``, and is acknowledged.

    Entries that were trimmed before any consumer of the group had read them are looked for at the
    start and twice per `claim_idle_ms`. `on_missed` gets how many, once for the whole group; by
    default that is a warning in the log. What it raises ends the loop: then nothing is carried out
    before a person has looked.

    `connection` are options of redis-py that do not belong into a URL: ``username``, ``password``,
    ``ssl_ca_certs``, … `counts` says what it has met, see `Counts`.

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
        attempts: int = 6,
        first_delay_s: float = 0.5,
        delay_cap_s: float = 30.0,
        max_deliveries: int = 5,
        most_failed: int | None = 10,
        skip_expired: bool = False,
        now: Callable[[], datetime] = utc_now,
        on_failed: Callable[[Failed], None] | None = None,
        on_poison: Callable[[Poison], None] | None = None,
        on_missed: Callable[[Missed], None] = warn_of,
        connection: Mapping[str, Any] | None = None,
    ) -> None:
        self._group = checked_name(group, "group")
        self._prefix = checked_name(prefix, "prefix")
        self._networks = networks
        self._kinds = tuple(checked_name(kind, "kind") for kind in kinds)
        self._start = start
        self._block_s = max(1, block_ms) / 1_000  # 0 would block for ever
        self._claim_idle_ms = claim_idle_ms
        self._on_poison = on_poison
        self._on_missed = on_missed
        self._streams: dict[str, tuple[str, str]] = {}
        self._met: set[str] = set()
        self._discover_at = self._claim_at = 0.0
        self._stopped = False
        self.counts = Counts()
        patience = Patience(
            attempts=attempts,
            first_delay_s=first_delay_s,
            delay_cap_s=delay_cap_s,
            max_deliveries=max_deliveries,
            most_failed=most_failed,
        )
        self._member = GroupMember(
            url,
            group=group,
            name=consumer or f"{socket.gethostname()}-{os.getpid()}",
            batch=batch,
            block_ms=max(1, block_ms),
            claim_idle_ms=claim_idle_ms,
            stopped=lambda: self._stopped,
            connection=connection or {},
        )
        self._handling = Handling(
            self._member,
            patience,
            prefix=prefix,
            group=group,
            counts=self.counts,
            pause=self.pause,
            stopped=lambda: self._stopped,
            now=now,
            skip_expired=skip_expired,
            on_failed=on_failed,
        )

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
        """Give each action to `handler` until `stop` is called.

        Raises KeepsFailing if one action after the other fails, StoreError where Redis does. What
        is raised that is no `Exception` (KeyboardInterrupt, SystemExit) goes through.
        """
        with self._errors_as_ours():
            for delivery in self._deliveries():
                self._handling.give(handler, delivery)

    def __iter__(self) -> Iterator[Action]:
        """Yield actions as they come, each acknowledged when the next one is asked for."""
        with self._errors_as_ours():
            for delivery in self._deliveries():
                yield delivery.action

    def stop(self) -> None:
        """End the loop after the attempt in hand, within `block_ms`; safe in threads and signals.

        An attempt that fails after this is not repeated: its action stays pending.
        """
        self._stopped = True

    def pause(self, seconds: float) -> None:
        """Wait, keeping hold of what is in hand; returns early when `stop` is called."""
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self._block_s))
            self._member.hold()

    def close(self) -> None:
        """Close the connection. What is not acknowledged stays pending."""
        self._member.close()

    def _deliveries(self) -> Iterator[Delivery]:
        self._member.lost_replies = True  # an earlier loop may have been left in the middle
        self._member.forget()
        while not self._stopped:
            try:
                self._discover()
                yield from self._claimed()
                yield from self._new()
            except ResponseError as error:
                if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    raise
                self._begin_again()

    def _new(self) -> Iterator[Delivery]:
        if not self._streams:
            time.sleep(self._block_s)
            return
        for entry in self._member.new(self._streams):
            if self._stopped:
                return
            if self._member.holds(entry):  # or another has taken it over while others took long
                yield from self._handled(entry)

    def _claimed(self) -> Iterator[Delivery]:
        """Yield own actions that were read and never acknowledged, then those of dead consumers."""
        is_due = time.monotonic() >= self._claim_at
        if is_due:
            self._look_for_missed()
        if self._member.lost_replies:
            self._member.lost_replies = False
            for key in tuple(self._streams):
                yield from self._own(key)
        if not is_due:
            return
        self._claim_at = time.monotonic() + self._claim_idle_ms / 2_000
        for key in tuple(self._streams):
            cursor = "0-0"
            while not self._stopped:
                cursor, taken, trimmed = self._member.take_over(key, cursor)
                self.counts.trimmed += trimmed
                if taken:
                    yield from self._own(key)
                if cursor == "0-0":
                    break

    def _look_for_missed(self) -> None:
        for key in self._streams:
            missed = self._member.missed(key)
            if missed is not None:
                self.counts.missed += missed.count
                self._on_missed(missed)

    def _own(self, key: str) -> Iterator[Delivery]:
        for entry in self._member.own(key):
            yield from self._handled(entry)

    def _handled(self, entry: Entry) -> Iterator[Delivery]:
        network, kind = self._streams[entry.key]
        if not entry.fields:  # pending, but no longer in the stream
            self.counts.trimmed += 1
            self._member.acknowledge(entry)
            return
        found = read_entry(network, kind, entry.entry_id, entry.fields)
        if isinstance(found, Poison):
            self._put_aside(found)
            self._member.acknowledge(entry)
            return
        delivery = Delivery(entry, network, found)
        if not self._handling.is_over(delivery):
            yield delivery
            self._handling.end(delivery)

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
        self._member.ask(lambda: self._member.client.xadd(key, fields))

    def _discover(self) -> None:
        if time.monotonic() < self._discover_at:
            return
        networks = self._networks
        if networks is None:
            members = self._member.ask(
                lambda: self._member.client.smembers(networks_key(self._prefix))
            )
            networks = sorted(text(member) for member in members)
        for network, kind in product(networks, self._kinds):
            key = stream_key(self._prefix, network, kind)
            if key not in self._streams:
                self._member.make_group(key, self._start)
                self._streams[key] = (network, kind)
        for network in set(networks) - self._met:
            self._handling.meet(network)
            self._met.add(network)
        self._start = "0"
        self._discover_at = time.monotonic() + DISCOVER_EVERY_S

    def _begin_again(self) -> None:
        """Begin again where `--fresh` removed streams and groups: all that is there is new."""
        self._streams.clear()
        self._member.forget()
        self._start = "0"
        self._discover_at = 0.0

    @contextmanager
    def _errors_as_ours(self) -> Iterator[None]:
        """Raise Redis's errors as StoreError; being stopped is none."""
        try:
            yield
        except StoppedError:
            return
        except RedisError as error:
            doing = f"consume as group {self._group}"
            raise store_error(self._member.client, doing, error) from error
