"""One member of a consumer group: the commands it sends, over a connection that may be lost.

What a member has read and not acknowledged is *in hand*. Redis counts how often an entry was
delivered. Here a delivery is what it says: an entry that is newly read, or comes up again, alone,
to be handled. Taking over and keeping hold are done with JUSTID, which does not count; otherwise
an action that kills its process would count against those that were read along with it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.retry import Retry

from state.stores.redis_connection import GROUPS_SINCE, READ_TIMEOUT_S, connect
from state.stores.redis_keys import text
from state.stores.redis_missed import Missed, Tally, tally_keys

#: Re-connections: 0.05 s, 0.1 s, ... 1 s apart, so a failover of some 20 s is sat out.
RECONNECTS = 25
#: Pending entries of one stream that a member looks through to see what it still has.
_MOST_IN_HAND = 10_000
_Reply = TypeVar("_Reply")

#: Counts that `GroupMember.move` returns where it has moved nothing.
NOT_MINE = -1
AT_LIMIT = -2
# All or nothing, and nothing twice if its answer is lost on the way: what was acknowledged, or has
# been taken over by another consumer, is not moved. XADD comes first, so that an error of it leaves
# the entry pending.
_MOVE = """
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if held.err or #held == 0 then return {-1, ''} end
local limit = tonumber(ARGV[4])
if limit >= 0 and tonumber(redis.call('GET', KEYS[3]) or '0') >= limit then return {-2, ''} end
local place = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 5))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
local kind = string.match(KEYS[1], '[^:]*$')
if redis.call('HEXISTS', KEYS[4], kind) == 1 then redis.call('HINCRBY', KEYS[4], kind, 1) end
return {redis.call('INCR', KEYS[3]), place}
"""


class StoppedError(Exception):
    """The consumer's stop while Redis could not be reached."""


class Entry(Struct, frozen=True, gc=False):
    """A stream's entry in hand. `fields` is empty if it was trimmed; `deliveries` counts this."""

    key: str
    entry_id: str
    fields: Mapping[bytes, bytes]
    deliveries: int = 1


class GroupMember:
    """Commands of one consumer of a group. Every method raises RedisError, or StoppedError.

    `lost_replies` is True after a connection was lost: entries may be pending that were never seen.
    """

    def __init__(
        self,
        url: str,
        *,
        group: str,
        name: str,
        batch: int,
        block_ms: int,
        claim_idle_ms: int,
        stopped: Callable[[], bool],
        connection: Mapping[str, Any],
    ) -> None:
        self._group = group
        self._name = name
        self._batch = batch
        self._block_ms = block_ms
        self._claim_idle_ms = claim_idle_ms
        self._stopped = stopped
        self._in_hand: dict[str, set[str]] = {}
        self._held_at = time.monotonic()
        self.lost_replies = False
        # Its own connection, which does not retry: a read that is lost on the way
        # has still made its actions pending, which only this class knows to look for.
        self.client = connect(
            url,
            since=GROUPS_SINCE,
            read_timeout_s=READ_TIMEOUT_S + block_ms / 1_000,
            retries=0,
            **connection,
        )
        # redis-py's own reading of the reply drops the cursor if there is JUSTID.
        self.client.set_response_callback("XAUTOCLAIM", lambda reply, **_: reply)
        self._retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), RECONNECTS)
        self._tally = Tally(self.client, group, self.ask)

    def make_group(self, key: str, start: str) -> None:
        """Make the group, and the stream, unless they are there."""
        try:
            self._tally.make_group(key, start)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def missed(self, key: str) -> Missed | None:
        """Return what was trimmed before the group had read it, since the last call."""
        return self._tally.missed(key)

    def new(self, keys: Iterable[str]) -> list[Entry]:
        """Return entries not delivered yet, at most `batch` per stream; wait `block_ms` for one."""
        reply = self.ask(
            lambda: self.client.xreadgroup(
                self._group,
                self._name,
                dict.fromkeys(keys, ">"),
                count=self._batch,
                block=self._block_ms,
            )
        )
        entries = list(_entries(reply))
        for entry in entries:
            self._in_hand.setdefault(entry.key, set()).add(entry.entry_id)
        return entries

    def own(self, key: str) -> Iterator[Entry]:
        """Yield what is pending to this member, one by one, in order of ids: each is a delivery."""
        after = "0"
        while not self._stopped():
            start = after
            reply = self.ask(
                lambda: self.client.xreadgroup(self._group, self._name, {key: start}, count=1)  # noqa: B023
            )
            found = next(_entries(reply), None)
            if found is None:
                return
            after = found.entry_id
            held: Any = self.ask(
                lambda: self.client.xpending_range(key, self._group, after, after, 1, self._name)  # noqa: B023
            )
            if held:  # or another consumer took it over in between
                self._in_hand.setdefault(key, set()).add(after)
                yield Entry(key, after, found.fields, int(held[0]["times_delivered"]))

    def take_over(self, key: str, cursor: str) -> tuple[str, int, int]:
        """Take over what has been pending with another for `claim_idle_ms`.

        Returns where to go on ("0-0": nowhere), how many were taken, how many had been trimmed.
        """
        reply: list[Any] = self.ask(
            lambda: self.client.execute_command(  # type: ignore[no-untyped-call]
                "XAUTOCLAIM",
                key,
                self._group,
                self._name,
                self._claim_idle_ms,
                cursor,
                "COUNT",
                self._batch,
                "JUSTID",
            )
        )
        # From 7.0 on, Redis itself lets go of what was trimmed, and says so in a third part.
        trimmed = len(reply[2]) if len(reply) > 2 else 0
        self._tally.gone(key, trimmed)
        return text(reply[0]), len(reply[1]), trimmed

    def holds(self, entry: Entry) -> bool:
        """Return whether `entry` is still in hand, as of the last `hold`."""
        self.hold()
        return entry.entry_id in self._in_hand.get(entry.key, ())

    def hold(self) -> None:
        """Keep others, every quarter of `claim_idle_ms`, from taking over what is in hand.

        What they have taken already is not taken back; it is no longer in hand.
        """
        if time.monotonic() - self._held_at < self._claim_idle_ms / 4_000:
            return
        for key in [key for key, ids in self._in_hand.items() if ids]:
            mine = self.ask(lambda: self._renew(key))  # noqa: B023
            self._in_hand[key] &= mine
        self._held_at = time.monotonic()

    def acknowledge(self, entry: Entry) -> None:
        """Acknowledge `entry` as dealt with."""
        self._tally.acknowledge(entry.key, entry.entry_id)
        self._drop(entry)

    def let_go(self, entry: Entry) -> None:
        """Leave `entry` pending, as if it had not been delivered this time."""
        counted = entry.deliveries - 1
        self.ask(
            lambda: self.client.xclaim(
                entry.key,
                self._group,
                self._name,
                0,
                [entry.entry_id],
                retrycount=counted,
                justid=True,
            )
        )
        self._drop(entry)

    def move(
        self,
        entry: Entry,
        to: str,
        fields: Mapping[bytes, bytes | str | int],
        counter: str,
        limit: int | None,
    ) -> tuple[int, str]:
        """Acknowledge `entry`, add `fields` to the stream `to` and 1 to `counter`, all at once.

        Returns the count and the new entry's id. Instead of the count: NOT_MINE if `entry` is no
        longer pending to this member, AT_LIMIT if the count is `limit` already. Nothing has
        happened then.
        """
        keys = [entry.key, to, counter, tally_keys(entry.key, self._group)[2]]
        rest = [part for pair in fields.items() for part in pair]
        arguments: Sequence[Any] = [
            *(self._group, self._name, entry.entry_id, -1 if limit is None else limit),
            *rest,
        ]
        reply: Any = self.ask(lambda: self.client.eval(_MOVE, len(keys), *keys, *arguments))
        if reply[0] != AT_LIMIT:
            self._drop(entry)
        return int(reply[0]), text(reply[1])

    def ask(self, command: Callable[[], _Reply]) -> _Reply:
        """Return the reply to `command`, sent again over a new connection where one is lost."""
        return self._retry.call_with_retry(command, self._failed)

    def close(self) -> None:
        """Close the connection. What is in hand stays pending."""
        self.client.close()

    def forget(self) -> None:
        """Forget what is in hand."""
        self._in_hand.clear()

    def _renew(self, key: str) -> set[str]:
        try:
            held: Any = self.client.xpending_range(
                key, self._group, "-", "+", self._batch + _MOST_IN_HAND, self._name
            )
            mine: list[Any] = [text(each["message_id"]) for each in held]
            if mine:
                self.client.xclaim(key, self._group, self._name, 0, mine, justid=True)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            return set()  # `--fresh` has removed it: the next read will show
        return set(mine)

    def _drop(self, entry: Entry) -> None:
        self._in_hand.get(entry.key, set()).discard(entry.entry_id)

    def _failed(self, error: Exception) -> None:
        self.lost_replies = True
        if self._stopped():
            raise StoppedError from error
        if isinstance(error, AuthenticationError):
            raise error


def _entries(reply: Any) -> Iterator[Entry]:
    for key, entries in reply or ():
        for entry_id, fields in entries:
            yield Entry(text(key), text(entry_id), fields or {})
