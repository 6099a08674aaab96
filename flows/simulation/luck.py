"""Luck: seeded random numbers that do not depend on decisions.

Two kinds. A `stream` is for what decisions cannot touch: weather, demand, signals; numbers
come one after the other. A `Luck` belongs to one entity (an order, a shelf, a lane on a day), and
each number is drawn by its name: whatever else was drawn before, the same parcel meets the same
fate. So two policies in the same world meet the same luck (common random numbers), and differ in
nothing but their decisions.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Generic, TypeVar

from state.quantities import DAY_MS

T = TypeVar("T")

_NORMAL = NormalDist()
#: So many bits and half a step, which keeps it off both ends, make a float between 0 and 1 exactly.
_BITS = 52


def stream(seed: int, *names: str) -> random.Random:
    """Return random numbers of `seed` and `names` alone, on every machine and in every run."""
    return random.Random("/".join((str(seed), *names)))  # noqa: S311 - a simulation, no secrets


class Luck:
    """Numbers of one entity, by name; they depend on `seed`, the entity and the name alone."""

    __slots__ = ("_entity",)

    def __init__(self, seed: int, *entity: object) -> None:
        self._entity = "/".join((str(seed), *map(str, entity), "")).encode()

    def share(self, name: str) -> float:
        """Draw uniformly over (0, 1)."""
        drawn = blake2b(self._entity + name.encode(), digest_size=8).digest()
        number = int.from_bytes(drawn, "big") >> (64 - _BITS)
        return (number + 0.5) / (1 << _BITS)

    def uniform(self, name: str, low: float, high: float) -> float:
        """Draw uniformly over (`low`, `high`)."""
        return low + (high - low) * self.share(name)

    def triangular(self, name: str, low: float, high: float, mode: float) -> float:
        """Draw from the triangular distribution over (`low`, `high`), by its inverse."""
        share, turn = self.share(name), (mode - low) / (high - low)
        if share < turn:
            return low + sqrt(share * (high - low) * (mode - low))
        return high - sqrt((1 - share) * (high - low) * (high - mode))

    def normal(self, name: str, sigma: float) -> float:
        """Draw from the normal distribution around 0 with the deviation `sigma`."""
        return sigma * _NORMAL.inv_cdf(self.share(name))

    def lognormal(self, name: str, mu: float, sigma: float) -> float:
        """Draw the exponential of a normal of mean `mu` and deviation `sigma`."""
        return exp(mu + self.normal(name, sigma))

    def exponential(self, name: str, mean: float) -> float:
        """Draw from the exponential distribution with the mean `mean`."""
        return -mean * log(self.share(name))

    def integer(self, name: str, low: int, high: int) -> int:
        """Draw one of the whole numbers from `low` to `high`, both included."""
        return low + int((high - low + 1) * self.share(name))


def gap_ms(luck: random.Random, per_day: float) -> int:
    """Draw the time in ms to the next event of a Poisson process of `per_day` events a day."""
    return max(1, round(luck.expovariate(per_day / DAY_MS)))


class Weighted(Generic[T]):
    """Draw of one of `items` with a probability proportional to its weight."""

    def __init__(self, items: Sequence[T], weights: Sequence[float]) -> None:
        self._items = items
        self._sums = list(accumulate(weights))

    @property
    def total(self) -> float:
        """Return the sum of all weights."""
        return self._sums[-1]

    def draw(self, luck: random.Random) -> T:
        """Draw one item."""
        place = bisect_right(self._sums, luck.random() * self._sums[-1])
        return self._items[min(place, len(self._items) - 1)]
