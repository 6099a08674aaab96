"""One demand series: a level, how it scatters, and a season of buckets at a byte each.

The level is the mean of a Gamma-Poisson model: the series' own fading mean, to which what the pool
expects of it counts as much as two units sold would. So a series that sells nothing for weeks still
believes the pool, and one that sells by the thousand believes itself after one bucket.

Past buckets are kept as the ratio of units to the level they were expected at, in steps of a 24th
of an octave (2.9 %), from 0 to 20. Ratios outlive a change of level, which absolute numbers do not;
to have them coarse and bounded lost nothing on three public data sets.
"""

from math import log2

from msgspec import Struct

from state.quantities import DAY_S

#: Weight of the pool's expectation, in units sold.
_POOL_UNITS = 2.0
_STEPS_PER_OCTAVE = 24
#: The code of "as expected", and the ratios that the codes from 0 to 255 stand for.
_AS_EXPECTED = 150
_RATIOS: tuple[float, ...] = (
    0.0,
    *(2.0 ** ((code - _AS_EXPECTED) / _STEPS_PER_OCTAVE) for code in range(1, 256)),
)
_LEAST_RATIO = _RATIOS[1]
_LARGEST_RATIO = _RATIOS[-1]
_MOST_SEASON = 60
_PERIODS_S = (DAY_S, 7 * DAY_S, 364 * DAY_S)


def season_of(bucket_s: int) -> int:
    """Return the buckets per season: 24 hours, 7 days, 52 weeks; 1, which is none, otherwise."""
    for period_s in _PERIODS_S:
        if 3 <= period_s // bucket_s <= _MOST_SEASON:
            return period_s // bucket_s
    return 1


class Series(Struct, array_like=True, gc=False):
    """State of one series; `bucket` is the open one, and all else is of closed ones.

    `units` are those of the open bucket so far, None if it cannot be observed. `expected` is what
    was expected of the open bucket when it opened. `prior` is what the pool expects per bucket, 0
    if it knows nothing. `sold` ÷ `seen` is the series' own mean. `spread` is the usual error ÷
    the root of what was expected. `up` and `down` are the sums of the change detector, in
    hundredths. `age` counts closed buckets, `orders` orders up to 2.
    """

    bucket: int
    units: float | None
    expected: float
    prior: float
    ratios: bytearray
    sold: float = 0.0
    seen: float = 0.0
    spread: float = 0.0
    up: int = 0
    down: int = 0
    age: int = 0
    orders: int = 0

    def level(self) -> float:
        """Return the expected units per bucket without season and signals; 0 while unknown."""
        if self.prior <= 0.0:
            return self.sold / self.seen if self.seen else 0.0
        return (self.sold + _POOL_UNITS) / (self.seen + _POOL_UNITS / self.prior)

    def evidence(self) -> float:
        """Return the buckets of observation behind the level, those of the pool included."""
        return self.seen + (_POOL_UNITS / self.prior if self.prior > 0.0 else 0.0)

    def ratio(self, lag: int) -> float:
        """Return units ÷ level of the bucket `lag` before the open one, up to a season and 1."""
        return _RATIOS[self.ratios[(self.bucket - lag) % len(self.ratios)]]

    def observe(self, units: float, level: float, fading: float) -> None:
        """Close the open bucket with `units`, of which `level` was expected; the next one opens."""
        ratio = units / level if level > 0.0 else 1.0
        self._keep(_code(ratio))
        self.sold = self.sold * (1.0 - fading) + units
        self.seen = self.seen * (1.0 - fading) + 1.0

    def pass_over(self) -> None:
        """Close the open bucket unobserved: what was expected stands for it."""
        self._keep(_AS_EXPECTED)

    def observe_none(self, buckets: int, fading: float) -> None:
        """Close so many buckets without demand at once."""
        length = len(self.ratios)
        for bucket in range(self.bucket, self.bucket + min(buckets, length)):
            self.ratios[bucket % length] = 0
        self.bucket += buckets
        self.age += buckets
        kept = (1.0 - fading) ** buckets
        self.sold *= kept
        self.seen = self.seen * kept + (1.0 - kept) / fading

    def hurry(self, buckets: float) -> None:
        """Rest on at most so many buckets of the past, so that the next ones count for more."""
        if self.seen > buckets:
            self.sold *= buckets / self.seen
            self.seen = buckets

    def _keep(self, code: int) -> None:
        self.ratios[self.bucket % len(self.ratios)] = code
        self.bucket += 1
        self.age += 1


def new_series(bucket: int, season: int, prior: float) -> Series:
    """Return a series without observations, about to observe `bucket`."""
    return Series(bucket, 0.0, 0.0, prior, bytearray([_AS_EXPECTED]) * (season + 1))


def _code(ratio: float) -> int:
    if ratio < _LEAST_RATIO:
        return 0
    if ratio >= _LARGEST_RATIO:
        return 255
    return _AS_EXPECTED + round(_STEPS_PER_OCTAVE * log2(ratio))
