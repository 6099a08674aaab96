"""Demand outlook per (region, SKU): level, spread, and what signals multiply it by.

A series is the units ordered per bucket of journal time (a day, unless the policy says otherwise).
Its level and spread are River's exponentially weighted means. One River linear regression, pooled
over all series, learns by how much search, sentiment, weather and promotions lift demand: it maps
the log of each signal's ratio to the log of (units ordered ÷ level).
"""

from math import exp, log

from msgspec import Struct, field
from river import linear_model, optim
from river.utils import VectorDict

from operators.contract import Operator, Record, pack, unpack
from operators.derived import DemandLift, DemandOutlook, PolicyInForce
from operators.moments import Moments, MomentsState
from state.events import OrderPlaced, SignalObserved, SkuRegistered
from state.policy import Demand as DemandRules
from state.policy import Policy
from state.quantities import DAY_S

_VERSION = "demand/1"
#: Buckets without an order that are folded in one by one; beyond it a series has faded anyway.
_MOST_EMPTY = 30
#: A signal moves demand by at most this factor, up or down: e^1.5 ≈ 4.5.
_LARGEST_LOG_LIFT = 1.5
#: Step of the pooled regression: small, since single series are noisy.
_LEARNING_RATE = 0.02
_EVERYWHERE = "*"


class _SeriesState(Struct, array_like=True):
    bucket: int
    units: int
    moments: MomentsState
    signals: dict[str, float]


class _Signal(Struct, array_like=True):
    log_ratio: float
    until_ms: int


class _State(Struct):
    rules: DemandRules
    categories: dict[str, str] = field(default_factory=dict)
    series: dict[str, _SeriesState] = field(default_factory=dict)
    # Region -> scope (category, SKU or everything) -> kind -> signal.
    signals: dict[str, dict[str, dict[str, _Signal]]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    intercept: float = 0.0
    learned: int = 0


class _Series:
    """Units of the open bucket, the signals when it last sold; moments of the closed ones."""

    __slots__ = ("bucket", "moments", "signals", "units")

    def __init__(
        self, bucket: int, units: int, moments: Moments, signals: dict[str, float]
    ) -> None:
        self.bucket, self.units, self.moments, self.signals = bucket, units, moments, signals


class Demand(Operator):
    """Emits DemandOutlook when a series' bucket has closed, DemandLift when a signal came in."""

    name = "demand"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(rules=policy.demand)
        self._series: dict[tuple[str, str], _Series] = {}
        # Series changed since the last snapshot: only these are written anew.
        self._touched: dict[tuple[str, str], None] = {}
        self._lift = _regression({}, 0.0, 0)

    def step(self, record: Record) -> list[Record]:
        """Fold in orders and signals; everything is passed on."""
        match record.fact:
            case OrderPlaced() as order:
                out = [record]
                for line in order.lines:
                    outlook = self._ordered(order.region, line.sku, line.quantity, record.now_ms)
                    if outlook is not None:
                        out.append(record.derive(outlook))
                return out
            case SignalObserved() as signal:
                return [record, record.derive(self._signalled(signal, record.now_ms))]
            case SkuRegistered() as sku:
                self._state.categories[sku.sku] = sku.category
            case PolicyInForce() as changed:
                self._adopt(changed.policy.demand)
            case _:
                pass
        return [record]

    def _ordered(self, region: str, sku: str, units: int, now_ms: int) -> DemandOutlook | None:
        bucket = now_ms // (self._state.rules.bucket_s * 1000)
        self._touched[region, sku] = None
        series = self._series.get((region, sku))
        if series is None:
            moments = Moments(self._state.rules.fading)
            signals = self._features(region, sku, now_ms)
            self._series[region, sku] = _Series(bucket, units, moments, signals)
            return None
        if bucket <= series.bucket:
            series.units += units
            series.signals = self._features(region, sku, now_ms)
            return None
        observed, forecast = self._close(series, bucket)
        series.bucket, series.units = bucket, units
        series.signals = self._features(region, sku, now_ms)
        per_day = DAY_S / self._state.rules.bucket_s
        mean, sd = series.moments.mean, series.moments.sd
        return DemandOutlook(
            region=region,
            sku=sku,
            units_per_day=mean * per_day,
            # Few orders are at least as noisy as a Poisson count of the same mean.
            sd=max(sd, mean**0.5) * per_day**0.5,
            observed=float(observed),
            forecast=forecast,
        )

    def _close(self, series: _Series, bucket: int) -> tuple[int, float]:
        """Fold the closed bucket and the empty ones since; returns (observed, its forecast)."""
        observed, level = series.units, series.moments.mean
        features = series.signals
        forecast = level * exp(_log_lift(self._lift, features)) if features else level
        if features and series.moments.seen:
            lift = log((observed + 0.5) / (level + 0.5))
            self._lift.learn_one(features, _bounded(lift))
        series.moments.update(float(observed))
        for _ in range(min(bucket - series.bucket - 1, _MOST_EMPTY)):
            series.moments.update(0.0)
        return observed, forecast

    def _adopt(self, rules: DemandRules) -> None:
        """Go on under other rules: series keep what they know, in buckets of the new length."""
        before, self._state.rules = self._state.rules, rules
        if before == rules:
            return
        for key, series in self._series.items():
            series.moments = Moments(rules.fading, series.moments.state())
            series.bucket = series.bucket * before.bucket_s // rules.bucket_s
            self._touched[key] = None

    def _signalled(self, signal: SignalObserved, now_ms: int) -> DemandLift:
        region = signal.region or _EVERYWHERE
        scope = signal.sku or signal.category or _EVERYWHERE
        kinds = self._state.signals.setdefault(region, {}).setdefault(scope, {})
        until_ms = now_ms + self._state.rules.signal_memory_s * 1000
        kinds[signal.kind] = _Signal(_bounded(log(signal.ratio + 1e-3)), until_ms)
        features = {kind: s.log_ratio for kind, s in kinds.items() if s.until_ms >= now_ms}
        factor = exp(_log_lift(self._lift, features))
        return DemandLift(region=region, scope=scope, factor=factor, until_ms=until_ms)

    def _features(self, region: str, sku: str, now_ms: int) -> dict[str, float]:
        """Log ratios of the signals in force; a narrower scope overrides a wider one."""
        found: dict[str, float] = {}
        category = self._state.categories.get(sku, _EVERYWHERE)
        for place in (_EVERYWHERE, region):
            scopes = self._state.signals.get(place)
            if scopes is None:
                continue
            for scope in (_EVERYWHERE, category, sku):
                for kind, signal in scopes.get(scope, {}).items():
                    if signal.until_ms >= now_ms:
                        found[kind] = signal.log_ratio
        return found

    def snapshot(self) -> bytes:
        """Series and regression as plain values."""
        for key in self._touched:
            series = self._series[key]
            self._state.series["\n".join(key)] = _SeriesState(
                series.bucket, series.units, series.moments.state(), series.signals
            )
        self._touched.clear()
        self._state.weights = dict(self._lift.weights)
        self._state.intercept = self._lift.intercept
        self._state.learned = self._lift.optimizer.n_iterations
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Rebuild the River models from plain values."""
        self._state = state = unpack(_VERSION, data, _State)
        self._series, self._touched = {}, {}
        for key, s in state.series.items():
            region, _, sku = key.partition("\n")
            moments = Moments(state.rules.fading, s.moments)
            self._series[region, sku] = _Series(s.bucket, s.units, moments, s.signals)
        self._lift = _regression(state.weights, state.intercept, state.learned)
        state.weights = {}


def _regression(
    weights: dict[str, float], intercept: float, learned: int
) -> linear_model.LinearRegression:
    model = linear_model.LinearRegression(
        optimizer=optim.SGD(_LEARNING_RATE), intercept_lr=0.0, l2=0.001
    )
    model._weights = VectorDict(dict(weights))  # River offers no public way to set weights
    model.intercept = intercept
    model.optimizer.n_iterations = learned
    return model


def _log_lift(model: linear_model.LinearRegression, features: dict[str, float]) -> float:
    return _bounded(float(model.predict_one(features)))  # type: ignore[no-untyped-call]


def _bounded(log_lift: float) -> float:
    return max(-_LARGEST_LOG_LIFT, min(_LARGEST_LOG_LIFT, log_lift))
