"""Let what a handler does happen once per action, as far as Redis can tell: `Once`.

What it does for sure: while a lease lasts, one consumer at a time works on an action; and once an
action is marked as done, no consumer of the group works on it again for `keep_s`.

What it cannot do: the effect (a mail, a booking) and the mark are not one step. A process that
dies between them, or a Redis that loses the mark, leaves an action that is done and not marked, and
it is done again when the lease has lapsed. So it is after a handler that raises although its effect
took place, and beside one that takes longer than `lease_s`. Where the other system knows
idempotency keys, pass `Action.id` on to it: only there can the effect be made to happen once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import uuid4

import msgspec
import redis
from redis.exceptions import RedisError

from state.actions import Action
from state.codec import fingerprint
from state.errors import StoreError
from state.stores.redis_connection import store_error
from state.stores.redis_keys import PREFIX, checked_name, once_key, text

#: Interval at which another consumer's claim is looked at.
POLL_S = 0.25
_DONE = "done"
# Only what is still one's own: the lease may have lapsed, and another consumer have begun.
_IF_MINE = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
_RELEASE = _IF_MINE + "return redis.call('DEL', KEYS[1])"
_RENEW = _IF_MINE + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"


class Once:
    """Marks of a group: actions begun, by whom, and actions done.

    `client` is one of `redis_connection.connect`. `owner` is who begins; give it the consumer's
    name if that is stable, then a consumer that died in the middle goes on at once when it is
    back, instead of waiting for its own lease. By default it is unique. `lease_s` is longer than
    the effect ever takes, and shorter than the consumer's `claim_idle_ms`. `keep_s`, by default 30
    days, is longer than an action may come again after it was done: at least as long as it may lie
    among the dead letters. `sleep` waits that many seconds; give it `ActionConsumer.pause`, which
    keeps hold of the other actions in hand, and ends early on `stop`.

    A mark is of the action's id and what it decides, so an id that `--fresh` gives to another
    action is new, and the same action under the same id is not.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        group: str,
        prefix: str = PREFIX,
        owner: str | None = None,
        lease_s: float = 30.0,
        keep_s: float = timedelta(days=30).total_seconds(),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._group = checked_name(group, "group")
        self._prefix = checked_name(prefix, "prefix")
        self._mine = f"started {owner or uuid4().hex}"
        self._lease_ms = max(1, round(lease_s * 1_000))
        self._keep_ms = max(1, round(keep_s * 1_000))
        self._sleep = sleep

    @contextmanager
    def claim(self, action: Action) -> Iterator[bool]:
        """Begin `action`: yield True if it is to be done now, False if the group did it before.

        When the block ends, the action is marked as done. When the block raises, the claim is
        given up, so that it may be tried again at once. Where another consumer has begun it, this
        waits until they are done, or have given up, or their lease has lapsed; and raises
        StoreError if it has waited for `lease_s` in vain. StoreError also where Redis fails:
        after the block, that means done, but not marked.
        """
        key = self._key(action)
        if not self._begin(key, action.id):
            yield False
            return
        try:
            yield True
        except BaseException:
            with suppress(RedisError):  # the lease lapses in time; what was raised matters more
                self._client.eval(_RELEASE, 1, key, self._mine)
            raise
        try:
            # Whatever the claim's present holder: the effect has happened, and this records it.
            self._client.set(key, _DONE, px=self._keep_ms)
        except RedisError as error:
            raise store_error(self._client, f"mark {action.id} as done", error) from error

    def _begin(self, key: str, action_id: str) -> bool:
        waited_s = 0.0
        try:
            while not self._client.set(key, self._mine, nx=True, px=self._lease_ms):
                held = text(self._client.get(key) or b"")
                if held == _DONE:
                    return False
                if held == self._mine and self._client.eval(
                    _RENEW, 1, key, self._mine, self._lease_ms
                ):
                    return True
                if waited_s * 1_000 > self._lease_ms:
                    raise StoreError(
                        f"expected {action_id} to be free or done within "
                        f"{self._lease_ms / 1_000:g} s, was {held or 'taken'}, at {key}"
                    )
                self._sleep(POLL_S)
                waited_s += POLL_S
        except RedisError as error:
            raise store_error(self._client, f"claim {action_id}", error) from error
        return True

    def _key(self, action: Action) -> str:
        what = f"{action.kind} {action.data.mode} ".encode()
        digest = fingerprint(what + msgspec.json.encode(action.data.decision))
        return once_key(self._prefix, action.partitionkey, self._group, action.entry_id, digest)
