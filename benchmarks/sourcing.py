"""Measure a sourcing decision by size of network and order. ``python -m benchmarks.sourcing``.

With ``--against CHECKOUT`` another version is timed in turns with this one, in the same run.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from benchmarks.document import put_between_markers
from benchmarks.figures import percentile
from benchmarks.processes import ROOT
from benchmarks.workload import machine

RESULTS = ROOT / "benchmarks" / "results" / "sourcing.json"
DOCUMENT = ROOT / "docs" / "measurements.md"
_CASES = ((10, 1), (10, 3), (200, 1), (200, 3))
#: Nodes -> µs that a decision may take: the budget of an order, and a millisecond for many nodes.
_BOUNDS = {10: 150.0, 200: 1_000.0}


def sourcing(
    rounds: Annotated[int, typer.Option(min=1, help="Times each order is decided.")] = 15,
    against: Annotated[Path | None, typer.Option(help="Another checkout to time too.")] = None,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
    document: Annotated[Path, typer.Option(help="Document with the table.")] = DOCUMENT,
) -> None:
    """Time decisions of 150 orders in each size of network."""
    rows = []
    for nodes, lines in _CASES:
        row: dict[str, Any] = {"nodes": nodes, "services": 6, "lines": lines}
        if against is not None:
            row["before"] = _times(against.resolve(), nodes, lines, rounds)
        row["now"] = _times(ROOT, nodes, lines, rounds)
        rows.append(row)
    report = {"machine": machine(), "rounds": rounds, "cases": rows}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    table = _table(rows)
    put_between_markers(document, "sourcing", table)
    sys.stdout.write(f"{table}\n")


def _times(checkout: Path, nodes: int, lines: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return µs at median and 99th percentile, to decide and to decide, reserve and explain."""
    script = str(ROOT / "benchmarks" / "sourcing_cases.py")
    command = [sys.executable, script, str(nodes), str(lines), str(rounds)]
    done = subprocess.run(  # noqa: S603
        command,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        check=True,
    )
    found = {}
    for name, values in orjson.loads(done.stdout).items():
        ordered = sorted(values)
        found[name] = {"p50": percentile(ordered, 0.5), "p99": percentile(ordered, 0.99)}
    return found


def _table(rows: list[dict[str, Any]]) -> str:
    has_before = "before" in rows[0]
    head = "| nodes × services | lines | decide | p99 | with its explanation | p99 | bound |"
    if has_before:
        head += " decide ÷ before | p99 ÷ before |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for row in rows:
        now = row["now"]
        bound = _BOUNDS[row["nodes"]]
        verdict = "" if now["decide"]["p50"] <= bound else ", missed"
        cells = [
            f"{row['nodes']} × {row['services']}",
            f"{row['lines']}",
            *(f"{now[part][name]:.0f}" for part in ("decide", "place") for name in ("p50", "p99")),
            f"{bound:.0f}{verdict}",
        ]
        if has_before:
            before = row["before"]["decide"]
            cells += [f"{now['decide'][name] / before[name]:.2f}" for name in ("p50", "p99")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(sourcing)
