"""Delays: P(late) and expected delivery of every open shipment, updated at each scan.

Predict, keep the features, learn when the truth is known. Nothing that comes after a prediction can
change it. A shipment is known to be late when its promise passes (plus the time that a delivery
scan may be late to arrive), not weeks later at its delivery; that is also when the models learn of
those that were in time. Taken as they end, the quick of a day would be learned before the slow, and
the models would swing with the clock.
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.deadlines import Deadlines
from operators.core.facts import DelayOutcome, DelayRisk, PolicyInForce
from operators.core.wording import day
from operators.forecasts.delay_conditions import Conditions
from operators.forecasts.delay_forecaster import Forecaster, ForecasterState
from operators.forecasts.delay_shipment import Guess, OpenShipment, Way, guesses_of
from operators.prediction.situation import Situation, hour_of
from state.actions import Confidence, Contribution
from state.events import (
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
)
from state.geography import nominal_transit_s
from state.keys import ServiceId
from state.policy import Delays as DelayRules
from state.policy import Policy
from state.quantities import to_ms

_VERSION = "delays/6"
#: Deadlines taken per event: of many promises that pass at once, the next events take the rest.
_MOST_DUE = 8


class _Ended(Struct, array_like=True):
    """A shipment that ended before its promise: what is learned of it when that passes."""

    way: Way
    late: bool
    ended_ms: int | None
    kept: tuple[bytes, ...]


class _Due(Struct, frozen=True, array_like=True, gc=False):
    """Deadlines of a shipment: its promise, when it is overdue, when it counts as lost."""

    what: Literal["promise", "overdue", "lost"]
    shipment: str


class _State(Struct):
    rules: DelayRules
    lateness_ms: int
    conditions: Conditions = field(default_factory=Conditions)
    open: dict[str, OpenShipment] = field(default_factory=dict)
    # By name and promise: a name may come in use again.
    ended: dict[tuple[str, int], _Ended] = field(default_factory=dict)
    deadlines: Deadlines[_Due] = field(default_factory=Deadlines[_Due])
    forecaster: ForecasterState | None = None


class Delays(Operator):
    """Emitter of DelayRisk (a new or materially moved risk), DelayOutcome (delivery) and Alarm."""

    name = "delays"

    def __init__(self, policy: Policy) -> None:
        self._open(_State(policy.delays, policy.hygiene.lateness_s * 1000))

    def _open(self, state: _State) -> None:
        self._state = state
        self._forecaster = Forecaster(state.rules.learning_rate, state.forecaster)
        state.forecaster = None

    @property
    def learned(self) -> int:
        """Return the number of labels that the model has learned from."""
        return self._forecaster.learned

    def step(self, record: Record) -> list[Record]:
        """Fold in telemetry; everything is passed on."""
        if record.event is None:
            if type(record.fact) is PolicyInForce:
                self._state.rules = record.fact.policy.delays
                self._forecaster.use_step(self._state.rules.learning_rate)
                self._state.lateness_ms = record.fact.policy.hygiene.lateness_s * 1000
            return [record]
        state = self._state
        out = self._fall_due(record) if state.deadlines.is_due(record.now_ms) else []
        out.append(record)
        follow = _FOLLOW.get(type(record.fact))
        if follow is not None:
            out += follow(self, record, record.fact, record.event.time_ms)
        elif not record.suspect:
            state.conditions.learn(record.event.fact, record.event.time_ms)
        return out

    def _dispatched(
        self, record: Record, shipped: ShipmentDispatched, time_ms: int
    ) -> list[Record]:
        state = self._state
        service = ServiceId(shipped.carrier, shipped.service)
        distance = state.conditions.geography.distance_km(shipped.node, shipped.region)
        if distance is None or shipped.shipment in state.open:
            return []
        nominal_s = nominal_transit_s(state.conditions.geography.services[service], distance)
        promised_ms, due = to_ms(shipped.promised), shipped.due_at_carrier
        shipment = OpenShipment(
            order=shipped.order,
            way=Way(service, shipped.node, shipped.region, hour_of(time_ms)),
            promised_ms=promised_ms,
            due_ms=max(promised_ms + state.lateness_ms, record.now_ms + 1),
            nominal_s=nominal_s,
            handover_late_s=None if due is None else (time_ms - to_ms(due)) / 1000,
            scanned_ms=time_ms,
        )
        state.open[shipped.shipment] = shipment
        state.deadlines.set(shipment.due_ms, _Due("promise", shipped.shipment))
        now, guess = self._forecaster.predict(shipment, state.conditions, time_ms)
        shipment.book(guess)
        shipment.overdue_ms = (
            time_ms + round(guess.remaining.p90_s * 1000) + max(state.lateness_ms, 1)
        )
        state.deadlines.set(shipment.overdue_ms, _Due("overdue", shipped.shipment))
        return [self._publish(record, shipped.shipment, shipment, now, guess)]

    def _scanned(self, record: Record, scan: ShipmentScanned, time_ms: int) -> list[Record]:
        shipment = self._state.open.get(scan.shipment)
        if shipment is None or time_ms < shipment.scanned_ms or record.suspect:
            return []
        shipment.move_to(scan.status, time_ms)
        if shipment.labelled:
            return []
        if scan.carrier_eta is not None:
            shipment.carrier_eta_ms = to_ms(scan.carrier_eta)
        now, guess = self._forecaster.predict(shipment, self._state.conditions, time_ms)
        shipment.sample(scan.shipment, guess)
        expected_ms = time_ms + round(guess.remaining.p50_s * 1000)
        if scan.carrier_eta is not None:
            shipment.eta_beside_ms = expected_ms
        if not self._has_moved(shipment, expected_ms):
            return []
        return [self._publish(record, scan.shipment, shipment, now, guess)]

    def _has_moved(self, shipment: OpenShipment, median_ms: int) -> bool:
        """Return whether a shipment's risk differs materially from what was published."""
        before, after = shipment.p_published, shipment.p_latest
        rules = self._state.rules
        return (
            abs(after - before) >= rules.publish_step
            or abs(self._forecaster.expected_ms(shipment, median_ms) - shipment.expected_ms)
            >= rules.eta_step_s * 1000
            or (before >= rules.act_above) != (after >= rules.act_above)
            or (before >= rules.notify_above) != (after >= rules.notify_above)
        )

    def _failed(self, record: Record, failed: ShipmentFailed, time_ms: int) -> list[Record]:
        shipment = self._state.open.pop(failed.shipment, None)
        if shipment is not None and not shipment.labelled and not record.suspect:
            self._keep(shipment, failed.shipment, late=True, ended_ms=None)
        return []

    def _delivered(
        self, record: Record, delivered: ShipmentDelivered, time_ms: int
    ) -> list[Record]:
        name = delivered.shipment
        shipment = self._state.open.pop(name, None)
        if shipment is None:
            return []
        guesses = guesses_of(shipment.kept)
        out = [record.derive(_outcome(name, shipment, guesses[0], time_ms))]
        if record.suspect:
            return out
        if shipment.labelled:
            self._forecaster.learn_transit(guesses, time_ms, shipment.learned_ms)
        else:
            self._keep(shipment, name, time_ms > shipment.promised_ms, time_ms)
        alarms = self._forecaster.learn_delivery(shipment, guesses, time_ms, record.now_ms)
        return out + [record.derive(alarm) for alarm in alarms]

    def _fall_due(self, record: Record) -> list[Record]:
        """Learn of, and publish, shipments whose promise passed without a delivery."""
        out: list[Record] = []
        state = self._state
        for due, due_ms in state.deadlines.due(record.now_ms, _MOST_DUE):
            what, name = due.what, due.shipment
            shipment = state.open.get(name)
            if what == "overdue":
                if shipment is not None and shipment.overdue_ms == due_ms:
                    alarms = self._forecaster.learn_overdue(shipment, record.now_ms)
                    out += (record.derive(alarm) for alarm in alarms)
                    shipment.overdue_ms = 0
                continue
            if shipment is None or shipment.due_ms != due_ms:
                self._learn_ended(name, due_ms)
                continue
            if what == "lost":
                del state.open[name]
                continue
            guesses = guesses_of(shipment.kept)
            self._forecaster.learn_label(guesses, shipment.way, late=True)
            self._forecaster.learn_underway(guesses, record.now_ms)
            shipment.labelled, shipment.learned_ms = True, record.now_ms
            shipment.p_latest = 1.0
            shipment.due_ms = due_ms + state.rules.give_up_s * 1000
            state.deadlines.set(shipment.due_ms, _Due("lost", name))
            out.append(self._publish_late(record, name, shipment))
        return out

    def _keep(self, shipment: OpenShipment, name: str, late: bool, ended_ms: int | None) -> None:
        """Keep the outcome of a shipment until its promise passes; None where it never arrived."""
        self._state.ended[name, shipment.due_ms] = _Ended(
            shipment.way, late, ended_ms, shipment.kept
        )

    def _learn_ended(self, name: str, due_ms: int) -> None:
        ended = self._state.ended.pop((name, due_ms), None)
        if ended is None:
            return
        guesses = guesses_of(ended.kept)
        self._forecaster.learn_label(guesses, ended.way, ended.late)
        if ended.ended_ms is not None:
            self._forecaster.learn_transit(guesses, ended.ended_ms)

    def _publish(
        self, record: Record, name: str, shipment: OpenShipment, now: Situation, guess: Guess
    ) -> Record:
        time_ms, remaining = guess.time_ms, guess.remaining
        low_ms = time_ms + round(remaining.p10_s * 1000)
        mid_ms = time_ms + round(remaining.p50_s * 1000)
        high_ms = time_ms + round(remaining.p90_s * 1000)
        # Only what may lead to an action is explained: that takes longer than the prediction.
        rules = self._state.rules
        explained = shipment.p_latest >= min(rules.act_above, rules.notify_above)
        contributions = self._forecaster.contributions(now) if explained else ()
        return self._risk(record, name, shipment, (low_ms, mid_ms, high_ms), contributions)

    def _publish_late(self, record: Record, name: str, shipment: OpenShipment) -> Record:
        """Return the risk once the promise has passed; its band is that of late parcels."""
        now_ms = record.now_ms
        typical_ms = self._forecaster.typical_lateness_ms
        return self._risk(record, name, shipment, (now_ms, now_ms, now_ms + 2 * typical_ms), ())

    def _risk(
        self,
        record: Record,
        name: str,
        shipment: OpenShipment,
        band_ms: tuple[int, int, int],
        contributions: tuple[Contribution, ...],
    ) -> Record:
        low_ms, mid_ms, high_ms = band_ms
        expected_ms = self._forecaster.expected_ms(shipment, mid_ms)
        if shipment.p_latest > 0.5:
            expected_ms = max(expected_ms, record.now_ms)
        shipment.p_published, shipment.expected_ms = shipment.p_latest, expected_ms
        passed = ", which has passed" if shipment.labelled else ""
        return record.derive(
            DelayRisk(
                shipment=name,
                order=shipment.order,
                stage=shipment.stage,
                p_late=shipment.p_latest,
                expected_ms=expected_ms,
                earliest_ms=min(low_ms, expected_ms),
                latest_ms=max(high_ms, expected_ms),
                promised_ms=shipment.promised_ms,
                confidence=Confidence(
                    statement=f"{name} is delivered after its promise, "
                    f"{day(shipment.promised_ms)}{passed}",
                    probability=round(shipment.p_latest, 4),
                    contributions=contributions,
                ),
            )
        )

    def snapshot(self) -> bytes:
        """Return open shipments and the models as plain values."""
        state = self._state
        state.forecaster = self._forecaster.state()
        data = pack(_VERSION, state)
        state.forecaster = None
        return data

    def restore(self, data: bytes) -> None:
        """Rebuild the River models from plain values."""
        self._open(unpack(_VERSION, data, _State))


#: Facts of shipments under way. A table, not a match: it is read at every event.
_FOLLOW: dict[type, Callable[[Delays, Record, Any, int], list[Record]]] = {
    ShipmentDispatched: Delays._dispatched,
    ShipmentScanned: Delays._scanned,
    ShipmentDelivered: Delays._delivered,
    ShipmentFailed: Delays._failed,
}


def _outcome(name: str, shipment: OpenShipment, handover: Guess, time_ms: int) -> DelayOutcome:
    """Return the outcome of a shipment beside its predictions at handover and later."""
    remaining, took_s = handover.remaining, (time_ms - handover.time_ms) / 1000
    off_s = carrier_off_s = None
    if shipment.carrier_eta_ms is not None and shipment.eta_beside_ms:
        off_s = (time_ms - shipment.eta_beside_ms) / 1000
        carrier_off_s = (time_ms - shipment.carrier_eta_ms) / 1000
    return DelayOutcome(
        shipment=name,
        order=shipment.order,
        node=shipment.way.node,
        p_at_handover=shipment.p_first,
        p_last=shipment.p_latest,
        late=time_ms > shipment.promised_ms,
        lateness_s=(time_ms - shipment.promised_ms) // 1000,
        below_p10=took_s <= remaining.p10_s,
        below_p50=took_s <= remaining.p50_s,
        below_p90=took_s <= remaining.p90_s,
        off_s=off_s,
        carrier_off_s=carrier_off_s,
    )
