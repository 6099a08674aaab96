"""Plots of the results, as SVG files that look the same whenever nothing changed."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.prediction.delay import DelayResults
from benchmarks.prediction.demand import Result
from operators.prediction.demand_model import LEVELS

_STYLE = {"svg.hashsalt": "crossdock", "font.size": 9, "axes.spines.top": False,
          "axes.spines.right": False}  # fmt: skip
_OURS, _THEIRS = "#1f5fa8", "#b0b0b0"
_SHOWN_BEFORE = 8


def plot_delay(results: DelayResults, folder: Path) -> list[Path]:
    """Plot the reliability of P(late), and the coverage of P90 of flights week by week."""
    shown = [each for each in results.lateness if each.tested > 2_000]
    with mpl.rc_context(_STYLE):
        figure, row = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 3.1), squeeze=False)
        for axes, each in zip(row[0], shown, strict=True):
            for name, colour in (("LightGBM refit", _THEIRS), ("ours", _OURS)):
                points = each.scores[name].reliability
                axes.plot(*zip(*points, strict=True), "o-", ms=3, color=colour, label=name)
            _diagonal(axes)
            axes.set(title=f"{each.data}, {each.stage}", xlabel="P(late) as told")
        row[0][0].set_ylabel("share late")
        row[0][0].legend(frameon=False)
        reliability = _save(figure, folder / "reliability.svg")
        flights = next(each for each in results.transit if each.data == "flights")
        figure, axes = plt.subplots(figsize=(6.4, 2.6))
        axes.axhspan(0.86, 0.94, color=_OURS, alpha=0.12, lw=0)
        axes.plot(range(1, len(flights.weeks) + 1), flights.weeks, "o-", ms=3, color=_OURS)
        axes.axhline(0.9, color=_THEIRS, lw=1)
        axes.set(title="flights: share below P90, week by week", xlabel="week of the second half")
        axes.set_ylim(0.8, 1.0)
        weeks = _save(figure, folder / "weeks.svg")
    return [reliability, weeks]


def plot_demand(results: Sequence[Result], folder: Path) -> list[Path]:
    """Plot the calibration of demand quantiles, and the bands' recovery when demand doubles."""
    shown = [each for each in results if each.model == "ours"]
    with mpl.rc_context(_STYLE):
        figure, row = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 3.1), squeeze=False)
        for axes, ours in zip(row[0], shown, strict=True):
            axes.plot(LEVELS, ours.observed, "o-", ms=4, color=_OURS)
            _diagonal(axes)
            axes.set(title=ours.data, xlabel="quantile as told")
        row[0][0].set_ylabel("share below")
        quantiles = _save(figure, folder / "demand-quantiles.svg")
        figure, row = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 2.6), squeeze=False)
        for axes, ours in zip(row[0], shown, strict=True):
            steps = range(-_SHOWN_BEFORE, len(ours.shift_coverage) - _SHOWN_BEFORE)
            after, usual = zip(*ours.shift_coverage, strict=True)
            axes.plot(steps, usual, color=_THEIRS, label="others")
            axes.plot(steps, after, color=_OURS, label="doubled at 0")
            axes.axhline(0.8, color=_THEIRS, lw=0.8, ls=":")
            axes.set(title=ours.data, xlabel="observations since", xlim=(-_SHOWN_BEFORE, 25))
            axes.set_ylim(0.0, 1.0)
        row[0][0].set_ylabel("inside the 80 % band")
        row[0][0].legend(frameon=False, loc="lower right")
        shift = _save(figure, folder / "demand-shift.svg")
    return [quantiles, shift]


def _diagonal(axes: Axes) -> None:
    axes.plot((0, 1), (0, 1), color=_THEIRS, lw=0.8, ls=":")


def _save(figure: "plt.Figure", path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
