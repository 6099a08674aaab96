"""Budgets: what operators, desks and steps may cost, as multiples of decoding an event.

``benchmarks/budgets.json`` is the one place that has them; the table of docs/design.md is made from
it. ``python -m benchmarks.budgets`` judges the latest report of ``make bench``, and with
``--record`` sets the budgets to a margin above what that report measured.
"""

import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from benchmarks.document import put_between_markers
from benchmarks.figures import Target
from benchmarks.processes import ROOT

REPORT = ROOT / "benchmarks" / "results" / "spine.json"
BUDGETS = ROOT / "benchmarks" / "budgets.json"
DESIGN = ROOT / "docs" / "design.md"
MARKER = "budgets"
_MARGIN = 1.3
#: Budget of what costs next to nothing: a tenth of decoding.
_LEAST = 0.1
_UNIT = "× decode"
#: Figures of steps, as they are named in a report -> in the budgets.
_STEPS = {
    ("all events", "mean"): "all events, mean",
    ("orders", "mean"): "order, mean",
    ("scans", "mean"): "scan, mean",
    ("all events", "p99_9"): "p99.9 of all",
    ("all events", "max"): "longest of all",
}
#: Where the engine is to get to; a budget is where it may not fall back to.
TARGETS = {
    "all events, mean": 6.0,
    "order, mean": 25.0,
    "scan, mean": 6.0,
    "p99.9 of all": 100.0,
    "longest of all": 800.0,
}

#: Multiples of decoding by group (step, operator, desk), then by name.
Costs = dict[str, dict[str, float]]


def load(path: Path = BUDGETS) -> Costs:
    """Return the budgets."""
    budgets: Costs = orjson.loads(path.read_bytes())
    return budgets


def costs_of(report: dict[str, Any]) -> Costs:
    """Return the costs that a report measured, of the parts that it has."""
    costs: Costs = {}
    if "cost" in report:
        found = report["cost"]["multiples"]
        costs["step"] = {name: found[of][figure] for (of, figure), name in _STEPS.items()}
    if "desks" in report:
        costs["operator"] = dict(report["desks"]["operators"])
        costs["desk"] = {name: found["all"] for name, found in report["desks"]["desks"].items()}
    return costs


def held(costs: Costs, budgets: Costs) -> list[Target]:
    """Return the cost of each part against its budget; one without a budget has nothing."""
    return [
        _at_most(f"{group}: {name}", cost, budgets.get(group, {}).get(name, 0.0))
        for group, found in costs.items()
        for name, cost in found.items()
    ]


def targets_of(costs: Costs) -> list[Target]:
    """Return the cost of steps against where they are to get to."""
    steps = costs.get("step", {})
    return [_at_most(f"step: {name}", steps[name], TARGETS[name]) for name in steps]


def conclude(console: Console, budgets: Sequence[Target]) -> int:
    """Name each budget that is exceeded; returns the exit code, 1 if there is one."""
    exceeded = [each for each in budgets if not each.is_met]
    for each in exceeded:
        may_cost = f"budget {each.bound:,g}" if each.bound else "without a budget"
        console.print(
            f"over budget: {each.name}: {each.measured:,.3g} {_UNIT}, {may_cost}", style="bold red"
        )
    return 1 if exceeded else 0


def raised(costs: Costs, budgets: Costs) -> Costs:
    """Return budgets with a margin above costs, in two digits; those of other groups are kept."""
    return {
        **budgets,
        **{
            group: {name: _rounded_up(_MARGIN * cost) for name, cost in found.items()}
            for group, found in costs.items()
        },
    }


def table(budgets: Costs) -> str:
    """Return the budgets as a table for a document: steps, operators and desks side by side."""
    steps = [(n, f"{b:g}", f"{TARGETS[n]:g}") for n, b in budgets["step"].items()]
    operators, desks = (
        [(n, f"{b:g}") for n, b in budgets[g].items()] for g in ("operator", "desk")
    )
    lines = [
        "| step | budget | target | operator | budget | desk | budget |",
        "|---|---|---|---|---|---|---|",
    ]
    for step, operator, desk in zip_longest(steps, operators, desks):
        cells = (*(step or ("", "", "")), *(operator or ("", "")), *(desk or ("", "")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def record(costs: Costs, path: Path = BUDGETS, document: Path = DESIGN) -> None:
    """Write budgets with a margin above costs, and the table of the document."""
    budgets = raised(costs, load(path))
    path.write_bytes(orjson.dumps(budgets, option=orjson.OPT_INDENT_2) + b"\n")
    put_between_markers(document, MARKER, table(budgets))


def _at_most(name: str, cost: float, bound: float) -> Target:
    return Target(name=name, measured=cost, bound=bound, sense="at most", unit=_UNIT)


def _rounded_up(cost: float) -> float:
    if cost <= _LEAST:
        return _LEAST
    digits = 1 - math.floor(math.log10(cost))
    return round(math.ceil(round(cost * 10**digits, 6)) / 10**digits, max(digits, 0))


def judge(
    report: Annotated[Path, typer.Argument(help="Report of the spine.")] = REPORT,
    is_recorded: Annotated[bool, typer.Option("--record", help="Set budgets by it.")] = False,
    path: Annotated[Path, typer.Option("--budgets", help="Budgets to judge by.")] = BUDGETS,
) -> None:
    """Judge a report by the budgets, or set the budgets by it."""
    document = orjson.loads(report.read_bytes())
    costs = costs_of(document)
    if not costs or (is_recorded and document.get("quick")):
        raise typer.BadParameter(f"expected a report with costs, of a whole log, was {report}")
    if is_recorded:
        record(costs, path)
    raise typer.Exit(conclude(Console(stderr=True), held(costs, load(path))))


if __name__ == "__main__":
    typer.run(judge)
