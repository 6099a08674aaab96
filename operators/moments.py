"""Exponentially weighted mean and spread, by River, kept as plain values in snapshots."""

from math import sqrt

from river import stats

#: Observations, mean, mean squared deviation.
MomentsState = tuple[int, float, float]


class Moments:
    """Mean and spread of a series that drifts; recent values weigh more.

    The spread is the weighted mean of squared one-step-ahead errors: what a forecast by the mean
    would have been off by, which is what an interval around that forecast needs.
    """

    __slots__ = ("_mean", "_square", "seen")

    def __init__(self, fading: float, state: MomentsState = (0, 0.0, 0.0)) -> None:
        self._mean = stats.EWMean(fading)
        self._square = stats.EWMean(fading)
        self.seen, mean, square = state
        # River's mean starts at its first value, so one update restores it exactly.
        if self.seen:
            self._mean.update(mean)
        if self.seen > 1:
            self._square.update(square)

    def update(self, value: float) -> None:
        """Fold in one finite value."""
        if self.seen:
            error = value - self._mean.get()
            self._square.update(error * error)
        self._mean.update(value)
        self.seen += 1

    @property
    def mean(self) -> float:
        """Weighted mean; 0 before the first value."""
        return self._mean.get() if self.seen else 0.0

    @property
    def sd(self) -> float:
        """Root of the mean squared error; 0 before the second value."""
        return sqrt(self._square.get()) if self.seen > 1 else 0.0

    def state(self) -> MomentsState:
        """Plain values that restore it."""
        square = self._square.get() if self.seen > 1 else 0.0
        return self.seen, self.mean, square
