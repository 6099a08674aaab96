"""Demand facts: orders, cancellations, and signals that lead orders."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from state.events.base import Fact
from state.quantities import Cents, Id, Instant, PositiveUnits, Text, doc
from state.sums import int_sum


class OrderLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One SKU of an order."""

    sku: Id
    quantity: PositiveUnits
    unit_price_cents: Cents


class OrderPlaced(Fact, frozen=True, kw_only=True):
    """A customer's order."""

    suffix: ClassVar[str] = "order.placed"

    order: Id
    customer: Id
    region: Annotated[Id, doc("where it is to be delivered")]
    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=200)]
    promised: Annotated[Instant, doc("delivery promised to the customer at checkout")]
    service_level: Literal["economy", "standard", "express"] = "standard"

    @property
    def price_cents(self) -> int:
        """Return what the customer paid for the goods, in cents."""
        return int_sum(line.unit_price_cents * line.quantity for line in self.lines)


class OrderCancelled(Fact, frozen=True, kw_only=True):
    """The withdrawal of an order by the customer or the shop."""

    suffix: ClassVar[str] = "order.cancelled"

    order: Id
    reason: Text = ""


class SignalObserved(Fact, frozen=True, kw_only=True):
    """A leading signal of demand, as a ratio to its usual level."""

    suffix: ClassVar[str] = "signal.observed"

    kind: Literal["search", "sentiment", "weather", "promotion", "competitor"]
    region: Annotated[Id | None, doc("None = everywhere")] = None
    category: Id | None = None
    sku: Id | None = None
    ratio: Annotated[
        float, Meta(ge=0.0, le=1_000.0), doc("observed ÷ usual; 1 = as usual, 2 = twice")
    ]


class PriceChanged(Fact, frozen=True, kw_only=True):
    """The price of a SKU from now on. A price for everywhere ends those of single regions."""

    suffix: ClassVar[str] = "price.changed"
    refers_to = ("sku", "region")

    sku: Id
    region: Annotated[Id | None, doc("None = everywhere: the list price")] = None
    price_cents: Annotated[int, Meta(ge=1, le=10**9), doc("per unit, minor units")]
    reason: Text = ""
