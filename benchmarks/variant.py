"""One variant of the engine over a log, in a process of its own: ``python -m benchmarks.variant``.

Prints a JSON object: seconds, outcomes, digest of the actions, peak memory, and for the fold how
long and how large a snapshot of the state is at the end.
"""

import argparse
import gc
import resource
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.fold import BATCH, fold
from benchmarks.null_outlet import NullOutlet
from flows.wiring.checkpoints import Checkpoints
from flows.wiring.dataflow import EPOCH, Flow
from flows.wiring.journal_source import JournalSource
from operators.core.contract import Chain
from state.journal import JournalReader
from state.policy import Policy

#: All variants; the fold is what the others are compared with.
VARIANTS = ("fold", "fused", "staged", "recovery")


def run_variant(variant: str, log: Path, recovery: Path) -> dict[str, Any]:
    """Run `variant` over the whole of `log`; `recovery` is a folder that only one of them uses."""
    outlet = NullOutlet()
    chains: dict[str, Chain] = {}
    begun_cpu = time.process_time()
    begun = time.perf_counter()
    if variant == "fold":
        chains = fold(log, [outlet])
    else:
        checkpoints = None
        if variant == "recovery":
            checkpoints = Checkpoints(recovery / "checkpoints", EPOCH.total_seconds())
        source = JournalSource(
            lambda at: JournalReader([log], at), batch=BATCH, checkpoints=checkpoints
        )
        flow = Flow(
            source,
            {"null": outlet},
            Policy(),
            staged=variant == "staged",
            checkpoints=checkpoints,
        )
        flow.run(None if checkpoints is None else recovery)
    seconds = time.perf_counter() - begun
    cpu_seconds = time.process_time() - begun_cpu
    return {
        "variant": variant,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "outcomes": outlet.count,
        "digest": outlet.digest,
        "peak_bytes": _peak_bytes(),
        "full_collections": gc.get_stats()[2]["collections"],
        "snapshot": _snapshot(chains),
    }


def _peak_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    try:
        # Linux keeps in ru_maxrss what the parent had when it started us; this is ours alone.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _snapshot(chains: dict[str, Chain]) -> dict[str, Any] | None:
    """Measure a snapshot at the end of the log: an epoch pauses the flow for that long."""
    operators = [operator for chain in chains.values() for operator in chain.operators]
    if not operators:
        return None
    by_operator = {}
    for operator in operators:
        times_ms = []
        size = 0
        for _ in range(3):
            begun = time.perf_counter()
            size = len(operator.snapshot())
            times_ms.append((time.perf_counter() - begun) * 1_000)
        by_operator[operator.name] = {"ms": sorted(times_ms)[1], "bytes": size}
    return {
        "ms": sum(found["ms"] for found in by_operator.values()),
        "bytes": sum(found["bytes"] for found in by_operator.values()),
        "by_operator": by_operator,
    }


def main() -> None:
    """Run the variant that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("log", type=Path)
    parser.add_argument("recovery", type=Path)
    asked = parser.parse_args()
    found = run_variant(asked.variant, asked.log, asked.recovery)
    sys.stdout.write(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
