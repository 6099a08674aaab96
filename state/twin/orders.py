"""An order that is not finished yet."""

from typing import Literal

from msgspec import Struct, field

from state.events import OrderPlaced

OrderStatus = Literal["allocated", "backordered", "unfillable", "released", "shipped"]


class OpenOrder(Struct):
    """What is known of an order until its last parcel arrived.

    `reserved` maps (node, SKU) to units held for it; `remaining` SKU to units not yet handed over.
    `causes` are journal positions that its next decision follows from.
    """

    placed: OrderPlaced
    seq: int
    status: OrderStatus | Literal["new"] = "new"
    causes: list[int] = field(default_factory=list)
    reserved: dict[tuple[str, str], int] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    shipments: list[str] = field(default_factory=list)
    arrived: int = 0
    allocations: int = 0
    lapses_ms: int = 0

    @property
    def is_waiting(self) -> bool:
        """Nothing is promised for it yet."""
        return self.status in ("backordered", "unfillable")
