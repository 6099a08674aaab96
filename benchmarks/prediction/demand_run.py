"""The shipped demand model over a panel, bucket by bucket: predict, then learn."""

from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.prediction.data.panel import Floats, Panel
from operators.prediction.demand_model import LEVELS, DemandModel
from state.keys import ALL_GOODS

_DAY_S = 86_400
#: The first bucket is placed here, in buckets since the epoch: on a Sunday for days.
_FIRST = 2_000
_CHUNK = 1_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """Predictions of a panel, NaN where none was made; `quantiles` are at the model's LEVELS.

    `us` is µs per observation (predict and learn), of the best 1,000 in a row and in the mean;
    `series_bytes` the snapshot's bytes per series, before compression.
    """

    mean: Floats
    quantiles: Floats
    us: float
    us_mean: float
    series_bytes: float


def run(panel: Panel, without: frozenset[str] = frozenset()) -> Run:
    """Fold a panel through a new model, leaving out the signals named in `without`.

    A bucket that is NaN after the series began counts as unobserved.
    """
    bucket_s = _DAY_S if panel.season == 7 else 7 * _DAY_S
    model = DemandModel(bucket_s, 0.05, bucket_s)
    rows, columns = panel.units.shape
    mean = np.full((rows, columns), np.nan)
    quantiles = np.full((rows, columns, len(LEVELS)), np.nan)
    places = list(zip(panel.regions, panel.skus, strict=True))
    scopes = _scopes(panel, without)
    begun = [False] * rows
    took: list[float] = []
    for column in range(columns):
        now_ms = (_FIRST + column) * bucket_s * 1000
        for region, name, values in scopes:
            model.signalled(region, ALL_GOODS, name, float(values[column]), now_ms)
        for row, units in enumerate(panel.units[:, column].tolist()):
            observed = isfinite(units)
            if not observed and not begun[row]:
                continue
            begun[row] = True
            start = perf_counter()
            made = model.ordered(*places[row], "", units if observed else None, now_ms)
            took.append(perf_counter() - start)
            if made is not None:
                mean[row, column] = made.mean
                quantiles[row, column] = made.quantiles
    starts = range(0, max(1, len(took) - _CHUNK), _CHUNK)
    best = min(float(np.mean(took[start : start + _CHUNK])) for start in starts)
    return Run(
        mean=mean,
        quantiles=quantiles,
        us=best * 1e6,
        us_mean=float(np.mean(took) * 1e6),
        series_bytes=len(msgspec.msgpack.encode(model.state())) / rows,
    )


def _scopes(panel: Panel, without: frozenset[str]) -> list[tuple[str, str, Floats]]:
    """Return (region, name, value per bucket) of all signals, the same within a region."""
    first = {region: row for row, region in reversed(list(enumerate(panel.regions)))}
    return [
        (region, name, values[row])
        for name, values in panel.signals.items()
        if name not in without
        for region, row in first.items()
    ]


def joining(panel: Panel, seed: int = 1) -> tuple[Panel, NDArray[np.bool_]]:
    """Return the panel with a fifth of its series unseen before its second half, and which."""
    chosen = np.random.default_rng(seed).random(len(panel.skus)) < 0.2
    units = panel.units.copy()
    units[chosen, : panel.half] = np.nan
    return replace(panel, units=units), chosen


def doubled(panel: Panel, seed: int = 2) -> tuple[Panel, NDArray[np.bool_], int]:
    """Return the panel with half of its series doubled from the middle of its second half on.

    Return as well which they are and from which bucket on.
    """
    chosen = np.random.default_rng(seed).random(len(panel.skus)) < 0.5
    at = (panel.half + panel.units.shape[1]) // 2
    units = panel.units.copy()
    units[chosen, at:] *= 2.0
    return replace(panel, units=units), chosen, at
