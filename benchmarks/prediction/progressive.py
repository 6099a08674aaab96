"""The shipped models over cases: predict, then learn when the truth is known, in order of time.

As the delay operator does: what ended in time is learned when its promise passes; what did not is
then known to be late, and the rest of it is learned at its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from benchmarks.prediction.data.cases import Case, Moment
from benchmarks.prediction.forecasts import Codes, Forecasts, Naive, Row, collect
from operators.prediction.lateness import LateModel
from operators.prediction.linear import Features
from operators.prediction.situation import Situation
from operators.prediction.transit import Remaining, Transit, UsualRemaining
from state.keys import ServiceId
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS, weekday

_PROMISE, _END, _PREDICT = 0, 1, 2


@dataclass(slots=True)
class _Made:
    moment: Moment
    now: Situation
    features: Features
    of_transit: Features
    usual: UsualRemaining
    remaining: Remaining
    p_late: float
    lane_rate: float
    constant: float
    row: Row


@dataclass(frozen=True, slots=True)
class Run:
    """Forecasts by stage, and what predicting and learning took per prediction (µs)."""

    forecasts: dict[str, Forecasts]
    late_us: float
    quantiles_us: float


def run_cases(cases: list[Case]) -> Run:
    """Fold all cases in; labels and ends are learned at their time, after what is due before."""
    late, transit, naive = LateModel(Policy().delays.learning_rate), Transit(), Naive()
    codes = Codes()
    made: list[list[_Made]] = [[] for _ in cases]
    late_s = quantiles_s = 0.0
    count = 0
    for _, what, index, number in _agenda(cases):
        case = cases[index]
        way = (ServiceId(case.service, ""), case.node, case.region)
        if what == _PREDICT:
            moment = case.moments[number]
            begun = perf_counter()
            usual = transit.usual(*way, moment.stage, moment.left_s, moment.time_ms)
            middle = perf_counter()
            now = _situation(case, moment, usual)
            features, of_transit = late.features(now)
            p_late = late.p_late(features)
            after = perf_counter()
            remaining = transit.remaining(of_transit, usual, p_late, moment.stage)
            quantiles_s += perf_counter() - after + middle - begun
            late_s += after - middle
            count += 1
            lane = "/".join(map(str, way))
            row = _row(case, moment, now, late, codes, naive)
            made[index].append(
                _Made(
                    moment,
                    now,
                    features,
                    of_transit,
                    usual,
                    remaining,
                    p_late,
                    naive.lane(lane),
                    naive.constant(),
                    row,
                )
            )
        elif what == _PROMISE:
            begun = perf_counter()
            for each in made[index]:
                late.learn(each.features, case.late)
            late.note(*way, made[index][0].now.hour, case.late)
            middle = perf_counter()
            late_s += middle - begun
            for each in made[index]:
                _learn_transit(transit, each, case)
            quantiles_s += perf_counter() - middle
            naive.learn("/".join(map(str, way)), case.late)
        else:
            begun = perf_counter()
            for each in made[index]:
                by_step = {each.moment.stage: _since_s(each, case.ended_ms)}
                transit.learn_usual(*way, each.moment.left_s, by_step, case.ended_ms)
                if case.late:
                    predicted = (each.of_transit, each.usual, each.remaining)
                    so_far_s = _since_s(each, case.promised_ms)
                    transit.learn(*predicted, _since_s(each, case.ended_ms), so_far_s)
            quantiles_s += perf_counter() - begun
    forecasts = _collect(cases, made)
    return Run(forecasts, late_s / count * 1e6, quantiles_s / count * 1e6)


def _learn_transit(transit: Transit, each: _Made, case: Case) -> None:
    """Learn at the promise: what it took, or that it takes longer."""
    predicted = (each.of_transit, each.usual, each.remaining)
    if case.late:
        transit.learn_underway(*predicted, _since_s(each, case.promised_ms))
    else:
        transit.learn(*predicted, _since_s(each, case.ended_ms))


def _since_s(each: _Made, time_ms: int) -> float:
    return (time_ms - each.moment.time_ms) / 1000


def _agenda(cases: list[Case]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the events in order: promises and ends before predictions at the same instant."""
    agenda: list[tuple[int, int, int, int]] = []
    for index, case in enumerate(cases):
        for number, moment in enumerate(case.moments):
            # A shipment late already needs no prediction.
            if moment.time_ms < case.known_ms:
                agenda.append((moment.time_ms, _PREDICT, index, number))
        agenda.append((case.promised_ms + 1, _PROMISE, index, 0))
        agenda.append((case.ended_ms, _END, index, 0))
    agenda.sort()
    yield from agenda


def _situation(case: Case, moment: Moment, usual: UsualRemaining) -> Situation:
    slack_s = (case.promised_ms - moment.time_ms) / 1000
    return Situation(
        stage=moment.stage,
        service=ServiceId(case.service, ""),
        node=case.node,
        region=case.region,
        time_ms=moment.time_ms,
        promised_ms=case.promised_ms,
        nominal_s=moment.left_s,
        remaining_s=usual.s,
        forecast=usual.late_log_odds(slack_s),
        handover_late_s=moment.late_by_s,
    )


def _row(
    case: Case, moment: Moment, now: Situation, late: LateModel, codes: Codes, naive: Naive
) -> Row:
    """Return all inputs of the linear model, as raw numbers, and further known ones."""
    rates = late.rates(now)
    slack_s = (case.promised_ms - moment.time_ms) / 1000
    return [
        codes[f"service {case.service}"],
        codes[f"node {case.node}"],
        codes[f"region {case.region}"],
        float(moment.time_ms % DAY_MS // HOUR_MS),
        float(weekday(moment.time_ms)),
        moment.left_s,
        slack_s,
        slack_s / max(moment.left_s, 1.0),
        moment.late_by_s or 0.0,
        now.forecast,
        naive.lane(f"{case.service}/{case.node}/{case.region}"),
        *rates,
        *moment.further,
    ]


def _collect(cases: list[Case], made: list[list[_Made]]) -> dict[str, Forecasts]:
    found: dict[str, list[tuple[float, ...]]] = {}
    rows: dict[str, list[Row]] = {}
    for case, predictions in zip(cases, made, strict=True):
        for each in predictions:
            stage = each.moment.stage
            rows.setdefault(stage, []).append(each.row)
            found.setdefault(stage, []).append(
                (
                    each.moment.time_ms,
                    case.known_ms,
                    case.ended_ms,
                    case.late,
                    (case.ended_ms - each.moment.time_ms) / 1000,
                    each.p_late,
                    each.remaining.p10_s,
                    each.remaining.p50_s,
                    each.remaining.p90_s,
                    each.lane_rate,
                    each.constant,
                )
            )
    return collect(found, rows)
