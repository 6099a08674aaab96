"""Figures of a what-if over time: curves by arm, and stock by node."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from flows.simulation.scenario import NONE
from flows.whatif.plots import INK, WIDTH, colour_of, dashes_of, label_of, plain, to_svg
from flows.whatif.result import Result, Series
from flows.whatif.wording import blocks

Floats = NDArray[np.float64]

#: Up to as many arms share one panel; more are parted by scenario, two panels to a figure.
_MOST_TOGETHER = 4
_BESIDE = 2
#: Lanes for the names of spans above a panel, and the height of one in points.
_MOST_LANES = 4
_LANE = 11
#: Runs longer than this are shown in days.
_MOST_HOURS = 72.0
#: The band over the seeds goes from this percentile to that.
_BAND = (10, 90)

_MEASURES: tuple[tuple[str, Callable[[Series], Sequence[float | None]], float], ...] = (
    ("cost per order, {}", lambda series: series.cost_per_order_cents, 0.01),
    ("orders on time, %", lambda series: series.on_time, 100.0),
    ("backlog, orders", lambda series: series.backlog, 1.0),
)


def over_time(result: Result) -> list[str]:
    """Draw cost, punctuality and backlog by arm; the baseline is in every panel to compare with."""
    apart = parted(result)
    groups = blocks(result.arms, _MOST_TOGETHER)
    groups = [group if 0 in group else [0, *group] for group in groups]
    figures = [
        (start, *_panels(groups[start : start + _BESIDE]))
        for start in range(0, len(groups), _BESIDE)
    ]
    for row, (label, pick, by) in enumerate(_MEASURES):
        rows = [panel for _, _, panels in figures for panel in panels[row]]
        for axes, arms in zip(rows, groups, strict=True):
            own = [arm for arm in arms if not apart or _same_scenario(result, arm, arms[-1])]
            for arm in arms:
                _curve(axes, result, arm, pick, by, guest=arm not in own)
            _shade(axes, result, own, named=row == 0)
        _same_scale(rows)
        for _, _, panels in figures:
            panels[row][0].set_ylabel(label.format(plain(result.currency, 12)))
    for start, figure, panels in figures:
        some = groups[start : start + _BESIDE]
        if apart:
            # Above all names of spans, at one height.
            pad = 5 + max(
                (text.get_position()[1] + _LANE for axes in panels[0] for text in axes.texts),
                default=0,
            )
            for axes, arms in zip(panels[0], some, strict=True):
                name = plain(result.arms[arms[-1]].scenario, 40)
                axes.set_title(name, loc="left", weight="bold", pad=pad)
        for axes in panels[-1]:
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlabel(time_axis(result)[1])
        shown = sorted({arm for arms in some for arm in arms})
        figure.legend(
            [Line2D([], [], color=colour_of(arm), linestyle=dashes_of(arm), lw=2) for arm in shown],
            [label_of(result, arm, 32) for arm in shown],
            loc="outside upper left",
            ncols=min(3, len(shown)),
        )
    return [to_svg(figure, f"time-{start}") for start, figure, _ in figures]


def parted(result: Result) -> bool:
    """Return whether the arms are too many for one panel, and parted by scenario."""
    return len(result.arms) > _MOST_TOGETHER


def on_grid(
    curves: Iterable[tuple[Sequence[float], Sequence[float | None]]],
) -> tuple[Floats, Floats]:
    """Return curves of several runs as instants and rows of values, NaN where a run has none."""
    rows = [
        {
            hour: np.nan if value is None else value
            for hour, value in zip(hours, values, strict=False)
        }
        for hours, values in curves
    ]
    instants = sorted(set().union(*rows))
    values = [[row.get(hour, np.nan) for hour in instants] for row in rows]
    return np.array(instants, float), np.array(values, float).reshape(len(rows), len(instants))


def known_mean(values: Floats) -> Floats:
    """Return means of the columns over the rows that have a value; NaN where none has one."""
    counts = np.isfinite(values).sum(axis=0)
    sums = np.nansum(values, axis=0)
    means: Floats = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _panels(groups: list[list[int]]) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a column of panels per group of arms."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    grid = figure.subplots(len(_MEASURES), len(groups), sharex=True, sharey="row", squeeze=False)
    return figure, [list(row) for row in grid]


def _curve(
    axes: Axes,
    result: Result,
    arm: int,
    pick: Callable[[Series], Sequence[float | None]],
    by: float,
    *,
    guest: bool,
) -> None:
    """Draw the mean over the seeds and a band of most seeds; a guest comes without band."""
    runs = result.arms[arm].runs
    hours, values = on_grid((run.series.hours, pick(run.series)) for run in runs)
    if not hours.size:
        return
    x = hours * time_axis(result)[0]
    colour = colour_of(arm)
    axes.plot(
        x,
        known_mean(values) * by,
        color=colour,
        linestyle=(0, (1, 1.2)) if guest else dashes_of(arm),
        linewidth=1.5,
        zorder=3,
    )
    if len(runs) > 1 and not guest:
        band = np.full((2, x.size), np.nan)
        known = np.isfinite(values).any(axis=0)
        band[:, known] = np.nanpercentile(values[:, known], _BAND, axis=0) * by
        axes.fill_between(x, *band, color=colour, alpha=0.13, linewidth=0)


def _shade(axes: Axes, result: Result, arms: list[int], *, named: bool) -> None:
    """Shade the spans of the scenarios in a panel: all but those of scenarios not in it.

    Names stand above the panel, in lanes if they would run into each other.
    """
    axes.grid()
    axes.margins(x=0.01)
    by, _ = time_axis(result)
    here = {result.arms[arm].scenario for arm in arms}
    others = {arm.scenario for arm in result.arms} - here
    if here == {NONE}:
        return
    spans = [
        span for span in sorted(result.shaded, key=lambda span: span[1:]) if span[0] not in others
    ]
    for _, begin, end in spans:
        axes.axvspan(begin * by, end * by, color=INK, alpha=0.07, linewidth=0)
    if named:
        _name(axes, result, {name: begin for name, begin, _ in reversed(spans)})


def _name(axes: Axes, result: Result, names: dict[str, float]) -> None:
    """Draw names above a panel from the hours at which their spans begin, the earliest lowest."""
    last = _last_hour(result) or 1.0
    # A letter's width as a share of the panel's, roughly.
    letter = 0.0085 * (2 if parted(result) else 1)
    ends: list[float] = []
    for name, begin in sorted(names.items(), key=lambda named: named[1]):
        label = plain(name, 40)
        left = max(0.0, min(begin / last, 1 - letter * len(label)))
        lane = next((i for i, end in enumerate(ends) if end < left), len(ends))
        if lane == _MOST_LANES:
            continue  # the text below the figure has all of them
        ends[lane : lane + 1] = [left + letter * len(label)]
        axes.annotate(
            label,
            (left, 1.0),
            (0, 3 + _LANE * lane),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8,
        )


def _same_scenario(result: Result, arm: int, other: int) -> bool:
    """Return whether two arms go through the same scenario."""
    return result.arms[arm].scenario == result.arms[other].scenario


def _same_scale(panels: list[Axes]) -> None:
    """Set one vertical scale for panels that are in different figures."""
    limits = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def time_axis(result: Result) -> tuple[float, str]:
    """Return the factor from hours to the unit of the axis, and its label."""
    if _last_hour(result) > _MOST_HOURS:
        return 1 / 24, "days since the run's begin"
    return 1.0, "hours since the run's begin"


def _last_hour(result: Result) -> float:
    """Return the hour at which the longest run's curves end; 0 without any."""
    runs = [run.series.hours for arm in result.arms for run in arm.runs]
    return max((hours[-1] for hours in runs if hours), default=0.0)
