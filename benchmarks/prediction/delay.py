"""Delay risk and transit quantiles, beside LightGBM and naive baselines, in order of time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.prediction.boosted import late_by_trees, quantile_by_trees
from benchmarks.prediction.data.cargo2000 import load_cargo2000
from benchmarks.prediction.data.flights import find_flights, load_flights
from benchmarks.prediction.forecasts import Floats, Forecasts
from benchmarks.prediction.journal_run import JournalRun, run_journal
from benchmarks.prediction.progressive import run_cases
from benchmarks.prediction.scores import Probability, coverage_by_week, judge, pinball
from flows.importers.olist import import_olist
from flows.simulation import simulate

LEVELS = (0.1, 0.5, 0.9)
_WORLD_DAYS, _WORLD_SEED = 42, 5


@dataclass(frozen=True, slots=True)
class Lateness:
    """P(late) on one data set and stage: scores by who forecast."""

    data: str
    stage: str
    tested: int
    late: float
    scores: dict[str, Probability]
    us: float


@dataclass(frozen=True, slots=True)
class TransitScore:
    """Quantiles of the time to the end: pinball losses in minutes, and coverage."""

    data: str
    tested: int
    mae_min: dict[str, float]
    pinball_min: dict[str, tuple[float, ...]]
    coverage: dict[str, tuple[float, ...]]
    weeks: list[float]
    us: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """Our estimate of delivery beside the carrier's, as of the same scans; mean hours off."""

    compared: int
    ours_h: float
    carrier_h: float


@dataclass(frozen=True, slots=True)
class DelayResults:
    """All that was measured."""

    lateness: list[Lateness]
    transit: list[TransitScore]
    estimates: Estimates
    telemetry_us: float


Say = Callable[[str], None]


def measure(folder: Path, say: Say = print) -> DelayResults:
    """Run all data sets; minutes. `folder` has the folders ``olist`` and ``cargo2000``."""
    lateness: list[Lateness] = []
    transit: list[TransitScore] = []
    say("flights")
    flights = run_cases(load_flights(find_flights()))
    forecasts = flights.forecasts["dispatched"]
    lateness.append(_lateness("flights", "2 h before", forecasts, 14, flights.late_us))
    transit.append(_transit("flights", forecasts, 14, flights.quantiles_us))
    say("cargo 2000")
    cargo = run_cases(load_cargo2000(folder / "cargo2000"))
    stages = {"dispatched": "booked", "in_transit": "inbound done", "departed": "departed"}
    for stage, name in stages.items():
        lateness.append(_lateness("Cargo 2000", name, cargo.forecasts[stage], 30, cargo.late_us))
    say("olist")
    olist = run_journal(import_olist(folder / "olist"))
    lateness.append(_lateness("Olist", "handover", olist.forecasts, 30, olist.telemetry_us))
    say("the simulated world")
    world = run_journal(simulate(seed=_WORLD_SEED, days=_WORLD_DAYS))
    lateness.append(_lateness("world", "handover", world.forecasts, 7, world.telemetry_us))
    transit.append(_transit("world", world.forecasts, 7, world.telemetry_us))
    return DelayResults(lateness, transit, _estimates(world), world.telemetry_us)


def _lateness(data: str, stage: str, forecasts: Forecasts, refit_days: int, us: float) -> Lateness:
    half = slice(forecasts.half, None)
    late = forecasts.late[half]
    said = dict(_speakers(forecasts, refit_days))
    return Lateness(
        data=data,
        stage=stage,
        tested=len(late),
        late=float(late.mean()),
        scores={name: judge(late, p) for name, p in said.items()},
        us=us,
    )


def _speakers(forecasts: Forecasts, refit_days: int) -> Iterator[tuple[str, Floats]]:
    half = slice(forecasts.half, None)
    yield "ours", forecasts.p_late[half]
    yield "LightGBM static", late_by_trees(forecasts, None)
    yield "LightGBM refit", late_by_trees(forecasts, refit_days)
    yield "lane's late rate", forecasts.lane_rate[half]
    yield "constant", forecasts.constant[half]


def _transit(data: str, forecasts: Forecasts, refit_days: int, us: float) -> TransitScore:
    half = forecasts.half
    ended = np.isfinite(forecasts.took_s[half:])
    truth = forecasts.took_s[half:][ended]
    ours = (forecasts.low_s, forecasts.mid_s, forecasts.high_s)
    said: dict[str, tuple[Floats, ...]] = {"ours": tuple(q[half:][ended] for q in ours)}
    for name, days in (("LightGBM static", None), ("LightGBM refit", refit_days)):
        said[name] = tuple(quantile_by_trees(forecasts, level, days)[ended] for level in LEVELS)
    return TransitScore(
        data=data,
        tested=len(truth),
        mae_min={name: float(np.abs(truth - q[1]).mean()) / 60 for name, q in said.items()},
        pinball_min={
            name: tuple(pinball(truth, q, a) / 60 for q, a in zip(qs, LEVELS, strict=True))
            for name, qs in said.items()
        },
        coverage={name: tuple(float((truth <= q).mean()) for q in qs) for name, qs in said.items()},
        weeks=coverage_by_week(forecasts.ended_ms[half:][ended], truth, said["ours"][2]),
        us=us,
    )


def _estimates(world: JournalRun) -> Estimates:
    return Estimates(world.compared, world.ours_off_h, world.carrier_off_h)
