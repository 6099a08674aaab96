"""Bound what Redis keeps of a network: by the journal's time, and by what consumers still need.

Entry ids are places in the journal, not times. So the time is read from the entries themselves: an
action's `time`, a window's `end` are the journal's now when they were made, and it never falls as
ids rise. No clock of any machine has a part in it: a network that stands still loses nothing, and
one that is worked out again from its start is bounded on the way.
"""

from datetime import datetime
from typing import Any

import msgspec
import redis
from msgspec import Struct, field
from redis.exceptions import RedisError

from state.actions import KINDS
from state.quantities import DAY_MS, from_ms, to_ms
from state.stores.redis_append import NOTHING, EntryId
from state.stores.redis_connection import store_error
from state.stores.redis_keys import (
    CONTROL,
    DECIDED,
    FIELD,
    KPIS,
    PREFIX,
    PROPOSALS,
    checked_name,
    entry_order,
    journal_key,
    stream_key,
    text,
)
from state.stores.redis_proposals import first_open

#: All that the engine writes, in the order in which it is trimmed: what became of a proposal goes
#: after the proposal, which would look open again without it.
STREAMS = (*KINDS, KPIS, CONTROL, PROPOSALS, DECIDED)
#: Entries that one script removes at most, so that Redis is not held up for long.
_AT_ONCE = 10_000
#: Pending entries of one group that are counted at most.
_IN_HAND = 1_000_000
#: Entries looked at to find one that says when it was made.
_TRIED = 4
_NEVER_MS = 2**62

# KEYS: the stream, the hash that claims its network. ARGV: the claim's identity, the id before
# which entries are old, the one before which they go even if a group has not acknowledged them.
# Answers how many were removed, then each group and how many of these it had not acknowledged.
_TRIM = """
local function fields(list)
  local found = {}
  for i = 1, #list, 2 do found[list[i]] = list[i + 1] end
  return found
end
local function number(id)
  local seq, n = string.match(id, '^(%d+)-(%d+)$')
  return {tonumber(seq), tonumber(n)}
end
local function before(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end
local function written(id) return string.format('%.0f-%.0f', id[1], id[2]) end
if redis.call('HGET', KEYS[2], 'identity') ~= ARGV[1] then return {0} end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not oldest then return {0} end
local to, must = number(ARGV[2]), number(ARGV[3])
local groups = {}
for i, each in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  each = fields(each)
  local read = number(each['last-delivered-id'])
  local group = {name = each['name'], unread = {read[1], read[2] + 1}, lost = 0}
  -- What was trimmed may still be pending: only what is there counts.
  local pending = redis.call('XPENDING', KEYS[1], group.name, oldest[1], '+', 1)[1]
  local needs = pending and number(pending[1]) or group.unread
  if before(needs, to) then to = needs end
  groups[i] = group
end
if not before(to, must) then
  return {redis.call('XTRIM', KEYS[1], 'MINID', '~', written(to), 'LIMIT', AT_ONCE)}
end
table.sort(groups, function(a, b) return before(a.unread, b.unread) end)
for _, group in ipairs(groups) do
  group.lost = #redis.call('XPENDING', KEYS[1], group.name, oldest[1], '(' .. ARGV[3], IN_HAND)
end
local removed = 0
for i = 1, #groups + 1 do
  local limit = must
  if groups[i] and before(groups[i].unread, must) then limit = groups[i].unread end
  local count = redis.call('XTRIM', KEYS[1], 'MINID', written(limit))
  for k = 1, i - 1 do groups[k].lost = groups[k].lost + count end
  removed = removed + count
end
local answer = {removed}
for _, group in ipairs(groups) do
  answer[#answer + 1] = group.name
  answer[#answer + 1] = group.lost
end
return answer
""".replace("AT_ONCE", str(_AT_ONCE)).replace("IN_HAND", str(_IN_HAND))


class Tended(Struct, kw_only=True):
    """State of a network in Redis after a look, and what changed in this look.

    `lag_ms`: by group, the age of the oldest entry that it has not acknowledged, over all streams.
    `lost`: by group, entries that were removed although it had not acknowledged them.
    """

    entries: int = 0
    size: int = 0
    removed: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    lag_ms: dict[str, int] = field(default_factory=dict)


class _Times(Struct):
    """Times at which the bodies of the streams were made."""

    time: datetime | None = None
    end: datetime | None = None


class Retention:
    """Trimmer of one journal's networks. `client` is one of `redis_connection.connect`.

    Entries older than `keep_ms` are removed once every group of the stream has acknowledged them,
    and those older than `unread_ms` in any case. Proposals that are open stay, however old; what
    became of a proposal stays as long as the proposal. Redis removes whole nodes of a stream, so
    some hundred entries may stay longer.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        journal: str,
        prefix: str = PREFIX,
        keep_ms: int = 7 * DAY_MS,
        unread_ms: int = 14 * DAY_MS,
    ) -> None:
        self._client = client
        self._journal = journal
        self._prefix = checked_name(prefix, "prefix")
        if unread_ms < keep_ms:
            raise ValueError(f"expected to keep what is unread longest, was {unread_ms} ms")
        self._keep_ms, self._unread_ms = keep_ms, unread_ms
        self._trim = client.register_script(_TRIM)
        self._times = msgspec.json.Decoder(_Times)

    def tend(self, network: str, now_ms: int) -> Tended:
        """Trim the streams of `network`, whose journal's now is `now_ms`; raises StoreError."""
        tended = Tended()
        try:
            for kind in self._kinds(network):
                key = stream_key(self._prefix, network, kind)
                self._trim_old(network, kind, key, now_ms, tended)
                self._measure(key, now_ms, tended)
        except RedisError as error:
            raise store_error(self._client, f"trim the streams of {network}", error) from error
        return tended

    def _kinds(self, network: str) -> list[str]:
        with self._client.pipeline(transaction=False) as pipeline:
            for kind in STREAMS:
                pipeline.exists(stream_key(self._prefix, network, kind))
            there = pipeline.execute()
        return [kind for kind, is_there in zip(STREAMS, there, strict=True) if is_there]

    def _trim_old(self, network: str, kind: str, key: str, now_ms: int, tended: Tended) -> None:
        old = self._first_after(key, now_ms - self._keep_ms)
        if old == NOTHING:
            return
        must = self._first_after(key, now_ms - self._unread_ms)
        if kind == PROPOSALS:
            stays = first_open(self._client, self._prefix, network, _id(old), from_ms(now_ms))
        elif kind == DECIDED:
            stays = self._first(stream_key(self._prefix, network, PROPOSALS))
        else:
            stays = None
        if stays is not None:
            before = (entry_order(stays)[0], 0)
            old, must = min(old, before), min(must, before)
        keys = [key, journal_key(self._prefix, network)]
        removed = _AT_ONCE
        while removed >= _AT_ONCE:
            reply: Any = self._trim(keys=keys, args=[self._journal, _id(old), _id(must)])
            removed = int(reply[0])
            tended.removed += removed
            for group, lost in zip(reply[1::2], reply[2::2], strict=True):
                if lost:
                    name = text(group)
                    tended.lost[name] = tended.lost.get(name, 0) + int(lost)

    def _first_after(self, key: str, instant_ms: int) -> EntryId:
        """Return where entries begin that were made after `instant_ms`; NOTHING if all were."""
        info: Any = self._client.xinfo_stream(key)
        if not info["first-entry"]:
            return NOTHING
        first, last = info["first-entry"][0], info["last-entry"][0]
        old, new = entry_order(text(first))[0], entry_order(text(last))[0]
        if self._made_ms(key, old) > instant_ms:
            return NOTHING
        if self._made_ms(key, new) <= instant_ms:
            return (new + 1, 0)
        while new - old > 1:
            middle = (old + new) // 2
            if self._made_ms(key, middle) <= instant_ms:
                old = middle
            else:
                new = middle
        return (new, 0)

    def _made_ms(self, key: str, seq: int) -> int:
        """Return when the first entry from `seq` on was made; past all others if unreadable."""
        entries: Any = self._client.xrange(key, f"{seq}-0", count=_TRIED)
        for _, fields in entries:
            try:
                times = self._times.decode(fields.get(FIELD, b""))
            except msgspec.MsgspecError:
                continue  # another writer's
            made = times.time or times.end
            if made is not None:
                return to_ms(made)
        return _NEVER_MS

    def _first(self, key: str) -> str | None:
        entries: Any = self._client.xrange(key, count=1)
        return text(entries[0][0]) if entries else None

    def _measure(self, key: str, now_ms: int, tended: Tended) -> None:
        tended.entries += int(self._client.xlen(key))
        tended.size += int(self._client.memory_usage(key) or 0)
        first = self._first(key)
        groups: Any = self._client.xinfo_groups(key)
        for group in groups:
            name = text(group["name"])
            lag_ms = 0 if first is None else self._lag_ms(key, name, first, group, now_ms)
            tended.lag_ms[name] = max(tended.lag_ms.get(name, 0), lag_ms)

    def _lag_ms(self, key: str, name: str, first: str, group: Any, now_ms: int) -> int:
        pending: Any = self._client.xpending_range(key, name, first, "+", 1)
        if pending:
            seq = entry_order(text(pending[0]["message_id"]))[0]
        else:
            read = entry_order(text(group["last-delivered-id"]))
            unread: Any = self._client.xrange(key, f"{read[0]}-{read[1] + 1}", count=1)
            if not unread:
                return 0
            seq = entry_order(text(unread[0][0]))[0]
        made_ms = self._made_ms(key, seq)
        return 0 if made_ms == _NEVER_MS else max(0, now_ms - made_ms)


def _id(place: EntryId) -> str:
    return f"{place[0]}-{place[1]}"
