"""Workload measured: one simulated log, always the same for a seed, and the machine it ran on."""

import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.simulation import simulate
from state.codec import decode
from state.events import Event
from state.journal import JournalReader
from state.journal_writer import JournalWriter

_BATCH = 1_000


@dataclass(frozen=True)
class Workload:
    """A written log, its length in lines, and the number of the last line of reference data."""

    log: Path
    events: int
    initial: int


def write_workload(folder: Path, events: int, seed: int) -> Workload:
    """Simulate `events` events into ``folder/log.jsonl``."""
    log = folder / "log.jsonl"
    initial = number = 0
    with JournalWriter(log) as writer:
        for number, event in enumerate(simulate(seed=seed, events=events), 1):
            writer.write(event)
            if event.type.endswith(".registered"):
                initial = number
    return Workload(log, number, initial)


def read_workload(log: Path) -> Workload:
    """Return what is to be known of a log that there is already."""
    initial = number = 0
    with JournalReader([log]) as reader:
        while lines := reader.read(_BATCH):
            for line in lines:
                number, event = line.seq, decode(line)
                if isinstance(event, Event) and event.type.endswith(".registered"):
                    initial = number
    return Workload(log.resolve(), number, initial)


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code; `date` (UTC) is not to be compared."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "usable_cpus": _usable_cpus(),
        "processor": _processor(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("bytewax", "river", "msgspec", "redis")},
    }


def _usable_cpus() -> int | None:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2] for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.processor()).strip()
