"""Actions that a consumer group could not carry out: read them, and hand them over again.

`ActionConsumer` moves an action whose handler keeps failing to its group's own stream of dead
letters, ``{prefix}:{network}:failed:{group}``, and goes on. Nothing but `retry_failed` (or XDEL, by
hand) takes one out of there, and the stream has no bound: watch its length.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import redis
from msgspec import Struct
from redis.exceptions import RedisError

from state.actions import Action
from state.codec import decode_action
from state.stores.redis_connection import store_error
from state.stores.redis_keys import FIELD, PREFIX, failed_key, networks_key, text

#: Characters of an error's message that are kept.
LONGEST_MESSAGE = 500
_PAGE = 256


class GiveUp(Exception):
    """A handler's verdict that trying again will not help: put the action aside at once."""


class Failed(Struct, frozen=True, kw_only=True, gc=False):
    """An action put aside, and why. A field that an entry lacks is empty or 0."""

    network: str
    kind: str
    entry_id: str
    #: Id of the entry in the stream of dead letters.
    place: str
    #: The action's bytes as they were in its stream.
    body: bytes
    #: Class of the last error, and the first `LONGEST_MESSAGE` characters of its message.
    error: str
    message: str
    #: Attempts of the handler at last; 0 if it was not, after too many deliveries.
    attempts: int
    #: Deliveries of the action, this time included.
    deliveries: int
    #: Time of the first and the last of these attempts, as RFC 3339, by the consumer's clock.
    first_at: str
    last_at: str

    def action(self) -> Action:
        """Return the action, typed; raises ValueError if it can no longer be read."""
        return decode_action(self.body)


class Retried(Struct, frozen=True):
    """Dead letters carried out this time (`done`), and those that `failed` again."""

    done: int
    failed: int


def failed(
    client: redis.Redis,
    *,
    group: str,
    networks: Sequence[str] | None = None,
    prefix: str = PREFIX,
) -> Iterator[Failed]:
    """Yield what the group put aside: by network (None: all, by name), oldest first, as it is read.

    `client` is one of `redis_connection.connect`. Raises StoreError where Redis fails.
    """
    try:
        if networks is None:
            members: Any = client.smembers(networks_key(prefix))
            networks = sorted(text(member) for member in members)
        for network in networks:
            after = "-"
            while page := _page(client, failed_key(prefix, network, group), after):
                for place, fields in page:
                    yield _read(network, place, fields)
                after = f"({page[-1][0]}"
    except RedisError as error:
        raise store_error(client, f"read what group {group} has put aside", error) from error


def retry_failed(
    client: redis.Redis,
    handler: Callable[[Action], object],
    *,
    group: str,
    networks: Sequence[str] | None = None,
    prefix: str = PREFIX,
    choose: Callable[[Failed], bool] = lambda _: True,
    on_error: Callable[[Failed, Exception], None] | None = None,
) -> Retried:
    """Give each action that was put aside to `handler` once more, in the order of `failed`.

    One that succeeds is deleted from the dead letters; one that fails again stays as it is, and
    `on_error` is called. `choose` says which ones, so that an action that kills the process can be
    left out. At least once, like everything here: a process that dies before the deletion, or runs
    this twice at the same time, handles an action twice. Raises StoreError where Redis fails.
    """
    done = again = 0
    for one in failed(client, group=group, networks=networks, prefix=prefix):
        if not choose(one):
            continue
        try:
            handler(one.action())
        except Exception as error:
            again += 1
            if on_error is not None:
                on_error(one, error)
            continue
        try:
            client.xdel(failed_key(prefix, one.network, group), one.place)
        except RedisError as error:
            raise store_error(client, f"delete dead letter {one.place}", error) from error
        done += 1
    return Retried(done, again)


def failed_fields(one: Failed) -> dict[bytes, bytes | str | int]:
    """Return the fields of dead letter `one`, as `failed` reads them."""
    return {
        FIELD: one.body,
        b"failed.kind": one.kind,
        b"failed.entry": one.entry_id,
        b"failed.error": one.error,
        b"failed.message": one.message[:LONGEST_MESSAGE],
        b"failed.attempts": one.attempts,
        b"failed.deliveries": one.deliveries,
        b"failed.first": one.first_at,
        b"failed.last": one.last_at,
    }


def _page(client: redis.Redis, key: str, after: str) -> list[tuple[str, Mapping[bytes, bytes]]]:
    page: Any = client.xrange(key, after, "+", _PAGE)
    return [(text(place), fields) for place, fields in page]


def _read(network: str, place: str, fields: Mapping[bytes, bytes]) -> Failed:
    def field(name: str) -> str:
        return text(fields.get(f"failed.{name}".encode(), b""))

    def count(name: str) -> int:
        return int(field(name)) if field(name).isdecimal() else 0

    return Failed(
        network=network,
        kind=field("kind"),
        entry_id=field("entry"),
        place=place,
        body=fields.get(FIELD, b""),
        error=field("error"),
        message=field("message"),
        attempts=count("attempts"),
        deliveries=count("deliveries"),
        first_at=field("first"),
        last_at=field("last"),
    )
