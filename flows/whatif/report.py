"""The result of a what-if as one HTML file that needs nothing else."""

from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flows.display.visible import visible
from flows.simulation.kpis import Kpi
from flows.whatif.curves import over_time, parted
from flows.whatif.plots import colour_of, cost_by_term, forest, on_time_dots, styled
from flows.whatif.result import Result
from flows.whatif.shelves import MOST_NODES, stock_by_node
from flows.whatif.statistics import first_of_scenario, mean_of
from flows.whatif.wording import (
    blocks,
    change_text,
    changes_between,
    interval_text,
    is_term,
    shown_kpis,
    standing,
    titled,
    value_text,
    verdict,
)

#: Arms side by side in a table; beyond that, scenario by scenario.
_MOST_ARMS = 6


class Change(NamedTuple):
    """A difference as written in a table."""

    text: str
    word: str
    interval: str


class Cell(NamedTuple):
    """A KPI of an arm: its mean, or nothing where only the difference counts."""

    value: str
    change: Change | None


class Row(NamedTuple):
    """A KPI in a table."""

    title: str
    term: bool
    cells: list[Cell]


class Column(NamedTuple):
    """An arm in a table."""

    scenario: str
    policy: str
    colour: str


class ReportTable(NamedTuple):
    """KPIs of some arms."""

    columns: list[Column]
    rows: list[Row]


def write_report(result: Result, path: Path, *, command: str = "") -> None:
    """Write the report of a what-if; the same result gives the same bytes.

    `command` repeats it. The time that it took is left out, since it differs from run to run.
    """
    path.write_text(report(result, command=command), encoding="utf-8")


def report(result: Result, *, command: str = "") -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=PackageLoader("flows.whatif", ""),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2").render(
        result=result,
        verdict=verdict(result),
        by_arm=_by_arm(result),
        by_policy=_by_policy(result),
        figures=_figures(result),
        parted=parted(result),
        most_nodes=MOST_NODES,
        command=command,
    )


def _visible(value: object) -> object:
    """Return text as shown in a page; figures are markup of ours, with visible texts."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _figures(result: Result) -> dict[str, Markup | list[Markup] | None]:
    """Return all figures. They are safe: matplotlib escapes every text in them."""
    if not result.arms:
        return {}
    with styled():
        stock = stock_by_node(result)
        return {
            "cost": Markup(cost_by_term(result)),  # noqa: S704
            "on_time": Markup(on_time_dots(result)),  # noqa: S704
            "forest": Markup(forest(result)) if len(result.arms) > 1 else None,  # noqa: S704
            "time": [Markup(svg) for svg in over_time(result)],  # noqa: S704
            "stock": Markup(stock) if stock else None,  # noqa: S704
        }


def _by_arm(result: Result) -> list[ReportTable]:
    """Return means of all arms, and their differences from the baseline."""
    return [
        _table(result, [(arm, 0) for arm in arms], values=True)
        for arms in blocks(result.arms, _MOST_ARMS)
        if arms
    ]


def _by_policy(result: Result) -> list[ReportTable]:
    """Return differences of policies from the first one in scenarios other than the baseline's."""
    first = [first_of_scenario(result.arms, arm) for arm in range(len(result.arms))]
    pairs = [
        [(arm, first[arm]) for arm in arms if first[arm] not in (0, arm)]
        for arms in blocks(result.arms, _MOST_ARMS)
    ]
    return [_table(result, some, values=False) for some in pairs if some]


def _table(result: Result, pairs: list[tuple[int, int]], *, values: bool) -> ReportTable:
    """Return a column per pair of arms that are compared."""
    columns = []
    for arm, against in pairs:
        scenario, policy = result.arms[arm].scenario, result.arms[arm].policy
        if not values:
            policy = f"{policy} against {result.arms[against].policy}"
        columns.append(Column(scenario, policy, colour_of(arm)))
    rows = []
    for kpi in shown_kpis(result.arms):
        changes = [_change(result, kpi, arm, against) for arm, against in pairs]
        if not values and all(change is None or change.word == "same" for change in changes):
            continue
        means = [value_text(kpi, mean_of(result.arms[arm], kpi.name)) for arm, _ in pairs]
        cells = [
            Cell(mean if values else "", change)
            for mean, change in zip(means, changes, strict=True)
        ]
        rows.append(Row(titled(kpi, result.currency, difference=not values), is_term(kpi), cells))
    return ReportTable(columns, rows)


def _change(result: Result, kpi: Kpi, arm: int, against: int) -> Change | None:
    """Return how a KPI differs between two arms, if that is known."""
    difference = changes_between(result, arm, against).get(kpi.name)
    if difference is None:
        return None
    return Change(
        change_text(kpi, difference.mean), standing(kpi, difference), interval_text(kpi, difference)
    )
