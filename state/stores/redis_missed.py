"""Count of a stream's entries that were trimmed before a consumer group had read them.

Redis does not say. Its own count of what a group has read (from 7.0 on) is unknown for many groups,
and jumps over a gap in some versions. So each entry is counted where it comes in, by the script
that appends it, and once more where the group is done with it, by the script that acknowledges it.
Each counts in one step with what it does, so nothing is counted twice or left out by a crash.
Then, of all entries up to the last one that the group was given,

    missed = entries ever added - acknowledged - pending

at whatever moment it is asked, whoever trimmed the stream, and in every version of Redis.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import redis
from msgspec import Struct

from state.stores.redis_keys import ADDED, journal_key, read_key, text

#: Entries up to the group's place that are looked through; with more of them nothing is missed now.
_NEAR = 256

# KEYS of all: the stream, the hash of its journal, the group's own. ARGV: group, kind, then more.
# Each may be sent again where an answer was lost.
_HELP = """
local function fields(list)
  local found = {}
  for i = 1, #list, 2 do found[list[i]] = list[i + 1] end
  return found
end
local function number(id)
  local seq, n = string.match(id, '^(%d+)-(%d+)$')
  return {tonumber(seq), tonumber(n)}
end
local function before(a, b)
  a, b = number(a), number(b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end
"""
# `place`: how many entries there have ever been up to the last one that the group was given.
_LOOK = """
local reported = redis.call('HGET', KEYS[3], 'told:' .. ARGV[2])
if reported and string.sub(reported, 1, #ARGV[3]) == ARGV[3] then
  local count, oldest = string.match(reported, ' (%d+) (.*)$')
  return {tonumber(count), oldest}
end
local added = redis.call('HGET', KEYS[2], 'ADDED' .. ARGV[2])
if not added then return {0, ''} end
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return {0, ''} end
info = fields(info)
local group
for _, each in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  each = fields(each)
  if each['name'] == ARGV[1] then group = each end
end
if not group then return {0, ''} end
local at, first = group['last-delivered-id'], info['first-entry']
local place = added - info['length']
if first and not before(at, info['last-generated-id']) then
  place = tonumber(added)
elseif first and not before(at, first[1]) then
  local near = #redis.call('XRANGE', KEYS[1], '-', at, 'COUNT', NEAR + 1)
  if near > NEAR then return {0, ''} end
  place = place + near
end
local expected = place - group['pending']
local done = redis.call('HGET', KEYS[3], ARGV[2])
if done and tonumber(done) == expected then return {0, ''} end
redis.call('HSET', KEYS[3], ARGV[2], expected)
-- A group that was never counted begins here; less than nothing means that others have written
-- to the stream as well.
if not done or expected < tonumber(done) then return {0, ''} end
local count, oldest = expected - done, first and first[1] or ''
redis.call('HSET', KEYS[3], 'told:' .. ARGV[2], ARGV[3] .. ' ' .. count .. ' ' .. oldest)
return {count, oldest}
"""
_MAKE = """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[3], 'MKSTREAM')
if made.err then return made end
local length = redis.call('XLEN', KEYS[1])
local added = redis.call('HGET', KEYS[2], 'ADDED' .. ARGV[2])
if not added and length > 0 then redis.call('HDEL', KEYS[3], ARGV[2]) return made end
local skipped = tonumber(added or 0)
if ARGV[3] ~= '$' then skipped = skipped - length end
redis.call('HSET', KEYS[3], ARGV[2], skipped)
return made
"""
_DONE = """
local done = redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 3))
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  redis.call('HINCRBY', KEYS[3], ARGV[2], done)
end
return done
"""
# Entries that Redis itself lets go of, when it is taken over and has been trimmed.
_GONE = """
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  redis.call('HINCRBY', KEYS[3], ARGV[2], ARGV[3])
end
"""


def _script(text_: str) -> str:
    return text_.replace("ADDED", ADDED).replace("NEAR", str(_NEAR))


_MISSED, _MAKE, _DONE = _script(_HELP + _LOOK), _script(_MAKE), _script(_DONE)


class Missed(Struct, frozen=True, kw_only=True, gc=False):
    """Entries that no consumer of the group ever got: so many, all before `oldest_kept`.

    They were trimmed. Or they were acknowledged, or the group was set on, by hand.
    """

    network: str
    kind: str
    group: str
    count: int
    #: Id of the oldest entry that the stream still has; empty if it has none.
    oldest_kept: str

    def __str__(self) -> str:
        where = f"before {self.oldest_kept}" if self.oldest_kept else "all that there were"
        return (
            f"{self.count} entries of {self.kind} in {self.network} were trimmed, and group "
            f"{self.group} had never read them ({where})"
        )


class Tally:
    """Tally of entries that one group is done with, and of those it has missed.

    Every method raises RedisError. `ask` sends a command, and sends it again if it has to.
    """

    def __init__(
        self,
        client: redis.Redis,
        group: str,
        ask: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._client, self._group, self._ask = client, group, ask

    def make_group(self, key: str, start: str) -> None:
        """Make the group and the stream; what was added before `start` is not missed."""
        self._run(_MAKE, key, start)

    def acknowledge(self, key: str, entry_id: str) -> None:
        """Acknowledge an entry, and count it if it was pending."""
        self._run(_DONE, key, entry_id)

    def gone(self, key: str, count: int) -> None:
        """Count entries that Redis dropped because they had been trimmed."""
        if count:
            self._run(_GONE, key, count)

    def missed(self, key: str) -> Missed | None:
        """Return what was trimmed unread since the last call, of the group as a whole."""
        count, oldest = self._run(_MISSED, key, uuid4().hex)
        if not count:
            return None
        _, network, kind = key.rsplit(":", 2)
        return Missed(
            network=network,
            kind=kind,
            group=self._group,
            count=int(count),
            oldest_kept=text(oldest),
        )

    def _run(self, script: str, key: str, *arguments: str | int) -> Any:
        keys = tally_keys(key, self._group)
        kind = key.rpartition(":")[2]
        return self._ask(
            lambda: self._client.eval(script, len(keys), *keys, self._group, kind, *arguments)
        )


def tally_keys(key: str, group: str) -> tuple[str, str, str]:
    """Return the stream `key`, and the hashes that count entries added to it, and done with."""
    prefix, network, _ = key.rsplit(":", 2)
    return key, journal_key(prefix, network), read_key(prefix, network, group)
