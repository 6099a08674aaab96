"""Targets of predictions, and whether they are met."""

from collections.abc import Iterator, Sequence

from benchmarks.figures import Target
from benchmarks.prediction.delay import DelayResults, Lateness
from benchmarks.prediction.demand import Result
from benchmarks.prediction.shift import Quality

_STATIC, _REFIT = "LightGBM static", "LightGBM refit"
#: Rows from which a calibration error is judged.
_MANY = 5_000


def delay_targets(results: DelayResults) -> Iterator[Target]:
    """Yield targets of P(late) and transit quantiles; all on the second half, in order of time."""
    for each in results.lateness:
        yield from _lateness_targets(each)
    flights = next(t for t in results.transit if t.data == "flights")
    p90 = flights.coverage["ours"][2]
    yield _at_most("flights: P90 covers 90 %, off by", abs(p90 - 0.9) * 100, 1.5, "points")
    worst = max(abs(week - 0.9) for week in flights.weeks)
    yield _at_most("flights: P90 in the worst week, off by", worst * 100, 4.0, "points")
    ratio = flights.mae_min["ours"] / flights.mae_min[_REFIT]
    yield _at_most("flights: MAE of P50 ÷ LightGBM refit", ratio, 1.03, "")
    yield _at_most("a telemetry event, predict + learn", results.telemetry_us, 25.0, "µs")


def _lateness_targets(each: Lateness) -> Iterator[Target]:
    ours, name = each.scores["ours"], f"{each.data}, {each.stage}"
    static, refit = each.scores[_STATIC].roc_auc, each.scores[_REFIT].roc_auc
    if each.data == "world":
        return
    yield _at_least(f"{name}: ROC-AUC, LightGBM static's", ours.roc_auc, static)
    if each.data == "flights":
        yield _at_least(f"{name}: ROC-AUC, LightGBM refit's − .005", ours.roc_auc, refit - 0.005)
    if each.tested > _MANY:
        yield _at_most(f"{name}: calibration error", ours.ece, 0.02, "")


def demand_targets(results: Sequence[Result]) -> Iterator[Target]:
    """Yield targets of errors (beside the baselines), intervals, recovery and cost."""
    by = {(each.data, each.model): each for each in results}
    for data in dict.fromkeys(each.data for each in results):
        ours = by[data, "ours"]
        rivals = {model: each for (d, model), each in by.items() if d == data and model != "ours"}
        for model, rival in rivals.items():
            if model == _REFIT and data != "Online Retail":
                yield _at_most(f"{data}: WAPE ÷ {model}", ours.wape / rival.wape, 1.04, "")
            elif "LightGBM" not in model:
                yield _at_most(f"{data}: WAPE ÷ {model}", ours.wape / rival.wape, 1.0, "")
        for level, said in ((80, ours.cover_80), (95, ours.cover_95)):
            off = abs(said * 100 - level)
            yield _at_most(f"{data}: {level} % interval, off by", off, 1.5, "points")
        for level, said in ((80, ours.cold_80), (95, ours.cold_95)):
            off = abs(said * 100 - level)
            yield _at_most(f"{data}: {level} % interval, first five steps", off, 6.0, "points")
        yield _at_most(f"{data}: observations until covered, × 2", ours.shift_back, 10, "")
        yield _at_most(f"{data}: a demand observation", ours.us, 15.0, "µs")
        snapshot = ours.series_bytes * 100_000 / 1e6
        yield _at_most(f"{data}: snapshot of 100,000 series", snapshot, 20.0, "MB")


def shift_targets(results: Sequence[Quality]) -> Iterator[Target]:
    """Yield the target for false alarms of the shipped detector."""
    shipped = next(each for each in results if each.detector == "Monitor")
    for kind, rate in shipped.false_per_10k.items():
        yield _at_most(f"false alarms per 10,000, {kind}", rate, 1.0, "")


def _at_least(name: str, measured: float, bound: float) -> Target:
    return Target(name=name, measured=measured, bound=bound, sense="at least", unit="")


def _at_most(name: str, measured: float, bound: float, unit: str) -> Target:
    return Target(name=name, measured=measured, bound=bound, sense="at most", unit=unit)
