"""River's linear models over hashed features, and their states as plain values.

A feature has a name, a tuple; the models know only its slot, a number below `SLOTS`, so
that their size is bounded whatever names come. Two names may share a slot, which costs accuracy and
nothing else: what a name contributed is still exact.
"""

from collections import defaultdict
from math import exp, sqrt
from typing import Any
from zlib import crc32

from msgspec import Struct, field
from river import linear_model, optim
from river.utils import VectorDict

from state.keys import ServiceId

#: Slots of the hashed feature space.
SLOTS = 1 << 16
#: Names whose slots are remembered, rather than hashed again.
_MOST_NAMES = 200_000

#: Log-odds beyond which River takes an outcome for certain.
_CERTAIN = 30.0

#: Name of a feature: its kind, where it holds, and details.
Name = tuple[str | ServiceId, ...]
#: Values by slot; finite.
Features = dict[int, float]


class Slots(dict[Name, int]):
    """The slot of each name, hashed when it is first asked for; `features` has both together."""

    def __init__(self) -> None:
        self.features = Feature((), 0, self)

    def __missing__(self, name: Name) -> int:
        if len(self) >= _MOST_NAMES:
            self.clear()
            self.features.clear()
        digest = 0
        for place, part in enumerate(name):
            digest = crc32(_bytes_of(part), crc32(b"\n", digest) if place else 0)
        slot = self[name] = digest % SLOTS
        return slot


class Feature(dict[str | ServiceId, "Feature"]):
    """A name with its slot, and by a further part the features whose names go on from it.

    So ``slots.features["lane"]["underway"][service][region]`` is found without a name being made
    and hashed again.
    """

    __slots__ = ("_slots", "name", "slot")

    def __init__(self, name: Name, slot: int, slots: Slots) -> None:
        self.name, self.slot, self._slots = name, slot, slots

    def __missing__(self, part: str | ServiceId) -> "Feature":
        name = (*self.name, part)
        feature = self[part] = Feature(name, self._slots[name], self._slots)
        return feature


def _bytes_of(part: str | ServiceId) -> bytes:
    """Return a part of a name as hashed: no two services alike, whatever their names contain.

    A name holds no control character (`state.codec` refuses them).
    """
    if isinstance(part, str):
        return part.encode()
    mark = "\x1f" if "/" in part.carrier else "/"
    return part.carrier.encode() + mark.encode() + part.service.encode()


class LinearState(Struct):
    """A linear model as plain values: weights and sums of squared gradients by slot."""

    weights: dict[int, float] = field(default_factory=dict)
    squares: dict[int, float] = field(default_factory=dict)
    learned: int = 0


def logistic(step: float, state: LinearState) -> linear_model.LogisticRegression:
    """Return a logistic regression that goes on from `state`."""
    model = linear_model.LogisticRegression(optimizer=optim.AdaGrad(step), intercept_lr=0.0)
    _begin(model, state)
    return model


def median(step: float, state: LinearState) -> linear_model.LinearRegression:
    """Return a linear regression to the median (pinball loss) that goes on from `state`."""
    loss = optim.losses.Quantile(0.5)
    model = linear_model.LinearRegression(
        optimizer=optim.AdaGrad(step), loss=loss, intercept_lr=0.0
    )
    _begin(model, state)
    return model


def score(model: Any, features: Features) -> float:
    """Return the sum of weights × values, without River's checks around it."""
    return float(model._weights.dot(features))


def probability(model: Any, features: Features) -> float:
    """Return the probability by a logistic regression, as River has it."""
    log_odds = score(model, features)
    if abs(log_odds) > _CERTAIN:
        return 1.0 if log_odds > 0.0 else 0.0
    return 1.0 / (1.0 + exp(-log_odds))


def learn(model: Any, features: Features, target: bool | float) -> None:
    """Learn one target by River's loss and AdaGrad.

    River's own `learn_one` copies weights and gradients first, and takes several times as long.
    """
    gradient = model.loss.gradient(y_true=target, y_pred=score(model, features))
    optimizer, weights = model.optimizer, model._weights
    step, squares, eps = optimizer.learning_rate, optimizer.g2, optimizer.eps
    weigh = weights.get
    for slot, value in features.items():
        slope = gradient * value
        squares[slot] = square = squares[slot] + slope * slope
        weights[slot] = weigh(slot, 0.0) - step * slope / sqrt(square + eps)
    optimizer.n_iterations += 1


def state_of(model: Any) -> LinearState:
    """Return the plain values that restore a model made here."""
    return LinearState(
        weights=dict(model.weights),
        squares=dict(model.optimizer.g2),
        learned=model.optimizer.n_iterations,
    )


def _begin(model: Any, state: LinearState) -> None:
    # River offers no public way to set weights.
    model._weights = VectorDict(dict(state.weights))
    model.optimizer.g2 = defaultdict(float, state.squares)
    model.optimizer.n_iterations = state.learned
