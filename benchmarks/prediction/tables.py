"""The results as Markdown."""

from collections.abc import Iterable, Sequence
from math import isnan

from benchmarks.figures import Target
from benchmarks.prediction.anomalies import Found
from benchmarks.prediction.delay import DelayResults
from benchmarks.prediction.demand import Result
from benchmarks.prediction.demand_ablation import Ablation
from benchmarks.prediction.incidents import Grouped
from benchmarks.prediction.shift import Quality


def targets_table(targets: Sequence[Target]) -> str:
    """Return every target with its measurement, and the margin of those missed."""
    rows = [
        (
            target.name,
            f"{target.measured:.4g} {target.unit}".strip(),
            f"{target.sense} {target.bound:.4g}",
            "" if target.is_met else f"missed by {target.missed_by:.0%}",
        )
        for target in targets
    ]
    return _table(("target", "measured", "bound", ""), rows)


def lateness_table(results: DelayResults) -> str:
    """Return P(late) by data set, stage and forecaster."""
    rows = []
    for each in results.lateness:
        for name, score in each.scores.items():
            ours = name == "ours"
            rows.append(
                (
                    f"{each.data}, {each.stage} ({each.tested:,}, {each.late:.1%} late)"
                    if ours
                    else "",
                    f"**{name}**" if ours else name,
                    f"{score.roc_auc:.4f}",
                    f"{score.pr_auc:.4f}",
                    f"{score.log_loss:.4f}",
                    f"{score.ece:.4f}",
                )
            )
    return _table(("second half of", "by", "ROC-AUC", "PR-AUC", "log loss", "ECE"), rows)


def transit_table(results: DelayResults) -> str:
    """Return quantiles of the time to the end."""
    rows = []
    for each in results.transit:
        for name, mae in each.mae_min.items():
            losses, covered = each.pinball_min[name], each.coverage[name]
            rows.append(
                (
                    f"{each.data} ({each.tested:,})" if name == "ours" else "",
                    f"**{name}**" if name == "ours" else name,
                    f"{mae:.2f}",
                    " / ".join(f"{loss:.2f}" for loss in losses),
                    " / ".join(f"{share:.1%}" for share in covered),
                )
            )
    head = ("second half of", "by", "MAE of P50, min", "pinball P10 / 50 / 90", "below them")
    return _table(head, rows)


def demand_table(results: Iterable[Result]) -> str:
    """Return errors and intervals by data set and forecaster."""
    rows = []
    for each in results:
        ours = each.model == "ours"
        rows.append(
            (
                each.data if ours else "",
                f"**{each.model}**" if ours else each.model,
                _number(each.wape, 4),
                " / ".join(
                    _number(loss, 3) for loss in (each.pinball_10, each.pinball_50, each.pinball_90)
                ),
                f"{_share(each.cover_80)} / {_share(each.cover_95)}",
                f"{_share(each.cold_80)} / {_share(each.cold_95)}" if ours else "",
                _number(each.shift_back, 0),
                _number(each.us, 1),
                _number(each.series_bytes, 0),
            )
        )
    head = (
        "data",
        "by",
        "WAPE",
        "pinball .1 / .5 / .9",
        "80 % / 95 %",
        "… first 5 steps",
        "back after × 2",
        "µs",
        "bytes a series",
    )
    return _table(head, rows)


def ablation_table(results: Iterable[Ablation]) -> str:
    """Return the gain by each signal."""
    rows = [
        (each.data, each.signals, _number(each.wape, 4), _number(each.wape_signalled, 4))
        for each in results
    ]
    return _table(("data", "signals", "WAPE", "… where signalled"), rows)


def shift_table(results: Sequence[Quality]) -> str:
    """Return the false alarms and delays of detectors."""
    kinds, sizes = list(results[0].false_per_10k), list(results[0].delay)
    rows = [
        (
            f"**{each.detector}**" if each.detector == "Monitor" else each.detector,
            *(f"{rate:.2f}" for rate in each.false_per_10k.values()),
            *(f"{delay:g}" for delay in each.delay.values()),
            f"{each.us:.2f}",
        )
        for each in results
    ]
    head = (
        "detector",
        *(f"false, {kind}" for kind in kinds),
        *(f"delay, {size:g} σ" for size in sizes),
        "µs",
    )
    return _table(head, rows)


def incidents_table(results: Iterable[Grouped]) -> str:
    """Return alarms and incidents of disturbed worlds."""
    rows = [
        (
            each.scenario,
            each.cause or "–",
            str(each.alarms),
            str(each.incidents),
            "no" if each.opened_h is None else f"after {each.opened_h:.0f} h",
            each.summary,
        )
        for each in results
    ]
    head = ("scenario", "cause", "alarms", "incidents", "named", "what people are told")
    return _table(head, rows)


def anomalies_table(results: Iterable[Found]) -> str:
    """Return the faults that were found."""
    rows = [
        (
            each.fault.replace("_", " "),
            str(each.injected),
            f"{each.recall:.3f}" if each.injected else "–",
            f"{each.precision:.3f}" if each.injected else "–",
            f"{each.false_per_10k:.2f}",
        )
        for each in results
    ]
    return _table(("fault", "injected", "recall", "precision", "false per 10,000"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float, digits: int) -> str:
    return "" if isnan(value) else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return "–" if isnan(value) else f"{value:.1%}"
