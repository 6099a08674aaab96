"""An order that is not finished yet."""

from typing import Literal

from msgspec import Struct, field

from state.events import OrderPlaced

OrderStatus = Literal["new", "allocated", "backordered", "unfillable", "released", "shipped"]


class LineProgress(Struct):
    """How far the units of one SKU have come; each counts units so far."""

    ordered: int = 0
    reserved: int = 0
    picked: int = 0
    shipped: int = 0

    @property
    def taken(self) -> int:
        """Units that left a shelf for it; picks and dispatches may be reported in any order."""
        return max(self.picked, self.shipped)

    @property
    def unsourced(self) -> int:
        """Units that nobody has promised yet; negative if more are held than needed."""
        return self.ordered - self.reserved - self.taken


class OpenOrder(Struct):
    """What is known of an order until its last parcel arrived.

    `reserved` maps (node, SKU) to units held for it. `causes` are journal positions, besides `seq`,
    that its latest decision follows from. `retries` counts fruitless attempts to source it.
    """

    placed: OrderPlaced
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

    @property
    def is_waiting(self) -> bool:
        """Some of it is promised by nobody."""
        return self.status in ("backordered", "unfillable")

    @property
    def is_shipped(self) -> bool:
        """All of it was handed over."""
        return all(line.shipped >= line.ordered for line in self.lines.values())

    def unsourced(self) -> tuple[tuple[str, int], ...]:
        """(SKU, units) that nobody has promised yet."""
        return tuple(
            (sku, line.unsourced) for sku, line in self.lines.items() if line.unsourced > 0
        )
