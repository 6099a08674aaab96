"""The forecaster: the models behind the delay operator, asked about shipments as they stand."""

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from operators.core.facts import Alarm
from operators.forecasts.delay_conditions import Conditions
from operators.forecasts.delay_shipment import Guess, OpenShipment, Way
from operators.forecasts.delay_watch import TransitWatch, WatchState
from operators.prediction.lateness import LateModel, LateState
from operators.prediction.levels import Level
from operators.prediction.situation import FIRST_STAGE, Situation
from operators.prediction.transit import Transit, TransitState
from state.actions import Contribution
from state.keys import Ref, ServiceId
from state.quantities import DAY_MS

#: Weight of the newest late delivery in how late the late ones are.
_LATENESS_FADING = 0.02
#: An alarm holds for so long.
_ALARMED_MS = 2 * DAY_MS


class ForecasterState(Struct):
    """All models as plain values."""

    late: LateState
    transit: TransitState
    watch: WatchState
    lateness: Level
    alarmed: dict[Ref, int]


class Forecaster:
    """Models of P(late) and of the remaining time, with a watch for change.

    `step` is AdaGrad's, of P(late).
    """

    def __init__(self, step: float, state: ForecasterState | None = None) -> None:
        self._late = LateModel(step, state.late if state else None)
        self._transit = Transit(state.transit if state else None)
        self._watch = TransitWatch(state.watch if state else None)
        self._lateness = state.lateness if state else Level()
        # End of the alarm on each scope: as many as there are services, nodes, regions.
        self._alarmed: dict[Ref, int] = state.alarmed if state else {}
        self._alarmed_until_ms = max(self._alarmed.values(), default=0)

    @property
    def learned(self) -> int:
        """Return the number of labels that P(late) has learned from."""
        return self._late.learned

    def use_step(self, step: float) -> None:
        """Learn with another step from here on; as part of the optimizer, it needs a new one."""
        self._late = LateModel(step, self._late.state())

    def predict(
        self, shipment: OpenShipment, conditions: Conditions, time_ms: int
    ) -> tuple[Situation, Guess]:
        """Set P(late) as of `time_ms` on the shipment; returns what it rests on."""
        way = shipment.way
        usual = self._transit.usual(
            way.service, way.node, way.region, shipment.progress, shipment.nominal_s, time_ms
        )
        eta_ms = shipment.carrier_eta_ms
        now = Situation(
            stage=shipment.stage,
            service=way.service,
            node=way.node,
            region=way.region,
            time_ms=time_ms,
            promised_ms=shipment.promised_ms,
            nominal_s=shipment.nominal_s,
            remaining_s=usual.s,
            forecast=usual.late_log_odds((shipment.promised_ms - time_ms) / 1000),
            handover_late_s=shipment.handover_late_s,
            eta_slack_s=None if eta_ms is None else (shipment.promised_ms - eta_ms) / 1000,
            conditions=conditions.hindrances(way.service, way.node, way.region, time_ms),
        )
        features, of_transit = self._late.features(now)
        p_late = shipment.p_latest = self._late.p_late(features)
        alarmed = time_ms < self._alarmed_until_ms and self._is_alarmed(way, time_ms)
        remaining = self._transit.remaining(of_transit, usual, p_late, shipment.stage, alarmed)
        return now, Guess(time_ms, shipment.progress, features, of_transit, usual, remaining)

    def contributions(self, now: Situation) -> tuple[Contribution, ...]:
        """Return what P(late) of a situation just predicted rests on; sums to its log-odds."""
        return self._late.contributions(now)

    def expected_ms(self, shipment: OpenShipment, median_ms: int) -> int:
        """Return the expected delivery: if likely late, after the promise plus the usual excess.

        The median may still be before the promise when P(late) is high.
        """
        if shipment.p_latest <= 0.5:
            return median_ms
        return max(median_ms, shipment.promised_ms + self.typical_lateness_ms)

    @property
    def typical_lateness_ms(self) -> int:
        """Return the usual lateness of late parcels."""
        return round(self._lateness.mean * 1000) if self._lateness.seen else DAY_MS

    def learn_label(self, guesses: Sequence[Guess], way: Way, late: bool) -> None:
        """Learn whether a shipment was late from what was predicted of it."""
        for guess in guesses:
            self._late.learn(guess.features, late)
        self._late.note(way.service, way.node, way.region, way.hour, late)

    def learn_transit(
        self, guesses: Sequence[Guess], ended_ms: int, learned_ms: int | None = None
    ) -> None:
        """Learn the transit of a shipment; `learn_underway` saw it at `learned_ms`, if at all."""
        for guess in guesses:
            took_s = (ended_ms - guess.time_ms) / 1000
            so_far_s = -inf if learned_ms is None else (learned_ms - guess.time_ms) / 1000
            self._transit.learn(guess.of_transit, guess.usual, guess.remaining, took_s, so_far_s)

    def learn_underway(self, guesses: Sequence[Guess], now_ms: int) -> None:
        """Learn that a shipment is still under way."""
        for guess in guesses:
            so_far_s = (now_ms - guess.time_ms) / 1000
            self._transit.learn_underway(guess.of_transit, guess.usual, guess.remaining, so_far_s)

    def learn_delivery(
        self, shipment: OpenShipment, guesses: Sequence[Guess], time_ms: int, now_ms: int
    ) -> list[Alarm]:
        """Learn at once what is usual of such a way; returns the alarms that this raises."""
        if time_ms > shipment.promised_ms:
            self._lateness.update((time_ms - shipment.promised_ms) / 1000, _LATENESS_FADING)
        way = shipment.way
        by_step_s = {guess.progress: (time_ms - guess.time_ms) / 1000 for guess in guesses}
        self._transit.learn_usual(
            way.service, way.node, way.region, shipment.nominal_s, by_step_s, time_ms
        )
        if not shipment.overdue_ms:
            return []  # it was overdue, and counted then
        remaining = guesses[0].remaining
        surprise = remaining.surprise(by_step_s[FIRST_STAGE])
        alarms = self._watch.observe(way.service, way.node, way.region, remaining, surprise, now_ms)
        return self._heed(alarms, now_ms)

    def learn_overdue(self, shipment: OpenShipment, now_ms: int) -> list[Alarm]:
        """Count one that takes longer than was predicted, without waiting for its end."""
        handover = shipment.at_handover()
        remaining, took_s = handover.remaining, (shipment.overdue_ms - handover.time_ms) / 1000
        way = shipment.way
        alarms = self._watch.overdue(way.service, way.node, way.region, remaining, took_s, now_ms)
        return self._heed(alarms, now_ms)

    def state(self) -> ForecasterState:
        """Return the plain values that restore it."""
        return ForecasterState(
            self._late.state(),
            self._transit.state(),
            self._watch.state(),
            self._lateness,
            self._alarmed,
        )

    def _heed(self, alarms: list[Alarm], now_ms: int) -> list[Alarm]:
        """Learn faster for a while in the scopes of alarms, and widen their bands."""
        for alarm in alarms:
            service = ServiceId(alarm.carrier, alarm.service)
            self._late.hurry(service, alarm.node, alarm.region)
            for scope in _scopes(service, alarm.node, alarm.region):
                self._alarmed[scope] = self._alarmed_until_ms = now_ms + _ALARMED_MS
        return alarms

    def _is_alarmed(self, way: Way, time_ms: int) -> bool:
        return any(
            self._alarmed.get(scope, 0) > time_ms
            for scope in _scopes(way.service, way.node, way.region)
        )


def _scopes(service: ServiceId, node: str, region: str) -> list[Ref]:
    named = (Ref.service(service), Ref("node", node), Ref("region", region))
    return [each for each in named if each.name]
