"""Bayesian linear regression of River, weighted, fading, and kept as plain values.

River's own fading (`smoothing`) inverts a matrix at every step. Here the posterior fades by a
tenth every 1,024 observations instead, which costs nothing, and is inverted again at that time,
so that rounding does not build up.
"""

from math import isfinite, sqrt

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray
from river.linear_model import BayesianLinearRegression

#: Observations between two fadings, and what is kept: about 10,000 observations are remembered.
_FADES_EVERY = 1_024
_KEPT = 0.9
#: Weight behind weights of 0, in that of observations: units that agreed with their level.
_PRIOR = 50.0


class RegressionState(Struct, array_like=True):
    """Names in order of their place, and the posterior: precision, covariance, natural mean."""

    names: list[str] = field(default_factory=list)
    learned: int = 0
    precision: list[list[float]] = field(default_factory=list)
    covariance: list[list[float]] = field(default_factory=list)
    natural_mean: list[float] = field(default_factory=list)


class Regression:
    """A linear regression over named features, without an intercept; weights start at 0."""

    def __init__(self, state: RegressionState | None = None) -> None:
        self._model = BayesianLinearRegression(alpha=1.0 / _PRIOR)
        self._learned = 0
        if state is not None and state.names:
            self._restore(state)

    def predict_one(self, features: dict[str, float]) -> float:
        """Return the mean of the target."""
        return float(self._model.predict_one(features))  # type: ignore[no-untyped-call]

    def learn_one(self, features: dict[str, float], target: float, weight: float) -> None:
        """Learn one target; what is not finite is left out."""
        root = sqrt(weight)
        scaled = {name: root * value for name, value in features.items()}
        if not (isfinite(target) and all(map(isfinite, scaled.values()))):
            return
        self._model.learn_one(scaled, root * target)  # type: ignore[no-untyped-call]
        self._learned += 1
        if self._learned % _FADES_EVERY == 0:
            self._fade()

    def state(self) -> RegressionState:
        """Return the plain values that restore it, to the bit."""
        model = self._model
        return RegressionState(
            [str(name) for name in model._idx],
            self._learned,
            model._ss_arr.tolist(),
            model._ss_inv_arr.tolist(),
            model._eta_arr.tolist(),
        )

    def _fade(self) -> None:
        """Forget a little of what was learned, and nothing of the prior."""
        model = self._model
        prior = np.eye(len(model._eta_arr)) / model.alpha
        model._ss_arr = prior + _KEPT * (model._ss_arr - prior)
        model._ss_inv_arr = np.asfortranarray(np.linalg.inv(model._ss_arr))
        model._eta_arr = _KEPT * model._eta_arr
        model._m_dirty = True

    def _restore(self, state: RegressionState) -> None:
        # River offers no public way to set a posterior.
        model = self._model
        model._idx = {name: place for place, name in enumerate(state.names)}
        model._cap = len(state.natural_mean)
        model._ss_arr = np.array(state.precision)
        model._ss_inv_arr = np.asfortranarray(state.covariance)
        eta: NDArray[np.float64] = np.array(state.natural_mean)
        model._eta_arr = eta
        model._m_dirty = True
        self._learned = state.learned
