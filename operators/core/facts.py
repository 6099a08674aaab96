"""Facts that operators derive and hand down the chain; none of them enters the journal."""

from typing import Literal

from msgspec import Struct

from state.actions import Alternative, Benefit, Confidence, Decision, Draw, Eliminated, Switch
from state.events import ActionFailed, ActionRejected
from state.keys import Goods, Lane, ServiceId
from state.policy import Policy
from state.quantities import DAY_S


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


class Anomaly(Derived, frozen=True, kw_only=True):
    """The fact that follows is not believable; it takes effect, but nothing is learned from it.

    `score` is its distance from what is usual or possible, as a multiple of what is still believed.
    """

    kind: Literal[
        "impossible_speed",
        "off_route",
        "before_handover",
        "after_delivery",
        "stock_jump",
        "wild_quantity",
        "wild_signal",
    ]
    family: str
    about: str
    score: float
    reason: str


class FeedHealth(Derived, frozen=True, kw_only=True):
    """Health of a family of feeds, 0 to 1; below the policy's bound, its actions are proposed."""

    family: str
    score: float
    reason: str


class DemandOutlook(Derived, frozen=True, kw_only=True):
    """Demand of a SKU in a region in the bucket of time that has begun at `from_ms`.

    `units` is what is expected of it: `level` × `season` × the product of `signals` (by kind), and
    `quantiles` (at `operators.prediction.demand_model.LEVELS`, 2.5 to 97.5 %) bound it. `sd` is the
    usual error. All of these are units per bucket of `bucket_s` seconds. `evidence` is the buckets
    of observation that the level rests on: the outlook fades as that many more pass without an
    order. `observed` is the units of the last closed bucket and `forecast` what had been expected
    of it before it began; both are 0 in the first outlook of a series.
    """

    region: str
    sku: str
    from_ms: int
    bucket_s: int
    units: float
    level: float
    season: float
    signals: dict[str, float]
    sd: float
    quantiles: tuple[float, ...]
    evidence: float
    observed: float
    forecast: float

    @property
    def units_per_day(self) -> float:
        """Return the expected units per day."""
        return self.units * DAY_S / self.bucket_s


class DemandLift(Derived, frozen=True, kw_only=True):
    """Factor of signals on demand until `until_ms`, for goods in a region or EVERYWHERE."""

    region: str
    scope: Goods
    factor: float
    until_ms: int


class LaneOutlook(Derived, frozen=True, kw_only=True):
    """Transit ÷ nominal on a lane at P10, P50 and P90; on-time rate; deliveries seen.

    `weekdays` multiply it by the day of handover, Monday first, and are the service's. `node` and
    `region` are empty for the outlook of the whole service.
    """

    carrier: str
    service: str
    node: str
    region: str
    p10: float
    p50: float
    p90: float
    weekdays: tuple[float, ...]
    on_time: float
    seen: int

    @property
    def lane(self) -> Lane:
        """Return the lane; for a service as a whole, the lane without ends."""
        return Lane(ServiceId(self.carrier, self.service), self.node, self.region)


class Alarm(Derived, frozen=True, kw_only=True):
    """Observations of a scope that have left the prediction, since `since_ms`.

    The scope is what is not empty: a service (with its carrier), a node, a region, a lane (all of
    them), or a category, with or without its region. `size` is in usual spreads and `factor` in
    multiples of the prediction: with 2.0, parcels take, or people order, twice as much.
    """

    measure: Literal["transit", "demand"]
    kind: str
    carrier: str = ""
    service: str = ""
    node: str = ""
    region: str = ""
    category: str = ""
    size: float
    factor: float
    since_ms: int
    observations: int


class Incident(Derived, frozen=True, kw_only=True):
    """Alarms with one common cause, as known by now: published when it opens, grows and closes.

    The scope is what is not empty, as in Alarm. `observations` are parcels (transit) or buckets of
    demand, on so many `lanes`; `factor` is their mean multiple of what was predicted. `cause` is
    what a carrier reported, if anything. `name` stays the same from opening to closing.
    """

    name: str
    state: Literal["open", "grown", "closed"]
    measure: Literal["transit", "demand"]
    carrier: str
    service: str
    node: str
    region: str
    category: str
    since_ms: int
    observations: int
    lanes: int
    factor: float
    cause: str
    summary: str


class DelayRisk(Derived, frozen=True, kw_only=True):
    """P(late) of a shipment as of now, the expected delivery and its 80 % band (ms since epoch)."""

    shipment: str
    order: str
    stage: str
    p_late: float
    expected_ms: int
    earliest_ms: int
    latest_ms: int
    promised_ms: int
    confidence: Confidence


class DelayOutcome(Derived, frozen=True, kw_only=True):
    """A delivery, against what was predicted.

    `below_p10`, `below_p50` and `below_p90`: whether it came before that quantile as of handover.
    `off_s` and `carrier_off_s`: delivery less our estimate and less the carrier's own, both as of
    the last scan that came with one; None if none did.
    """

    shipment: str
    order: str
    node: str
    p_at_handover: float
    p_last: float
    late: bool
    lateness_s: int
    below_p10: bool
    below_p50: bool
    below_p90: bool
    off_s: float | None
    carrier_off_s: float | None


class TransferYield(Derived, frozen=True, kw_only=True):
    """Outcome of `units` moved to a node: so many were `sold` there in time."""

    transfer: str
    node: str
    sku: str
    units: int
    sold: int


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
        "held",
    ]


ExceptionKind = Literal[
    "late",
    "lost",
    "damage",
    "failed_delivery",
    "address",
    "short_pick",
    "oversold",
    "unfillable",
    "count_mismatch",
    "cancelled_after_pick",
    "node_down",
    "carrier_down",
    "refused",
]
#: Party at fault, as far as facts show: a carrier, us, the customer, another sales channel.
ExceptionParty = Literal[
    "carrier", "retailer", "consignee", "customs", "nature", "channel", "supplier"
]

#: Stages of a case, and what closed it, empty until then.
CaseState = Literal["opened", "acting", "closed"]
ClosedBy = Literal["", "itself", "person"]


class ExceptionCase(Derived, frozen=True, kw_only=True):
    """Deviation from plan, as known by now: published when it opens, acts and closes.

    `about` is the order, shipment, node, service or ``node/SKU`` concerned, `order` the order it
    belongs to (empty for a node, a service or a count). `name` stays the same from opening to
    closing. `closed_by` is empty until then, and ``person`` if a person had to decide something.
    """

    name: str
    kind: ExceptionKind
    party: ExceptionParty
    about: str
    order: str
    state: CaseState
    closed_by: ClosedBy
    opened_ms: int


class NoAction(Derived, frozen=True, kw_only=True):
    """Nothing was done, and why: counted, so that silence can be explained.

    `prevented`: an intervention was priced, and found not worth it.
    """

    kind: str
    about: str
    reason: str
    prevented: bool = False


class HeldBack(Derived, frozen=True, kw_only=True):
    """An action was proposed rather than done; `gate` is what kept it from acting."""

    kind: str
    gate: Literal[
        "autonomy", "halted", "blast_radius", "feed_health", "confidence", "value", "rate"
    ]


class BlastRadiusTripped(Derived, frozen=True, kw_only=True):
    """All kinds of action together reached their limit: from here on, all are only proposed."""

    reason: str


class ProposalClosed(Derived, frozen=True, kw_only=True):
    """Outcome of a proposal. `by` and `why` are a person's, empty where none decided.

    `place` counts those that one journal record closed, from 1. What a proposal held is given back
    unless it was approved. `withdrawn`: before a decision, its order ended, or the units that
    it was to send were released.
    """

    action: str
    decision: Decision
    about: str
    outcome: Literal["approved", "rejected", "expired", "withdrawn"]
    place: int
    by: str = ""
    why: str = ""


class Refused(Derived, frozen=True, kw_only=True):
    """A refusal of an action that is no open proposal: its decider undoes it.

    `proposed` are (order, kind) of what the same record decided and is an open proposal still.
    """

    refusal: ActionFailed | ActionRejected
    proposed: tuple[tuple[str, str], ...] = ()


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
    draw: Draw | None = None
    benefit: Benefit | None = None
    deadline_ms: int | None = None
    expires_ms: int | None = None
    rests_on: tuple[str, ...] = ()


class BenefitRealised(Derived, frozen=True, kw_only=True):
    """Gain of an intervention over the predicted cost of doing nothing, once known.

    It was `unnecessary` if what it replaced would have done as well. `action` is empty where it is
    not known which action led to it: a price that was asked for and came.
    """

    kind: str
    action: str
    expected_cents: int
    realised_cents: int
    unnecessary: bool


class KpiWindow(Derived, frozen=True, kw_only=True):
    """Counts and sums of one closed event-time window, [start_ms, end_ms), by name."""

    start_ms: int
    end_ms: int
    values: dict[str, int]
