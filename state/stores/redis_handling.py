"""Handling of an action that a consumer has in hand: carried out, tried again, put aside."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from state.actions import Action
from state.errors import KeepsFailing
from state.quantities import rfc3339, to_ms
from state.stores.redis_connection import place
from state.stores.redis_failed import LONGEST_MESSAGE, Failed, GiveUp, failed_fields
from state.stores.redis_group import AT_LIMIT, NOT_MINE, Entry, GroupMember
from state.stores.redis_keys import FIELD, failed_key, failing_key, text


class Patience(Struct, frozen=True, kw_only=True):
    """Limits on attempts and on putting aside: see `ActionConsumer`."""

    attempts: int
    first_delay_s: float
    delay_cap_s: float
    max_deliveries: int
    most_failed: int | None

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.max_deliveries < 1:
            raise ValueError(
                "expected attempts and max_deliveries of at least 1, "
                f"was {self.attempts} and {self.max_deliveries}"
            )

    def delay_s(self, attempt: int) -> float:
        """Return the seconds between the attempt of this number, from 1, and the next."""
        return min(self.delay_cap_s, self.first_delay_s * 2.0 ** min(attempt - 1, 60))


class Counts(Struct):
    """Counts of a consumer since it was made.

    `retried`: attempts after the first. `failed`: actions put aside. `expired`: skipped.
    `trimmed`: delivered once, and gone from the stream before they could be delivered again.
    `missed`: gone from the stream before any consumer of the group had got them.
    """

    retried: int = 0
    failed: int = 0
    expired: int = 0
    trimmed: int = 0
    missed: int = 0


class Delivery(Struct):
    """An action in hand; `settled` when it is not to be acknowledged any more."""

    entry: Entry
    network: str
    action: Action
    settled: bool = False


class Handling:
    """Handler of deliveries one at a time. Every method raises RedisError, or StoppedError.

    `pause` waits that many seconds, or until `stopped`. `now` is the wall clock.
    """

    def __init__(
        self,
        member: GroupMember,
        patience: Patience,
        *,
        prefix: str,
        group: str,
        counts: Counts,
        pause: Callable[[float], None],
        stopped: Callable[[], bool],
        now: Callable[[], datetime],
        skip_expired: bool,
        on_failed: Callable[[Failed], None] | None,
    ) -> None:
        self._member = member
        self._patience = patience
        self._prefix = prefix
        self._group = group
        self._counts = counts
        self._pause = pause
        self._stopped = stopped
        self._now = now
        self._skip_expired = skip_expired
        self._on_failed = on_failed
        #: Actions put aside in a row, by network, as far as known: what a success sets back.
        self._in_a_row: dict[str, int] = {}

    def meet(self, network: str) -> None:
        """Learn how many actions of a network the group has put aside in a row before."""
        key = failing_key(self._prefix, network, self._group)
        known = text(self._member.ask(lambda: self._member.client.get(key)) or b"")
        self._in_a_row[network] = int(known) if known.isdecimal() else 0

    def is_over(self, delivery: Delivery) -> bool:
        """Return whether there is nothing to try: it has expired, or was delivered too often."""
        return self._is_expired(delivery) or self._is_hopeless(delivery)

    def give(self, handler: Callable[[Action], object], delivery: Delivery) -> None:
        """Try `handler` until it succeeds, the action is put aside, or the consumer stops.

        Raises KeepsFailing where too many have been put aside in a row.
        """
        first_at = self._time()
        attempt = 1
        while (error := _error_of(handler, delivery.action)) is not None:
            is_last = attempt >= self._patience.attempts and not self._stopped()
            if is_last or isinstance(error, GiveUp):
                name, message = type(error).__name__, str(error)
                if not self._put_aside(delivery, name, message, attempt, first_at):
                    self._let_go(delivery)
                    raise self._keeps_failing(delivery, error) from error
                return
            self._pause(self._patience.delay_s(attempt))  # returns at once if stopped
            if self._is_out_of_hand(delivery):
                return
            attempt += 1
            self._counts.retried += 1

    def end(self, delivery: Delivery) -> None:
        """Acknowledge what was carried out; what was put aside or let go has ended already."""
        if delivery.settled:
            return
        delivery.settled = True
        self._member.acknowledge(delivery.entry)
        network = delivery.network
        if self._in_a_row.get(network):
            key = failing_key(self._prefix, network, self._group)
            self._member.ask(lambda: self._member.client.delete(key))
            self._in_a_row[network] = 0

    def _is_out_of_hand(self, delivery: Delivery) -> bool:
        if self._stopped():
            self._let_go(delivery)
            return True
        if not self._member.holds(delivery.entry):
            delivery.settled = True  # taken for dead: another consumer has it now
            return True
        return self._is_expired(delivery)

    def _let_go(self, delivery: Delivery) -> None:
        delivery.settled = True
        self._member.let_go(delivery.entry)

    def _is_expired(self, delivery: Delivery) -> bool:
        expiry = delivery.action.expirytime
        if not self._skip_expired or expiry is None or self._now() <= expiry:
            return False
        delivery.settled = True
        self._member.acknowledge(delivery.entry)
        self._counts.expired += 1
        return True

    def _is_hopeless(self, delivery: Delivery) -> bool:
        """Return whether it was delivered too often; at the limit of failures it is still tried.

        Otherwise a repaired handler would not get what it had failed at.
        """
        before = delivery.entry.deliveries - 1
        if before < self._patience.max_deliveries:
            return False
        message = f"delivered {before} times, and no consumer came to an end with it"
        return self._put_aside(delivery, "DeliveredTooOften", message, 0, self._time())

    def _put_aside(
        self, delivery: Delivery, error: str, message: str, attempts: int, first_at: str
    ) -> bool:
        """Move an action to the dead letters; False if too many have been moved in a row."""
        entry, network = delivery.entry, delivery.network
        one = Failed(
            network=network,
            kind=delivery.action.kind,
            entry_id=entry.entry_id,
            place="",
            body=entry.fields[FIELD],
            error=error,
            message=message[:LONGEST_MESSAGE],
            attempts=attempts,
            deliveries=entry.deliveries,
            first_at=first_at,
            last_at=self._time(),
        )
        in_a_row, moved_to = self._member.move(
            entry,
            failed_key(self._prefix, network, self._group),
            failed_fields(one),
            failing_key(self._prefix, network, self._group),
            self._patience.most_failed,
        )
        if in_a_row == AT_LIMIT:
            self._in_a_row[network] = self._patience.most_failed or 0
            return False
        delivery.settled = True
        self._in_a_row[network] = max(1, in_a_row)
        # If it is not ours, another consumer has it, or the answer to a first try was lost.
        if in_a_row != NOT_MINE:
            self._counts.failed += 1
            if self._on_failed is not None:
                self._on_failed(replace(one, place=moved_to))
        return True

    def _keeps_failing(self, delivery: Delivery, error: Exception) -> KeepsFailing:
        return KeepsFailing(
            f"expected the handler of group {self._group} to succeed now and then, was "
            f"{self._patience.most_failed} failures in a row and now {type(error).__name__} "
            f"({str(error)[:LONGEST_MESSAGE]}) at {delivery.action.id}, which stays pending, at "
            f"Redis {place(self._member.client)}. Fix the cause and start again: it comes "
            f"first. Then retry_failed what is in "
            f"{failed_key(self._prefix, delivery.network, self._group)}"
        )

    def _time(self) -> str:
        return rfc3339(to_ms(self._now()))


def _error_of(handler: Callable[[Action], object], action: Action) -> Exception | None:
    try:
        handler(action)
    except Exception as error:
        return error
    return None
