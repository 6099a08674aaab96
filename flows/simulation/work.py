"""Open work: orders and parcels between their beginning and their end."""

from dataclasses import dataclass, field
from typing import Literal

from flows.simulation.carriers import Service

#: A SKU's index and a number of units.
Line = tuple[int, int]
ServiceLevel = Literal["economy", "standard", "express"]


@dataclass(slots=True)
class Order:
    """An order that is not yet complete; `region` is an index."""

    id: str
    region: int
    promised_ms: int
    lines: list[Line]
    picking: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class Parcel:
    """Lines of an order that one node packs for one service.

    `due_ms` is the pickup that it was meant for; `found` fills up while picking.
    """

    order: Order
    node: int
    service: Service
    lines: list[Line]
    due_ms: int
    found: list[Line] = field(default_factory=list)
