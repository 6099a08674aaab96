"""Measure the live engine: two processes over a real Kafka and a real Redis, at a paced load.

``python -m benchmarks.live``. The broker and the Redis are the tests' own. Exit code 0 whether or
not the targets are met: they are judged by who reads the report.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.figures import Target
from benchmarks.live_run import LiveLoad, measure_live
from benchmarks.processes import ROOT
from benchmarks.workload import machine, write_workload

RESULTS = ROOT / "benchmarks" / "results" / "live.json"
#: Simulated events before the paced ones, so that orders flow and models have seen something.
_WARM = 30_000


def live(
    seconds: Annotated[float, typer.Option(min=5, help="Length of the paced load.")] = 600.0,
    rate: Annotated[float, typer.Option(min=1, help="Raw events per second.")] = 1_000.0,
    positions: Annotated[int, typer.Option(min=0, help="Stock positions in the twin.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated log.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A short run, to try it out.")] = False,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
) -> None:
    """Measure latency from raw topic and journal to Redis, pauses, and memory, over minutes."""
    if quick:
        seconds, positions = min(seconds, 20.0), min(positions, 20_000)
    console, progress = Console(highlight=False, soft_wrap=False), Console(stderr=True)
    where = machine()
    report.show_machine(console, where)

    def tell(what: str) -> None:
        progress.print(what, style="dim")

    with tempfile.TemporaryDirectory(prefix="crossdock-bench-") as name:
        folder = Path(name)
        paced = round(seconds * rate)
        tell(f"simulating {_WARM + paced:,} events")
        workload = write_workload(folder, _WARM + paced, seed)
        load = LiveLoad(workload.log, _WARM, workload.events - _WARM, rate, positions)
        document, targets = measure_live(load, folder, tell)
    _show(console, document)
    report.show_targets(console, targets)
    _write(results, where, document, targets, quick)
    console.print(f"Written to {results}")


def _show(console: Console, document: dict[str, Any]) -> None:
    table = Table(
        title=f"ms at {document['events_per_s']:,.0f} raw events/s for "
        f"{document['seconds']:,.0f} s, {document['positions']:,} stock positions",
        title_justify="left",
    )
    table.add_column("")
    names = {"n": "n", "p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "max": "max"}
    for title in names.values():
        table.add_column(title, justify="right")
    for title, key in (
        ("raw topic → action", "raw_to_action_ms"),
        ("journal → action", "journal_to_action_ms"),
        ("floor: topic → Redis, no engine", "floor_ms"),
        ("how late the publisher was", "publisher_late_ms"),
    ):
        found = document[key]
        cells = [f"{found[name]:,.0f}" if name == "n" else f"{found[name]:.2f}" for name in names]
        table.add_row(title, *cells)
    console.print(table)
    memory = document["memory_mb"]
    for process, found in memory.items():
        console.print(
            f"memory of {process}: {found['first']:.0f} MB in the first quarter, "
            f"{found['last']:.0f} MB in the last, {found['peak']:.0f} MB at most"
        )
    held = document["checkpoints"]
    console.print(
        f"{held['count']} checkpoints held the stream up for {held['median_ms']:.1f} ms each "
        f"(median), {held['max_ms']:.1f} ms at most; epochs paused it for at most "
        f"{document['longest_epoch_pause_ms']:.0f} ms"
    )


def _write(
    path: Path,
    where: dict[str, Any],
    document: dict[str, Any],
    targets: list[Target],
    quick: bool,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "machine": where,
        "quick": quick,
        **document,
        "targets": [target.document() for target in targets],
    }
    path.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(live)
