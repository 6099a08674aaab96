"""Luck: seeded streams of random numbers, one per concern, so that none disturbs another."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from state.quantities import DAY_MS

T = TypeVar("T")


def stream(seed: int, *names: str) -> random.Random:
    """Random numbers that depend on `seed` and `names` alone, on every machine and in every run."""
    return random.Random("/".join((str(seed), *names)))  # noqa: S311 - a simulation, no secrets


def gap_ms(luck: random.Random, per_day: float) -> int:
    """Draw the time in ms to the next event of a Poisson process of `per_day` events a day."""
    return max(1, round(luck.expovariate(per_day / DAY_MS)))


class Weighted(Generic[T]):
    """Draws one of `items` with a probability proportional to its weight."""

    def __init__(self, items: Sequence[T], weights: Sequence[float]) -> None:
        self._items = items
        self._sums = list(accumulate(weights))

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return self._sums[-1]

    def draw(self, luck: random.Random) -> T:
        """Draw one item."""
        place = bisect_right(self._sums, luck.random() * self._sums[-1])
        return self._items[min(place, len(self._items) - 1)]
