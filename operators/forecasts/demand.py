"""Demand outlook per (region, SKU): the units expected of a bucket, and the reasons.

A series is the units ordered per bucket of journal time (a day, unless the policy sets another).
An outlook is made when a bucket's first order comes, which also closes the bucket before: so all
series are never closed at one instant, and the work per order line is bounded. The model, its
features and its bands are in `operators.prediction.demand_model`.

Orders are demand whether or not there is stock for them, so nothing here is censored by stock-outs;
what the hygiene of the chain finds suspect is not learned from.
"""

from collections.abc import Callable
from math import log
from typing import Any

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import DemandLift, DemandOutlook, Derived, PolicyInForce
from operators.forecasts.demand_watch import DemandWatch, DemandWatchState
from operators.prediction.demand_buckets import in_buckets_of
from operators.prediction.demand_model import DemandModel, DemandState, Expectation
from state.events import OrderPlaced, SignalObserved, SkuRegistered
from state.keys import ALL_GOODS, EVERYWHERE, Goods
from state.policy import Demand as DemandRules
from state.policy import Policy
from state.quantities import DAY_S

_VERSION = "demand/3"
#: The category of a SKU that is not registered.
_UNKNOWN = ""
#: Ratios of signals are held within a factor of e^3, some 20.
_LARGEST_LOG_RATIO = 3.0


class _State(Struct):
    rules: DemandRules
    model: DemandState
    watch: DemandWatchState
    categories: dict[str, str] = field(default_factory=dict)


class Demand(Operator):
    """Emitter of DemandOutlook (a bucket's first order), DemandLift (a signal) and Alarm.

    An alarm means that a region or a category orders more, or less, than it did.
    """

    name = "demand"

    def __init__(self, policy: Policy) -> None:
        self._rules = policy.demand
        self._model = _model(policy.demand)
        self._watch = DemandWatch()
        self._closes_ms = self._watch.closes_ms
        self._categories: dict[str, str] = {}

    def step(self, record: Record) -> list[Record]:
        """Fold in orders and signals; everything is passed on."""
        out: list[Record] = []
        if record.now_ms >= self._closes_ms:
            out += map(record.derive, self._watch.close(record.now_ms))
            self._closes_ms = self._watch.closes_ms
        out.append(record)
        take_in = _TAKE_IN.get(type(record.fact))
        if take_in is not None and not record.suspect:
            out += map(record.derive, take_in(self, record.fact, record.now_ms))
        return out

    def _placed(self, order: OrderPlaced, now_ms: int) -> list[Derived]:
        found: list[Derived] = []
        for line in order.lines:
            category = self._categories.get(line.sku, _UNKNOWN)
            self._watch.ordered(order.region, category, line.quantity)
            expected = self._model.ordered(
                order.region, line.sku, category, float(line.quantity), now_ms
            )
            if expected is not None:
                bucket_s = self._rules.bucket_s
                found.append(_outlook(order.region, line.sku, expected, now_ms, bucket_s))
        return found

    def _registered(self, sku: SkuRegistered, now_ms: int) -> list[Derived]:
        self._categories[sku.sku] = sku.category
        self._model.register(sku.sku, now_ms)
        return []

    def _signalled(self, signal: SignalObserved, now_ms: int) -> list[Derived]:
        region = signal.region or EVERYWHERE
        scope = ALL_GOODS
        if signal.sku:
            scope = Goods("sku", signal.sku)
        elif signal.category:
            scope = Goods("category", signal.category)
        ratio = min(max(log(signal.ratio + 1e-3), -_LARGEST_LOG_RATIO), _LARGEST_LOG_RATIO)
        factor = self._model.signalled(region, scope, signal.kind, ratio, now_ms)
        until_ms = now_ms + self._rules.signal_memory_s * 1000
        return [DemandLift(region=region, scope=scope, factor=factor, until_ms=until_ms)]

    def _adopt(self, changed: PolicyInForce, now_ms: int) -> list[Derived]:
        """Go on under other rules; in buckets of another length, series keep their levels."""
        rules = changed.policy.demand
        before, self._rules = self._rules, rules
        if before == rules:
            return []
        state = self._model.state()
        if before.bucket_s != rules.bucket_s:
            state = in_buckets_of(state, before.bucket_s, rules.bucket_s)
        self._model = _model(rules, state)
        return []

    def snapshot(self) -> bytes:
        """Return rules, categories and the model as plain values."""
        return pack(
            _VERSION,
            _State(self._rules, self._model.state(), self._watch.state(), self._categories),
        )

    def restore(self, data: bytes) -> None:
        """Rebuild the model from plain values."""
        state = unpack(_VERSION, data, _State)
        self._rules, self._categories = state.rules, state.categories
        self._model = _model(state.rules, state.model)
        self._watch = DemandWatch(state.watch)
        self._closes_ms = self._watch.closes_ms


#: Facts that demand is learned from. A table, not a match: it is read at every record.
_TAKE_IN: dict[type, Callable[[Demand, Any, int], list[Derived]]] = {
    OrderPlaced: Demand._placed,
    SignalObserved: Demand._signalled,
    SkuRegistered: Demand._registered,
    PolicyInForce: Demand._adopt,
}


def explain(outlook: DemandOutlook) -> str:
    """Describe an outlook in words, with units.

    Such as "3.2 a day usually; this day 1.4 × for its time, promotion 1.2 ×: 5.4 units expected,
    80 % band 1 to 9, from 21 days of evidence".
    """
    every = _BUCKETS.get(outlook.bucket_s, f"{outlook.bucket_s:,} s")
    parts = [f"{outlook.season:.2g} × for its time"]
    parts += [f"{kind} {factor:.2g} ×" for kind, factor in sorted(outlook.signals.items())]
    _, low, _, high, _ = outlook.quantiles
    return (
        f"{outlook.level:.2g} a {every} usually; this {every} {', '.join(parts)}: "
        f"{outlook.units:.2g} units expected, 80 % band {low:.2g} to {high:.2g}, "
        f"from {outlook.evidence:.0f} {every}s of evidence"
    )


_BUCKETS = {3_600: "hour", DAY_S: "day", 7 * DAY_S: "week"}


def _model(rules: DemandRules, state: DemandState | None = None) -> DemandModel:
    return DemandModel(rules.bucket_s, rules.fading, rules.signal_memory_s, state)


def _outlook(
    region: str, sku: str, expected: Expectation, now_ms: int, bucket_s: int
) -> DemandOutlook:
    return DemandOutlook(
        region=region,
        sku=sku,
        from_ms=now_ms - now_ms % (bucket_s * 1000),
        bucket_s=bucket_s,
        units=expected.mean,
        level=expected.level,
        season=expected.season,
        signals=expected.signals,
        sd=expected.sd,
        quantiles=expected.quantiles,
        evidence=expected.evidence,
        observed=expected.observed or 0.0,
        forecast=expected.forecast,
    )
