"""Measure drift detection and incidents. ``python -m benchmarks.prediction.shift``.

False alarms on residuals that do not shift (Gaussian, and lane residuals of real flights in
shuffled order), delay on ones that do; then, in disturbed worlds, how many alarms and incidents
there are, and whether an incident names the cause.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import inf, sqrt
from statistics import median
from time import perf_counter
from typing import Annotated

import pandas
import typer
from rich.console import Console
from rich.table import Table
from river import drift
from river.base import DriftDetector

from benchmarks.prediction.data.flights import find_flights
from benchmarks.prediction.incidents import Grouped, grouping
from operators.prediction.drift import Adwin, Cusum, Monitor
from operators.prediction.levels import Level

#: Detectors that are compared: what is shipped first, the others are yardsticks.
DETECTORS = ("Monitor", "CUSUM", "CUSUM h=15", "ADWIN", "PageHinkley", "River ADWIN")
#: Residuals of three kinds, none of which shifts. By day: shuffled, but each day left as it was.
RESIDUALS = ("Gaussian", "flights", "flights by day")
_SIZES = (0.5, 1.0, 2.0, 4.0)
_BEFORE, _AFTER, _TRIALS = 500, 1_000, 101
#: A lane's model: a mean and spread that remember about 30 flights, after a first 30.
_FADING, _WARM = 0.03, 30
_LEAST_FLIGHTS = 200


@dataclass(frozen=True)
class Quality:
    """Alarms of a detector; delays (median observations) by size of the shift, inf if not found."""

    detector: str
    false_per_10k: dict[str, float]
    delay: dict[float, float]
    us: float


class _Monitored(DriftDetector):
    """The monitor of one key, as a detector like the others."""

    def __init__(self) -> None:
        super().__init__()
        self._monitor: Monitor[str] = Monitor()

    def update(self, x: float) -> None:
        self._drift_detected = self._monitor.update("key", x, 0) is not None


def _detector(name: str) -> DriftDetector:
    match name:
        case "Monitor":
            return _Monitored()
        case "CUSUM":
            return Cusum()
        case "CUSUM h=15":
            return Cusum(threshold=15.0)
        case "ADWIN":
            return Adwin()
        case "PageHinkley":
            return drift.PageHinkley()
        case _:
            return drift.ADWIN()


@cache
def lanes() -> tuple[tuple[tuple[float, int], ...], ...]:
    """Return (arrival delay, day) of the flights of each carrier and lane, in order of time."""
    flights = pandas.read_csv(find_flights() / "flights.csv.zip")
    flights = flights.dropna(subset=["arr_delay"])
    flights = flights.sort_values(["month", "day", "sched_dep_time"], kind="stable")
    flights["date"] = 100 * flights.month + flights.day
    found: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    columns = (flights[name] for name in ("carrier", "origin", "dest", "arr_delay", "date"))
    for carrier, origin, destination, delay, date in zip(*columns, strict=True):
        found.setdefault((carrier, origin, destination), []).append((delay, date))
    return tuple(tuple(lane) for lane in found.values() if len(lane) >= _LEAST_FLIGHTS)


def residuals(kind: str, seed: int = 1) -> list[list[float]]:
    """Return streams of standardised residuals that do not shift."""
    luck = random.Random(seed)
    if kind == "Gaussian":
        return [[luck.gauss(0.0, 1.0) for _ in range(10_000)] for _ in range(30)]
    return [_standardised(_shuffled(lane, kind, luck)) for lane in lanes()]


def _shuffled(lane: Iterable[tuple[float, int]], kind: str, luck: random.Random) -> list[float]:
    groups: dict[int, list[float]] = {}
    for number, (delay, date) in enumerate(lane):
        groups.setdefault(number if kind == "flights" else date, []).append(delay)
    order = list(groups)
    luck.shuffle(order)
    return [delay for group in order for delay in groups[group]]


def _standardised(delays: list[float]) -> list[float]:
    level, found = Level(), []
    for delay in delays:
        if level.seen >= _WARM:
            found.append((delay - level.mean) / max(sqrt(level.square), 1.0))
        level.update(delay, _FADING)
    return found


def measure() -> list[Quality]:
    """Measure false alarms and delays of every detector."""
    streams = {kind: residuals(kind) for kind in RESIDUALS}
    return [
        Quality(
            detector=name,
            false_per_10k={kind: _false(name, streams[kind]) for kind in RESIDUALS},
            delay={size: _delay(name, size) for size in _SIZES},
            us=_cost_us(name, streams["Gaussian"]),
        )
        for name in DETECTORS
    ]


def _false(name: str, streams: list[list[float]]) -> float:
    alarms = 0
    for stream in streams:
        detector = _detector(name)
        for x in stream:
            detector.update(x)
            alarms += detector.drift_detected
    return 1e4 * alarms / sum(map(len, streams))


def _delay(name: str, size: float) -> float:
    return median(_one_delay(name, size, random.Random(trial)) for trial in range(_TRIALS))


def _one_delay(name: str, size: float, luck: random.Random) -> float:
    detector = _detector(name)
    for _ in range(_BEFORE):
        detector.update(luck.gauss(0.0, 1.0))
    for after in range(1, _AFTER + 1):
        detector.update(luck.gauss(size, 1.0))
        if detector.drift_detected:
            return after
    return inf


def _cost_us(name: str, streams: list[list[float]]) -> float:
    """Return the µs per residual, the best of all streams."""
    best = inf
    for stream in streams[:10]:
        update: Callable[[float], None] = _detector(name).update
        begun = perf_counter()
        for x in stream:
            update(x)
        best = min(best, (perf_counter() - begun) / len(stream))
    return 1e6 * best


def shift(
    seed: Annotated[int, typer.Option(help="Luck of the worlds.")] = 3,
    days: Annotated[int, typer.Option(min=6, help="Days of each world.")] = 10,
    world: Annotated[str, typer.Option(help="World to disturb.")] = "small",
) -> None:
    """Print the quality of the detectors, and how alarms are grouped in disturbed worlds."""
    console = Console(highlight=False)
    table = Table("detector", *(f"false, {kind}" for kind in RESIDUALS))
    for size in _SIZES:
        table.add_column(f"delay {size:g} σ")
    table.add_column("µs")
    for each in measure():
        false = (f"{each.false_per_10k[kind]:.2f}" for kind in RESIDUALS)
        delays = (f"{each.delay[size]:g}" for size in _SIZES)
        table.add_row(each.detector, *false, *delays, f"{each.us:.2f}")
    console.print("False alarms per 10,000 residuals; delays in residuals.")
    console.print(table)
    for each in grouping(seed, days, world):
        _show(console, each)


def _show(console: Console, each: Grouped) -> None:
    named = "does not name it" if each.opened_h is None else f"named after {each.opened_h:.0f} h"
    console.print(
        f"{each.scenario} ({each.cause or 'nothing'}): {each.alarms} alarms, "
        f"{each.incidents} incidents, {named}\n  {each.summary}"
    )


if __name__ == "__main__":
    typer.run(shift)
