"""The regression behind demand: River's to the bit, and restored to the bit."""

from math import sqrt
from random import Random

from river.linear_model import BayesianLinearRegression

from operators.prediction.demand_regression import Regression

_NAMES = [f"feature {number}" for number in range(20)]


def _example(luck: Random, known: int) -> dict[str, float]:
    names = luck.sample(_NAMES[:known], luck.randint(1, 6))
    return {name: luck.uniform(-2.0, 3.0) for name in names}


def test_it_predicts_as_river_does_to_the_bit() -> None:
    luck, ours, rivers = Random(1), Regression(), BayesianLinearRegression(alpha=1 / 50)
    for number in range(1_000):
        features = _example(luck, 6 + number // 60)
        assert ours.predict_one(features) == rivers.predict_one(features)
        target, weight = luck.gauss(0.0, 1.0), luck.uniform(0.1, 40.0)
        ours.learn_one(features, target, weight)
        root = sqrt(weight)
        rivers.learn_one({name: root * x for name, x in features.items()}, root * target)


def test_it_goes_on_from_its_state_to_the_bit() -> None:
    luck, whole = Random(2), Regression()
    restored = Regression(whole.state())
    for number in range(1_500):
        features, target = _example(luck, 20), luck.gauss(0.0, 1.0)
        for model in (whole, restored):
            model.learn_one(features, target, 2.0)
        if number % 100 == 50:
            restored = Regression(restored.state())
        assert restored.predict_one(features) == whole.predict_one(features)


def test_what_is_not_finite_teaches_nothing() -> None:
    model = Regression()
    model.learn_one({"a": 1.0}, 2.0, 1.0)
    before = model.state()
    model.learn_one({"a": float("inf")}, 1.0, 1.0)
    model.learn_one({"a": 1.0}, float("nan"), 1.0)
    assert model.state() == before
