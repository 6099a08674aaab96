"""Demand pooled over all series: sales by region and by SKU, the season, the scatter of series.

A series is expected to sell what its SKU sells in a region on average, times how much larger than
average its region is. The regions that sell a SKU are counted as Good and Turing did: the share of
orders from regions with no other order of it is the chance that yet another region joins.
"""

from math import log2

from msgspec import Struct, field

#: Fading of the rates of SKUs, regions and the network, per bucket.
_FADING = 0.05
#: Fading of a season's index, per season.
_SEASON_FADING = 0.3
#: Fading of the usual spread of series of like level, per observation.
_SPREAD_FADING = 0.005
#: Observations that a spread of 1 (that of a Poisson count) stands for at the start.
_SPREAD_PRIOR = 5
_CLASSES = 40
_FIRST_CLASS = -10
#: An index is held within these bounds, and learned only where at least this much was expected.
_INDEX_BOUNDS = (0.05, 20.0)


class Rate(Struct, array_like=True, gc=False):
    """Units per bucket of something, fading; `since` is its first bucket, `bucket` the open one."""

    since: int
    bucket: int
    units: float = 0.0
    rate: float = 0.0

    def add(self, units: float, bucket: int) -> None:
        """Count `units` in `bucket`, after closing what came before it."""
        self.advance(bucket)
        self.units += units

    def advance(self, bucket: int) -> None:
        """Close all buckets before `bucket`."""
        empty = bucket - self.bucket - 1
        if empty < 0:
            return
        seen = self.bucket - self.since + 1
        self.rate += max(_FADING, 1.0 / seen) * (self.units - self.rate)
        if empty:
            self.rate *= max(seen / (seen + empty), (1.0 - _FADING) ** empty)
        self.units, self.bucket = 0.0, bucket


class SkuPool(Struct, array_like=True, gc=False):
    """A SKU over all regions: its rate, orders, regions that ordered it, and those once only.

    `listed` means that it was registered: a lack of orders from then on is observed, not unseen.
    """

    rate: Rate
    listed: bool = False
    orders: int = 0
    regions: int = 0
    singles: int = 0


class PoolState(Struct, array_like=True):
    """The pool as plain values.

    `series` counts the series. `index` is (bucket of the last update, index, index before it) per
    place in the season; `spread` is (observations, mean) per octave of the level.
    """

    total: Rate | None = None
    series: int = 0
    skus: dict[str, SkuPool] = field(default_factory=dict)
    regions: dict[str, Rate] = field(default_factory=dict)
    index: list[tuple[int, float, float]] = field(default_factory=list)
    spread: list[tuple[int, float]] = field(default_factory=list)


class Pool:
    """Rates, seasonal index and spread over all series of a network."""

    def __init__(self, season: int, state: PoolState | None = None) -> None:
        self._state = state or PoolState(
            index=[(-1, 1.0, 1.0)] * season, spread=[(0, 1.0)] * _CLASSES
        )
        self._season = season

    def register(self, sku: str, bucket: int) -> None:
        """Note that a SKU can be ordered from `bucket` on: a lack of orders counts from here."""
        if sku not in self._state.skus:
            self._state.skus[sku] = SkuPool(Rate(bucket, bucket), listed=True)

    def begins(self, sku: str, bucket: int) -> int:
        """Return the first bucket in which the SKU could be ordered, at most `bucket`."""
        known = self._state.skus[sku]
        return min(bucket, known.rate.since) if known.listed else bucket

    def add(self, region: str, sku: str, units: float, bucket: int) -> None:
        """Count units ordered in `bucket`; closes the network's bucket before it."""
        state = self._state
        total = state.total
        if total is None:
            total = state.total = Rate(bucket, bucket)
        if bucket > total.bucket:
            self._learn_season(total)
        total.add(units, bucket)
        place = state.regions.get(region)
        if place is None:
            place = state.regions[region] = Rate(total.since, bucket)
        place.add(units, bucket)
        known = state.skus.get(sku)
        if known is None:
            known = state.skus[sku] = SkuPool(Rate(bucket, bucket))
        known.rate.add(units, bucket)

    def ordered(self, sku: str, before: int) -> None:
        """Count an order of a series that had `before` orders, up to 2."""
        known = self._state.skus[sku]
        known.orders += 1
        known.regions += before == 0
        self._state.series += before == 0
        known.singles += (before == 0) - (before == 1)

    def prior(self, region: str, sku: str) -> float:
        """Return the expected units per bucket of a series, from closed buckets; 0 while unknown.

        A new SKU is expected to sell like the average one; after some buckets, as it does.
        """
        total, known = self._state.total, self._state.skus.get(sku)
        place = self._state.regions.get(region)
        if total is None or known is None or place is None or total.rate <= 0.0:
            return 0.0
        everywhere = len(self._state.regions)
        unseen = known.singles / known.orders if known.orders else 1.0
        sellers = known.regions + unseen * (everywhere - known.regions)
        own = known.rate.rate / max(sellers, 1.0)
        seen = known.rate.bucket - known.rate.since
        usual = total.rate / max(self._state.series, 1)
        per_seller = own + (usual - own) / (1.0 + seen * seen)
        return per_seller * place.rate * everywhere / total.rate

    def season(self, bucket: int) -> float:
        """Return demand of `bucket` ÷ that of an average one, as known before it began."""
        at, index, before = self._state.index[bucket % self._season]
        return before if at >= bucket else index

    def usual_spread(self, level: float) -> float:
        """Return the usual error ÷ √(expected units) of series that sell about `level` a bucket."""
        classes = self._state.spread
        at = _class(level)
        for away in range(_CLASSES):
            for near in (at - away, at + away):
                if 0 <= near < _CLASSES and classes[near][0]:
                    seen, mean = classes[near]
                    return (seen * mean + _SPREAD_PRIOR) / (seen + _SPREAD_PRIOR)
        return 1.0

    def learn_spread(self, level: float, spread: float) -> None:
        """Learn of one absolute error ÷ √(expected units)."""
        at = _class(level)
        seen, mean = self._state.spread[at]
        step = max(_SPREAD_FADING, 1.0 / (seen + 1))
        self._state.spread[at] = (seen + 1, mean + step * (spread - mean))

    def _learn_season(self, total: Rate) -> None:
        """Learn from the bucket that the network is about to close, and the usual of before."""
        if total.rate <= 0.0 or self._season == 1:
            return
        place = total.bucket % self._season
        at, index, _ = self._state.index[place]
        low, high = _INDEX_BOUNDS
        ratio = min(max(total.units / total.rate, low), high)
        step = _SEASON_FADING if at >= 0 else 0.5
        self._state.index[place] = (total.bucket, index + step * (ratio - index), index)

    def state(self) -> PoolState:
        """Return the plain values that restore it, shared with it."""
        return self._state


def _class(level: float) -> int:
    return min(max(round(log2(max(level, 1e-9))) - _FIRST_CLASS, 0), _CLASSES - 1)
