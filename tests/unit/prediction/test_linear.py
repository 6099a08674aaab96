"""The linear models of the delay forecast learn what River's do, to the bit, by a shorter way."""

from math import sqrt
from random import Random
from typing import Any

import pytest
from river import optim

from operators.prediction import linear
from operators.prediction.linear import LinearState, logistic, median, probability, score, state_of


class _AdaGrad(optim.AdaGrad):
    """River's, which divides last here as ours does."""

    def _step_with_dict(self, w: Any, g: Any) -> Any:
        for slot, slope in g.items():
            self.g2[slot] += slope * slope
            w[slot] -= self.learning_rate * slope / sqrt(self.g2[slot] + self.eps)
        return w


def _features(luck: Random) -> dict[int, float]:
    return {luck.randrange(60): luck.choice((1.0, 0.0, luck.gauss(0.0, 2.0))) for _ in range(12)}


@pytest.mark.parametrize("step", [0.05, 40.0])
def test_the_logistic_regression_is_rivers_to_the_bit(step: float) -> None:
    luck, ours, rivers = Random(1), logistic(step, LinearState()), logistic(step, LinearState())
    rivers.optimizer = _AdaGrad(step)
    for _ in range(2_000):
        features, late = _features(luck), luck.random() < 0.2
        assert probability(ours, features) == rivers.predict_proba_one(features)[True]
        linear.learn(ours, features, late)
        rivers.learn_one(features, late)
    assert state_of(ours) == state_of(rivers)


def test_the_median_is_rivers_to_the_bit() -> None:
    luck, ours, rivers = Random(2), median(0.03, LinearState()), median(0.03, LinearState())
    rivers.optimizer = _AdaGrad(0.03)
    for _ in range(2_000):
        features, target = _features(luck), luck.gauss(0.0, 5.0)
        assert score(ours, features) == rivers.predict_one(features)
        linear.learn(ours, features, target)
        rivers.learn_one(features, target)
    assert state_of(ours) == state_of(rivers)
