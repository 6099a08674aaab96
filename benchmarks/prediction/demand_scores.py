"""Scores of predictions of demand: error, pinball loss and coverage."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.prediction.data.panel import Floats

#: Begin and end of the 80 % and the 95 % band among the quantiles.
WITHIN_80, WITHIN_95 = (1, 3), (0, 4)


def wape(units: Floats, predicted: Floats) -> float:
    """Sum of absolute errors ÷ sum of units, over what was observed and predicted."""
    known = np.isfinite(units) & np.isfinite(predicted)
    return float(np.abs(units - predicted)[known].sum() / units[known].sum())


def pinball(units: Floats, quantile: Floats, level: float) -> float:
    """Return the pinball loss of a quantile, summed, ÷ sum of units."""
    known = np.isfinite(units) & np.isfinite(quantile)
    off = (units - quantile)[known]
    return float(np.maximum(level * off, (level - 1.0) * off).sum() / units[known].sum())


def inside(units: Floats, quantiles: Floats, within: tuple[int, int]) -> Floats:
    """Return 1 where units lie in the band (ends included), 0 where not, NaN if unknown."""
    low, high = quantiles[..., within[0]], quantiles[..., within[1]]
    hit = (units >= low) & (units <= high)
    return np.where(np.isfinite(units) & np.isfinite(low), hit, np.nan)


def first_steps(hits: Floats, rows: NDArray[np.bool_], steps: int = 5) -> float:
    """Return the mean of the first `steps` known values of each of `rows`."""
    found = [row[np.isfinite(row)][:steps] for row in hits[rows]]
    return float(np.concatenate(found).mean())


def by_step(hits: Floats, rows: NDArray[np.bool_], at: int) -> Floats:
    """Return coverage of the nth known value since bucket `at`, from the first on."""
    found = [row[np.isfinite(row)] for row in hits[rows, at:]]
    longest = max(map(len, found))
    table = np.full((len(found), longest), np.nan)
    for row, values in enumerate(found):
        table[row, : len(values)] = values
    return np.asarray(np.nanmean(table, axis=0))


def recovery(shifted: Floats, usual: Floats, within: float = 0.05) -> int:
    """Return observations after a shift until coverage is within `within` of unshifted series.

    Both are by observation, and smoothed over three of them, since coverage differs by weekday. If
    it never is, the number of observations there are.
    """
    gap = np.convolve(usual[: len(shifted)] - shifted, np.ones(3) / 3, mode="valid")
    back = np.flatnonzero(gap <= within)
    return int(back[0]) + 1 if len(back) else len(shifted)


def reliability(units: Floats, quantiles: Floats) -> list[float]:
    """Return the share of units at or below each quantile; of equal ones, half."""
    known = np.isfinite(units) & np.isfinite(quantiles[..., 0])
    above, equal = units[known, None] < quantiles[known], units[known, None] == quantiles[known]
    return [float(share) for share in (above + 0.5 * equal).mean(axis=0)]
