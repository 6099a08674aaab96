"""Measure the simulated world: pace, memory, open work, forks. ``python -m benchmarks.world``."""

import resource
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.fold import fold
from benchmarks.processes import ROOT
from benchmarks.workload import machine
from flows.replay.replay import CHECKPOINTS, ReplayPlan, replay
from flows.simulation import WorldConfig
from flows.simulation.controller import ChainController
from flows.simulation.scenario import UNDISTURBED
from flows.simulation.simulation import Simulation
from flows.whatif.fork import ForkTrial, fork_checkpoint, open_fork
from state.journal_writer import JournalWriter
from state.policy import Policy

RESULTS = ROOT / "benchmarks" / "results" / "world.json"
_FORKED_EVENTS = 100_000
_PARTS = 10


def world(
    events: Annotated[int, typer.Option(min=100_000, help="Events to simulate.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Luck of the world.")] = 1,
    results: Annotated[Path, typer.Option(help="JSON report to write.")] = RESULTS,
) -> None:
    """Run the demo world for many events, and fork it, beside a bare fold of its own journal."""
    console = Console(highlight=False)
    where = machine()
    report.show_machine(console, where)
    with tempfile.TemporaryDirectory(prefix="crossdock-bench-") as name:
        folder = Path(name)
        log = folder / "log.jsonl"
        growth = _run(seed, events, log)
        document: dict[str, Any] = {"machine": where, "seed": seed, "growth": growth}
        document["pace"] = _pace(growth, log)
        document["fork"] = _fork(log, folder)
    _show(console, document)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def _run(seed: int, events: int, log: Path) -> list[dict[str, float]]:
    """Simulate; returns time, memory and open work after each part. Keeps the first part's log."""
    config = WorldConfig()
    simulation, engine = Simulation(seed, config), ChainController(config.network, Policy())
    part = events // _PARTS
    growth = []
    begun = perf_counter()
    writer = JournalWriter(log)
    for number, event in enumerate(simulation.run(engine), 1):
        if number <= _FORKED_EVENTS:
            writer.write(event)
            if number == _FORKED_EVENTS:
                writer.close()
        if number % part == 0:
            growth.append(
                {
                    "events": number,
                    "seconds": perf_counter() - begun,
                    "resident_mb": _resident_mb(),
                    "open_orders": len(simulation.fulfilment.orders),
                    "agenda": len(simulation.agenda),
                    "days": (simulation.now_ms - config.start_ms) / 86_400_000,
                }
            )
        if number == events:
            break
    return growth


def _pace(growth: list[dict[str, float]], log: Path) -> dict[str, float]:
    """Measure µs per event of the first 100,000, beside a bare fold of the same journal."""
    begun = perf_counter()
    fold(log, [])
    fold_us = (perf_counter() - begun) / _FORKED_EVENTS * 1e6
    first = next(part for part in growth if part["events"] >= _FORKED_EVENTS)
    world_us = first["seconds"] / first["events"] * 1e6
    return {"world_us": world_us, "fold_us": fold_us, "ratio": world_us / fold_us}


def _fork(log: Path, folder: Path) -> dict[str, float]:
    """Measure seconds to fork a checkpoint, and to have a world and a chain ready to go on."""
    recovery = folder / "recovery"
    replay(ReplayPlan(logs=(log,), policy=Policy(), out=folder / "out", recovery=recovery))
    begun = perf_counter()
    fork = fork_checkpoint(recovery / CHECKPOINTS)
    ready_s = perf_counter() - begun
    trial = ForkTrial(fork=fork, seed=1, days=1, scenario=UNDISTURBED, policy=None)
    begun = perf_counter()
    simulation, _ = open_fork(trial)
    return {
        "ready_s": ready_s,
        "open_s": perf_counter() - begun,
        "state_mb": len(fork.state) / 1e6,
        "shelves": float(sum(1 for _ in simulation.stock.all_shelves())),
    }


def _resident_mb() -> float:
    """Return the resident memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _show(console: Console, document: dict[str, Any]) -> None:
    table = Table(title="The demo world", title_justify="left")
    for title in ("events", "days", "seconds", "resident MB", "open orders", "agenda"):
        table.add_column(title, justify="right")
    for part in document["growth"]:
        table.add_row(
            f"{part['events']:,}",
            f"{part['days']:.1f}",
            f"{part['seconds']:.1f}",
            f"{part['resident_mb']:.0f}",
            f"{part['open_orders']:,}",
            f"{part['agenda']:,}",
        )
    console.print(table)
    pace, fork = document["pace"], document["fork"]
    console.print(
        f"{pace['world_us']:.1f} µs per event, the bare fold of its journal {pace['fold_us']:.1f}: "
        f"{pace['ratio']:.2f}"
    )
    console.print(
        f"fork of a checkpoint of {fork['state_mb']:.1f} MB: ready in {fork['ready_s']:.2f} s; "
        f"world and chain to go on in {fork['open_s']:.2f} s more ({fork['shelves']:,.0f} shelves)"
    )


if __name__ == "__main__":
    typer.run(world)
