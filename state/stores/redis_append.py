"""Append to several Redis streams at once, only if each still ends where it was left.

Redis may lose what it has acknowledged: restarted without its data, restored from an older file,
failed over to a replica that lagged. Appending then would leave a hole that goes unseen. So the
append is one script that first looks whether the keys are still claimed for the journal and the
lease is still this writer's, then compares every stream's last id with the one expected, and writes
nothing if any differs. The check and the writing are one step, hence all or nothing. The same step
counts what each stream was ever given, without which no reader could tell how much was trimmed
before it came (`redis_missed`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis

from state.stores.redis_keys import ADDED, DECIDED, FIELD, PROPOSALS, entry_order
from state.stores.redis_lease import Lease

EntryId = tuple[int, int]
NOTHING: EntryId = (0, 0)

#: Beginning of the answer where a journal's claim is gone; the key that held it follows.
UNCLAIMED = "UNCLAIMED "
#: Beginning of the answer where another writer has taken the lease.
FENCED = "FENCED "

# KEYS: streams, then the hashes that claim their networks, then the lease if there is one. ARGV:
# the largest length ("" for any), the claim's identity, the number of streams, then per stream its
# expected last id, the number of entries, and id and body of each; last the lease's holder ("" for
# none). Answers "" when written, else the last ids found.
_SCRIPT = """
local function last(key)
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then
    if string.find(info.err, 'no such key') then return '0-0' end
    return info
  end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end
local streams, claims, holder = tonumber(ARGV[3]), #KEYS, ARGV[#ARGV]
if holder ~= '' then
  claims = claims - 1
  if redis.call('HGET', KEYS[#KEYS], 'holder') ~= holder then
    return redis.error_reply('FENCED' .. KEYS[#KEYS])
  end
end
for i = streams + 1, claims do
  if redis.call('HGET', KEYS[i], 'identity') ~= ARGV[2] then
    return redis.error_reply('UNCLAIMED' .. KEYS[i])
  end
end
local found, differs, at = {}, false, 4
for i = 1, streams do
  local id = last(KEYS[i])
  if type(id) == 'table' then return id end
  found[i] = id
  if id ~= ARGV[at] then differs = true end
  at = at + 2 + 2 * tonumber(ARGV[at + 1])
end
if differs then return found end
at = 4
for s = 1, streams do
  local key = KEYS[s]
  local count = tonumber(ARGV[at + 1])
  local claim, kind = string.match(key, '^(.*):([^:]*)$')
  claim = claim .. ':journal'
  redis.call('HSETNX', claim, 'ADDED' .. kind, redis.call('XLEN', key))
  redis.call('HINCRBY', claim, 'ADDED' .. kind, count)
  for i = 1, count do
    local id, body = ARGV[at + 2 * i], ARGV[at + 2 * i + 1]
    if ARGV[1] == '' or kind == 'PROPOSALS' or kind == 'DECIDED' then
      redis.call('XADD', key, id, 'FIELD', body)
    else
      redis.call('XADD', key, 'MAXLEN', '~', ARGV[1], id, 'FIELD', body)
    end
  end
  at = at + 2 + 2 * count
end
return ''
"""
for _word, _text in (
    ("FIELD", FIELD.decode()),
    ("UNCLAIMED", UNCLAIMED),
    ("FENCED", FENCED),
    ("ADDED", ADDED),
    ("PROPOSALS", PROPOSALS),
    ("DECIDED", DECIDED),
):
    _SCRIPT = _SCRIPT.replace(_word, _text)


class GuardedAppend:
    """The script, ready to be called on `client`, for the journal named `identity`.

    `maxlen` keeps about that many entries each, but all proposals and what became of them: one
    that is open is still to be found, and one without its end would look open. With a
    `lease`, nothing is written that its holder does not write.
    """

    def __init__(
        self, client: redis.Redis, identity: str, maxlen: int | None, lease: Lease | None = None
    ) -> None:
        self._identity, self._lease = identity, lease
        self._script = client.register_script(_SCRIPT)
        self._maxlen = "" if maxlen is None else str(maxlen)

    def __call__(
        self,
        entries: Mapping[str, Sequence[tuple[str, bytes]]],
        expected: Mapping[str, EntryId],
        claims: Iterable[str],
    ) -> dict[str, EntryId]:
        """Append `entries` (id and body, in order) per stream key; return nothing if it did.

        Otherwise nothing was written, and the last id that each of the streams really has comes
        back. `claims` are the keys that name the networks' journal. Raises RedisError, with
        `UNCLAIMED` where such a key does not name it, with `FENCED` where the lease is another's.
        """
        arguments: list[str | bytes | int] = [self._maxlen, self._identity, len(entries)]
        for key, listed in entries.items():
            seq, n = expected[key]
            arguments += (f"{seq}-{n}", len(listed))
            for entry in listed:
                arguments += entry
        keys = [*entries, *claims]
        if self._lease is not None:
            keys.append(self._lease.key)
        arguments.append("" if self._lease is None else self._lease.holder)
        found: Any = self._script(keys=keys, args=arguments)
        if not found:
            return {}
        return {key: entry_order(last.decode()) for key, last in zip(entries, found, strict=True)}
