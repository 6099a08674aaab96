"""Inventory facts, from warehouse and enterprise systems. Quantities are units of one SKU."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from state.events.base import Fact
from state.quantities import Id, Instant, PositiveUnits, SignedUnits, Units, doc

AdjustReason = Literal[
    "shrinkage", "damage", "expired", "found", "stolen", "recalled", "correction", "other"
]


class StockCounted(Fact, frozen=True, kw_only=True):
    """A count of what is sellable on the shelf at `time`; it overrides the ledger up to then."""

    suffix: ClassVar[str] = "stock.counted"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    quantity: Annotated[Units, doc("units on the shelf, sellable, at the event's time")]


class StockReceived(Fact, frozen=True, kw_only=True):
    """Units put on the shelf."""

    suffix: ClassVar[str] = "stock.received"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    quantity: PositiveUnits
    inbound: Annotated[Id | None, doc("the scheduled inbound that this completes")] = None


class StockPicked(Fact, frozen=True, kw_only=True):
    """Units taken off the shelf for an order."""

    suffix: ClassVar[str] = "stock.picked"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    quantity: PositiveUnits
    order: Id


class StockShortPicked(Fact, frozen=True, kw_only=True):
    """A pick of fewer units than asked for; the shelf is then empty."""

    suffix: ClassVar[str] = "stock.short_picked"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    order: Id
    expected: Annotated[PositiveUnits, doc("units that were to be picked")]
    picked: Annotated[Units, doc("units that were found and taken")]


class StockAdjusted(Fact, frozen=True, kw_only=True):
    """A correction of the shelf by a signed number of units."""

    suffix: ClassVar[str] = "stock.adjusted"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    delta: SignedUnits
    reason: AdjustReason


class StockReturned(Fact, frozen=True, kw_only=True):
    """Units a customer sent back; only sellable ones go on the shelf."""

    suffix: ClassVar[str] = "stock.returned"
    refers_to = ("node", "sku")

    node: Id
    sku: Id
    quantity: PositiveUnits
    sellable: bool = True
    order: Id | None = None


class InboundScheduled(Fact, frozen=True, kw_only=True):
    """Units due at a node; a later one with the same id replaces it (0 = cancelled)."""

    suffix: ClassVar[str] = "inbound.scheduled"
    refers_to = ("node", "sku")

    inbound: Id
    node: Id
    sku: Id
    quantity: Units
    eta: Annotated[Instant, doc("when the units are expected on the shelf")]


class TransferDeparted(Fact, frozen=True, kw_only=True):
    """Units that left one node for another."""

    suffix: ClassVar[str] = "transfer.departed"

    transfer: Id
    origin: Annotated[Id, doc("node left")]
    destination: Annotated[Id, doc("node bound for")]
    sku: Id
    quantity: PositiveUnits
    eta: Annotated[Instant, doc("when the units are expected at the destination")]


class TransferArrived(Fact, frozen=True, kw_only=True):
    """Units of a transfer put on the shelf of its destination."""

    suffix: ClassVar[str] = "transfer.arrived"

    transfer: Id
    node: Annotated[Id, doc("node reached")]
    sku: Id
    quantity: Annotated[Units, doc("units that arrived; fewer than departed means loss")]


class NodeCapacityChanged(Fact, frozen=True, kw_only=True):
    """A node's packing capacity per day from now on; 0 closes it."""

    suffix: ClassVar[str] = "node.capacity_changed"
    refers_to = ("node",)

    node: Id
    parcels_per_day: Annotated[int, Meta(ge=0, le=10**9), doc("parcels per day, UTC; 0 = closed")]
