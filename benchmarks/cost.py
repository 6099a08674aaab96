"""Cost by kind of event in the bare fold: decoding, deciding, encoding what comes of it.

``python -m benchmarks.cost LOG`` measures in a process of its own and prints JSON. A timer costs
about 0.1 µs a reading; the reference data at a log's beginning is measured like all else.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import orjson

from benchmarks.figures import Target, distribution
from benchmarks.fold import BATCH
from benchmarks.processes import run_module
from benchmarks.workload import Workload
from flows.wiring.outcomes import outcomes
from operators.chain import build_chain, to_record
from operators.core.contract import Chain
from state.events import EVENT_TYPES, FAMILY_OF
from state.journal import JournalReader
from state.policy import Policy

_TIMEOUT_S = 900.0
_ORDER = "crossdock.order.placed"
_UNDECODABLE = "(undecodable)"
DECODE_BOUND_US = 6.0
TELEMETRY_BOUND_US = 40.0
ORDER_BOUND_US = 150.0

#: Nanoseconds of one event: decode and validate, step, encode the outcomes.
_Cost = tuple[int, int, int]


def _time_fold(log: Path) -> dict[str, list[_Cost]]:
    """Return the costs of each event of `log`, by wire type, in journal order."""
    reader, policy = JournalReader([log]), Policy()
    chains: dict[str, Chain] = {}
    costs: dict[str, list[_Cost]] = defaultdict(list)
    while lines := reader.read(BATCH):
        for line in lines:
            begun = perf_counter_ns()
            record = to_record(line)
            decoded = perf_counter_ns()
            chain = chains.get(record.network)
            if chain is None:
                chain = chains[record.network] = build_chain(record.network, policy)
            stepping = perf_counter_ns()
            records = chain.step(record)
            stepped = perf_counter_ns()
            outcomes(records)
            encoded = perf_counter_ns()
            kind = record.event.type if record.event else _UNDECODABLE
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


def _cost_document(log: Path) -> dict[str, Any]:
    """Return figures by wire type, by feed, and for all events together."""
    costs = _time_fold(log)
    every = [cost for found in costs.values() for cost in found]
    all_ns = sum(map(sum, every))
    families: dict[str, list[_Cost]] = defaultdict(list)
    for kind, found in costs.items():
        if kind != _UNDECODABLE:
            families[FAMILY_OF[EVENT_TYPES[kind]]] += found
    return {
        "by_type": {
            kind: _figures(found, all_ns)
            for kind, found in sorted(costs.items(), key=lambda item: -sum(map(sum, item[1])))
        },
        "by_family": {family: _figures(found, all_ns) for family, found in families.items()},
        "all": _figures(every, all_ns),
    }


def measure_cost(workload: Workload) -> tuple[dict[str, Any], list[Target]]:
    """Time each event of the log in a fresh process; returns figures and targets."""
    document = run_module("benchmarks.cost", [workload.log], _TIMEOUT_S)
    measured = (
        ("decode and validate, mean", document["all"]["decode_us"]["mean"], DECODE_BOUND_US),
        (
            "telemetry event, mean step",
            document["by_family"]["telemetry"]["step_us"]["mean"],
            TELEMETRY_BOUND_US,
        ),
        ("order, mean step", document["by_type"][_ORDER]["step_us"]["mean"], ORDER_BOUND_US),
    )
    return document, [
        Target(name=name, measured=value, bound=bound, sense="at most", unit="µs")
        for name, value, bound in measured
    ]


def main() -> None:
    """Measure the log that the argument names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    sys.stdout.write(orjson.dumps(_cost_document(parser.parse_args().log)).decode())


if __name__ == "__main__":
    main()
