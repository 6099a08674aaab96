"""Robust z: distance of a value from the usual one, where a few wild values must not count.

A robust z is |x − median| ÷ (1.4826 × MAD), the MAD being the median absolute deviation from the
median (B. Iglewicz and D. Hoaglin, How to detect and handle outliers, 1993). Median and MAD are
tracked, not stored: each value moves them by a small step up or down, whatever its size, which is
the stochastic gradient of the absolute error. River's `stats.Quantile` keeps its P² markers in
Rust, where they cannot be read as plain values, and never forgets.
"""

from typing import Generic, TypeVar

from msgspec import Struct, field

from operators.prediction.recent import Recent

K = TypeVar("K")

#: MAD of a normal distribution × this = its standard deviation.
_NORMAL = 1.4826
#: Weight of the newest value once so many were seen: about as many are remembered.
_FADING, _SETTLED = 0.01, 100
#: Values after which a key is judged by its own scale, and not by that of all keys.
_OWN_AFTER = 10


class RobustScale(Struct, array_like=True):
    """Median and MAD of a stream of finite values that drifts."""

    seen: int = 0
    median: float = 0.0
    mad: float = 0.0

    def judge(self, x: float, least: float) -> float:
        """Return the robust z of `x` against the values before it, 0 for the first; fold it in.

        `least` is the smallest spread that counts.
        """
        self.seen = seen = self.seen + 1
        if seen == 1:
            self.median, self.mad = x, least / _NORMAL
            return 0.0
        # Comparisons, since a call of `abs` or `max` costs more than all else in a line.
        median, mad = self.median, self.mad
        step = (_FADING if seen > _SETTLED else 1.0 / seen) * (mad + least)
        off = x - median
        if off < 0.0:
            off = -off
            self.median = median - step if off > step else x
        else:
            self.median = median + step if off > step else x
        if off > mad:
            self.mad = mad + step
        else:
            self.mad = mad - step if mad > step else 0.0
        spread = _NORMAL * mad
        return off / (spread if spread > least else least)


class RobustScales(Struct, Generic[K]):
    """Robust scales by key, and one pooled over new keys as the start of the next."""

    least: float
    pool: RobustScale = field(default_factory=RobustScale)
    keys: Recent[K, RobustScale] = field(default_factory=lambda: Recent(50_000))

    def judge(self, key: K, x: float) -> float:
        """Return the robust z of a finite `x` against the values before it; fold it in.

        Until ten values of new keys are known, nothing is wild.
        """
        scale = self.keys.get(key)
        if scale is None:
            # A first value may itself be wild, so it is not where a key begins.
            pool = self.pool
            scale = RobustScale(1, pool.median, pool.mad) if pool.seen else RobustScale()
            self.keys.set(key, scale)
        if scale.seen > _OWN_AFTER:
            return scale.judge(x, self.least)
        scale.judge(x, self.least)
        z = self.pool.judge(x, self.least)
        return z if self.pool.seen > _OWN_AFTER else 0.0
