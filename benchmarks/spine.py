"""Measure the engine: throughput, cost by kind of event and by desk, latency.

``python -m benchmarks.spine``. Exit code 1 if something costs more than its budget, see
`benchmarks.budgets`; targets are judged by who reads the report.
"""

import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from benchmarks import report
from benchmarks.against import NotFoldable, measure_against, older_tree
from benchmarks.budgets import REPORT, conclude, costs_of, held, load, targets_of
from benchmarks.cost import measure_cost
from benchmarks.desks import measure_desks
from benchmarks.figures import Target
from benchmarks.latency import measure_latency
from benchmarks.throughput import measure_throughput
from benchmarks.workload import machine, read_workload, write_workload

_QUICK_EVENTS = 20_000
_QUICK_SECONDS = 5.0


class Part(StrEnum):
    """Part that can be measured on its own."""

    throughput = "throughput"
    cost = "cost"
    desks = "desks"
    latency = "latency"
    against = "against"


def spine(
    events: Annotated[int, typer.Option(min=5_000, help="Events of the simulated log.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated log.")] = 1,
    log: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Log to fold instead, uncompressed."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each variant.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Paced part of the latency run.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Events per second of the paced part.")] = 1e3,
    only: Annotated[list[Part] | None, typer.Option(help="Measure these parts only.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="REV", help="Older commit that folds the log in turns.")
    ] = None,
    against_python: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="Interpreter with that commit's packages.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Turns with the older commit.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="A short run, to try it out.")] = False,
    no_fail: Annotated[bool, typer.Option("--no-fail", help="Exit with 0 all the same.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = REPORT,
) -> None:
    """Measure the engine as ratios within one run on one machine."""
    if quick:
        events, repeats, seconds = min(events, _QUICK_EVENTS), 1, min(seconds, _QUICK_SECONDS)
    parts = set(only or Part)
    if only and Part.against in parts and against is None:
        raise typer.BadParameter("expected --against REV with --only against")
    console = Console(highlight=False, soft_wrap=False, quiet=as_json)
    progress = Console(stderr=True, highlight=False)

    def tell(what: str) -> None:
        progress.print(what, style="dim")

    document: dict[str, Any] = {"machine": machine(), "quick": quick}
    report.show_machine(console, document["machine"])
    with ExitStack() as stack:
        older = None
        if against is not None and Part.against in parts:
            try:
                older = stack.enter_context(older_tree(against, against_python))
            except NotFoldable as error:
                progress.print(str(error), style="red")
                raise typer.Exit(2) from error
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossdock-bench-")))
        tell(f"simulating {events:,} events" if log is None else f"reading {log}")
        workload = write_workload(folder, events, seed) if log is None else read_workload(log)
        document |= {"seed": seed if log is None else None, "events": workload.events}
        targets: list[Target] = []
        if Part.throughput in parts:
            document["throughput"], found = measure_throughput(workload, folder, repeats, tell)
            targets += found
            report.show_throughput(console, document["throughput"])
        if Part.cost in parts:
            tell("cost by kind of event")
            document["cost"] = measure_cost(workload)
            report.show_cost(console, document["cost"])
        if Part.desks in parts:
            tell("cost by desk")
            document["desks"] = measure_desks(workload)
            report.show_desks(console, document["desks"])
        if Part.latency in parts:
            document["latency"], found = measure_latency(workload, folder, seconds, rate, tell)
            targets += found
            report.show_latency(console, document["latency"])
        if older is not None:
            document["against"] = measure_against(workload, older, pairs, tell)
            report.show_against(console, document["against"])
    costs = costs_of(document)
    targets += targets_of(costs)
    budgets = held(costs, load())
    report.show_targets(console, "Targets", targets)
    report.show_targets(console, "Budgets", budgets)
    document["targets"] = [target.document() for target in targets]
    document["budgets"] = [budget.document() for budget in budgets]
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(f"{text}\n", "utf-8")
    tell(f"written to {results}")
    if as_json:
        typer.echo(text)
    exit_code = conclude(progress, budgets)
    raise typer.Exit(0 if no_fail else exit_code)


if __name__ == "__main__":
    typer.run(spine)
