"""Conversion of a demand model's state to buckets of another length."""

from operators.prediction.demand_model import DemandModel, DemandState
from operators.prediction.demand_pool import Rate, SkuPool
from operators.prediction.demand_series import new_series, season_of


def in_buckets_of(state: DemandState, before_s: int, after_s: int) -> DemandState:
    """Return the state in buckets of `after_s` instead of `before_s` seconds.

    Levels, rates and signals are kept. The season, errors and weights depend on the length
    of buckets: they are learned from scratch.
    """
    longer = after_s / before_s
    fresh = DemandModel(after_s, 0.5, 0).state()
    fresh.signals = state.signals

    def rate_of(rate: Rate) -> Rate:
        since, bucket = (at * before_s // after_s for at in (rate.since, rate.bucket))
        return Rate(since, bucket, rate.units, rate.rate * longer)

    if state.pool.total is not None:
        fresh.pool.total = rate_of(state.pool.total)
    fresh.pool.series = state.pool.series
    fresh.pool.regions = {name: rate_of(rate) for name, rate in state.pool.regions.items()}
    fresh.pool.skus = {
        name: SkuPool(rate_of(sku.rate), sku.listed, sku.orders, sku.regions, sku.singles)
        for name, sku in state.pool.skus.items()
    }
    for key, series in state.series.items():
        bucket = series.bucket * before_s // after_s
        kept = new_series(bucket, season_of(after_s), series.prior * longer)
        kept.units, kept.orders = series.units, series.orders
        kept.expected = series.expected * longer
        kept.sold, kept.seen = series.sold, series.seen / longer
        fresh.series[key] = kept
    return fresh
