"""What falls due at the orchestrator, a type each: whose it is, is in its fields."""

from msgspec import Struct

from operators.network.trouble import Trouble
from state.keys import Pickup, Ref, SeriesKey, ShelfKey, TroubleKey


class _Due(Struct, frozen=True, array_like=True, gc=False):
    """The base of what falls due; each is tagged with its name in a snapshot."""


class Lapse(_Due, frozen=True, tag=True):
    """What is reserved for an order is given back, if nobody came for it."""

    order: str


class Retry(_Due, frozen=True, tag=True):
    """An order that nothing could serve is tried again."""

    order: str


class Unfillable(_Due, frozen=True, tag=True):
    """An order that nothing can serve is weighed against paying it back."""

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
    """The stock of a SKU is reviewed."""

    sku: str


class Unhold(_Due, frozen=True, tag=True):
    """What is held for a transfer is given back, if no truck came for it."""

    move: int


class Yield(_Due, frozen=True, tag=True):
    """What became of transfers to a shelf is told."""

    shelf: ShelfKey


class Look(_Due, frozen=True, tag=True):
    """Orders that wait for a pickup are looked at again, from behind the order `after`."""

    pickup: Pickup
    after: str = ""


class Freeze(_Due, frozen=True, tag=True):
    """Orders that wait for a pickup move no more."""

    pickup: Pickup


class HoldEnds(_Due, frozen=True, tag=True):
    """A hold has had its time."""

    of: Ref


class PriceEnds(_Due, frozen=True, tag=True):
    """A price has stood for its window."""

    series: SeriesKey


class Forget(_Due, frozen=True, tag=True):
    """No scan of an ended shipment can come any more."""

    shipment: str


class Sweep(_Due, frozen=True, tag=True):
    """Open work is looked through for what nobody will finish."""


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
    | Unhold
    | Yield
    | Look
    | Freeze
    | HoldEnds
    | PriceEnds
    | Forget
    | Sweep
    | TroubleEnds
    | WeighOn
)
