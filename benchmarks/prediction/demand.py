"""Demand outlook against LightGBM, a fading mean and the season before, on three public data sets.

`python -m benchmarks.prediction.demand FOLDER` prints a table; FOLDER holds `vn2`, `online_retail`
and `walmart`. Everything is one step ahead and scored on the second half, in order of time.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.prediction.data import online_retail, vn2, walmart
from benchmarks.prediction.data.panel import Floats, Panel
from benchmarks.prediction.demand_ablation import Ablation, of_panel, of_simulation
from benchmarks.prediction.demand_baselines import boosted, simple
from benchmarks.prediction.demand_run import doubled, joining, run
from benchmarks.prediction.demand_scores import (
    WITHIN_80,
    WITHIN_95,
    by_step,
    first_steps,
    inside,
    pinball,
    recovery,
    reliability,
    wape,
)

_SHOWN_BEFORE = 8
_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One model on one data set; NaN where it does not apply.

    `wape` is of the mean and `wape_median` of the middle quantile; pinball losses are relative to
    the units sold. `cold_80` and `cold_95` cover the first 5 steps of series that join at half
    time. `shift_back` is observations until coverage is back after demand doubles. `observed` are
    the shares below the quantiles of `LEVELS`; `shift_coverage` that of the 80 % band by
    observation since the shift, of shifted series and of the others.
    """

    data: str
    model: str
    wape: float
    wape_median: float
    pinball_10: float
    pinball_50: float
    pinball_90: float
    cover_80: float
    cover_95: float
    observed: tuple[float, ...]
    cold_80: float = _NAN
    cold_95: float = _NAN
    shift_back: float = _NAN
    us: float = _NAN
    us_mean: float = _NAN
    series_bytes: float = _NAN
    shift_coverage: tuple[tuple[float, float], ...] = ()


def measure(folder: Path) -> list[Result]:
    """Measure all models on all data sets in `folder`."""
    panels = (
        vn2.load(folder / "vn2"),
        online_retail.load(folder / "online_retail"),
        walmart.load(folder / "walmart"),
    )
    return [result for panel in panels for result in measure_panel(panel)]


def measure_panel(panel: Panel) -> list[Result]:
    """Measure all models on one panel, ours first; all are scored on the same observations."""
    ours = run(panel)
    rivals = [*boosted(panel), *simple(panel)]
    known = np.isfinite(ours.mean)
    for rival in rivals:
        known &= np.isfinite(rival.mean)
    units = np.where(known, panel.units, np.nan)[:, panel.half :]
    first = _score(panel, "ours", units, ours.mean, ours.quantiles)
    extras = _cold(panel) | _shift(panel)
    costs = {"us": ours.us, "us_mean": ours.us_mean, "series_bytes": ours.series_bytes}
    results = [Result(**{**first, **extras, **costs})]
    for rival in rivals:
        results.append(Result(**_score(panel, rival.name, units, rival.mean, rival.quantiles)))
    return results


def ablate(folder: Path) -> list[Ablation]:
    """Measure the gain by signals, on Walmart and in a simulated world."""
    return [*of_panel(walmart.load(folder / "walmart")), *of_simulation()]


def _score(panel: Panel, model: str, units: Floats, mean: Floats, quantiles: Floats) -> dict:
    mean, quantiles = mean[:, panel.half :], quantiles[:, panel.half :]
    return {
        "data": panel.name,
        "model": model,
        "wape": wape(units, mean),
        "wape_median": wape(units, quantiles[..., 2]),
        "pinball_10": pinball(units, quantiles[..., 1], 0.1),
        "pinball_50": pinball(units, quantiles[..., 2], 0.5),
        "pinball_90": pinball(units, quantiles[..., 3], 0.9),
        "cover_80": float(np.nanmean(inside(units, quantiles, WITHIN_80))),
        "cover_95": float(np.nanmean(inside(units, quantiles, WITHIN_95))),
        "observed": tuple(reliability(units, quantiles)),
    }


def _cold(panel: Panel) -> dict[str, float]:
    later, chosen = joining(panel)
    made = run(later)
    return {
        name: first_steps(inside(later.units, made.quantiles, within), chosen)
        for name, within in (("cold_80", WITHIN_80), ("cold_95", WITHIN_95))
    }


def _shift(panel: Panel) -> dict[str, object]:
    shifted, chosen, at = doubled(panel)
    hits = inside(shifted.units, run(shifted).quantiles, WITHIN_80)
    after, usual = by_step(hits, chosen, at), by_step(hits, ~chosen, at)
    begin = at - _SHOWN_BEFORE
    shown = zip(by_step(hits, chosen, begin), by_step(hits, ~chosen, begin), strict=False)
    return {
        "shift_back": recovery(after, usual),
        "shift_coverage": tuple((float(a), float(b)) for a, b in shown),
    }


def main() -> None:
    """Print the results, then the ablation of signals."""
    folder = Path(sys.argv[1])
    columns = (
        "wape", "wape_median", "pinball_10", "pinball_50", "pinball_90", "cover_80", "cover_95",
        "cold_80", "cold_95", "shift_back", "us", "us_mean", "series_bytes",
    )  # fmt: skip
    print(f"{'data':14} {'model':16}" + "".join(f"{name:>12}" for name in columns))
    for result in measure(folder):
        values = "".join(f"{getattr(result, name):12.4g}" for name in columns)
        print(f"{result.data:14} {result.model:16}{values}")
    print(f"\n{'data':16} {'signals':20} {'wape':>8} {'signalled':>10}")
    for made in ablate(folder):
        print(f"{made.data:16} {made.signals:20} {made.wape:8.4f} {made.wape_signalled:10.4f}")


if __name__ == "__main__":
    main()
