"""The opening: what is there and under way when a run begins in the middle of things (a fork)."""

from dataclasses import dataclass, field

from flows.simulation.disruptions import Disruption
from flows.simulation.journeys import Trip
from flows.simulation.work import Order, Parcel
from state.events import Fact


@dataclass(slots=True, eq=False)
class Moving:
    """A parcel that was handed over, and its way."""

    parcel: Parcel
    trip: Trip


@dataclass(frozen=True, slots=True)
class Due:
    """Units on their way to a node (index): by a supplier, or by a transfer."""

    node: int
    sku: int
    quantity: int
    eta_ms: int
    inbound: str | None = None
    transfer: str | None = None


@dataclass(slots=True, kw_only=True)
class Opening:
    """The state at `at_ms`. Parcels are `planned`, `packed` or `under_way`.

    `stock` is units by (node, SKU); `first_facts` are recorded first; `prefix` begins the names of
    new orders, which must not be those of old ones.
    """

    at_ms: int
    stock: dict[tuple[int, int], int]
    prefix: str = "F"
    orders: list[Order] = field(default_factory=list)
    planned: list[Parcel] = field(default_factory=list)
    packed: list[Parcel] = field(default_factory=list)
    under_way: list[Moving] = field(default_factory=list)
    inbound: list[Due] = field(default_factory=list)
    troubles: list[Disruption] = field(default_factory=list)
    first_facts: list[Fact] = field(default_factory=list)
