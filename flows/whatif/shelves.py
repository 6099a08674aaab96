"""The figure of stock by node over time, a heatmap per arm."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flows.whatif.curves import Floats, known_mean, on_grid, time_axis
from flows.whatif.plots import INK, WIDTH, label_of, plain, to_svg
from flows.whatif.result import Arm, Result

#: Nodes in a heatmap: those whose stock changes most.
MOST_NODES = 20
_BESIDE = 3
#: Orange for less, purple for more, pale for no change; the colour-blind see it too.
_COLOURS = "PuOr"


def stock_by_node(result: Result) -> str | None:
    """Draw stock relative to each node's own start; return None if there is no stock at all."""
    stocks = [_relative(arm) for arm in result.arms]
    greatest: dict[str, float] = {}
    for _, change in stocks:
        for node, row in change.items():
            known = np.abs(row[np.isfinite(row)])
            greatest[node] = max(greatest.get(node, 0.0), float(known.max(initial=0.0)))
    if not greatest:
        return None
    most = sorted(greatest, key=lambda node: (-greatest[node], node))[:MOST_NODES]
    nodes = sorted(most)
    # Beyond ±100 % the colour stays: stock cannot fall further, and few nodes more than double.
    limit = min(100, max(10, 10 * math.ceil(max(greatest.values()) / 10)))
    scale = Normalize(-limit, limit)
    columns = min(_BESIDE, len(stocks))
    rows = math.ceil(len(stocks) / columns)
    height = 0.9 + rows * (0.45 + 0.155 * max(6, len(nodes)))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for arm, axes in enumerate(panels):
        if arm >= len(stocks):
            axes.remove()
            continue
        hours, change = stocks[arm]
        _heatmap(axes, hours * time_axis(result)[0], change, nodes, scale)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_title(label_of(result, arm, 36), loc="left")
        # With the last row not full, the panels above its gap end their column.
        if arm + columns >= len(stocks):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(time_axis(result)[1])
    bar = figure.colorbar(
        ScalarMappable(scale, _COLOURS),
        ax=panels[: len(stocks)],
        orientation="horizontal",
        location="top",
        aspect=50,
        shrink=0.6,
        extend="max" if max(greatest.values()) > limit else "neither",
    )
    bar.set_label("units on the shelves against the run's begin, %")
    bar.ax.xaxis.set_major_formatter(
        lambda value, _: f"{value:+.0f}".replace("-", "−").replace("+0", "0")
    )
    return to_svg(figure, "stock")


def _relative(arm: Arm) -> tuple[Floats, dict[str, Floats]]:
    """Return instants, and by node the change of mean stock since the first of them, in percent.

    A node that begins empty has no change to speak of and is left out.
    """
    hours, _ = on_grid((run.series.hours, run.series.hours) for run in arm.runs)
    change = {}
    for node in sorted({node for run in arm.runs for node in run.series.stock}):
        series = [(run.series.hours, run.series.stock.get(node, [])) for run in arm.runs]
        # The instants themselves come along as a run, lest nodes have different ones.
        _, values = on_grid([(hours.tolist(), hours.tolist()), *series])
        mean = known_mean(values[1:])
        if mean.size and mean[0] > 0:
            change[node] = (mean / mean[0] - 1) * 100
    return hours, change


def _heatmap(
    axes: Axes, x: Floats, change: dict[str, Floats], nodes: list[str], scale: Normalize
) -> None:
    """Draw nodes downwards, time to the right; grey where nothing is known."""
    blank = np.full(x.size, np.nan)
    values = np.array([change.get(node, blank) for node in nodes]).reshape(len(nodes), x.size)
    if x.size:
        middles = (x[1:] + x[:-1]) / 2
        edges = np.concatenate([x[:1], middles, x[-1:] if x.size > 1 else x + 1])
        axes.pcolormesh(
            edges,
            np.arange(len(nodes) + 1) - 0.5,
            values,
            cmap=_COLOURS,
            norm=scale,
            rasterized=True,  # as cells of their own they would take megabytes
        )
    axes.set_yticks(range(len(nodes)), [plain(node, 14) for node in nodes])
    axes.set_ylim(len(nodes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.set_facecolor(f"{INK}22")
