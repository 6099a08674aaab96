"""Rollups: KPIs in tumbling event-time windows, and totals of the whole run.

A window closes when the journal's now passes its end; empty windows in between are not reported.
On time is measured against the original promise.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import (
    Anomaly,
    BenefitRealised,
    BlastRadiusTripped,
    DelayOutcome,
    DemandOutlook,
    Duplicate,
    ExceptionCase,
    HeldBack,
    Incident,
    KpiWindow,
    NoAction,
    OrderMoved,
    Parked,
    PolicyInForce,
    ProposalClosed,
    TransferYield,
)
from operators.prediction.scores import ForecastScore
from operators.reporting.benefits import Benefits
from state.actions import Action, Allocate
from state.codec import DeadLetter
from state.events import FAMILY_OF, OrderPlaced
from state.policy import Policy

_VERSION = "rollups/5"
#: Orders whose expectations at booking are kept; the oldest go first.
_MOST_BOOKED = 100_000
#: Order states that count as allocated: a promise stands, or was kept, or lapsed.
_ALLOCATED = ("allocated", "shipped", "delivered", "released", "lost", "abandoned")


class OrderTotals(Struct):
    """Orders by where they stand; all but `placed` are disjoint and sum to it."""

    placed: int = 0
    allocated: int = 0
    backordered: int = 0
    unfillable: int = 0
    cancelled: int = 0
    held: int = 0


class Totals(Struct):
    """Counts since the journal's beginning."""

    events: int = 0
    by_family: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    parked: int = 0
    dead_letters: int = 0
    anomalies: dict[str, int] = field(default_factory=dict)
    incidents: int = 0
    exceptions_opened: dict[str, int] = field(default_factory=dict)
    exceptions_closed: dict[str, int] = field(default_factory=dict)
    touchless: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    proposed: int = 0
    # Proposals by the gate that held them back; and closed ones, by kind and outcome.
    held_back: dict[str, int] = field(default_factory=dict)
    people: dict[tuple[str, str], int] = field(default_factory=dict)
    trips: int = 0
    # By kind and reason.
    inert: dict[tuple[str, str], int] = field(default_factory=dict)
    orders: OrderTotals = field(default_factory=OrderTotals)
    delivered: int = 0
    late: int = 0
    split: int = 0
    transferred: int = 0
    transferred_sold: int = 0
    legs: int = 0
    planned_cents: dict[str, int] = field(default_factory=dict)
    # By kind and what, see `Benefits`.
    benefits: dict[tuple[str, str], int] = field(default_factory=dict)
    demand_error: float = 0.0
    demand_units: float = 0.0
    estimated: int = 0
    estimate_off_s: float = 0.0
    carrier_estimate_off_s: float = 0.0
    below_p10: int = 0
    below_p50: int = 0
    below_p90: int = 0
    at_booking: ForecastScore = field(default_factory=ForecastScore)
    at_handover: ForecastScore = field(default_factory=ForecastScore)
    at_last_scan: ForecastScore = field(default_factory=ForecastScore)
    first_ms: int = 0
    now_ms: int = 0


class _State(Struct):
    window_ms: int
    benefits: Benefits
    totals: Totals = field(default_factory=Totals)
    start_ms: int = 0
    window: dict[str, int] = field(default_factory=dict)
    # P(late) at booking of parcels planned, by order and node.
    booked: dict[str, dict[str, float]] = field(default_factory=dict)


class Rollups(Operator):
    """Last operator of the chain; emits a KpiWindow for each closed window that is not empty."""

    name = "rollups"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy.reporting.window_s * 1000, Benefits(policy.weights))

    @property
    def totals(self) -> Totals:
        """Return the counts so far; only to be read."""
        return self._state.totals

    def step(self, record: Record) -> list[Record]:
        """Count; everything is passed on, after the windows that closed before it."""
        state = self._state
        totals = state.totals
        out: list[Record] = []
        if record.now_ms >= state.start_ms + state.window_ms:
            out = self._close(record)
        if record.event is not None:
            family = FAMILY_OF[type(record.event.fact)]
            totals.events += 1
            totals.by_family[family] = totals.by_family.get(family, 0) + 1
            totals.now_ms = record.now_ms
            if not totals.first_ms:
                totals.first_ms = record.now_ms
            if type(record.fact) is OrderPlaced:
                self._add("orders placed", 1)
        else:
            count = _COUNT.get(type(record.fact))
            if count is not None:
                count(self, record.fact)
        out.append(record)
        if type(record.fact) is DelayOutcome:
            gained = self._state.benefits.arrived(record.fact)
            if gained is not None:
                self._gained(gained)
                out.append(record.derive(gained))
        return out

    def _demand(self, outlook: DemandOutlook) -> None:
        totals = self._state.totals
        totals.demand_error += abs(outlook.observed - outlook.forecast)
        totals.demand_units += outlook.observed

    def _inert(self, nothing: NoAction) -> None:
        totals, why = self._state.totals, (nothing.kind, nothing.reason)
        totals.inert[why] = totals.inert.get(why, 0) + 1
        self._state.benefits.declined(nothing, totals.benefits)

    def _held_back(self, held: HeldBack) -> None:
        counts = self._state.totals.held_back
        counts[held.gate] = counts.get(held.gate, 0) + 1
        self._add(f"held back by {held.gate}", 1)

    def _proposal(self, closed: ProposalClosed) -> None:
        counts, key = self._state.totals.people, (closed.decision.verb, closed.outcome)
        counts[key] = counts.get(key, 0) + 1
        self._add(f"proposals {closed.outcome}", 1)

    def _tripped(self, _: BlastRadiusTripped) -> None:
        self._state.totals.trips += 1
        self._add("blast radius tripped", 1)

    def _duplicate(self, _: Duplicate) -> None:
        self._state.totals.events += 1
        self._state.totals.duplicates += 1

    def _parked(self, _: Parked) -> None:
        self._state.totals.parked += 1

    def _dead_letter(self, _: DeadLetter) -> None:
        self._state.totals.dead_letters += 1

    def _anomaly(self, anomaly: Anomaly) -> None:
        counts = self._state.totals.anomalies
        counts[anomaly.kind] = counts.get(anomaly.kind, 0) + 1
        self._add("facts not believed", 1)

    def _incident(self, incident: Incident) -> None:
        if incident.state == "open":
            self._state.totals.incidents += 1
            self._add("incidents opened", 1)

    def _transferred(self, outcome: TransferYield) -> None:
        self._state.totals.transferred += outcome.units
        self._state.totals.transferred_sold += outcome.sold

    def _adopt(self, changed: PolicyInForce) -> None:
        self._state.window_ms = changed.policy.reporting.window_s * 1000
        self._state.benefits.weights = changed.policy.weights

    def _exception(self, case: ExceptionCase) -> None:
        """Count a case as it opens and closes; touchless: it closed without a person."""
        totals = self._state.totals
        if case.state == "acting":
            return
        opened = case.state == "opened"
        by_kind = totals.exceptions_opened if opened else totals.exceptions_closed
        by_kind[case.kind] = by_kind.get(case.kind, 0) + 1
        totals.touchless += case.closed_by == "itself"
        self._add(f"exceptions {case.state}", 1)

    def _delivered(self, outcome: DelayOutcome) -> None:
        """Score the predictions for a parcel: ours at each stage, and the carrier's."""
        totals = self._state.totals
        totals.delivered += 1
        totals.late += outcome.late
        totals.at_handover.update(outcome.p_at_handover, outcome.late)
        totals.at_last_scan.update(outcome.p_last, outcome.late)
        booked = self._state.booked.get(outcome.order, {}).pop(outcome.node, None)
        if booked is not None:
            totals.at_booking.update(booked, outcome.late)
            if not self._state.booked[outcome.order]:
                del self._state.booked[outcome.order]
        totals.below_p10 += outcome.below_p10
        totals.below_p50 += outcome.below_p50
        totals.below_p90 += outcome.below_p90
        if outcome.off_s is not None and outcome.carrier_off_s is not None:
            totals.estimated += 1
            totals.estimate_off_s += abs(outcome.off_s)
            totals.carrier_estimate_off_s += abs(outcome.carrier_off_s)
        self._add("parcels delivered", 1)
        self._add("parcels late", int(outcome.late))

    def _gained(self, benefit: BenefitRealised) -> None:
        self._state.benefits.realised(benefit, self._state.totals.benefits)
        self._add(f"cents gained by {benefit.kind}", benefit.realised_cents)

    def _action(self, action: Action) -> None:
        totals, kind = self._state.totals, action.kind
        self._state.benefits.acted(action, totals.benefits)
        totals.actions[kind] = totals.actions.get(kind, 0) + 1
        totals.proposed += action.data.mode == "propose"
        self._add(f"actions {kind}", 1)
        if isinstance(action.data.decision, Allocate):
            legs = len(action.data.decision.legs)
            self._book(action.data.decision)
            totals.legs += legs
            totals.split += legs > 1
            self._add("parcels planned", legs)
            for term, cents in action.data.because.terms.items():
                totals.planned_cents[term] = totals.planned_cents.get(term, 0) + cents
                self._add(f"cents planned for {term}", cents)

    def _book(self, decision: Allocate) -> None:
        """Keep what was expected of each parcel when it was planned, by order and node."""
        booked = self._state.booked
        booked[decision.order] = {leg.node: leg.p_late for leg in decision.legs}
        if len(booked) > _MOST_BOOKED:
            del booked[next(iter(booked))]

    def _moved(self, moved: OrderMoved) -> None:
        orders = self._state.totals.orders
        before, after = _standing(moved.before), _standing(moved.after)
        if not before:
            orders.placed += 1
        else:
            setattr(orders, before, getattr(orders, before) - 1)
        setattr(orders, after, getattr(orders, after) + 1)
        if before != after:
            self._add(f"orders {after}", 1)

    def _add(self, name: str, amount: int) -> None:
        if amount:
            self._state.window[name] = self._state.window.get(name, 0) + amount

    def _close(self, record: Record) -> list[Record]:
        state = self._state
        start_ms, values = state.start_ms, state.window
        state.start_ms = record.now_ms - record.now_ms % state.window_ms
        state.window = {}
        if not values:
            return []
        end_ms = start_ms + state.window_ms
        return [record.derive(KpiWindow(start_ms=start_ms, end_ms=end_ms, values=values))]

    def snapshot(self) -> bytes:
        """Return totals and the open window as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Restore totals and window of a snapshot."""
        self._state = unpack(_VERSION, data, _State)


#: Derived facts that are counted. A table, not a match: it is read at every record.
_COUNT: dict[type, Callable[[Rollups, Any], None]] = {
    Action: Rollups._action,
    OrderMoved: Rollups._moved,
    DelayOutcome: Rollups._delivered,
    DemandOutlook: Rollups._demand,
    NoAction: Rollups._inert,
    BenefitRealised: Rollups._gained,
    HeldBack: Rollups._held_back,
    ProposalClosed: Rollups._proposal,
    BlastRadiusTripped: Rollups._tripped,
    Duplicate: Rollups._duplicate,
    Parked: Rollups._parked,
    Anomaly: Rollups._anomaly,
    Incident: Rollups._incident,
    TransferYield: Rollups._transferred,
    ExceptionCase: Rollups._exception,
    DeadLetter: Rollups._dead_letter,
    PolicyInForce: Rollups._adopt,
}


def _standing(status: str) -> str:
    """Return the field of OrderTotals that counts orders in `status`."""
    return "allocated" if status in _ALLOCATED else status
