"""Figures: percentiles, spreads, and targets with whether they are met and by how much."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import fmean, median
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound and what was measured against it."""

    name: str
    measured: float
    bound: float
    sense: Literal["at least", "at most"]
    unit: str

    @property
    def is_met(self) -> bool:
        """Return whether the measured figure keeps the bound."""
        if self.sense == "at least":
            return self.measured >= self.bound
        return self.measured <= self.bound

    @property
    def missed_by(self) -> float:
        """Return the distance on the wrong side of the bound, as a share of it; 0 if met."""
        if self.is_met:
            return 0.0
        return abs(self.measured - self.bound) / self.bound if self.bound else inf

    def document(self) -> dict[str, Any]:
        """Return the target as plain values for the JSON report."""
        return {**asdict(self), "met": self.is_met, "missed_by": self.missed_by}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of an ascending sequence; NaN of an empty one."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def distribution(values: Sequence[float]) -> dict[str, float]:
    """Return n, mean, p50, p90, p99, p99.9 and max of `values`, in their own unit."""
    ordered = sorted(values)
    found = {"n": float(len(ordered)), "mean": fmean(ordered) if ordered else float("nan")}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)):
        found[name] = percentile(ordered, share)
    found["max"] = ordered[-1] if ordered else float("nan")
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most of repeated measurements."""
    return {"median": median(values), "min": min(values), "max": max(values)}
