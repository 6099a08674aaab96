"""Delays: P(late) and expected delivery of every open shipment, anew at each scan.

Predict, keep the features, learn when the truth is known: a shipment is late at the earlier of its
delivery and its promise (plus the time a delivery scan may be late to arrive), so the model learns
of lateness when the promise breaks and not weeks later. Nothing that comes after a prediction can
change it.
"""

from msgspec import Struct, field

from operators.contract import Operator, Record, pack, unpack
from operators.deadlines import Deadlines
from operators.delay_model import DelayModel, DelayModelState, Features, Situation
from operators.derived import DelayOutcome, DelayRisk, PolicyInForce
from operators.moments import Moments, MomentsState
from state.actions import Confidence
from state.events import (
    CarrierDisrupted,
    CarrierRegistered,
    NodeRegistered,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    TrafficObserved,
    WeatherObserved,
)
from state.geography import Geography, nominal_transit_s
from state.policy import Delays as DelayRules
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS, from_ms, to_ms

_VERSION = "delays/1"
#: Share of the nominal transit time that usually remains at a stage, before any is learned.
_USUAL_REMAINING = {
    "dispatched": 1.0,
    "pending": 1.0,
    "picked_up": 0.95,
    "in_transit": 0.6,
    "ready_for_pickup": 0.1,
    "out_for_delivery": 0.05,
}
_REMAINING_FADING = 0.02
#: Deliveries after which what was learned of a stage is believed; before, a usual spread (÷ mean).
_BELIEVED_AFTER = 10
_USUAL_SPREAD = 0.35
_LEAST_SPREAD_S = 1_800.0
#: Weather and traffic reports count this long.
_REPORT_MS = 6 * HOUR_MS
_DISPATCHED = "dispatched"


class _Open(Struct):
    order: str
    service: str
    node: str
    region: str
    dispatched_ms: int
    promised_ms: int
    nominal_s: float
    handover_late_s: float | None
    stage: str
    scanned_ms: int
    first: dict[str, float]
    latest: dict[str, float]
    p_first: float
    p_latest: float
    p_published: float
    labelled: bool = False
    # First time seen at each stage, ms.
    visits: dict[str, int] = field(default_factory=dict)


class _Report(Struct, array_like=True):
    value: float
    time_ms: int


class _State(Struct):
    rules: DelayRules
    lateness_ms: int
    geography: Geography = field(default_factory=Geography)
    open: dict[str, _Open] = field(default_factory=dict)
    weather: dict[str, _Report] = field(default_factory=dict)
    traffic: dict[str, _Report] = field(default_factory=dict)
    # "carrier\nservice or empty\nregion or empty" -> expected end, ms.
    disrupted: dict[str, int] = field(default_factory=dict)
    deadlines: Deadlines = field(default_factory=Deadlines)
    remaining: dict[str, MomentsState] = field(default_factory=dict)
    lateness: MomentsState = (0, 0.0, 0.0)
    model: DelayModelState = field(default_factory=DelayModelState)


class Delays(Operator):
    """Emits DelayRisk when a risk is new or moved materially, DelayOutcome at delivery."""

    name = "delays"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy.delays, policy.hygiene.lateness_s * 1000)
        self._model = DelayModel(policy.delays.learning_rate)
        self._remaining: dict[str, Moments] = {}
        self._lateness = Moments(_REMAINING_FADING)

    @property
    def learned(self) -> int:
        """Labels that the model has learned from."""
        return self._model.learned

    def step(self, record: Record) -> list[Record]:
        """Fold in telemetry; everything is passed on."""
        if record.event is None:
            if type(record.fact) is PolicyInForce:
                self._state.rules = record.fact.policy.delays
                self._state.lateness_ms = record.fact.policy.hygiene.lateness_s * 1000
            return [record]
        out = self._promises_broken(record)
        out.append(record)
        state, time_ms = self._state, record.event.time_ms
        match record.fact:
            case ShipmentDispatched() as dispatched:
                out += self._dispatched(record, dispatched, time_ms)
            case ShipmentScanned() as scanned:
                out += self._scanned(record, scanned, time_ms)
            case ShipmentDelivered() as delivered:
                out += self._delivered(record, delivered.shipment, time_ms)
            case ShipmentFailed() as failed:
                shipment = state.open.pop(failed.shipment, None)
                if shipment is not None and not shipment.labelled:
                    self._learn(shipment, late=True)
            case WeatherObserved() as weather:
                state.weather[weather.region] = _Report(weather.severity, time_ms)
            case TrafficObserved() as traffic:
                state.traffic[traffic.region] = _Report(traffic.congestion, time_ms)
            case CarrierDisrupted() as trouble:
                key = f"{trouble.carrier}\n{trouble.service or ''}\n{trouble.region or ''}"
                state.disrupted[key] = to_ms(trouble.until) if trouble.delay_s else 0
            case NodeRegistered() | RegionRegistered() | CarrierRegistered():
                state.geography.learn(record.fact)
            case _:
                pass
        return out

    def _dispatched(
        self, record: Record, shipped: ShipmentDispatched, time_ms: int
    ) -> list[Record]:
        state = self._state
        service = f"{shipped.carrier}/{shipped.service}"
        distance = state.geography.distance_km(shipped.node, shipped.region)
        if distance is None or shipped.shipment in state.open:
            return []
        nominal_s = nominal_transit_s(state.geography.services[service], distance)
        due = shipped.due_at_carrier
        shipment = _Open(
            order=shipped.order,
            service=service,
            node=shipped.node,
            region=shipped.region,
            dispatched_ms=time_ms,
            promised_ms=to_ms(shipped.promised),
            nominal_s=nominal_s,
            handover_late_s=None if due is None else (time_ms - to_ms(due)) / 1000,
            stage=_DISPATCHED,
            scanned_ms=time_ms,
            first={},
            latest={},
            p_first=0.0,
            p_latest=0.0,
            p_published=0.0,
            visits={_DISPATCHED: time_ms},
        )
        state.open[shipped.shipment] = shipment
        due_ms = max(shipment.promised_ms + state.lateness_ms, record.now_ms + 1)
        state.deadlines.set(due_ms, "promise", shipped.shipment)
        shipment.first = self._predict(shipment, time_ms)
        shipment.p_first = shipment.p_latest
        return [self._publish(record, shipped.shipment, shipment, time_ms)]

    def _scanned(self, record: Record, scan: ShipmentScanned, time_ms: int) -> list[Record]:
        shipment = self._state.open.get(scan.shipment)
        if shipment is None or time_ms < shipment.scanned_ms:
            return []
        shipment.stage, shipment.scanned_ms = scan.status, time_ms
        shipment.visits.setdefault(scan.status, time_ms)
        if shipment.labelled:
            return []
        shipment.latest = self._predict(shipment, time_ms)
        before, after = shipment.p_published, shipment.p_latest
        rules = self._state.rules
        crossed = any(
            (before >= bound) != (after >= bound) for bound in (rules.act_above, rules.notify_above)
        )
        if abs(after - before) < rules.publish_step and not crossed:
            return []
        return [self._publish(record, scan.shipment, shipment, time_ms)]

    def _delivered(self, record: Record, name: str, time_ms: int) -> list[Record]:
        shipment = self._state.open.pop(name, None)
        if shipment is None:
            return []
        late = time_ms > shipment.promised_ms
        if not shipment.labelled:
            self._learn(shipment, late)
        if late:
            self._lateness.update((time_ms - shipment.promised_ms) / 1000)
        for stage, seen_ms in shipment.visits.items():
            remaining = max(0.0, (time_ms - seen_ms) / 1000)
            key = f"{shipment.service}\n{stage}"
            moments = self._remaining.get(key)
            if moments is None:
                moments = self._remaining[key] = Moments(_REMAINING_FADING)
            moments.update(min(remaining / max(shipment.nominal_s, 1.0), 20.0))
        outcome = DelayOutcome(
            shipment=name,
            order=shipment.order,
            p_at_handover=shipment.p_first,
            p_last=shipment.p_latest,
            late=late,
            lateness_s=(time_ms - shipment.promised_ms) // 1000,
        )
        return [record.derive(outcome)]

    def _promises_broken(self, record: Record) -> list[Record]:
        """Learn of, and publish, shipments whose promise passed without a delivery."""
        out: list[Record] = []
        for what, name, due_ms in self._state.deadlines.due(record.now_ms):
            shipment = self._state.open.get(name)
            if shipment is None:
                continue
            if what == "lost":
                del self._state.open[name]
                continue
            self._learn(shipment, late=True)
            shipment.labelled = True
            shipment.p_latest = 1.0
            self._state.deadlines.set(due_ms + self._state.rules.give_up_s * 1000, "lost", name)
            out.append(self._publish(record, name, shipment, record.now_ms))
        return out

    def _learn(self, shipment: _Open, late: bool) -> None:
        self._model.learn(shipment.first, late)
        if shipment.latest and shipment.latest != shipment.first:
            self._model.learn(shipment.latest, late)
        self._model.note_rate(shipment.service, shipment.node, shipment.region, late)

    def _predict(self, shipment: _Open, time_ms: int) -> Features:
        """Set P(late) as of `time_ms` on the shipment; returns the features it rests on."""
        state = self._state
        remaining_s, spread_s = self._remaining_s(shipment)
        situation = Situation(
            stage=shipment.stage,
            service=shipment.service,
            node=shipment.node,
            region=shipment.region,
            slack_s=(shipment.promised_ms - time_ms) / 1000,
            remaining_s=remaining_s,
            spread_s=spread_s,
            handover_late_s=shipment.handover_late_s,
            weekday=(time_ms // DAY_MS + 3) % 7,  # the epoch was a Thursday
            weather=_recent(state.weather.get(shipment.region), time_ms, 0.0),
            origin_weather=_recent(state.weather.get(self._home(shipment.node)), time_ms, 0.0),
            congestion=_recent(state.traffic.get(shipment.region), time_ms, 1.0),
            disrupted=self._disrupted(shipment, time_ms),
        )
        features = self._model.features(situation)
        shipment.p_latest = self._model.p_late(features)
        return features

    def _home(self, node: str) -> str:
        registered = self._state.geography.nodes.get(node)
        return registered.region if registered else ""

    def _disrupted(self, shipment: _Open, time_ms: int) -> bool:
        if not self._state.disrupted:
            return False
        carrier, _, service = shipment.service.partition("/")
        return any(
            self._state.disrupted.get(f"{carrier}\n{s}\n{r}", 0) > time_ms
            for s in ("", service)
            for r in ("", shipment.region)
        )

    def _remaining_s(self, shipment: _Open) -> tuple[float, float]:
        """Mean and spread of the transit time that remains, in s, from the shipment's stage."""
        moments = self._remaining.get(f"{shipment.service}\n{shipment.stage}")
        if moments is None or moments.seen < _BELIEVED_AFTER:
            mean_s = shipment.nominal_s * _USUAL_REMAINING.get(shipment.stage, 0.5)
            return mean_s, max(_USUAL_SPREAD * mean_s, _LEAST_SPREAD_S)
        mean_s, spread_s = shipment.nominal_s * moments.mean, shipment.nominal_s * moments.sd
        return mean_s, max(spread_s, _LEAST_SPREAD_S)

    def _publish(self, record: Record, name: str, shipment: _Open, time_ms: int) -> Record:
        shipment.p_published = shipment.p_latest
        expected_ms = time_ms + round(self._remaining_s(shipment)[0] * 1000)
        if shipment.p_latest > 0.5:
            # Given that it is late, the mean of what remains is past the promise.
            typical_s = self._lateness.mean if self._lateness.seen else DAY_MS / 1000
            late_ms = shipment.promised_ms + round(typical_s * 1000)
            expected_ms = max(expected_ms, late_ms, record.now_ms)
        certain = shipment.labelled
        return record.derive(
            DelayRisk(
                shipment=name,
                order=shipment.order,
                stage=shipment.stage,
                p_late=shipment.p_latest,
                expected_ms=expected_ms,
                promised_ms=shipment.promised_ms,
                confidence=Confidence(
                    statement=f"{name} is delivered after {from_ms(shipment.promised_ms):%d %b}"
                    + (": the promise has passed" if certain else ""),
                    probability=round(shipment.p_latest, 4),
                    contributions=()
                    if certain
                    else self._model.contributions(shipment.latest or shipment.first),
                ),
            )
        )

    def snapshot(self) -> bytes:
        """Open shipments and the model as plain values."""
        self._state.model = self._model.state()
        self._state.remaining = {key: m.state() for key, m in self._remaining.items()}
        self._state.lateness = self._lateness.state()
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Rebuild the River models from plain values."""
        self._state = state = unpack(_VERSION, data, _State)
        self._model = DelayModel(state.rules.learning_rate, state.model)
        self._remaining = {k: Moments(_REMAINING_FADING, m) for k, m in state.remaining.items()}
        self._lateness = Moments(_REMAINING_FADING, state.lateness)
        state.model, state.remaining = DelayModelState(), {}


def _recent(report: _Report | None, time_ms: int, usual: float) -> float:
    if report is None or time_ms - report.time_ms > _REPORT_MS:
        return usual
    return report.value
