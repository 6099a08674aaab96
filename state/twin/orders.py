"""An order that is not finished yet."""

from typing import Literal

import msgspec
from msgspec import Struct, field

from state.events import OrderPlaced
from state.keys import Pickup, ServiceId
from state.quantities import to_ms

#: Journal positions besides the order's own that a decision cites.
_MOST_CAUSES = 4
#: Parcels begun and not handed over, as far as is known, that are remembered.
_MOST_LEGS = 8
_PLACED = msgspec.msgpack.Decoder(OrderPlaced)

OrderStatus = Literal[
    "new", "allocated", "backordered", "unfillable", "released", "shipped", "held"
]


class LineProgress(Struct, array_like=True):
    """Progress of the units of one SKU; each field counts units so far."""

    ordered: int = 0
    reserved: int = 0
    picked: int = 0
    shipped: int = 0

    @property
    def taken(self) -> int:
        """Return units that left a shelf for it; picks and dispatches are reported in any order."""
        return max(self.picked, self.shipped)

    @property
    def unsourced(self) -> int:
        """Return units not reserved yet; negative if more are reserved than needed."""
        return self.ordered - self.reserved - self.taken


class PlannedLeg(Struct, array_like=True):
    """A planned parcel, and the journal record whose decision planned it.

    `lines` are (SKU, units), `cents` is its cost without lateness, and `shipment` the one that it
    replaces, if any. `reserved` maps a SKU to the units still reserved for it. Work on it has begun
    once a unit was picked or the parcel was handed over (`is_gone`): it then keeps its rooms,
    whatever becomes of it.
    """

    seq: int
    node: str
    service: ServiceId
    lines: tuple[tuple[str, int], ...]
    hand_over_ms: int
    expected_ms: int
    cents: int
    shipment: str = ""
    reserved: dict[str, int] = field(default_factory=dict)
    is_begun: bool = False
    is_gone: bool = False

    @property
    def stands(self) -> bool:
        """Return whether all of it is still reserved, and no work on it has begun."""
        return not self.is_begun and all(
            self.reserved.get(sku) == units for sku, units in self.lines
        )

    @property
    def reserved_lines(self) -> tuple[tuple[str, int], ...]:
        """Return (SKU, units) still reserved for it, in the order of its lines."""
        return tuple((sku, self.reserved[sku]) for sku, _ in self.lines if sku in self.reserved)

    @property
    def pickup(self) -> Pickup:
        """Return the pickup that it waits for; legs of many orders share it."""
        return Pickup(self.node, self.service, self.hand_over_ms)


#: Identity of a planned parcel: node, lines in order of SKU, and service unless that is any.
Part = tuple[str, tuple[tuple[str, int], ...], ServiceId]
#: Identity of an order's plan: its parcels, in order.
Shape = tuple[Part, ...]


class OpenOrder(Struct, array_like=True):
    """State of an order until its last parcel arrived.

    The order as placed is kept as bytes: there are many, each is read seldom, and every snapshot
    writes them all.

    `reserved` maps (node, SKU) to units reserved for it. `causes` are journal positions, besides
    `seq`, that its latest decision follows from. `retries` counts fruitless attempts to source it,
    `retry_ms` is when the next is due, if one is. `legs` are the parcels planned of it that were
    neither given up nor handed over, the latest last, and `decided` the records of its latest
    decisions; `sent_again` counts parcels that were planned instead of others. `given_up` are the
    plans that it was moved away from, and `moves` counts how often that was. `excluded` are nodes
    that refused its work, `refusals` how often it was refused. Nothing more is sent of what is
    withdrawn.
    """

    name: str
    fact: bytes
    promised_ms: int
    seq: int
    status: OrderStatus = "new"
    lines: dict[str, LineProgress] = field(default_factory=dict)
    reserved: dict[tuple[str, str], int] = field(default_factory=dict)
    causes: list[int] = field(default_factory=list)
    shipments: list[str] = field(default_factory=list)
    open_shipments: int = 0
    delivered: int = 0
    lapses_ms: int = 0
    retries: int = 0
    retry_ms: int = 0
    legs: list[PlannedLeg] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    sent_again: int = 0
    given_up: list[Shape] = field(default_factory=list)
    moves: int = 0
    excluded: list[str] = field(default_factory=list)
    refusals: int = 0
    is_withdrawn: bool = False
    # Node -> pickup planned there, ms, until the parcel is handed over.
    handovers: dict[str, int] = field(default_factory=dict)
    # True if it goes another way than the cheapest, to learn from.
    is_drawn: bool = False

    @classmethod
    def of(cls, placed: OrderPlaced, seq: int) -> "OpenOrder":
        """Return a new order, placed by the journal record `seq`."""
        order = cls(placed.order, msgspec.msgpack.encode(placed), to_ms(placed.promised), seq)
        for line in placed.lines:
            order.lines.setdefault(line.sku, LineProgress()).ordered += line.quantity
        return order

    @property
    def placed(self) -> OrderPlaced:
        """Return the order as it was placed; decoded at each call, so ask once."""
        return _PLACED.decode(self.fact)

    def follows(self, seq: int) -> None:
        """Let the next decision cite journal record `seq`; only the latest few are kept."""
        self.causes = [*self.causes, seq][-_MOST_CAUSES:]

    @property
    def is_waiting(self) -> bool:
        """Return whether some of it is not reserved."""
        return self.status in ("backordered", "unfillable")

    @property
    def is_shipped(self) -> bool:
        """Return whether all of it was handed over."""
        return all(line.shipped >= line.ordered for line in self.lines.values())

    def plan(self, leg: PlannedLeg) -> None:
        """Keep a planned parcel; of those for which nothing is reserved only the latest few."""
        spent = [each for each in self.legs if not each.reserved][:-_MOST_LEGS]
        self.legs = [each for each in self.legs if not any(each is one for one in spent)]
        self.legs.append(leg)

    def drop(self, sku: str, quantity: int) -> None:
        """Drop units of an order: they are not to be sent any more."""
        self.lines[sku].ordered -= quantity

    def unsourced(self) -> tuple[tuple[str, int], ...]:
        """Return (SKU, units) not reserved yet."""
        return tuple(
            (sku, line.unsourced) for sku, line in self.lines.items() if line.unsourced > 0
        )
