"""Demand of every (region, SKU), one bucket ahead: mean, quantiles, and what they are made of.

A series is expected to sell its level × (1 + w·x), where x are its last two buckets and those a
season ago as ratios to the level, the season of all series together, and the logs of the signals in
force; w is one River Bayesian linear regression over all series, in which an observation counts by
its level (the inverse of its variance, for counts). On three public data sets that is as good as
boosted trees on the same lags (`benchmarks.prediction.demand`). The usual error is spread × √units,
and `Bands` on errors so standardised give the quantiles.

A series is closed when it is next ordered. Buckets without an order since are one observation of
nothing: one of them, picked evenly over time, teaches for all of them, at most 30.

A bucket is predicted when it opens, from what was known then; what it is compared with later, and
what is learned from it, rests on nothing newer. Only demand that may be observed is learned of.
"""

from math import isfinite, sqrt

from msgspec import Struct, field

from operators.prediction.bands import Bands, BandsState
from operators.prediction.demand_counts import as_count
from operators.prediction.demand_pool import Pool, PoolState
from operators.prediction.demand_regression import Regression, RegressionState
from operators.prediction.demand_series import Series, new_series, season_of
from operators.prediction.demand_signals import Signals, SignalsState
from state.keys import Goods, SeriesKey

#: Levels of the quantiles, and where a normal distribution has them.
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
_NORMAL = (-1.96, -1.28, 0.0, 1.28, 1.96)
#: Units per bucket below which a series sells too seldom to learn a band of its own, and the mean
#: up to which its band is then that of a count.
_SELDOM, _MOST_SELDOM = 0.25, 50.0
#: A series keeps its own quantiles for long: what it sells scatters in its own way.
_KEPT = 0.999
#: Bounds on the factor by which signals multiply demand.
_LEAST_LIFT, _LARGEST_LIFT = 0.22, 4.5
#: A bucket is expected to sell at most this multiple of the level, and more is learned as that.
_MOST_EXPECTED = 6.0
_MOST_LEARNED = 20.0
#: Empty buckets that one of them teaches for.
_MOST_EMPTY = 30
#: Errors beyond this multiple of the usual count as that: one order must not decide it all.
_WILDEST = 5.0
#: Fading of a series' usual error, and the observations that the pool's counts as.
_SPREAD_FADING = 0.05
_SPREAD_PRIOR = 3.0
#: Standard deviation ÷ mean absolute error, of a normal distribution: √(π ÷ 2).
_SD_PER_ERROR = 1.2533
#: Buckets of which the regression learns each one, and one in how many after those, so mixed that
#: it is not the same series every time.
_ALL, _ONE_IN, _MIXED = 4_000, 4, 40_503
#: CUSUM on standardised errors, in hundredths (Page 1954): slack, threshold, largest error.
_SLACK, _THRESHOLD, _LARGEST_ERROR = 50, 1_500, 400
#: Buckets of the past that a series rests on after an alarm.
_REMEMBERED = 1.0


class Expectation(Struct, frozen=True, kw_only=True, gc=False):
    """Expected demand of a bucket, in units; `quantiles` are at `LEVELS`.

    `mean` = `level` × `season` × the lift of `signals` (their factors, by kind, held within
    bounds). `sd` is at least that of a Poisson count, `evidence` the buckets of observation that
    the level rests on. `observed` is the units of the bucket closed before, None if nothing was
    expected of it, `forecast` what had been expected of it.
    """

    mean: float
    quantiles: tuple[float, ...]
    level: float
    season: float
    signals: dict[str, float]
    sd: float
    evidence: float
    observed: float | None
    forecast: float


class DemandState(Struct):
    """The model as plain values."""

    bands: BandsState[SeriesKey]
    pool: PoolState
    signals: SignalsState
    regression: RegressionState
    closed: int = 0
    series: dict[SeriesKey, Series] = field(default_factory=dict)


class DemandModel:
    """All series of a network, in buckets of `bucket_s` seconds since the epoch.

    `fading` is the weight of the newest bucket in a level, `signal_memory_s` how long a signal
    counts.
    """

    def __init__(
        self, bucket_s: int, fading: float, signal_memory_s: int, state: DemandState | None = None
    ) -> None:
        self._bucket_ms, self._fading = bucket_s * 1000, fading
        self._season = season_of(bucket_s)
        self._closed = 0 if state is None else state.closed
        memory_ms = signal_memory_s * 1000
        if state is None:
            self._series: dict[SeriesKey, Series] = {}
            self._bands: Bands[SeriesKey] = Bands(LEVELS, _NORMAL, kept=_KEPT)
            self._pool, self._signals = Pool(self._season), Signals(memory_ms)
            self._regression = Regression()
        else:
            self._series = state.series
            self._bands = Bands(LEVELS, _NORMAL, state.bands, kept=_KEPT)
            self._pool = Pool(self._season, state.pool)
            self._signals = Signals(memory_ms, state.signals)
            self._regression = Regression(state.regression)

    def register(self, sku: str, now_ms: int) -> None:
        """Note that a SKU can be ordered from now on."""
        self._pool.register(sku, now_ms // self._bucket_ms)

    def signalled(
        self, region: str, scope: Goods, kind: str, log_ratio: float, now_ms: int
    ) -> float:
        """Take in a signal; returns the factor on demand of all signals of its scope now."""
        self._signals.observe(region, scope, kind, log_ratio, now_ms)
        return self.lift(self._signals.of_scope(region, scope, now_ms))

    def lift(self, signals: dict[str, float]) -> float:
        """Return the factor by which these signals multiply demand."""
        lift = 1.0 + self._regression.predict_one(signals)
        return min(max(lift, _LEAST_LIFT), _LARGEST_LIFT)

    def ordered(
        self, region: str, sku: str, category: str, units: float | None, now_ms: int
    ) -> Expectation | None:
        """Count units ordered; None for a bucket in which demand cannot be observed.

        Returns what was expected of the bucket, without these units, if they are the first in it
        and anything is known of the series, its SKU and region.
        """
        bucket = now_ms // self._bucket_ms
        key = SeriesKey(region, sku)
        series = self._series.get(key)
        if units is not None and isfinite(units):
            self._pool.add(region, sku, units, bucket)
        if series is not None and bucket <= series.bucket:
            self._count(series, sku, units)
            return None
        observed, forecast = None, 0.0
        place = (key, category)
        if series is None:
            begins = self._pool.begins(sku, bucket)
            series = new_series(begins, self._season, self._pool.prior(region, sku))
            self._series[key] = series
        else:
            if series.expected > 0.0:
                observed, forecast = series.units, series.expected
            self._close(series, place)
        if bucket > series.bucket:
            self._close_empty(series, bucket - series.bucket, place)
        series.prior = self._pool.prior(region, sku)
        expectation = self._open(series, place, now_ms, observed, forecast)
        series.expected, series.units = expectation.mean, 0.0
        self._count(series, sku, units)
        return expectation if expectation.level > 0.0 else None

    def _count(self, series: Series, sku: str, units: float | None) -> None:
        if units is None or series.units is None:
            series.units = None
        elif units > 0.0 and isfinite(units):
            self._pool.ordered(sku, series.orders)
            series.orders = min(series.orders + 1, 2)
            series.units += units

    def _open(
        self,
        series: Series,
        place: tuple[SeriesKey, str],
        now_ms: int,
        observed: float | None,
        forecast: float,
    ) -> Expectation:
        key, category = place
        level = series.level()
        signals = self._signals.of_series(key, category, now_ms, now_ms + 1)
        lags = self._lags(series)
        base = self._mean(level, lags)
        factors = {kind: self.lift({kind: ratio}) for kind, ratio in signals.items()}
        mean = base * self.lift(signals) if signals else base
        root = sqrt(max(mean, 1e-9))
        spread = self._spread(series, level)
        offsets = self._bands.offsets(key)
        quantiles = tuple([max(0.0, mean + spread * root * offset) for offset in offsets])
        if level < _SELDOM:
            quantiles = as_count(quantiles, LEVELS, min(mean, _MOST_SELDOM))
        return Expectation(
            mean=mean,
            quantiles=quantiles,
            level=level,
            season=base / level if level > 0.0 else 1.0,
            signals=factors,
            sd=max(1.0, _SD_PER_ERROR * spread) * root,
            evidence=series.evidence(),
            observed=observed,
            forecast=forecast,
        )

    def _close(self, series: Series, place: tuple[SeriesKey, str]) -> None:
        """Learn from the open bucket of a series, and open the next."""
        level = series.level()
        if series.units is None:
            series.pass_over()
            return
        if level > 0.0:
            self._learn(series, place, self._lags(series), series.units, series.expected, 1)
        self._observe(series, level)

    def _observe(self, series: Series, level: float) -> None:
        assert series.units is not None
        series.observe(series.units, level, self._fading)
        if max(series.up, series.down) > _THRESHOLD:
            series.hurry(_REMEMBERED)
            series.up = series.down = 0

    def _close_empty(self, series: Series, buckets: int, place: tuple[SeriesKey, str]) -> None:
        """Close buckets without an order: one of them, picked evenly, teaches for all."""
        picked = series.bucket * 7_919 % buckets
        series.observe_none(picked, self._fading)
        level = series.level()
        if level > 0.0:
            lags = self._lags(series)
            expected = self._mean(level, lags)
            self._learn(series, place, lags, 0.0, expected, min(buckets, _MOST_EMPTY))
        series.observe_none(buckets - picked, self._fading)

    def _learn(
        self,
        series: Series,
        place: tuple[SeriesKey, str],
        features: dict[str, float],
        units: float,
        expected: float,
        times: int,
    ) -> None:
        key, category = place
        level = series.level()
        spread = self._spread(series, level)
        self._closed += 1
        if self._closed < _ALL or (self._closed * _MIXED >> 8) % _ONE_IN == 0:
            start_ms = series.bucket * self._bucket_ms
            end_ms = start_ms + self._bucket_ms
            features.update(self._signals.of_series(key, category, start_ms, end_ms))
            factor = min(units / level, _MOST_LEARNED) - 1.0
            self._regression.learn_one(features, factor, level * times)
        root = sqrt(max(expected, 1e-9))
        error = (units - expected) / (spread * root)
        self._bands.update(key, error, times)
        surprise = spread * min(abs(error), _WILDEST)
        if series.age:
            self._pool.learn_spread(level, surprise)
        step = max(_SPREAD_FADING, 1.0 / (series.age + _SPREAD_PRIOR))
        if times > 1:
            step = 1.0 - (1.0 - step) ** times
        series.spread = spread + step * (surprise - spread)
        self._watch(series, key, error)

    def _watch(self, series: Series, key: SeriesKey, error: float) -> None:
        """Sum up errors of one sign; on an alarm the band widens and both learn faster."""
        hundredths = round(min(max(100.0 * error, -_LARGEST_ERROR), _LARGEST_ERROR))
        series.up = max(0, series.up + hundredths - _SLACK)
        series.down = max(0, series.down - hundredths - _SLACK)
        if max(series.up, series.down) > _THRESHOLD:
            self._bands.alarm(key)

    def _spread(self, series: Series, level: float) -> float:
        return series.spread or self._pool.usual_spread(level)

    def _lags(self, series: Series) -> dict[str, float]:
        """Return the features of the open bucket except its signals, as ratios to the level."""
        season = self._season
        features = {
            "level": 1.0,
            "bucket before": series.ratio(1),
            "two before": series.ratio(2) if season > 1 else 1.0,
            "season of all": self._pool.season(series.bucket),
        }
        if season > 2 and series.age > season:
            features["has a season"] = 1.0
            features["season ago"] = series.ratio(season)
            features["after it"] = series.ratio(season - 1)
            features["before it"] = series.ratio(season + 1)
        return features

    def _mean(self, level: float, features: dict[str, float]) -> float:
        factor = 1.0 + self._regression.predict_one(features)
        return level * min(max(factor, 0.0), _MOST_EXPECTED)

    def state(self) -> DemandState:
        """Return the plain values that restore it, shared: encode them before the next order."""
        return DemandState(
            bands=self._bands.state(),
            pool=self._pool.state(),
            signals=self._signals.state(),
            regression=self._regression.state(),
            closed=self._closed,
            series=self._series,
        )
