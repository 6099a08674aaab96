"""Bayesian linear regression, weighted and fading, on plain arrays.

It is River's `BayesianLinearRegression` (Bishop, Pattern Recognition and Machine Learning, 3.49 to
3.51, the covariance by Sherman and Morrison), to the bit, without its way through dictionaries.
River's own fading (`smoothing`) inverts a matrix at every step. Here the posterior fades by a
tenth every 1,024 observations instead, which costs nothing, and is inverted again at that time,
so that rounding does not build up.
"""

from math import isfinite, sqrt

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray
from scipy.linalg.blas import dger

#: Observations between two fadings, and what is kept: about 10,000 observations are remembered.
_FADES_EVERY = 1_024
_KEPT = 0.9
#: Weight behind weights of 0, in that of observations: units that agreed with their level.
_PRIOR = 50.0
#: Names that there is room for at first; the room is doubled when it is full.
_ROOM = 8


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
        state = state or RegressionState()
        room = len(state.natural_mean)
        self._places = {name: place for place, name in enumerate(state.names)}
        self._learned = state.learned
        self._precision: NDArray[np.float64] = np.reshape(state.precision, (room, room))
        # In Fortran's order, in which it is updated in place.
        self._covariance = np.asfortranarray(np.reshape(state.covariance, (room, room)))
        self._natural_mean: NDArray[np.float64] = np.array(state.natural_mean, dtype=np.float64)
        # The weights by name as Python's floats, made when they are first asked for.
        self._weights: dict[str, float] | None = None

    def predict_one(self, features: dict[str, float]) -> float:
        """Return the mean of the target; names that were never learned count for nothing."""
        weights = self._weights
        if weights is None:
            weights = self._weights = self._mean()
        mean = 0.0
        for name, value in features.items():
            weight = weights.get(name)
            if weight is not None:
                mean += weight * value
        return mean

    def learn_one(self, features: dict[str, float], target: float, weight: float) -> None:
        """Learn one target; what is not finite is left out."""
        root = sqrt(weight)
        scaled = {name: root * value for name, value in features.items()}
        if not (isfinite(target) and all(map(isfinite, scaled.values()))):
            return
        x = self._vector(scaled)
        self._precision += x[:, None] * x
        covariance = self._covariance
        moved = covariance @ x
        share = -1.0 / (1.0 + x @ moved)
        dger(share, moved, x @ covariance, a=covariance, overwrite_a=1)
        self._natural_mean += x * (root * target)
        self._weights = None
        self._learned += 1
        if self._learned % _FADES_EVERY == 0:
            self._fade()

    def state(self) -> RegressionState:
        """Return the plain values that restore it, to the bit."""
        return RegressionState(
            list(self._places),
            self._learned,
            self._precision.tolist(),
            self._covariance.tolist(),
            self._natural_mean.tolist(),
        )

    def _mean(self) -> dict[str, float]:
        weights = self._covariance @ self._natural_mean
        return dict(zip(self._places, weights.tolist(), strict=False))  # there may be room left

    def _vector(self, features: dict[str, float]) -> NDArray[np.float64]:
        """Return the values in the places of their names, which get one when they first come."""
        places = self._places
        for name in features:
            places.setdefault(name, len(places))
        if len(places) > len(self._natural_mean):
            self._make_room(max(len(places), _ROOM, 2 * len(self._natural_mean)))
        vector = np.zeros(len(self._natural_mean))
        for name, value in features.items():
            vector[places[name]] = value
        return vector

    def _make_room(self, room: int) -> None:
        """Take in further places; the covariance begins as the precision does, as in River."""
        known = len(self._natural_mean)
        precision, covariance = np.eye(room) * _PRIOR, np.eye(room, order="F") * _PRIOR
        natural_mean = np.zeros(room)
        precision[:known, :known] = self._precision
        covariance[:known, :known] = self._covariance
        natural_mean[:known] = self._natural_mean
        self._precision, self._covariance = precision, covariance
        self._natural_mean = natural_mean

    def _fade(self) -> None:
        """Forget a little of what was learned, and nothing of the prior."""
        prior = np.eye(len(self._natural_mean)) * _PRIOR
        self._precision = prior + _KEPT * (self._precision - prior)
        self._covariance = np.asfortranarray(np.linalg.inv(self._precision))
        self._natural_mean = _KEPT * self._natural_mean
