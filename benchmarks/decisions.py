"""Measure decisions: what orders cost under each policy in worlds that are the same for all.

``python -m benchmarks.decisions``, or ``make bench-decisions``. Every policy meets the same orders,
supply, weather and luck (one seed = one world), so differences are paired by seed. Ours is run
without some of its parts as well. The lower bound for any policy is `benchmarks.clairvoyant`.
Exit code 0 whoever wins, 1 if the bound is beaten.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.decisions_runs import (
    BLIND,
    BOUND,
    CHEAPEST,
    MEASURED,
    OURS,
    POLICIES,
    VARIANTS,
    Job,
    Setting,
    do,
)
from benchmarks.decisions_table import above_bound, table_of
from benchmarks.document import put_between_markers
from benchmarks.processes import ROOT
from benchmarks.workload import machine
from flows.whatif.statistics import interval

RESULTS = ROOT / "benchmarks" / "results" / "decisions.json"
MEASUREMENTS = ROOT / "docs" / "measurements.md"
_QUICK_SEEDS = 3
#: Seeds for which the bound that foresees no luck on the road is found, in the small world alone:
#: it takes long.
_BLIND_SEEDS = 4


SETTINGS = (
    Setting("small", "small"),
    Setting("medium", "medium"),
    Setting("disrupted", "small", "perfect_storm"),
    Setting("rough", "rough"),
    # Moved stock shows its worth, or not, after days.
    Setting("longer", "small", days=20, has_bound=False),
)


def decisions(
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of each world: 1, 2, and so on.")] = 10,
    quick: Annotated[bool, typer.Option("--quick", help="The small world, three seeds.")] = False,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
    document: Annotated[
        Path, typer.Option(help="Markdown file to put the table in, between its markers.")
    ] = MEASUREMENTS,
    keep_bounds: Annotated[
        bool,
        typer.Option(
            "--keep-bounds",
            help="Take the bounds from the last report: they do not depend on policies.",
        ),
    ] = False,
) -> None:
    """Compare policies with each other and with the clairvoyant bound.

    A quick run replaces no report but a quick one. Ends with exit code 1 if any run cost less than
    its bound: then the simulation or the bound has a defect.
    """
    settings = SETTINGS[:1] if quick else SETTINGS
    count = min(seeds, _QUICK_SEEDS) if quick else seeds
    console = Console(highlight=False)
    where = machine()
    report.show_machine(console, where)
    begun = perf_counter()
    kept = _kept_bounds(results, settings) if keep_bounds else {}
    found = _do_all(settings, range(1, count + 1), kept)
    whole = {
        "machine": where,
        "quick": quick,
        "seeds": list(range(1, count + 1)),
        "seconds": perf_counter() - begun,
        "settings": {setting.name: _summary(setting, found, count) for setting in settings},
    }
    for name, summary in whole["settings"].items():
        for policy in (*POLICIES, *VARIANTS) if summary["bounds"] else ():
            if min(above_bound(summary, policy)) < 0:
                raise SystemExit(f"{policy} beat the bound in {name}: one of the two is wrong")
    table = table_of(whole)
    console.print(Markdown(table))
    if quick and results.exists() and not orjson.loads(results.read_bytes())["quick"]:
        console.print(f"{results} is of a full run: left as it is")
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n")
    put_between_markers(document, "decisions", table)
    console.print(f"Written to {results} and {document}")


def _kept_bounds(results: Path, settings: Sequence[Setting]) -> dict[Job, dict[str, Any]]:
    """Return the bounds of an earlier report."""
    found = {}
    known = orjson.loads(results.read_bytes())["settings"]
    for setting in settings:
        for policy, kept in ((BOUND, "bounds"), (BLIND, "blind")):
            for seed, bound in enumerate(known.get(setting.name, {}).get(kept, ()), 1):
                found[Job(setting, policy, seed)] = bound
    return found


def _do_all(
    settings: Sequence[Setting], seeds: Sequence[int], kept: dict[Job, dict[str, Any]]
) -> dict[Job, dict[str, Any]]:
    """Run everything that is not kept, the longest first, on all processors."""
    jobs = [
        Job(setting, policy, seed)
        for policy in (BLIND, BOUND, *POLICIES, *VARIANTS)
        for setting in sorted(settings, key=lambda setting: setting.world != "medium")
        for seed in seeds
        if policy not in (BLIND, BOUND) or setting.has_bound
        if policy != BLIND or (setting.world == "small" and seed <= _BLIND_SEEDS)
    ]
    found = {job: kept[job] for job in jobs if job in kept}
    jobs = [job for job in jobs if job not in found]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(os.cpu_count()) as pool,
    ):
        task = progress.add_task("runs and bounds", total=len(jobs))
        running = {pool.submit(do, job): job for job in jobs}
        for done in as_completed(running):
            job = running[done]
            found[job] = done.result()
            progress.update(
                task, advance=1, description=f"{job.setting.name}, {job.policy}, seed {job.seed}"
            )
    return found


def _summary(setting: Setting, found: dict[Job, dict[str, Any]], count: int) -> dict[str, Any]:
    """Return KPIs by policy and seed, means, paired differences, and distances to the bounds."""
    seeds = range(1, count + 1)
    names = (*POLICIES, *VARIANTS)
    runs = {name: [found[Job(setting, name, seed)] for seed in seeds] for name in names}
    means = {
        name: {kpi.name: _mean([run[kpi.name] for run in kept]) for kpi in MEASURED}
        for name, kept in runs.items()
    }
    bounds, blind = (
        [found[job] for seed in seeds if (job := Job(setting, name, seed)) in found]
        for name in (BOUND, BLIND)
    )
    return {
        "world": setting.world,
        "scenario": setting.scenario,
        "days": setting.days,
        "runs": runs,
        "bounds": bounds,
        "blind": blind,
        "means": means,
        "bound": fmean(one["cents_per_order"] for one in bounds) if bounds else None,
        "gap_closed": _gap_closed(runs, bounds),
        "gap_closed_blind": _gap_closed(runs, blind),
        "differences": {
            other: {kpi.name: _difference(runs[OURS], runs[other], kpi.name) for kpi in MEASURED}
            for other in names
            if other != OURS
        },
    }


def _gap_closed(
    runs: dict[str, list[dict[str, Any]]], bounds: Sequence[dict[str, Any]]
) -> float | None:
    """Return (cheapest − ours) ÷ (cheapest − bound), of mean costs over seeds with a bound."""
    if not bounds:
        return None
    seeds = len(bounds)
    cheapest, ours = (fmean(run["cost"] for run in runs[name][:seeds]) for name in (CHEAPEST, OURS))
    return (cheapest - ours) / (cheapest - fmean(one["cents_per_order"] for one in bounds))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _difference(
    ours: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], kpi: str
) -> dict[str, Any] | None:
    """Return the mean of ours − other over the seeds, with its 95 % interval."""
    changes = [
        mine[kpi] - other[kpi]
        for mine, other in zip(ours, others, strict=True)
        if mine[kpi] is not None and other[kpi] is not None
    ]
    if not changes:
        return None
    mean, low, high = interval(changes)
    return {"mean": mean, "low": low, "high": high, "pairs": len(changes)}


if __name__ == "__main__":
    typer.run(decisions)
