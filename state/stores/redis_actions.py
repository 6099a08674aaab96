"""Write actions to Redis streams, each exactly once, however often they are delivered.

An action's id is its stream entry id, and ids only grow within a stream. So a replay after a crash
cannot duplicate an action; all that is left to do is to tell a repetition (same id, same bytes)
from a contradiction (same id, other bytes), and both from a Redis that lost what it had.
"""

from collections.abc import Iterable, Mapping, Sequence

import redis
from msgspec import Struct
from redis.exceptions import RedisError, ResponseError

from state.actions import KINDS
from state.errors import Diverged, EntriesLost, JournalMismatch
from state.stores.redis_append import FENCED, NOTHING, UNCLAIMED, EntryId, GuardedAppend
from state.stores.redis_connection import place, store_error
from state.stores.redis_keys import (
    DECIDED,
    FIELD,
    PREFIX,
    PROPOSALS,
    checked_name,
    entry_order,
    journal_key,
    networks_key,
    read_key,
    stream_key,
    text,
)
from state.stores.redis_lease import Lease

#: Entries in one round trip: bounds what is held in memory here and at Redis.
CHUNK = 512
_SCAN_COUNT = 1_000
_STREAMS = (*KINDS, PROPOSALS, DECIDED)
_LOST = (
    "Redis has lost what it had acknowledged (restarted without its data, restored, or failed over "
    "to a replica that lagged). Start again: what was written since the last recovery point is "
    "written again; if more is missing, `--rebuild` works it all out again from the journal"
)


class StreamEntry(Struct, frozen=True, gc=False):
    """An action on its way to its stream. `body` is `state.codec.encode_action`'s bytes.

    `kind` names the stream: the action's kind, `PROPOSALS`, or what else is kept beside them.
    """

    network: str
    kind: str
    entry_id: str
    body: bytes


class Written(Struct, frozen=True, kw_only=True, gc=False):
    """Result of a batch: `new`, there already (`repeated`), or there once (`trimmed`)."""

    new: int = 0
    repeated: int = 0
    trimmed: int = 0

    def __add__(self, other: "Written") -> "Written":
        return Written(
            new=self.new + other.new,
            repeated=self.repeated + other.repeated,
            trimmed=self.trimmed + other.trimmed,
        )


class RedisActionWriter:
    """Writer of a network's actions; there is one writer per network.

    `journal` is the identity of the journal that the ids are positions of. `fresh` deletes what an
    earlier run left of a network before this writer's first write to it, consumer groups included.
    `maxlen` keeps about that many of the newest actions per stream; None keeps all. With a `lease`,
    `write` raises TakenOver once another process has taken it.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        journal: str,
        prefix: str = PREFIX,
        fresh: bool = False,
        maxlen: int | None = None,
        lease: Lease | None = None,
    ) -> None:
        if client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("expected a client that replies in bytes, was decode_responses=True")
        self._client = client
        self._journal = journal
        self._prefix = checked_name(prefix, "prefix")
        self._fresh = fresh
        self._maxlen = maxlen
        self._lease = lease
        self._append = GuardedAppend(client, journal, maxlen, lease)
        self._claimed: set[str] = set()
        self._keys: dict[tuple[str, str], str] = {}
        # By key: the last id there, as far as this writer knows; and those that must be there.
        self._last: dict[str, EntryId] = {}
        self._promised: dict[str, EntryId] = {}

    def last_ids(self) -> dict[str, str]:
        """Return the last id of each stream written so far, by the stream's key."""
        return {key: f"{seq}-{n}" for key, (seq, n) in sorted(self._last.items())}

    def expect(self, last_ids: Mapping[str, str]) -> None:
        """Take in an earlier run's `last_ids`, before anything is written by this one.

        A stream that turns out to end before that has lost entries: `claim` raises EntriesLost.
        """
        self._promised = {key: entry_order(last) for key, last in last_ids.items()}

    def claim(self, network: str) -> None:
        """Make sure that the network's keys belong to this journal; `write` calls it when needed.

        Raises JournalMismatch where they belong to another one, EntriesLost where they lack what
        was to be expected, StoreError where Redis fails.
        """
        if network in self._claimed:
            return
        checked_name(network, "network")
        try:
            self._claim(network)
        except RedisError as error:
            raise store_error(self._client, f"claim network {network}", error) from error
        self._claimed.add(network)

    def write(self, entries: Sequence[StreamEntry]) -> Written:
        """Write `entries`, which come in id order per stream; one round trip per `CHUNK` of them.

        What was there already stays as it is and is counted. When this returns, all are readable.
        When it raises, a prefix of them may be: write them again. Raises Diverged where an id
        holds other bytes, EntriesLost where Redis no longer has what it had, JournalMismatch as
        `claim` does, StoreError where Redis fails.
        """
        written = Written()
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            for entry in chunk:
                if entry.network not in self._claimed:
                    self.claim(entry.network)
            try:
                written += self._write(chunk)
            except RedisError as error:
                raise store_error(self._client, "write actions", error) from error
        return written

    def _write(self, entries: Sequence[StreamEntry]) -> Written:
        written = Written()
        while True:
            new: dict[str, list[tuple[str, bytes]]] = {}
            old: list[StreamEntry] = []
            for entry in entries:
                key = self._key(entry)
                if entry_order(entry.entry_id) <= self._last_of(key):
                    old.append(entry)
                else:
                    new.setdefault(key, []).append((entry.entry_id, entry.body))
            found = self._appended(new, entries) if new else {}
            if not found:
                break
            # An append whose answer was lost on the way, or another writer of the same journal.
            self._ends_at(found)
        for key, listed in new.items():
            self._last[key] = entry_order(listed[-1][0])
        if old:
            repeated = self._compare(old)
            written += Written(repeated=repeated, trimmed=len(old) - repeated)
        return written + Written(new=len(entries) - len(old))

    def _appended(
        self, new: Mapping[str, Sequence[tuple[str, bytes]]], entries: Sequence[StreamEntry]
    ) -> dict[str, EntryId]:
        claims = sorted({journal_key(self._prefix, entry.network) for entry in entries})
        try:
            return self._append(new, self._last, claims)
        except ResponseError as error:
            if self._lease is not None and FENCED in str(error):
                raise self._lease.lost() from error
            _, unclaimed, key = str(error).partition(UNCLAIMED)
            if not unclaimed:
                raise
            raise EntriesLost(
                f"expected {key} at {place(self._client)} to name the journal {self._journal}, as "
                f"it did, did not: {_LOST}"
            ) from error

    def _last_of(self, key: str) -> EntryId:
        return self._last.setdefault(key, NOTHING)

    def _ends_at(self, found: Mapping[str, EntryId]) -> None:
        """Take note of where streams end; raises EntriesLost if that is before it was."""
        for key, last in found.items():
            known = max(self._last_of(key), self._promised.get(key, NOTHING))
            if last < known:
                raise EntriesLost(
                    f"expected {key} at {place(self._client)} to end at {known[0]}-{known[1]}, "
                    f"where it was written to, was {last[0]}-{last[1]}: {_LOST}"
                )
            self._last[key] = last

    def _compare(self, refused: Sequence[StreamEntry]) -> int:
        """Return how many of `refused` are there with the same bytes; the others were trimmed."""
        with self._client.pipeline(transaction=False) as pipeline:
            for entry in refused:
                pipeline.xrange(self._key(entry), entry.entry_id, entry.entry_id)
            found = pipeline.execute()
        absent = []
        for entry, held in zip(refused, found, strict=True):
            if not held:
                absent.append(entry)
            elif held[0][1] != {FIELD: entry.body}:
                raise self._diverged(entry, "the stream holds other bytes under this id")
        if absent:
            oldest = self._oldest({self._key(entry) for entry in absent})
            for entry in absent:
                first = oldest[self._key(entry)]
                if first is not None and entry_order(entry.entry_id) > entry_order(first):
                    raise self._diverged(entry, "the stream went past this id without it")
        return len(refused) - len(absent)

    def _oldest(self, keys: Iterable[str]) -> dict[str, str | None]:
        ordered = sorted(keys)
        with self._client.pipeline(transaction=False) as pipeline:
            for key in ordered:
                pipeline.xrange(key, count=1)
            firsts = pipeline.execute()
        return {
            key: first[0][0].decode() if first else None
            for key, first in zip(ordered, firsts, strict=True)
        }

    def _claim(self, network: str) -> None:
        key = journal_key(self._prefix, network)
        if self._fresh:
            self._delete(network)
        elif self._client.hget(key, "identity") is None and self._has_actions(network):
            raise JournalMismatch(
                f"expected {key} at {place(self._client)} to name the journal of the actions "
                f"beside it, was absent; {self._way_out(network)}"
            )
        self._client.hsetnx(key, "identity", self._journal)
        owner = text(self._client.hget(key, "identity") or b"")
        if owner != self._journal:
            raise JournalMismatch(
                f"expected network {network} at {place(self._client)} to belong to journal "
                f"{self._journal}, was {owner or 'absent'}; {self._way_out(network)}"
            )
        self._client.sadd(networks_key(self._prefix), network)
        self._ends_at(self._ends(network))

    def _ends(self, network: str) -> dict[str, EntryId]:
        """Return the last id of each stream of the network."""
        keys = [key for key in self._promised if key.startswith(f"{self._prefix}:{network}:")]
        keys += [stream_key(self._prefix, network, kind) for kind in _STREAMS]
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.xinfo_stream(key)
            replies = pipeline.execute(raise_on_error=False)
        ends = {}
        for key, reply in zip(keys, replies, strict=True):
            if isinstance(reply, ResponseError) and "no such key" in str(reply):
                ends[key] = NOTHING
            elif isinstance(reply, Exception):
                raise reply
            else:
                ends[key] = entry_order(text(reply["last-generated-id"]))
        return ends

    def _has_actions(self, network: str) -> bool:
        # Length, not existence: a consumer that came first has made empty streams.
        with self._client.pipeline(transaction=False) as pipeline:
            for kind in _STREAMS:
                pipeline.xlen(stream_key(self._prefix, network, kind))
            return any(pipeline.execute())

    def _delete(self, network: str) -> None:
        # The identity goes first: if this is cut short, what is left is refused, not continued.
        self._client.delete(journal_key(self._prefix, network))
        pattern = f"{self._prefix}:{network}:*"
        counts = read_key(self._prefix, network, "")
        cursor = 0
        while True:
            cursor, keys = self._client.scan(cursor, match=pattern, count=_SCAN_COUNT)
            with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.type(key)
                types = pipeline.execute()
            ours = [
                key
                for key, kept in zip(keys, types, strict=True)
                if kept == b"stream" or text(key).startswith(counts)
            ]
            if ours:
                self._client.unlink(*ours)
            if cursor == 0:
                return

    def _way_out(self, network: str) -> str:
        return (
            "another prefix (--prefix NAME, or redis.prefix in the settings) writes beside it; "
            "`crossdock replay --fresh` first deletes all actions and consumer groups of "
            f"{network} under {self._prefix!r}"
        )

    def _diverged(self, entry: StreamEntry, what: str) -> Diverged:
        return Diverged(
            f"expected {entry.kind} {entry.network}:{entry.entry_id} to be as it was first "
            f"written, was not: {what}, at {place(self._client)}. The journal has the same "
            "identity, so the policy, the version of Crossdock or the journal's content has "
            f"changed since. Run what wrote it, or: {self._way_out(entry.network)}"
        )

    def _key(self, entry: StreamEntry) -> str:
        pair = (entry.network, entry.kind)
        key = self._keys.get(pair)
        if key is None:
            kind = checked_name(entry.kind, "kind")
            key = self._keys[pair] = stream_key(self._prefix, entry.network, kind)
        return key
