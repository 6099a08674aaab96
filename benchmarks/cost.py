"""Cost by kind of event in the bare fold: decoding, deciding, encoding what comes of it.

``python -m benchmarks.cost LOG`` measures in a process of its own and prints JSON. Reading a clock
costs some tenths of a µs; the reference data at a log's beginning is measured like all else. With
``--cpu`` the time in which other processes had the processor does not count, so that the longest
steps are the engine's own.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any

import orjson

from benchmarks.figures import distribution
from benchmarks.fold import BATCH
from benchmarks.processes import run_module
from benchmarks.workload import Workload
from flows.cli.collector import spare_the_collector
from flows.wiring.outcomes import outcomes
from operators.chain import build_chain, to_record
from operators.core.contract import Chain
from state.events import EVENT_TYPES, FAMILY_OF
from state.journal import JournalReader
from state.policy import Policy

_TIMEOUT_S = 900.0
_ORDER = "crossdock.order.placed"
UNDECODABLE = "(undecodable)"
_FIGURES = ("mean", "p99", "p99_9", "max")
_SCAN = "crossdock.shipment.scanned"

#: Nanoseconds of one event: decode and validate, step, encode the outcomes.
_Cost = tuple[int, int, int]


def _time_fold(log: Path, clock: Callable[[], int]) -> dict[str, list[_Cost]]:
    """Return the costs of each event of `log`, by wire type, in journal order."""
    reader, policy = JournalReader([log]), Policy()
    chains: dict[str, Chain] = {}
    costs: dict[str, list[_Cost]] = defaultdict(list)
    while lines := reader.read(BATCH):
        for line in lines:
            begun = clock()
            record = to_record(line)
            decoded = clock()
            chain = chains.get(record.network)
            if chain is None:
                chain = chains[record.network] = build_chain(record.network, policy)
            stepping = clock()
            records = chain.step(record)
            stepped = clock()
            outcomes(records)
            encoded = clock()
            kind = record.event.type if record.event else UNDECODABLE
            costs[kind].append((decoded - begun, stepped - stepping, encoded - stepped))
    reader.close()
    return costs


def _figures(costs: Iterable[_Cost], all_ns: int) -> dict[str, Any]:
    kept = list(costs)
    part = {
        name: distribution([cost[index] / 1_000 for cost in kept])
        for index, name in enumerate(("decode_us", "step_us", "encode_us"))
    }
    total_ns = sum(map(sum, kept))
    return {**part, "count": len(kept), "share": total_ns / all_ns, "total_ms": total_ns / 1e6}


def _cost_document(log: Path, clock: Callable[[], int]) -> dict[str, Any]:
    """Return figures by wire type, by feed, and for all events together."""
    costs = _time_fold(log, clock)
    every = [cost for found in costs.values() for cost in found]
    all_ns = sum(map(sum, every))
    families: dict[str, list[_Cost]] = defaultdict(list)
    for kind, found in costs.items():
        if kind != UNDECODABLE:
            families[FAMILY_OF[EVENT_TYPES[kind]]] += found
    return {
        "by_type": {
            kind: _figures(found, all_ns)
            for kind, found in sorted(costs.items(), key=lambda item: -sum(map(sum, item[1])))
        },
        "by_family": {family: _figures(found, all_ns) for family, found in families.items()},
        "all": _figures(every, all_ns),
    }


def measure_cost(workload: Workload) -> dict[str, Any]:
    """Time each event of the log in a fresh process; returns figures, multiples among them."""
    found = run_module("benchmarks.cost", [workload.log, "--cpu"], _TIMEOUT_S)
    return {**found, "multiples": multiples(found)}


def multiples(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return steps of all events, orders and scans as multiples of decoding an event."""
    decode_us = found["all"]["decode_us"]["mean"]
    steps = {
        "all events": found["all"]["step_us"],
        "orders": found["by_type"][_ORDER]["step_us"],
        "scans": found["by_type"][_SCAN]["step_us"],
    }
    return {
        name: {figure: step[figure] / decode_us for figure in _FIGURES}
        for name, step in steps.items()
    }


def main() -> None:
    """Measure the log that the argument names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--cpu", action="store_true", help="count this thread's CPU time only")
    spare_the_collector()  # as the commands that fold do
    asked = parser.parse_args()
    found = _cost_document(asked.log, thread_time_ns if asked.cpu else perf_counter_ns)
    sys.stdout.write(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
