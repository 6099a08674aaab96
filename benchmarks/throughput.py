"""Throughput: one log through the bare fold and the dataflow's forms, interleaved, repeatedly."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Target, spread
from benchmarks.processes import run_module
from benchmarks.variant import VARIANTS
from benchmarks.workload import Workload

_TIMEOUT_S = 900.0
#: Dataflow throughput as a share of the bare fold's, at least.
RATIO_BOUND = 0.85


def measure_throughput(
    workload: Workload, folder: Path, repeats: int, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[Target]]:
    """Run all variants `repeats` times, each in a fresh process; returns figures and targets.

    Raises AssertionError if two runs differ in their actions.
    """
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    for repeat in range(1, repeats + 1):
        for variant in VARIANTS:
            tell(f"throughput {repeat}/{repeats}: {variant}")
            recovery = folder / f"recovery-{variant}-{repeat}"
            arguments = (variant, workload.log, recovery)
            runs[variant].append(run_module("benchmarks.variant", arguments, _TIMEOUT_S))
    digests = {run["digest"] for found in runs.values() for run in found}
    assert len(digests) == 1, f"expected equal actions from all variants, was {digests}"

    fold_s = [run["seconds"] for run in runs["fold"]]
    figures = {}
    for variant, found in runs.items():
        seconds = [run["seconds"] for run in found]
        # Neighbours in time are compared, so that a drift of the machine cancels out.
        ratios = [base / own for base, own in zip(fold_s, seconds, strict=True)]
        figures[variant] = {
            "events_per_s": spread([workload.events / s for s in seconds]),
            "ratio_to_fold": spread(ratios),
            "cpu_ratio_to_fold": spread(
                [
                    base["cpu_seconds"] / own["cpu_seconds"]
                    for base, own in zip(runs["fold"], found, strict=True)
                ]
            ),
            "peak_mb": spread([run["peak_bytes"] / 1e6 for run in found]),
            "outcomes": found[0]["outcomes"],
            "full_collections": median(run["full_collections"] for run in found),
        }
    target = Target(
        name="dataflow throughput ÷ bare fold",
        measured=figures["fused"]["ratio_to_fold"]["median"],
        bound=RATIO_BOUND,
        sense="at least",
        unit="",
    )
    document = {
        "events": workload.events,
        "repeats": repeats,
        "digest": digests.pop(),
        "variants": figures,
        "snapshot_at_end": runs["fold"][0]["snapshot"],
    }
    return document, [target]
