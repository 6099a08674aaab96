"""P(late): one River logistic regression shared by all shipments, over hashed features.

It starts from the transit forecast and learns its errors; late rates at two speeds keep it
calibrated while the world moves. Trees and forests are out: dearer by the hundred, and no better
on 327,000 flights (`make bench-prediction`).
"""

from typing import Any

from msgspec import Struct, field

from operators.prediction.late_rates import LateRateBook, LateRates, RatesState
from operators.prediction.linear import (
    Features,
    LinearState,
    Name,
    Slots,
    learn,
    logistic,
    probability,
    state_of,
)
from operators.prediction.situation import (
    FIRST_STAGE,
    Situation,
    Stage,
    Valued,
    features_of,
    in_words,
)
from state.actions import Contribution
from state.keys import ServiceId
from state.sums import float_sum

_EXPLAINED = 4


class LateState(Struct):
    """The model as plain values."""

    regression: LinearState = field(default_factory=LinearState)
    rates: RatesState = field(default_factory=RatesState)


class LateModel:
    """Model of P(late), learned from labels; holds no shipment. `step` is AdaGrad's."""

    def __init__(self, step: float, state: LateState | None = None) -> None:
        self._slots = Slots()
        self._stages: dict[str, Stage] = {}
        if state is None:
            # The transit forecast alone counts until labels come: its weight starts at one.
            names: list[Name] = [("forecast", phase) for phase in (FIRST_STAGE, "underway")]
            weights = {self._slots[name]: 1.0 for name in names}
            state = LateState(regression=LinearState(weights=weights))
        self._regression = logistic(step, state.regression)
        self._rates = LateRateBook(state.rates)

    @property
    def learned(self) -> int:
        """Return the number of labels learned so far."""
        return int(self._regression.optimizer.n_iterations)

    def rates(self, now: Situation) -> LateRates:
        """Return the late rates that count in a situation."""
        return self._rates.rates(now.service, now.node, now.region, now.hour)

    def features(self, now: Situation) -> tuple[Features, Features]:
        """Return the active features by slot: all of them, and those that transit rests on."""
        found, of_transit = self._valued(now)
        features = _by_slot(found)
        if len(features) < len(found):
            # Two names in one slot add up, so that contributions stay exact.
            features = dict.fromkeys(features, 0.0)
            for feature, value in found:
                features[feature.slot] += value
        return features, _by_slot(of_transit)

    def p_late(self, features: Features) -> float:
        """Return the probability of delivery after the promise."""
        return probability(self._regression, features)

    def learn(self, features: Features, late: bool) -> None:
        """Learn one label; call it once per prediction that is to be learned from."""
        learn(self._regression, features, late)

    def note(self, service: ServiceId, node: str, region: str, hour: str, late: bool) -> None:
        """Update the recent late rates with one shipment's label."""
        self._rates.learn(service, node, region, hour, late)

    def hurry(self, service: ServiceId, node: str, region: str) -> None:
        """Learn faster for a while about the given scopes; an empty one names nothing."""
        self._rates.hurry(service, node, region)

    def contributions(self, now: Situation) -> tuple[Contribution, ...]:
        """Return the largest contributions to the log-odds, in order, and the rest as one.

        They sum to the log-odds of `p_late`, to within its rounding (four decimals).
        """
        weights: Any = self._regression._weights
        found, _ = self._valued(now)
        moved = [
            (weights.get(feature.slot, 0.0) * value, feature.name)
            for feature, value in found
            if value
        ]
        # Ties compare names: of one kind and stage, parts are of like types; else these two differ
        # first.
        moved.sort(key=lambda each: (-abs(each[0]), each[1]))
        largest = [
            Contribution(feature=in_words(name), log_odds=round(log_odds, 4))
            for log_odds, name in moved[:_EXPLAINED]
            if log_odds
        ]
        rest = float_sum(each[0] for each in moved) - float_sum(each.log_odds for each in largest)
        others = len(moved) - len(largest)
        if others:
            what = f"{others} smaller ones together"
            largest.append(Contribution(feature=what, log_odds=round(rest, 4)))
        return tuple(largest)

    def state(self) -> LateState:
        """Return the plain values that restore it."""
        return LateState(regression=state_of(self._regression), rates=self._rates.state())

    def _valued(self, now: Situation) -> tuple[Valued, Valued]:
        of = self._stages.get(now.stage)
        if of is None:
            of = self._stages[now.stage] = Stage(self._slots.features, now.stage)
        return features_of(now, self.rates(now), of)


def _by_slot(valued: Valued) -> Features:
    return {feature.slot: value for feature, value in valued}
