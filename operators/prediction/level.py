"""Level: mean and spread of a series that drifts, as plain values."""

#: Values seen, mean, mean squared error of one step ahead.
LevelState = tuple[int, float, float]
#: Values after which what was seen weighs as much as what is usual.
_SHRINKAGE = 12.0
#: Values that count after `hurry`: the next one weighs a twentieth.
_HURRIED = 20


class Level:
    """Mean and spread of a drifting series: a plain mean first, then exponentially weighted.

    River's EWMean gives the first value full weight for 1 / fading values; this does not.
    """

    __slots__ = ("_fading", "mean", "seen", "square")

    def __init__(self, fading: float, state: LevelState = (0, 0.0, 0.0)) -> None:
        self._fading = fading
        self.seen, self.mean, self.square = state

    def update(self, value: float) -> None:
        """Fold in one finite value."""
        error = value - self.mean
        if self.seen:
            self.square += max(self._fading, 1 / self.seen) * (error * error - self.square)
        self.seen += 1
        self.mean += max(self._fading, 1 / self.seen) * error

    @property
    def trust(self) -> float:
        """0 before the first value, towards 1: how much to believe it over what is usual."""
        return self.seen / (self.seen + _SHRINKAGE)

    def hurry(self) -> None:
        """Learn faster for a while: what was seen counts no more than a few values."""
        self.seen = min(self.seen, _HURRIED)

    def state(self) -> LevelState:
        """Plain values that restore it."""
        return self.seen, self.mean, self.square
