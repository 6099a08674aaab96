"""LightGBM on the same rows, trained on what was known: once at the half, or every few days."""

import lightgbm as lgb
import numpy as np

from benchmarks.prediction.forecasts import CATEGORIES, Booleans, Floats, Forecasts

#: LightGBM's own defaults otherwise. One thread: with other work beside them, two take far longer.
_PARAMETERS = {"num_threads": 1, "seed": 1, "verbose": -1}
_ROUNDS = 100


def late_by_trees(forecasts: Forecasts, refit_days: int | None) -> Floats:
    """Return P(late) of the second half, by trees trained on labels known at the time."""
    return _by_trees(
        forecasts, forecasts.late.astype(float), forecasts.known_ms, refit_days, objective="binary"
    )


def quantile_by_trees(forecasts: Forecasts, level: float, refit_days: int | None) -> Floats:
    """Predict a quantile of the time to the end, of the second half, by trees on ended cases.

    They learn the time beyond what is published (column 5 of a row), as the better of the two.
    """
    published_s = forecasts.rows[:, 5]
    beyond_s = forecasts.took_s - published_s
    found = _by_trees(
        forecasts, beyond_s, forecasts.ended_ms, refit_days, objective="quantile", alpha=level
    )
    return found + published_s[forecasts.half :]


def _by_trees(
    forecasts: Forecasts,
    target: Floats,
    known_ms: Floats,
    refit_days: int | None,
    **objective: object,
) -> Floats:
    half, made_ms, rows = forecasts.half, forecasts.made_ms, forecasts.rows
    said = np.zeros(len(rows) - half)
    usable: Booleans = np.isfinite(target)
    begin_ms = made_ms[half]
    step_ms = np.inf if refit_days is None else refit_days * 86_400_000
    while begin_ms <= made_ms[-1]:
        known = usable & (known_ms <= begin_ms)
        asked = (made_ms >= begin_ms) & (made_ms < begin_ms + step_ms)
        asked[:half] = False
        if asked.any():
            data = lgb.Dataset(
                rows[known], target[known], categorical_feature=list(CATEGORIES), free_raw_data=True
            )
            trees = lgb.train({**_PARAMETERS, **objective}, data, _ROUNDS)
            said[asked[half:]] = trees.predict(rows[asked])
        begin_ms += step_ms
    return said
