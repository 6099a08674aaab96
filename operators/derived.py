"""Facts that operators derive and hand down the chain; none of them enters the journal."""

from typing import Literal

from msgspec import Struct

from state.actions import Alternative, Confidence, Decision, Eliminated, Switch
from state.policy import Policy


class Derived(Struct, frozen=True, kw_only=True, gc=False):
    """The base of what is derived."""


class PolicyInForce(Derived, frozen=True, kw_only=True):
    """From here on, this policy holds."""

    policy: Policy


class Duplicate(Derived, frozen=True, kw_only=True):
    """An event that was already folded in came again and was left out."""

    feed: str


class Parked(Derived, frozen=True, kw_only=True):
    """An event waits for what it refers to."""

    reference: str


class FeedHealth(Derived, frozen=True, kw_only=True):
    """Health of a family of feeds, 0 to 1; below the policy's bound it may only propose."""

    family: str
    score: float
    reason: str


class DemandOutlook(Derived, frozen=True, kw_only=True):
    """Demand of a SKU in a region: units per day, and the spread of a day's units (one sd)."""

    region: str
    sku: str
    units_per_day: float
    sd: float
    observed: float
    forecast: float


class DemandLift(Derived, frozen=True, kw_only=True):
    """What signals multiply demand by until `until_ms`, for a (region, category or SKU) scope.

    ``*`` stands for every region or every SKU.
    """

    region: str
    scope: str
    factor: float
    until_ms: int


class LaneOutlook(Derived, frozen=True, kw_only=True):
    """Transit on a lane as a ratio to nominal: mean and sd; on-time rate; deliveries seen.

    `node` and `region` are empty for the outlook of the whole service.
    """

    carrier: str
    service: str
    node: str
    region: str
    ratio: float
    sd: float
    on_time: float
    seen: int


class DelayRisk(Derived, frozen=True, kw_only=True):
    """P(late) of a shipment as of now, and the expected delivery (ms since epoch)."""

    shipment: str
    order: str
    stage: str
    p_late: float
    expected_ms: int
    promised_ms: int
    confidence: Confidence


class DelayOutcome(Derived, frozen=True, kw_only=True):
    """A delivery, against what was predicted at handover."""

    shipment: str
    order: str
    p_at_handover: float
    p_last: float
    late: bool
    lateness_s: int


class OrderMoved(Derived, frozen=True, kw_only=True):
    """An order changed its state; `before` is empty when it is new."""

    order: str
    before: str
    after: Literal[
        "allocated",
        "backordered",
        "unfillable",
        "cancelled",
        "shipped",
        "delivered",
        "released",
        "lost",
        "abandoned",
    ]


class Inert(Derived, frozen=True, kw_only=True):
    """Nothing was done, and why: counted, so that silence can be explained."""

    kind: str
    about: str
    reason: str


class Draft(Derived, frozen=True, kw_only=True):
    """An action before the gate: `govern` numbers it, sets its mode, or leaves it out."""

    decision: Decision
    subject: str
    correlation: str | None
    summary: str
    terms: dict[str, int]
    value_cents: int
    causes: tuple[int, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    eliminated: tuple[Eliminated, ...] = ()
    confidence: Confidence | None = None
    flips_if: tuple[Switch, ...] = ()
    deadline_ms: int | None = None
    expires_ms: int | None = None
    rests_on: tuple[str, ...] = ()


class KpiWindow(Derived, frozen=True, kw_only=True):
    """Counts and sums of one closed event-time window, [start_ms, end_ms), by name."""

    start_ms: int
    end_ms: int
    values: dict[str, int]
