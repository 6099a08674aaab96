"""Deadlines of the orchestrator: a type for each, with its subject in the fields."""

from msgspec import Struct

from operators.network.trouble import Trouble
from state.keys import Pickup, Ref, SeriesKey, ShelfKey, TroubleKey


class _Due(Struct, frozen=True, array_like=True, gc=False):
    """Base of all deadlines; in a snapshot each is tagged with its name."""


class Lapse(_Due, frozen=True, tag=True):
    """Reserved stock of an order is released, if it was not picked."""

    order: str


class Retry(_Due, frozen=True, tag=True):
    """An unfillable order is tried again."""

    order: str


class Unfillable(_Due, frozen=True, tag=True):
    """An unfillable order is weighed against paying it back."""

    order: str


class Settled(_Due, frozen=True, tag=True):
    """An order that was cancelled after its pick counts as put back."""

    order: str


class Serve(_Due, frozen=True, tag=True):
    """Orders that wait for a SKU are tried, from behind the order `after`."""

    sku: str
    after: str


class PlanRestocks(_Due, frozen=True, tag=True):
    """Reviews of the SKUs that sell are lined up."""


class Restock(_Due, frozen=True, tag=True):
    """Stock of a SKU is reviewed, but at the nodes that were looked at before."""

    sku: str
    done: tuple[str, ...] = ()


class TransferLapses(_Due, frozen=True, tag=True):
    """Stock reserved for a transfer is released, if no truck took it."""

    request: int


class Yield(_Due, frozen=True, tag=True):
    """Results of transfers to a shelf are reported."""

    shelf: ShelfKey


class Look(_Due, frozen=True, tag=True):
    """Orders that wait for a pickup are looked at again, from behind the order `after`."""

    pickup: Pickup
    after: str = ""


class LookSplit(_Due, frozen=True, tag=True):
    """Split orders with a SKU, of which more is there, are looked at, from behind `after`."""

    sku: str
    after: str = ""


class Freeze(_Due, frozen=True, tag=True):
    """Orders that wait for a pickup move no more."""

    pickup: Pickup


class HoldEnds(_Due, frozen=True, tag=True):
    """A hold ends."""

    of: Ref


class PriceEnds(_Due, frozen=True, tag=True):
    """A price's window ends."""

    series: SeriesKey


class Forget(_Due, frozen=True, tag=True):
    """An ended shipment is forgotten: no scan of it can come any more."""

    shipment: str


class Sweep(_Due, frozen=True, tag=True):
    """Open work is searched for orders and parcels that will not finish."""


class TroubleEnds(_Due, frozen=True, tag=True):
    """Trouble that a carrier reported is expected to be over."""

    trouble: TroubleKey


class WeighOn(_Due, frozen=True, tag=True):
    """Orders that meet trouble are weighed, from behind the order `after`."""

    trouble: Trouble
    after: str


Due = (
    Lapse
    | Retry
    | Unfillable
    | Settled
    | Serve
    | PlanRestocks
    | Restock
    | TransferLapses
    | Yield
    | Look
    | LookSplit
    | Freeze
    | HoldEnds
    | PriceEnds
    | Forget
    | Sweep
    | TroubleEnds
    | WeighOn
)
