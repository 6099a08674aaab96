"""Figures of a what-if as SVG: their looks, and those that show whole runs.

Arms wear the colours of Okabe and Ito, terms of cost those of Tol's muted scheme: the colour-blind
can tell both apart, and no colour means two things. Ink and paper are replaced by the page's own,
so that the figures follow it into the dark.
"""

import io
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from flows.display.visible import visible
from flows.simulation.kpis import COST_TERMS, KPIS, Kpi
from flows.whatif.result import Result
from flows.whatif.statistics import interval, mean_of, partners, values_of
from flows.whatif.wording import (
    changes_between,
    scaled,
    shown_kpis,
    standing,
    unit_of,
    value_text,
)

#: Okabe and Ito's colours without black, which is the ink, the palest last.
ARM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
#: Tol's muted scheme, one for each term of cost.
TERM_COLOURS = (
    "#88CCEE",
    "#332288",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#44AA99",
    "#AA4499",
    "#117733",
    "#999933",
)
#: Arms beyond the colours repeat them with other dashes.
_DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
#: Stand-ins for the page's own colours.
INK, PAPER = "#1a1b1c", "#fdfcfb"
#: Width of all figures in inches; at 900 pixels a point of type is 1.4 pixels.
WIDTH = 9.0

_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's own type
    "text.parse_math": False,  # a scenario may be named $x$
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "grid.alpha": 0.18,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "grid.color": INK,
}


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are made and drawn, whatever the user's settings."""
    return matplotlib.style.context(["default", _STYLE])


def to_svg(figure: Figure, name: str) -> str:
    """Return the figure as an `svg` element for a page; `name` keeps its ids apart from others'."""
    text = io.StringIO()
    FigureCanvasSVG(figure)
    blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": name}):
        # The browser has glyphs that the font of the layout may lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(text, format="svg", metadata=blank)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # Groups are numbered alike in every figure, and nothing refers to them.
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"| height="[\d.]+pt"', "", svg, count=2)
    return svg.replace(INK, "currentColor").replace(PAPER, "var(--paper)")


def colour_of(arm: int) -> str:
    """Return the colour an arm has in all figures."""
    return ARM_COLOURS[arm % len(ARM_COLOURS)]


def dashes_of(arm: int) -> Literal["-", "--", ":", "-."]:
    """Return how an arm's curve is dashed."""
    return _DASHES[arm // len(ARM_COLOURS) % len(_DASHES)]


def plain(text: str, most: int = 32) -> str:
    """Return a name as a label: not too long, on one line, shown even if it begins with ``_``."""
    text = visible(" ".join(text.split()))
    if len(text) > most:
        # Names of files differ at the end as often as at the beginning.
        head = most // 2
        text = f"{text[:head].rstrip()}…{text[len(text) - (most - head - 1) :].lstrip()}"
    return f"\u200b{text}" if text.startswith("_") else text


def label_of(result: Result, arm: int, most: int = 44) -> str:
    """Return an arm's label in a figure, of about `most` letters."""
    policy = plain(result.arms[arm].policy, most * 2 // 5)
    return f"{plain(result.arms[arm].scenario, most - 2 - len(policy))}, {policy}"


def cost_by_term(result: Result) -> str:
    """Draw stacked bars: the cost of an order by arm, term by term."""
    terms = [kpi for kpi in COST_TERMS if kpi in shown_kpis(result.arms)]
    figure = _figure(1.1 + 0.34 * len(result.arms))
    axes = figure.subplots()
    arms = range(len(result.arms))
    ahead, behind = [0.0] * len(arms), [0.0] * len(arms)
    for term in terms:
        sizes = [scaled(term, mean_of(arm, term.name) or 0.0) for arm in result.arms]
        # Credits, should there be any, are stacked to the other side.
        starts = [(ahead if size >= 0 else behind)[i] for i, size in enumerate(sizes)]
        colour = TERM_COLOURS[COST_TERMS.index(term)]
        axes.barh(list(arms), sizes, 0.66, left=starts, color=colour, label=term.title)
        for i, size in enumerate(sizes):
            (ahead if size >= 0 else behind)[i] += size
    cost = KPIS[0]
    for i, arm in enumerate(result.arms):
        text = value_text(cost, mean_of(arm, cost.name))
        axes.annotate(text, (ahead[i], i), (4, 0), textcoords="offset points", va="center")
    _arms_down(axes, [label_of(result, arm) for arm in arms])
    axes.set_xlabel(f"cost-to-serve per order, {plain(result.currency)}")
    axes.grid(axis="x")
    axes.margins(x=0.09)
    if terms:
        figure.legend(loc="outside upper left", ncols=5, handlelength=1.0, columnspacing=1.4)
    return to_svg(figure, "cost")


def on_time_dots(result: Result) -> str:
    """Draw dots with intervals: the share of orders on time by arm."""
    kpi = _kpi("on_time")
    figure = _figure(0.8 + 0.3 * len(result.arms))
    axes = figure.subplots()
    for i, arm in enumerate(result.arms):
        if values := values_of(arm, kpi.name):
            mean, low, high = interval([scaled(kpi, value) for value in values])
            _dot(axes, i, mean, low, high, colour_of(i), filled=True)
    _arms_down(axes, [label_of(result, arm) for arm in range(len(result.arms))])
    axes.set_xlabel("orders on time, in full, by the original promise, % (95 % interval)")
    axes.grid(axis="x")
    axes.margins(x=0.08)
    return to_svg(figure, "on-time")


def forest(result: Result) -> str:
    """Draw differences of cost and punctuality between arms, with intervals, against zero."""
    pairs = list(partners(result.arms))
    figure = _figure(1.0 + 0.42 * max(1, len(pairs)))
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axes, name, sense in zip(
        panels,
        ("cost", "on_time"),
        ("← cheaper\u2003\u2003dearer →", "← fewer\u2003\u2003more →"),
        strict=True,
    ):
        kpi = _kpi(name)
        for row, (arm, against) in enumerate(pairs):
            difference = changes_between(result, arm, against).get(name)
            if difference is None:
                continue
            ends = [
                None if end is None else scaled(kpi, end)
                for end in (difference.low, difference.high)
            ]
            filled = standing(kpi, difference) not in ("unclear", "same", "")
            mean = scaled(kpi, difference.mean)
            _dot(axes, row, mean, ends[0], ends[1], colour_of(arm), filled=filled)
        axes.axvline(0, color=INK, linewidth=0.9)
        title = {"cost": "cost-to-serve per order", "on_time": "orders on time"}[name]
        axes.set_xlabel(
            f"{title}, {plain(unit_of(kpi, result.currency, difference=True))}\n{sense}"
        )
        axes.grid(axis="x")
        axes.margins(x=0.08)
        axes.tick_params(axis="y", length=0)
    labels = [f"{label_of(result, arm)}\nagainst {label_of(result, to)}" for arm, to in pairs]
    _arms_down(panels[0], labels)
    return to_svg(figure, "differences")


def _dot(
    axes: Axes,
    row: int,
    mean: float,
    low: float | None,
    high: float | None,
    colour: str,
    *,
    filled: bool,
) -> None:
    """Draw a dot for the mean on the interval's line; hollow where nothing is certain."""
    if low is not None and high is not None:
        axes.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot(
        [mean],
        [row],
        marker="o",
        markersize=6.5,
        markeredgewidth=1.8,
        color=colour,
        markerfacecolor=colour if filled else PAPER,
    )


def _arms_down(axes: Axes, labels: list[str]) -> None:
    """Set rows by label, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _figure(height: float) -> Figure:
    """Return an empty figure of the width all have."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def _kpi(name: str) -> Kpi:
    """Return the KPI of that name."""
    return next(kpi for kpi in KPIS if kpi.name == name)
