"""Scores of forecasts: of probabilities, and of quantiles."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from benchmarks.prediction.forecasts import Booleans, Floats

#: Classes of equal size for the calibration error and the reliability plot.
_CLASSES = 20
_WEEK_MS = 7 * 86_400_000
#: Least rows of a week whose coverage is judged.
_FEWEST_PER_WEEK = 300


@dataclass(frozen=True, slots=True)
class Probability:
    """Scores of probabilities; `reliability` is (mean forecast, share late) by class."""

    roc_auc: float
    pr_auc: float
    log_loss: float
    ece: float
    reliability: list[tuple[float, float]]


def judge(late: Booleans, said: Floats) -> Probability:
    """Return scores of P(late); the calibration error is over classes of equal size."""
    bounded = np.clip(said, 1e-6, 1 - 1e-6)
    classes = np.array_split(np.argsort(bounded, kind="stable"), _CLASSES)
    reliability = [(float(bounded[c].mean()), float(late[c].mean())) for c in classes if len(c)]
    error = sum(
        abs(mean - share) * len(c)
        for (mean, share), c in zip(reliability, [c for c in classes if len(c)], strict=True)
    )
    varied = float(np.ptp(bounded)) > 0
    return Probability(
        roc_auc=float(roc_auc_score(late, bounded)) if varied else 0.5,
        pr_auc=float(average_precision_score(late, bounded)),
        log_loss=float(log_loss(late, bounded, labels=[False, True])),
        ece=error / len(late),
        reliability=reliability,
    )


def pinball(truth: Floats, said: Floats, level: float) -> float:
    """Return the mean pinball loss at `level`."""
    off = truth - said
    return float(np.mean(np.maximum(level * off, (level - 1) * off)))


def coverage_by_week(ended_ms: Floats, truth: Floats, said: Floats) -> list[float]:
    """Return the share of truths at or below `said`, for each week with enough ends."""
    weeks = ((ended_ms - ended_ms.min()) // _WEEK_MS).astype(int)
    below = truth <= said
    return [
        float(below[weeks == week].mean())
        for week in range(int(weeks.max()) + 1)
        if (weeks == week).sum() >= _FEWEST_PER_WEEK
    ]
