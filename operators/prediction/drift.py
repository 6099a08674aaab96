"""Drift: changes in the level of a stream of standardised residuals, with onset and size.

A shock is found by a two-sided CUSUM, a slow shift by ADWIN; both behind River's
`base.DriftDetector`. A `Monitor` keeps a pair of them for each key and is what operators use:

    monitor = Monitor()
    shift = monitor.update(key, z, time_ms)   # None, or a Shift
    plain = monitor.state()                   # for the snapshot
    monitor = Monitor(state=plain)            # goes on exactly as before

Here `z` is a standardised residual: (observed − predicted) ÷ its usual spread, about 0 ± 1 when
nothing is wrong. Real ones are skewed, have heavy tails and come in spells, so a key's residuals
are first held against what is usual for that key (`_Watch`). On delays of real flights, days
shuffled, that leaves 0.9 of 18 false alarms per 10,000; on a shift of 1 σ it costs 5 residuals.
"""

from math import isfinite, log, sqrt
from typing import Generic, TypeVar

from msgspec import Struct
from river.base import DriftDetector

from operators.prediction.recent import Recent
from state.sums import int_sum

K = TypeVar("K")

#: Residuals beyond this count as this much: one wild value is no alarm.
_WILDEST = 4.0
#: Residuals that 0 ± 1 counts for when a key is new, and that its usual level is a mean of later.
_PRIOR, _MEMORY = 100, 500
#: Spells are allowed for up to this correlation of a residual with the one before.
_MOST_CORRELATION = 0.8
_WIDEST_SPELLS = (1.0 + _MOST_CORRELATION) / (1.0 - _MOST_CORRELATION)
_LEAST_VARIANCE = 0.25
#: Values of an ADWIN block; River's ADWIN, too, looks for a cut once in 32 values.
_BLOCK = 32
_BUCKETS_PER_SIZE = 5
#: Blocks beyond which an ADWIN forgets the oldest; a window of about 65,000 values.
_MOST_BLOCKS = 2_048

#: Sum, observations and start (ms) of the run upwards, then of the run downwards.
CusumState = tuple[float, int, int, float, int, int]
#: Blocks, sum, sum of squares and start (ms) of a stretch of values.
Bucket = tuple[int, float, float, int]
#: Values in the open block, their sum, sum of squares, start (ms); the closed ones, oldest first.
AdwinState = tuple[int, float, float, int, list[Bucket]]


class Shift(Struct, frozen=True, gc=False):
    """A change of level: `size` is by how much, in usual spreads, with its sign.

    `kind` is ``shock`` (CUSUM) or ``slow`` (ADWIN). `since_ms` is the time of the first of the
    `observations` seen since the change began.
    """

    kind: str
    size: float
    since_ms: int
    observations: int

    @property
    def direction(self) -> str:
        """Return ``up`` or ``down``."""
        return "up" if self.size > 0 else "down"


class Cusum(DriftDetector):
    """Two-sided cumulative sum of what exceeds `slack`; an alarm when it exceeds `threshold`.

    E. S. Page, Continuous inspection schemes, Biometrika 41 (1954). River has none: its
    PageHinkley, the nearest, gave 6.1 false alarms per 10,000 Gaussian residuals and found a shift
    of 2 σ after 20, where this gave none, and 8 (`benchmarks.prediction.shift`). Both sums start
    from zero after an alarm, so that a shift which lasts is reported repeatedly.
    """

    def __init__(
        self,
        slack: float = 0.5,
        threshold: float = 12.0,
        state: CusumState = (0.0, 0, 0, 0.0, 0, 0),
    ) -> None:
        super().__init__()
        self.slack, self.threshold = slack, threshold
        self._up, self._up_n, self._up_ms, self._down, self._down_n, self._down_ms = state
        self.shift: Shift | None = None

    def update(self, x: float, time_ms: int = 0) -> None:
        """Fold in one finite standardised residual; `shift` is then the alarm it raised, if any."""
        self._drift_detected, self.shift = False, None
        slack = self.slack
        up = self._up + x - slack
        if up > 0.0:
            if self._up == 0.0:
                self._up_n, self._up_ms = 0, time_ms
            self._up_n += 1
            self._up = up
        else:
            self._up = 0.0
        down = self._down - x - slack
        if down > 0.0:
            if self._down == 0.0:
                self._down_n, self._down_ms = 0, time_ms
            self._down_n += 1
            self._down = down
        else:
            self._down = 0.0
        if up > self.threshold or down > self.threshold:
            self._drift_detected, self.shift = True, self._larger_sum()
            self._up = self._down = 0.0

    def _larger_sum(self) -> Shift:
        if self._up > self._down:
            return Shift("shock", self.slack + self._up / self._up_n, self._up_ms, self._up_n)
        size = -self.slack - self._down / self._down_n
        return Shift("shock", size, self._down_ms, self._down_n)

    def state(self) -> CusumState:
        """Return the plain values that restore it."""
        return self._up, self._up_n, self._up_ms, self._down, self._down_n, self._down_ms


class Adwin(DriftDetector):
    """ADWIN over blocks of 32 values: a window that drops its older part once the two differ.

    A. Bifet and R. Gavaldà, Learning from time-changing data with adaptive windowing, SDM 2007.
    River's own keeps its buckets in Rust and gives them away only as an opaque pickle, which a
    later version need not read; so this is the same test on buckets in plain values. It also
    differs in the smallest bucket, a block rather than one value.
    """

    def __init__(self, delta: float = 0.002, state: AdwinState = (0, 0.0, 0.0, 0, [])) -> None:
        super().__init__()
        self.delta = delta
        self._n, self._sum, self._squares, self._start_ms, buckets = state
        self._buckets = list(buckets)
        self.shift: Shift | None = None

    def update(self, x: float, time_ms: int = 0) -> None:
        """Fold in one finite residual; `shift` is then the alarm it raised, if any."""
        if self._n == 0:
            self._drift_detected, self.shift = False, None
            self._start_ms = time_ms
        self._n += 1
        self._sum += x
        self._squares += x * x
        if self._n == _BLOCK:
            self._buckets.append((1, self._sum, self._squares, self._start_ms))
            self._n, self._sum, self._squares = 0, 0.0, 0.0
            self._merge()
            self._cut()

    def _merge(self) -> None:
        """Merge the two oldest of a size that has too many; forget what is older than the window.

        Sizes never grow from old to new, so that buckets of a size lie next to each other.
        """
        buckets = self._buckets
        end = len(buckets)
        while end:
            size, start = buckets[end - 1][0], end
            while start and buckets[start - 1][0] == size:
                start -= 1
            if end - start <= _BUCKETS_PER_SIZE:
                return
            first, second = buckets[start], buckets[start + 1]
            merged = (2 * size, first[1] + second[1], first[2] + second[2], first[3])
            buckets[start : start + 2] = [merged]
            end = start + 1
        if int_sum(bucket[0] for bucket in buckets) > _MOST_BLOCKS:
            del buckets[0]

    def _cut(self) -> None:
        """Drop the oldest while an older part differs from the newer."""
        shift = self._difference()
        while shift is not None:
            self._drift_detected, self.shift = True, shift
            del self._buckets[0]
            shift = self._difference()

    def _difference(self) -> Shift | None:
        n, total, squares = 0, 0.0, 0.0
        for blocks, part, part_squares, _ in self._buckets:
            n, total, squares = n + blocks * _BLOCK, total + part, squares + part_squares
        if n < 2 * _BLOCK:
            return None
        variance = max(0.0, squares / n - (total / n) ** 2)
        confidence = log(2.0 * log(n) / self.delta)
        older_n, older = 0, 0.0
        for at, (blocks, part, _, _) in enumerate(self._buckets[:-1], 1):
            older_n, older = older_n + blocks * _BLOCK, older + part
            newer_n, newer = n - older_n, total - older
            harmonic = 1.0 / older_n + 1.0 / newer_n
            bound = sqrt(2.0 * harmonic * variance * confidence) + harmonic * confidence / 1.5
            if abs(older / older_n - newer / newer_n) > bound:
                size = newer / newer_n - older / older_n
                return Shift("slow", size, self._buckets[at][3], newer_n)
        return None

    def state(self) -> AdwinState:
        """Return the plain values that restore it."""
        return self._n, self._sum, self._squares, self._start_ms, list(self._buckets)


class WatchState(Struct, array_like=True):
    """State of a key: its usual value and its detectors."""

    seen: int
    mean: float
    variance: float
    covariance: float
    last: float
    cusum: CusumState
    adwin: AdwinState


_NEW = WatchState(_PRIOR, 0.0, 1.0, 0.0, 0.0, (0.0, 0, 0, 0.0, 0, 0), (0, 0.0, 0.0, 0, []))


class _Watch:
    """Detectors of one key, on residuals held against its own mean, spread and spells.

    Where each residual is correlated with the one before by r, sums of many vary as if the spread
    were √((1 + r) ÷ (1 − r)) times what it is (an AR(1) series), so they are divided by that too.
    """

    __slots__ = ("_covariance", "_last", "_mean", "_seen", "_variance", "adwin", "cusum")

    def __init__(self, state: WatchState) -> None:
        self._seen, self._mean, self._variance = state.seen, state.mean, state.variance
        self._covariance, self._last = state.covariance, state.last
        self.cusum, self.adwin = Cusum(state=state.cusum), Adwin(state=state.adwin)

    def update(self, z: float, time_ms: int) -> Shift | None:
        # Comparisons, since a call of `min` costs more than all else in a line.
        if z > _WILDEST:
            z = _WILDEST
        elif z < -_WILDEST:
            z = -_WILDEST
        variance, covariance = self._variance, self._covariance
        if covariance > _MOST_CORRELATION * variance:
            spread = sqrt(variance * _WIDEST_SPELLS)
        elif covariance > 0.0:
            spread = sqrt(variance * (variance + covariance) / (variance - covariance))
        else:
            spread = sqrt(variance)
        off = z - self._mean
        self.cusum.update(off / spread, time_ms)
        # ADWIN compares a key with itself: a moving mean would only hide what it looks for.
        self.adwin.update(z / spread, time_ms)
        seen = self._seen
        if seen < _MEMORY:
            self._seen = seen = seen + 1
        self._mean += off / seen
        variance += (off * off - variance) / seen
        self._variance = variance if variance > _LEAST_VARIANCE else _LEAST_VARIANCE
        self._covariance = covariance + (off * self._last - covariance) / seen
        self._last = off
        return self.cusum.shift or self.adwin.shift

    def state(self) -> WatchState:
        return WatchState(
            self._seen,
            self._mean,
            self._variance,
            self._covariance,
            self._last,
            self.cusum.state(),
            self.adwin.state(),
        )


MonitorState = Recent[K, WatchState]


class Monitor(Generic[K]):
    """Detectors by key: at least the `most_keys` used last, and at most twice as many."""

    def __init__(self, most_keys: int = 10_000, state: MonitorState[K] | None = None) -> None:
        self._watches = Recent[K, _Watch](most_keys)
        if state is not None:
            self._watches.newer = {key: _Watch(kept) for key, kept in state.newer.items()}
            self._watches.older = {key: _Watch(kept) for key, kept in state.older.items()}

    def update(self, key: K, z: float, time_ms: int) -> Shift | None:
        """Fold in a residual of `key`, if it is finite; returns the shift that it proves."""
        watch = self._watches.get(key)
        if watch is None:
            watch = _Watch(_NEW)
            self._watches.set(key, watch)
        return watch.update(z, time_ms) if isfinite(z) else None

    def state(self) -> MonitorState[K]:
        """Return the plain values that restore it."""
        watches = self._watches
        return Recent(
            watches.most,
            {key: watch.state() for key, watch in watches.newer.items()},
            {key: watch.state() for key, watch in watches.older.items()},
        )
