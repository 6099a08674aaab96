"""The delay model: features of a shipment, one shared River logistic regression, explanations.

It starts from what a normal transit forecast says, and learns by how much that errs. What brings a
linear model level with boosted trees here are features, not depth: slack in bins
crossed with the stage of the journey, categories, and recent late rates of service, lane, region
and node relative to the network's (as log-odds). The feature space is bounded by the registered
services and regions.
"""

from bisect import bisect_right
from math import erfc, exp, log, sqrt
from typing import Any

from msgspec import Struct, field
from river import linear_model, optim
from river.utils import VectorDict

from operators.moments import Moments, MomentsState
from state.actions import Contribution

#: Slack ÷ expected remaining time, at the edges of the bins: 1 = exactly enough time.
_RATIO_EDGES = (0.0, 0.4, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.8, 2.2, 3.0, 4.5)
_DAY_EDGES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 26.0, 40.0)
#: Hours that a parcel was handed over after it was due at the carrier.
_HANDOVER_EDGES = (-96.0, -48.0, -24.0, -6.0, 0.0, 12.0, 48.0)
_RATE_FADING = 0.02
_NETWORK_FADING = 0.005
#: Labels after which an entity's own late rate weighs as much as the network's.
_SHRINKAGE = 12.0
#: Late rate before anything is known, and the log-odds it stands for.
_PRIOR = 0.1
_SQRT_2 = sqrt(2.0)
_EXPLAINED = 3
_FORECAST = "transit forecast"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Features = dict[str, float]


class DelayModelState(Struct):
    """The model as plain values."""

    weights: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    intercept: float = 0.0
    learned: int = 0
    rates: dict[str, MomentsState] = field(default_factory=dict)


class Situation(Struct, frozen=True):
    """What is known of a shipment when a prediction is made. Times in s, rates as ratios."""

    stage: str
    service: str
    node: str
    region: str
    slack_s: float
    remaining_s: float
    spread_s: float
    handover_late_s: float | None
    weekday: int
    weather: float
    origin_weather: float
    congestion: float
    disrupted: bool


class DelayModel:
    """Predicts P(late) and learns from labels; holds no shipment."""

    def __init__(self, learning_rate: float, state: DelayModelState | None = None) -> None:
        # Until labels come, the transit forecast speaks alone: its weight starts at one.
        state = state or DelayModelState(weights={_FORECAST: 1.0})
        self._regression = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(learning_rate), intercept_lr=0.01
        )
        # River offers no public way to set weights.
        self._regression._weights = VectorDict(dict(state.weights))
        self._regression.intercept = state.intercept
        self._regression.optimizer.g2.update(state.squares)
        self._regression.optimizer.n_iterations = state.learned
        self._rates = {key: Moments(_fading(key), moments) for key, moments in state.rates.items()}

    @property
    def learned(self) -> int:
        """Labels learned so far."""
        return int(self._regression.optimizer.n_iterations)

    def features(self, now: Situation) -> Features:
        """The active features, by name; values are finite."""
        network = self._rate("network", _PRIOR)
        base = _log_odds(network)
        ratio = now.slack_s / max(now.remaining_s, 600.0)
        slack = bisect_right(_RATIO_EDGES, ratio)
        days = bisect_right(_DAY_EDGES, now.slack_s / 86_400)
        lane = f"lane {now.service} {now.region}"
        features = {
            f"slack {slack} @ {now.stage}": 1.0,
            f"days {days} @ {now.stage}": 1.0,
            f"service {now.service} @ {now.stage}": 1.0,
            f"region {now.region}": 1.0,
            f"weekday {now.weekday}": 1.0,
            _FORECAST: _log_odds(
                0.5 * erfc((now.slack_s - now.remaining_s) / now.spread_s / _SQRT_2)
            ),
            "recent lateness": base - _log_odds(_PRIOR),
            "lane's late rate": _log_odds(self._rate(lane, network)) - base,
            "node's late rate": _log_odds(self._rate(f"node {now.node}", network)) - base,
            "region's late rate": _log_odds(self._rate(f"region {now.region}", network)) - base,
        }
        if now.handover_late_s is not None:
            edge = bisect_right(_HANDOVER_EDGES, now.handover_late_s / 3600)
            features[f"handover {edge}"] = 1.0
        if now.weather:
            features["weather at destination"] = now.weather
        if now.origin_weather:
            features["weather at origin"] = now.origin_weather
        if now.congestion > 1.0:
            features["traffic at destination"] = min(now.congestion - 1.0, 3.0)
        if now.disrupted:
            features["carrier disrupted"] = 1.0
        return features

    def p_late(self, features: Features) -> float:
        """Probability of delivery after the promise."""
        proba: dict[bool, float] = self._regression.predict_proba_one(features)  # type: ignore[no-untyped-call]
        return float(proba[True])

    def learn(self, features: Features, late: bool) -> None:
        """Learn one label; call it once per prediction that is to be learned from."""
        self._regression.learn_one(features, late)

    def note_rate(self, service: str, node: str, region: str, late: bool) -> None:
        """Update the recent late rates with one shipment's label."""
        value = 1.0 if late else 0.0
        for key in ("network", f"lane {service} {region}", f"node {node}", f"region {region}"):
            rate = self._rates.get(key)
            if rate is None:
                rate = self._rates[key] = Moments(_fading(key))
            rate.update(value)

    def contributions(self, features: Features) -> tuple[Contribution, ...]:
        """The features that moved the log-odds most, largest first; exact, ties by name."""
        weights: Any = self._regression._weights
        moved = [(name, weights.get(name, 0.0) * value) for name, value in features.items()]
        moved.sort(key=lambda item: (-abs(item[1]), item[0]))
        return tuple(
            Contribution(feature=_in_words(name), log_odds=round(log_odds, 3))
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
        own = rate.seen / (rate.seen + _SHRINKAGE)
        return own * rate.mean + (1 - own) * towards


def _fading(key: str) -> float:
    return _NETWORK_FADING if key == "network" else _RATE_FADING


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return log(bounded / (1 - bounded))


def probability(log_odds: float) -> float:
    """Inverse of the log-odds."""
    return 1 / (1 + exp(-log_odds))


def _in_words(name: str) -> str:
    """A feature's name as people read it: bins as ranges with units, the stage at the end."""
    what, _, stage = name.partition(" @ ")
    kind, _, rest = what.partition(" ")
    match kind:
        case "slack":
            text = f"time left is {_range(_RATIO_EDGES, int(rest))} × what is usually needed"
        case "days":
            text = f"{_range(_DAY_EDGES, int(rest))} days left until the promise"
        case "handover":
            text = f"handed over {_range(_HANDOVER_EDGES, int(rest))} h after it was due"
        case "weekday":
            text = f"on a {_WEEKDAYS[int(rest)]}"
        case _:
            text = what
    return f"{text}, {stage.replace('_', ' ')}" if stage else text


def _range(edges: tuple[float, ...], position: int) -> str:
    if position == 0:
        return f"under {edges[0]:g}"
    if position == len(edges):
        return f"over {edges[-1]:g}"
    return f"{edges[position - 1]:g} to {edges[position]:g}"
