"""Stock position: a node's units of a SKU, its reservations, and what is due.

The ledger gives the same result for any order of arrival within the lateness bound: a count holds
for the instant it was taken, movements before it are in it, movements after it are added to it.
Ties in time are broken by event id.
"""

from typing import Literal, NamedTuple

from msgspec import Struct, field

from state.sums import int_sum

#: Movements kept before the old ones are folded; bounds the work per event.
_SETTLE_EVERY = 16

#: Ways of units to a node. `supplier`: a supplier brings them; `transfer`: a truck from another
#: node has them; `asked`: a transfer was asked for and no truck has them yet; `supposed`: a desk
#: looks at what would be if they were to come, and takes it back in the same step.
InboundKind = Literal["supplier", "transfer", "asked", "supposed"]
#: Holder of a reservation: an order, by its name, or a transfer asked for, by its number.
Holder = str | int


class InboundKey(NamedTuple):
    """Name of what is due: a supplier's inbound, a transfer, a `TransferRequest` by number."""

    kind: InboundKind
    name: str


class Inbound(Struct, array_like=True):
    """Units due, and when (ms since epoch)."""

    eta_ms: int
    quantity: int


class Movement(Struct, array_like=True):
    """A signed change of the shelf at an instant."""

    time_ms: int
    event: str
    delta: int


class Position(Struct, array_like=True):
    """Units of one SKU at one node.

    `on_hand` may turn negative when facts contradict each other (more picked than was ever there);
    a count corrects it. `reservations` has the reserved units by their holder, the oldest first.
    """

    on_hand: int = 0
    reserved: int = 0
    reservations: dict[Holder, int] = field(default_factory=dict)
    inbound: dict[InboundKey, Inbound] = field(default_factory=dict)
    counted_ms: int = 0
    counted_by: str = ""
    recent: list[Movement] = field(default_factory=list)

    def move(self, time_ms: int, event: str, delta: int, settled_ms: int) -> None:
        """Apply a movement, unless a later count has it already.

        Movements before `settled_ms` need not be kept apart any more: no count that old will come.
        """
        if (time_ms, event) <= (self.counted_ms, self.counted_by):
            return
        self.on_hand += delta
        self.recent.append(Movement(time_ms, event, delta))
        if len(self.recent) >= _SETTLE_EVERY:
            self.recent = [m for m in self.recent if m.time_ms >= settled_ms]

    def count(self, time_ms: int, event: str, quantity: int) -> int | None:
        """Apply a count; return counted − ledger at that instant, None if a later count stands."""
        if (time_ms, event) <= (self.counted_ms, self.counted_by):
            return None
        since = [m for m in self.recent if (m.time_ms, m.event) > (time_ms, event)]
        moved_since = int_sum(m.delta for m in since)
        expected = self.on_hand - moved_since
        self.on_hand = quantity + moved_since
        self.recent = since
        self.counted_ms, self.counted_by = time_ms, event
        return quantity - expected

    def unpromised(self, safety: int) -> int:
        """Return units on the shelf not reserved, beyond the safety stock; may be negative."""
        return self.on_hand - self.reserved - safety

    def promisable_ms(self, quantity: int, now_ms: int, safety: int, slip_ms: int) -> int | None:
        """Return when `quantity` more units can be promised (dated ATP); None if not at all.

        ATP(t) = on hand − reserved − safety + inbound due by t. Inbound counts `slip_ms` after its
        ETA, and after now if it is overdue. All reservations count against what is on hand, so a
        promise on inbound never takes what another order was promised.
        """
        free = self.unpromised(safety)
        if free >= quantity:
            return now_ms
        if not self.inbound:
            return None
        for due in sorted(self.inbound.values(), key=lambda i: (i.eta_ms, i.quantity)):
            free += due.quantity
            if free >= quantity:
                return max(due.eta_ms, now_ms) + slip_ms
        return None

    def promisable(self, safety: int) -> int:
        """Return units that could be promised for some date."""
        return max(0, self.unpromised(safety) + self.due())

    def due(self) -> int:
        """Return units scheduled inbound."""
        return int_sum(i.quantity for i in self.inbound.values()) if self.inbound else 0

    def uncovered(self) -> int:
        """Return reserved units that neither the shelf nor any inbound covers any more."""
        if not self.reserved:
            return 0
        return max(0, self.reserved - max(self.on_hand, 0) - self.due())

    def reserve(self, holder: Holder, quantity: int) -> None:
        """Reserve units for an order or a transfer."""
        self.reservations[holder] = self.reservations.get(holder, 0) + quantity
        self.reserved += quantity

    def release(self, holder: Holder, quantity: int) -> int:
        """Release up to `quantity` reserved units; return how many were reserved."""
        held = self.reservations.get(holder, 0)
        freed = min(held, quantity)
        if freed == held:
            self.reservations.pop(holder, None)
        else:
            self.reservations[holder] = held - freed
        self.reserved -= freed
        return freed
