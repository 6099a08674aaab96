"""Delays: P(late) and expected delivery of every open shipment, anew at each scan.

Predict, keep the features, learn when the truth is known: a shipment is late at the earlier of its
delivery and its promise (plus the time a delivery scan may be late to arrive), so the model learns
of lateness when the promise breaks and not weeks later. Nothing that comes after a prediction can
change it.

On-time labels are known before late ones of the same day. Taken as they come, they would teach that
nothing is ever late; so on-time labels weigh, in sum, only as many as on-time shipments whose
promise has passed, which is when the late ones are known too.
"""

from msgspec import Struct, field

from operators.contract import Operator, Record, pack, unpack
from operators.deadlines import Deadlines
from operators.delay_conditions import Conditions
from operators.delay_features import Features, Situation
from operators.delay_forecast import Forecast, Level, late_log_odds, mean_s
from operators.delay_model import DelayModel, DelayModelState
from operators.delay_shipment import DISPATCHED, OpenShipment
from operators.derived import DelayOutcome, DelayRisk, PolicyInForce
from operators.explanation import day
from operators.moments import MomentsState
from state.actions import Confidence
from state.events import (
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
)
from state.geography import nominal_transit_s
from state.policy import Delays as DelayRules
from state.policy import Policy
from state.quantities import DAY_MS, to_ms

_VERSION = "delays/2"
#: Weight of the newest late delivery in how late the late ones are.
_LATENESS_FADING = 0.02
#: The most that one on-time label may weigh to make up for those that did not.
_MOST_WEIGHT = 2.0


class _State(Struct):
    rules: DelayRules
    lateness_ms: int
    conditions: Conditions = field(default_factory=Conditions)
    open: dict[str, OpenShipment] = field(default_factory=dict)
    deadlines: Deadlines = field(default_factory=Deadlines)
    # On-time shipments whose promise passed, less the weight of on-time labels learned.
    weight_due: float = 0.0
    forecast: dict[str, MomentsState] = field(default_factory=dict)
    lateness: MomentsState = (0, 0.0, 0.0)
    model: DelayModelState = field(default_factory=DelayModelState)


class Delays(Operator):
    """Emits DelayRisk when a risk is new or moved materially, DelayOutcome at delivery."""

    name = "delays"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy.delays, policy.hygiene.lateness_s * 1000)
        self._model = DelayModel(policy.delays.learning_rate)
        self._forecast = Forecast()
        self._lateness = Level(_LATENESS_FADING)

    @property
    def learned(self) -> int:
        """Labels that the model has learned from."""
        return self._model.learned

    def step(self, record: Record) -> list[Record]:
        """Fold in telemetry; everything is passed on."""
        if record.event is None:
            if type(record.fact) is PolicyInForce:
                self._state.rules = record.fact.policy.delays
                # The step is part of the optimizer: it is made anew with what it has learned.
                rate = record.fact.policy.delays.learning_rate
                self._model = DelayModel(rate, self._model.state())
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
                    self._closed_late(shipment)
            case _:
                state.conditions.learn(record.fact, time_ms)
        return out

    def _dispatched(
        self, record: Record, shipped: ShipmentDispatched, time_ms: int
    ) -> list[Record]:
        state = self._state
        service = f"{shipped.carrier}/{shipped.service}"
        distance = state.conditions.geography.distance_km(shipped.node, shipped.region)
        if distance is None or shipped.shipment in state.open:
            return []
        nominal_s = nominal_transit_s(state.conditions.geography.services[service], distance)
        promised_ms, due = to_ms(shipped.promised), shipped.due_at_carrier
        shipment = OpenShipment(
            order=shipped.order,
            service=service,
            node=shipped.node,
            region=shipped.region,
            promised_ms=promised_ms,
            due_ms=max(promised_ms + state.lateness_ms, record.now_ms + 1),
            nominal_s=nominal_s,
            handover_late_s=None if due is None else (time_ms - to_ms(due)) / 1000,
            scanned_ms=time_ms,
            visits={DISPATCHED: time_ms},
        )
        state.open[shipped.shipment] = shipment
        state.deadlines.set(shipment.due_ms, "promise", shipped.shipment)
        features = self._predict(shipment, time_ms)
        shipment.book(features)
        return [self._publish(record, shipped.shipment, shipment, time_ms, features)]

    def _scanned(self, record: Record, scan: ShipmentScanned, time_ms: int) -> list[Record]:
        shipment = self._state.open.get(scan.shipment)
        if shipment is None or time_ms < shipment.scanned_ms:
            return []
        shipment.move_to(scan.status, time_ms)
        if shipment.labelled:
            return []
        features = self._predict(shipment, time_ms)
        shipment.sample(scan.shipment, features)
        before, after = shipment.p_published, shipment.p_latest
        rules = self._state.rules
        crossed = any(
            (before >= bound) != (after >= bound) for bound in (rules.act_above, rules.notify_above)
        )
        if abs(after - before) < rules.publish_step and not crossed:
            return []
        return [self._publish(record, scan.shipment, shipment, time_ms, features)]

    def _delivered(self, record: Record, name: str, time_ms: int) -> list[Record]:
        shipment = self._state.open.pop(name, None)
        if shipment is None:
            return []
        late = time_ms > shipment.promised_ms
        if not shipment.labelled:
            if late:
                self._closed_late(shipment)
            else:
                self._learn(shipment, late=False)
        if late:
            self._lateness.update((time_ms - shipment.promised_ms) / 1000)
        self._forecast.learn(
            shipment.service,
            shipment.node,
            shipment.region,
            shipment.nominal_s,
            shipment.took_s(time_ms),
        )
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
        state = self._state
        for what, name, due_ms in state.deadlines.due(record.now_ms):
            shipment = state.open.get(name)
            if shipment is None or shipment.due_ms != due_ms:
                # Closed before, perhaps with its name in use again.
                state.weight_due += what == "promise"
                continue
            if what == "lost":
                del state.open[name]
                continue
            self._learn(shipment, late=True)
            shipment.labelled = True
            shipment.p_latest = 1.0
            shipment.due_ms = due_ms + state.rules.give_up_s * 1000
            state.deadlines.set(shipment.due_ms, "lost", name)
            out.append(self._publish(record, name, shipment, record.now_ms, {}))
        return out

    def _closed_late(self, shipment: OpenShipment) -> None:
        """Learn a late one whose promise is yet to fall due, and will find it closed."""
        self._state.weight_due -= 1.0
        self._learn(shipment, late=True)

    def _learn(self, shipment: OpenShipment, late: bool) -> None:
        state = self._state
        weight = 1.0
        if not late:
            weight = min(max(state.weight_due, 0.0), _MOST_WEIGHT)
            state.weight_due -= weight
        for features in shipment.examples():
            self._model.learn(features, late, weight)
        self._model.note_rate(shipment.service, shipment.node, shipment.region, late)

    def _predict(self, shipment: OpenShipment, time_ms: int) -> Features:
        """Set P(late) as of `time_ms` on the shipment; returns the features it rests on."""
        conditions = self._state.conditions
        mean, sd = self._remaining(shipment)
        slack_s = (shipment.promised_ms - time_ms) / 1000
        situation = Situation(
            stage=shipment.stage,
            service=shipment.service,
            node=shipment.node,
            region=shipment.region,
            time_ms=time_ms,
            promised_ms=shipment.promised_ms,
            remaining_s=mean_s(shipment.nominal_s, mean, sd),
            forecast=late_log_odds(slack_s, shipment.nominal_s, mean, sd),
            handover_late_s=shipment.handover_late_s,
            weather=conditions.severity(shipment.region, time_ms),
            origin_weather=conditions.severity_at_node(shipment.node, time_ms),
            congestion=conditions.congestion(shipment.region, time_ms),
            disrupted=conditions.disrupted(shipment.service, shipment.region, time_ms),
        )
        features = self._model.features(situation)
        shipment.p_latest = self._model.p_late(features)
        return features

    def _remaining(self, shipment: OpenShipment) -> tuple[float, float]:
        return self._forecast.remaining(
            shipment.service, shipment.node, shipment.region, shipment.progress
        )

    def _publish(
        self, record: Record, name: str, shipment: OpenShipment, time_ms: int, features: Features
    ) -> Record:
        shipment.p_published = shipment.p_latest
        remaining_s = mean_s(shipment.nominal_s, *self._remaining(shipment))
        expected_ms = time_ms + round(remaining_s * 1000)
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
                    statement=f"{name} is delivered after its promise, {day(shipment.promised_ms)}"
                    + (", which has passed" if certain else ""),
                    probability=round(shipment.p_latest, 4),
                    contributions=() if certain else self._model.contributions(features),
                ),
            )
        )

    def snapshot(self) -> bytes:
        """Open shipments and the model as plain values."""
        self._state.model = self._model.state()
        self._state.forecast = self._forecast.state()
        self._state.lateness = self._lateness.state()
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Rebuild the River models from plain values."""
        self._state = state = unpack(_VERSION, data, _State)
        self._model = DelayModel(state.rules.learning_rate, state.model)
        self._forecast = Forecast(state.forecast)
        self._lateness = Level(_LATENESS_FADING, state.lateness)
        state.model, state.forecast = DelayModelState(), {}
