"""Measure the engine: throughput, cost by kind of event, latency. ``python -m benchmarks.spine``.

Exit code 0 whether or not the targets are met: they are judged by who reads the report.
"""

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from benchmarks import report
from benchmarks.cost import measure_cost
from benchmarks.figures import Target
from benchmarks.latency import measure_latency
from benchmarks.processes import ROOT
from benchmarks.throughput import measure_throughput
from benchmarks.workload import machine, write_workload

RESULTS = ROOT / "benchmarks" / "results" / "spine.json"
_QUICK_EVENTS = 20_000
_QUICK_SECONDS = 5.0


class Part(StrEnum):
    """Part that can be measured on its own."""

    throughput = "throughput"
    cost = "cost"
    latency = "latency"


def spine(
    events: Annotated[int, typer.Option(min=5_000, help="Events of the simulated log.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated log.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each variant.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Paced part of the latency run.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Events per second of the paced part.")] = 1e3,
    only: Annotated[Part | None, typer.Option(help="Measure one part only.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run, to try it out.")] = False,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
) -> None:
    """Measure the engine as ratios within one run on one machine."""
    if quick:
        events, repeats, seconds = min(events, _QUICK_EVENTS), 1, min(seconds, _QUICK_SECONDS)
    console, progress = Console(highlight=False, soft_wrap=False), Console(stderr=True)
    where = machine()
    report.show_machine(console, where)
    document: dict[str, Any] = {"machine": where, "seed": seed, "events": events, "quick": quick}
    targets: list[Target] = []

    def tell(what: str) -> None:
        progress.print(what, style="dim")

    with tempfile.TemporaryDirectory(prefix="crossdock-bench-") as name:
        folder = Path(name)
        tell(f"simulating {events:,} events")
        workload = write_workload(folder, events, seed)
        if only in (None, Part.throughput):
            document["throughput"], found = measure_throughput(workload, folder, repeats, tell)
            targets += found
            report.show_throughput(console, document["throughput"])
        if only in (None, Part.cost):
            tell("cost by kind of event")
            document["cost"], found = measure_cost(workload)
            targets += found
            report.show_cost(console, document["cost"])
        if only in (None, Part.latency):
            document["latency"], found = measure_latency(workload, folder, seconds, rate, tell)
            targets += found
            report.show_latency(console, document["latency"])
    report.show_targets(console, targets)
    document["targets"] = [target.document() for target in targets]
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    tell(f"written to {results}")


if __name__ == "__main__":
    typer.run(spine)
