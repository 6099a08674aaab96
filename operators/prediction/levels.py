"""Levels: mean and spread of series that drift, one or many by name, as plain values."""

from typing import Generic, TypeVar

from msgspec import Struct

K = TypeVar("K")

#: Values after which what was observed weighs as much as what is usual.
_SHRINKAGE = 12.0
#: Values that count after `hurry`: the next one weighs a twentieth.
_HURRIED = 20


class Level(Struct, array_like=True, gc=False):
    """Mean and spread of a drifting series: a plain mean first, then exponentially weighted.

    `square` is the mean squared error of one step ahead. River's EWMean gives the first value full
    weight for 1 / fading values; this does not.
    """

    seen: int = 0
    mean: float = 0.0
    square: float = 0.0

    def update(self, value: float, fading: float) -> None:
        """Fold in one finite value; `fading` is the least weight of the newest."""
        # Comparisons, since a call of `max` costs more than all else in a line.
        seen, mean = self.seen, self.mean
        error = value - mean
        if seen:
            weight = 1 / seen
            square = self.square
            self.square = square + (weight if weight > fading else fading) * (
                error * error - square
            )
        self.seen = seen = seen + 1
        weight = 1 / seen
        self.mean = mean + (weight if weight > fading else fading) * error

    @property
    def trust(self) -> float:
        """Return the weight of the mean against what is usual: 0 without values, towards 1."""
        return self.seen / (self.seen + _SHRINKAGE)

    def shrunk_to(self, usual: float) -> float:
        """Return the mean, drawn the closer to what is usual the fewer values it is of."""
        return usual + self.trust * (self.mean - usual)

    def hurry(self) -> None:
        """Learn faster for a while: let past values count no more than a few."""
        self.seen = min(self.seen, _HURRIED)


#: Stands for a level without values; read only.
_UNSEEN = Level()


class Levels(Generic[K]):
    """Levels by name that fade alike; each begins with its first value.

    `by_name` is shared with the caller, who keeps it as plain values.
    """

    __slots__ = ("_fading", "by_name")

    def __init__(self, fading: float, by_name: dict[K, Level] | None = None) -> None:
        self._fading = fading
        self.by_name = {} if by_name is None else by_name

    def get(self, name: K) -> Level:
        """Return the level of `name` for reading; one without values if it has not begun."""
        return self.by_name.get(name, _UNSEEN)

    def update(self, name: K, value: float) -> Level:
        """Fold in one finite value of `name`; returns its level."""
        level = self.by_name.get(name)
        if level is None:
            level = self.by_name[name] = Level()
        level.update(value, self._fading)
        return level

    def hurry(self, name: K) -> None:
        """Learn `name` faster for a while, if it has begun."""
        level = self.by_name.get(name)
        if level is not None:
            level.hurry()
