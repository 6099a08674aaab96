"""Measure decisions: what orders cost under each policy in worlds that are the same for all.

``python -m benchmarks.decisions``, or ``make bench-decisions``. Every policy meets the same orders,
supply, weather and luck (one seed = one world), so differences are paired by seed. What nobody
could go below is `benchmarks.clairvoyant`. Exit code 0 whoever wins, 1 if the bound is beaten.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
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
from benchmarks.clairvoyant import clairvoyant_bound
from benchmarks.decisions_table import above_bound, table_of
from benchmarks.document import put_between_markers
from benchmarks.processes import ROOT
from benchmarks.workload import machine
from flows.simulation.config import find_world
from flows.simulation.kpis import KPIS
from flows.simulation.scenario import NONE, find_scenario
from flows.whatif.statistics import interval
from flows.whatif.trial import Trial, run_trial
from state.policies import find_policy

RESULTS = ROOT / "benchmarks" / "results" / "decisions.json"
MEASUREMENTS = ROOT / "docs" / "measurements.md"
POLICIES = ("nearest", "cheapest", "ours")
DAYS = 10
_QUICK_SEEDS = 3
_BOUND = "bound"


@dataclass(frozen=True)
class Setting:
    """A world under a scenario, by their names."""

    name: str
    world: str
    scenario: str = NONE


SETTINGS = (
    Setting("small", "small"),
    Setting("medium", "medium"),
    Setting("disrupted", "small", "perfect_storm"),
    Setting("rough", "rough"),
)


@dataclass(frozen=True)
class Job:
    """One run of one policy, or one bound (`policy` is ``bound``)."""

    setting: Setting
    policy: str
    seed: int


def do(job: Job) -> dict[str, Any]:
    """KPIs of the run by name, or the fields of the bound; in a process of its own."""
    world, scenario = find_world(job.setting.world), find_scenario(job.setting.scenario)
    if job.policy == _BOUND:
        return asdict(clairvoyant_bound(world, job.seed, DAYS, scenario))
    trial = Trial(
        seed=job.seed,
        world=world,
        days=DAYS,
        scenario=scenario,
        policy=find_policy(job.policy),
    )
    return run_trial(trial).kpis


def decisions(
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of each world: 1, 2, and so on.")] = 10,
    quick: Annotated[bool, typer.Option("--quick", help="The small world, three seeds.")] = False,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
    document: Annotated[
        Path, typer.Option(help="Markdown file to put the table in, between its markers.")
    ] = MEASUREMENTS,
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
    found = _do_all(settings, range(1, count + 1))
    whole = {
        "machine": where,
        "quick": quick,
        "days": DAYS,
        "seeds": list(range(1, count + 1)),
        "seconds": perf_counter() - begun,
        "settings": {setting.name: _summary(setting, found, count) for setting in settings},
    }
    for name, summary in whole["settings"].items():
        for policy in POLICIES:
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


def _do_all(settings: Sequence[Setting], seeds: Sequence[int]) -> dict[Job, dict[str, Any]]:
    """Run everything, the longest first, on all processors."""
    jobs = [
        Job(setting, policy, seed)
        for policy in (_BOUND, *POLICIES)
        for setting in sorted(settings, key=lambda setting: setting.world != "medium")
        for seed in seeds
    ]
    found: dict[Job, dict[str, Any]] = {}
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
    """KPIs by policy and seed, their means, paired differences, and how far the bound is."""
    seeds = range(1, count + 1)
    runs = {name: [found[Job(setting, name, seed)] for seed in seeds] for name in POLICIES}
    bounds = [found[Job(setting, _BOUND, seed)] for seed in seeds]
    means = {
        name: {kpi.name: _mean([run[kpi.name] for run in kept]) for kpi in KPIS}
        for name, kept in runs.items()
    }
    least = fmean(bound["cents_per_order"] for bound in bounds)
    cheapest, ours = means["cheapest"]["cost"], means["ours"]["cost"]
    return {
        "world": setting.world,
        "scenario": setting.scenario,
        "runs": runs,
        "bounds": bounds,
        "means": means,
        "bound": least,
        "gap_closed": (cheapest - ours) / (cheapest - least),
        "differences": {
            other: {kpi.name: _difference(runs["ours"], runs[other], kpi.name) for kpi in KPIS}
            for other in POLICIES
            if other != "ours"
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _difference(
    ours: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], kpi: str
) -> dict[str, Any] | None:
    """Mean of ours − other over the seeds, with its 95 % interval."""
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
