"""Open work: orders and parcels between their beginning and their end."""

from dataclasses import dataclass, field
from typing import Literal

from flows.simulation.carriers import Service
from flows.simulation.luck import Luck

#: A SKU's index and a number of units.
Line = tuple[int, int]
ServiceLevel = Literal["economy", "standard", "express"]
#: Stage of a parcel: `planned` until its first line is picked, `packed` until it is handed over,
#: `under_way` until it reached its customer; `void` if nothing came of it.
Stage = Literal["planned", "packed", "under_way", "ended", "void"]


@dataclass(slots=True, eq=False)
class Order:
    """An order that is not finished; `region` is an index, `luck` what befalls its parcels."""

    id: str
    customer: str
    region: int
    lines: list[Line]
    placed_ms: int
    promised_ms: int
    level: ServiceLevel
    luck: Luck
    #: SKU -> units that the customer still waits for.
    owed: dict[int, int] = field(default_factory=dict)
    #: The customer took it back, or a person gave it up.
    cancelled: bool = False
    #: Some of it was paid back instead.
    is_short: bool = False
    parcels: "list[Parcel]" = field(default_factory=list)
    #: Parcels handed over so far; the next one's number.
    numbered: int = 0

    def __post_init__(self) -> None:
        for sku, quantity in self.lines:
            self.owed[sku] = self.owed.get(sku, 0) + quantity

    @property
    def is_complete(self) -> bool:
        """Return whether the customer has all of it."""
        return not any(self.owed.values())

    def open_parcels(self) -> "list[Parcel]":
        """Return parcels that may still come to something."""
        return [p for p in self.parcels if p.stage in ("planned", "packed", "under_way")]


@dataclass(slots=True, eq=False)
class Parcel:
    """Lines of an order that one node packs for one service.

    `due_ms` is the pickup that it is planned for; `found` fills up while picking. `is_again` says
    that it is sent instead of another one, `outcome` how its journey ended.
    """

    order: Order
    node: int
    service: Service
    lines: list[Line]
    due_ms: int
    is_again: bool = False
    stage: Stage = "planned"
    found: list[Line] = field(default_factory=list)
    weight_g: int = 0
    ready_ms: int = 0
    shipment: str = ""
    outcome: str = ""
    #: Its number among its order's parcels, in the order of their handover.
    number: int = 0

    @property
    def name(self) -> str:
        """Return its name, unique in the run: the order, and which of its parcels."""
        return f"{self.order.id}.{self.number}"
