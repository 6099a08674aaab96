"""One writer for what a journal partition leads to: a lease in Redis, without a clock.

Taking it raises a token and puts another holder's name in its place; from then on every append of
the one before is refused, because the append itself looks who holds the lease
(`state.stores.redis_append`). It never lapses. So it does not matter how long a holder was paused,
or what any clock says: whoever took it last has it, until it is released or taken again.
"""

from typing import Any
from uuid import uuid4

import redis
from msgspec import Struct
from redis.exceptions import RedisError

from state.errors import EntriesLost, StoreError, TakenOver
from state.stores.redis_connection import place, store_error
from state.stores.redis_keys import PREFIX, lease_key, text

# Fields: `token`, `holder` (empty where released), `home` (where the holder keeps its state).
_TAKE = """
local before = {
  redis.call('HGET', KEYS[1], 'token') or '0',
  redis.call('HGET', KEYS[1], 'holder') or '',
  redis.call('HGET', KEYS[1], 'home') or ''
}
if before[2] ~= '' and before[3] ~= ARGV[2] and ARGV[3] ~= '' and
    tonumber(before[1]) >= tonumber(ARGV[3]) then
  return {'held', before[1], before[2], before[3]}
end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'home', ARGV[2])
return {'taken', tostring(token), before[2], before[3]}
"""
_RELEASE = """
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'holder', '')
end
"""


class Taken(Struct, frozen=True, kw_only=True):
    """A lease as it was taken: its `token`, and the `home` of its former holder, if any."""

    token: int
    before: str | None


class Lease:
    """The lease of partition `partition` of the journal named `journal`.

    `home` says where this process keeps its state: a holder of the same home is its own earlier
    self, dead by then. `client` may not be shared with another thread in the middle of a command.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        journal: str,
        partition: int,
        home: str,
        prefix: str = PREFIX,
    ) -> None:
        self._client, self._home = client, home
        self.key = lease_key(prefix, journal, partition)
        self.holder = uuid4().hex
        self.token = 0
        self._partition = partition
        self._take = client.register_script(_TAKE)
        self._release = client.register_script(_RELEASE)

    def take(self, unless_since: int | None = None) -> Taken:
        """Take it, from whoever has it. Raises StoreError where Redis fails.

        With `unless_since`, raises TakenOver where another home took it with that token or a later
        one, and still has it.
        """
        since = "" if unless_since is None else str(unless_since)
        try:
            found: Any = self._take(keys=[self.key], args=[self.holder, self._home, since])
        except RedisError as error:
            raise store_error(self._client, "take the lease", error) from error
        what, token, holder, home = map(text, found)
        if what == "held":
            raise TakenOver(
                f"expected journal partition {self._partition} to be free, was taken over by "
                f"{home} (token {token}), which has not given it back. Stop that one, or take the "
                "partition back with --take-over",
                token=int(token),
            )
        self.token = int(token)
        return Taken(token=self.token, before=home if holder and home != self._home else None)

    def release(self) -> None:
        """Give it back, if this one still has it."""
        try:
            self._release(keys=[self.key], args=[self.holder])
        except RedisError as error:
            raise store_error(self._client, "release the lease", error) from error

    def require(self) -> None:
        """Make sure that this one still has it; raises as `lost`, or StoreError."""
        try:
            holder = self._client.hget(self.key, "holder")
        except RedisError as error:
            raise store_error(self._client, "look at the lease", error) from error
        if text(holder or b"") != self.holder:
            raise self.lost()

    def lost(self) -> StoreError:
        """Return why it is lost: TakenOver, or EntriesLost where Redis went back in time."""
        try:
            fields = [text(v or b"") for v in self._client.hmget(self.key, "token", "home")]
        except RedisError as error:
            return store_error(self._client, "look at the lease", error)
        token = int(fields[0] or 0)
        if token <= self.token:
            return EntriesLost(
                f"expected {self.key} at {place(self._client)} to hold token {self.token}, was "
                f"{token}: Redis has lost what it had acknowledged. Start again"
            )
        return TakenOver(
            f"journal partition {self._partition} was taken over by {fields[1]} (token {token}, "
            f"this one had {self.token}). This one has ended: what it had decided since is not "
            "written, the other one writes it. One process per partition: do not start this one "
            "again while that one runs",
            token=token,
        )
