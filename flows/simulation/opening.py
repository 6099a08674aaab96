"""The opening: state and work under way when a run begins in the middle of things (a fork)."""

from dataclasses import dataclass, field

from flows.simulation.disruptions import Disruption
from flows.simulation.journeys import Trip
from flows.simulation.work import Order, Parcel
from state.actions import Action
from state.events import Fact


@dataclass(slots=True, eq=False)
class Moving:
    """A parcel that was handed over, and its way."""

    parcel: Parcel
    trip: Trip


@dataclass(frozen=True, slots=True)
class Due:
    """Units on their way from a supplier to a node (index)."""

    inbound: str
    node: int
    sku: int
    quantity: int
    eta_ms: int


@dataclass(frozen=True, slots=True)
class OnTheRoad:
    """Units on a truck from another node."""

    transfer: str
    node: int
    sku: int
    quantity: int
    eta_ms: int


@dataclass(frozen=True, slots=True)
class Move:
    """A transfer that was asked for and is not loaded yet."""

    transfer: str
    origin: int
    destination: int
    sku: int
    quantity: int


@dataclass(slots=True, kw_only=True)
class Opening:
    """The state at `at_ms`. Parcels are `planned`, `packed` or `under_way`.

    `stock` is units by (node, SKU); `first_facts` are recorded first; `prefix` begins the names of
    new orders, parcels and deliveries, which must not be those of old ones. People still have to
    decide on `proposals`.
    """

    at_ms: int
    stock: dict[tuple[int, int], int]
    prefix: str = "F"
    orders: list[Order] = field(default_factory=list)
    planned: list[Parcel] = field(default_factory=list)
    packed: list[Parcel] = field(default_factory=list)
    under_way: list[Moving] = field(default_factory=list)
    inbound: list[Due] = field(default_factory=list)
    on_the_road: list[OnTheRoad] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    proposals: list[Action] = field(default_factory=list)
    troubles: list[Disruption] = field(default_factory=list)
    first_facts: list[Fact] = field(default_factory=list)

    def prefixes(self) -> tuple[str, str, str]:
        """Return beginnings of the names of new orders, shipments and suppliers' deliveries."""
        return self.prefix, f"{self.prefix}-SH", f"{self.prefix}-IN"
