"""Baselines of the demand model: LightGBM, a fading mean, and the season before."""

from dataclasses import dataclass
from itertools import pairwise

import lightgbm as lgb
import numpy as np

from benchmarks.prediction.data.panel import Floats, Panel
from operators.prediction.demand_model import LEVELS

_FADING = {7: 0.05, 52: 0.2}
#: The fading mean whose recent errors make the simple bands; normal quantiles at LEVELS.
_NORMAL = (-1.96, -1.2816, 0.0, 1.2816, 1.96)
_REFITS = 6
_WARM = 8


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Predictions on the second half of a panel (NaN before); `quantiles` at LEVELS."""

    name: str
    mean: Floats
    quantiles: Floats


def fading_mean(units: Floats, fading: float) -> Floats:
    """Return the exponentially weighted mean of the observations before each bucket."""
    out = np.full(units.shape, np.nan)
    mean = np.full(len(units), np.nan)
    for column in range(units.shape[1]):
        out[:, column] = mean
        now = units[:, column]
        moved = np.where(np.isfinite(mean), mean + fading * (now - mean), now)
        mean = np.where(np.isfinite(now), moved, mean)
    return out


def simple(panel: Panel) -> list[Baseline]:
    """Return the fading mean and the seasonal naive, with normal bands on their fading errors."""
    units, season = panel.units, panel.season
    smooth = fading_mean(units, _FADING[season])
    naive = np.full(units.shape, np.nan)
    naive[:, season:] = units[:, :-season]
    naive = np.where(np.isfinite(naive), naive, smooth)
    return [_normal("EW mean", units, smooth), _normal("seasonal naive", units, naive)]


def _normal(name: str, units: Floats, mean: Floats) -> Baseline:
    sd = np.sqrt(fading_mean((units - mean) ** 2, 0.05))
    sd = np.where(np.isfinite(sd), sd, np.sqrt(np.maximum(mean, 0.0)))
    quantiles = np.maximum(mean[..., None] + sd[..., None] * np.array(_NORMAL), 0.0)
    return Baseline(name=name, mean=mean, quantiles=quantiles)


def boosted(panel: Panel) -> list[Baseline]:
    """Run LightGBM, trained once on the first half, and retrained in the second on all before.

    Features are 15 lags, means and the season, as ratios to the level; the mean is by squared
    error, weighted by the level, the quantiles by their own loss. Refit mean: every sixth of the
    half; its quantiles too.
    """
    features, target, level = _features(panel)
    columns = panel.units.shape[1]
    starts = np.linspace(panel.half, columns, _REFITS + 1).astype(int)
    made = []
    for name, cuts in (("LightGBM static", [panel.half, columns]), ("LightGBM refit", starts)):
        mean = np.full(panel.units.shape, np.nan)
        quantiles = np.full((*panel.units.shape, len(LEVELS)), np.nan)
        for begin, end in pairwise(cuts):
            past, now = slice(_WARM, begin), slice(begin, end)
            fit = _Fit(features[:, past], target[:, past], level[:, past])
            mean[:, now] = fit.predict("regression", 0.5, features[:, now]) * level[:, now]
            for place, quantile in enumerate(LEVELS):
                told = fit.predict("quantile", quantile, features[:, now])
                quantiles[:, now, place] = told * level[:, now]
        quantiles = np.sort(np.maximum(quantiles, 0.0), axis=-1)
        made.append(Baseline(name=name, mean=np.maximum(mean, 0.0), quantiles=quantiles))
    return made


class _Fit:
    """Trees on the rows of the past, by one loss or another."""

    def __init__(self, features: Floats, target: Floats, level: Floats) -> None:
        known = np.isfinite(target) & np.isfinite(level)
        self._data = features[known], target[known], level[known]

    def predict(self, objective: str, quantile: float, features: Floats) -> Floats:
        values, target, weight = self._data
        settings = {
            "objective": objective,
            "alpha": quantile,
            "learning_rate": 0.1 if objective == "quantile" else 0.05,
            "num_leaves": 31,
            "min_data_in_leaf": 50,
            "num_threads": 1,
            "verbosity": -1,
            "deterministic": True,
        }
        rounds = 60 if objective == "quantile" else 150
        model = lgb.train(settings, lgb.Dataset(values, target, weight=weight), rounds)
        flat = model.predict(features.reshape(-1, features.shape[-1]), num_threads=1)
        return np.asarray(flat).reshape(features.shape[:-1])


def _features(panel: Panel) -> tuple[Floats, Floats, Floats]:
    """Return features and target as ratios to the level, and the level."""
    units, season = panel.units, panel.season
    level = np.maximum(fading_mean(units, 0.15), 0.1)
    filled = np.where(np.isfinite(units), units, level)

    def lag(number: int) -> Floats:
        out = np.full(units.shape, np.nan)
        out[:, number:] = filled[:, :-number]
        return out / level

    lags = (1, 2, 3, 4, 5, 6, season - 1, season, season + 1, 2 * season)
    columns = [lag(number) for number in lags if number < units.shape[1]]
    columns += [fading_mean(units, fading) / level for fading in (0.05, 0.4)]
    columns.append(np.log(level))
    columns.append(np.broadcast_to(_season_before(filled, level, season), units.shape))
    columns.append(np.broadcast_to(np.arange(units.shape[1]) % season, units.shape).astype(float))
    columns += list(panel.signals.values())
    return np.stack(columns, axis=-1), units / level, level


def _season_before(filled: Floats, level: Floats, season: int) -> Floats:
    """Return all units ÷ all levels of the same bucket in earlier seasons, fading; 1 at first."""
    ratio = np.nansum(filled, axis=0) / np.maximum(np.nansum(level, axis=0), 1e-9)
    out = np.ones(len(ratio))
    for column in range(season, len(ratio)):
        before = column - season
        seen = before >= season
        out[column] = 0.7 * out[before] + 0.3 * ratio[before] if seen else ratio[before]
    return out
