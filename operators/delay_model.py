"""The delay model: one shared River logistic regression over named features, and late rates.

It starts from what the transit forecast says, and learns by how much that errs. What brings a
linear model level with boosted trees here are features, not depth (see `delay_features`). It learns
slowly: late labels come in a burst when a day's promises expire, and a quick learner would swing
with every burst.
"""

from math import log
from typing import Any

from msgspec import Struct, field
from river import linear_model, optim
from river.utils import VectorDict

from operators.delay_features import (
    FORECAST,
    PHASES,
    Features,
    LateRates,
    Situation,
    features_of,
    in_words,
)
from operators.delay_forecast import Level
from operators.moments import MomentsState
from state.actions import Contribution

#: A burst of labels must not move the intercept by more than a few tenths.
_INTERCEPT_RATE = 0.001
#: Remembers about 200 and 2,000 labels: less than a day's burst would be the burst, not the rate.
_RATE_FADING = 0.005
_NETWORK_FADING = 0.0005
#: Late rate before anything is known.
_PRIOR = 0.1
_EXPLAINED = 3


class DelayModelState(Struct):
    """The model as plain values."""

    weights: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    intercept: float = 0.0
    learned: int = 0
    rates: dict[str, MomentsState] = field(default_factory=dict)


class DelayModel:
    """Predicts P(late) and learns from labels; holds no shipment."""

    def __init__(self, learning_rate: float, state: DelayModelState | None = None) -> None:
        # Until labels come, the transit forecast speaks alone: its weight starts at one.
        state = state or DelayModelState(weights={f"{FORECAST} @ {phase}": 1.0 for phase in PHASES})
        self._regression = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(learning_rate), intercept_lr=_INTERCEPT_RATE
        )
        # River offers no public way to set weights.
        self._regression._weights = VectorDict(dict(state.weights))
        self._regression.intercept = state.intercept
        self._regression.optimizer.g2.update(state.squares)
        self._regression.optimizer.n_iterations = state.learned
        self._rates = {key: Level(_fading(key), level) for key, level in state.rates.items()}

    @property
    def learned(self) -> int:
        """Labels learned so far."""
        return int(self._regression.optimizer.n_iterations)

    def features(self, now: Situation) -> Features:
        """The active features, by name; values are finite."""
        network = self._rate("network", _PRIOR)
        base = _log_odds(network)
        rates = LateRates(
            network=base - _log_odds(_PRIOR),
            lane=_log_odds(self._rate(f"lane {now.service} {now.region}", network)) - base,
            node=_log_odds(self._rate(f"node {now.node}", network)) - base,
            region=_log_odds(self._rate(f"region {now.region}", network)) - base,
        )
        return features_of(now, rates)

    def p_late(self, features: Features) -> float:
        """Probability of delivery after the promise."""
        proba: dict[bool, float] = self._regression.predict_proba_one(features)  # type: ignore[no-untyped-call]
        return float(proba[True])

    def learn(self, features: Features, late: bool, weight: float = 1.0) -> None:
        """Learn one label; call it once per prediction that is to be learned from."""
        self._regression.learn_one(features, late, weight)

    def note_rate(self, service: str, node: str, region: str, late: bool) -> None:
        """Update the recent late rates with one shipment's label."""
        value = 1.0 if late else 0.0
        for key in ("network", f"lane {service} {region}", f"node {node}", f"region {region}"):
            rate = self._rates.get(key)
            if rate is None:
                rate = self._rates[key] = Level(_fading(key))
            rate.update(value)

    def contributions(self, features: Features) -> tuple[Contribution, ...]:
        """The features that moved the log-odds most, largest first; exact, ties by name."""
        weights: Any = self._regression._weights
        moved = [(name, weights.get(name, 0.0) * value) for name, value in features.items()]
        moved.sort(key=lambda item: (-abs(item[1]), item[0]))
        return tuple(
            Contribution(feature=in_words(name), log_odds=round(log_odds, 3))
            for name, log_odds in moved[:_EXPLAINED]
            if log_odds
        )

    def state(self) -> DelayModelState:
        """Plain values that restore it."""
        return DelayModelState(
            weights=dict(self._regression.weights),
            squares=dict(self._regression.optimizer.g2),
            intercept=self._regression.intercept,
            learned=self.learned,
            rates={key: rate.state() for key, rate in self._rates.items()},
        )

    def _rate(self, key: str, towards: float) -> float:
        rate = self._rates.get(key)
        if rate is None:
            return towards
        return towards + rate.trust * (rate.mean - towards)


def _fading(key: str) -> float:
    return _NETWORK_FADING if key == "network" else _RATE_FADING


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return log(bounded / (1 - bounded))
