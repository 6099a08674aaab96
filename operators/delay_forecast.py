"""The transit forecast: how long a shipment still takes, from where it is on its way.

Transit over nominal is skewed, so its logarithm is followed: by service and progress, corrected by
what lane and node usually add.
"""

from math import exp, log, sqrt

from operators.moments import MomentsState

#: Weight of the newest delivery once the plain mean has seen 200.
_FADING = 0.005
#: Share of the nominal transit time that usually remains, and variance of its log, before learning.
_USUAL_REMAINING = {
    "dispatched": 1.0,
    "pending": 1.0,
    "picked_up": 0.95,
    "in_transit": 0.6,
    "ready_for_pickup": 0.1,
    "out_for_delivery": 0.05,
}
_USUAL_OTHERWISE = 0.5
_USUAL_VARIANCE = 0.15
#: Deliveries after which what was learned weighs as much as what is usual.
_SHRINKAGE = 12.0
_LEAST_SD = 0.1
#: Bounds of what counts as transit over nominal, and s below which slack makes no difference.
_LEAST_RATIO, _LARGEST_RATIO = 0.005, 20.0
_LEAST_S = 600.0
#: Log-odds per standard deviation: between the normal's 1.7 and less, as real tails are wider.
_LOG_ODDS_PER_SD = 1.4
#: Log-odds are kept within ±: half a percent.
_MOST_LOG_ODDS = 5.3


class Level:
    """Mean and spread of a drifting series: a plain mean first, then exponentially weighted.

    River's EWMean gives the first value full weight for 1 / fading values; this does not.
    """

    __slots__ = ("_fading", "mean", "seen", "square")

    def __init__(self, fading: float, state: MomentsState = (0, 0.0, 0.0)) -> None:
        self._fading = fading
        self.seen, self.mean, self.square = state

    def update(self, value: float) -> None:
        """Fold in one finite value."""
        error = value - self.mean
        if self.seen:
            self.square += max(self._fading, 1 / self.seen) * (error * error - self.square)
        self.seen += 1
        self.mean += max(self._fading, 1 / self.seen) * error

    @property
    def trust(self) -> float:
        """0 before the first value, towards 1: how much to believe it over what is usual."""
        return self.seen / (self.seen + _SHRINKAGE)

    def state(self) -> MomentsState:
        """Plain values that restore it."""
        return self.seen, self.mean, self.square


class Forecast:
    """Remaining transit as a log-normal of the nominal time."""

    def __init__(self, state: dict[str, MomentsState] | None = None) -> None:
        self._levels = {key: Level(_FADING, level) for key, level in (state or {}).items()}

    def remaining(self, service: str, node: str, region: str, progress: str) -> tuple[float, float]:
        """Mean and spread of log(remaining ÷ nominal)."""
        share = _USUAL_REMAINING.get(progress.partition(" ")[0], _USUAL_OTHERWISE)
        mean, variance = log(share), _USUAL_VARIANCE
        level = self._levels.get(f"{service}\n{progress}")
        if level is not None:
            trust = level.trust
            mean += trust * (level.mean - mean)
            variance += trust * (level.square - variance)
        for key in (f"lane {service}\n{region}", f"node {node}"):
            level = self._levels.get(key)
            if level is not None:
                mean += share * level.trust * level.mean
        return mean, max(sqrt(variance), _LEAST_SD)

    def learn(
        self,
        service: str,
        node: str,
        region: str,
        nominal_s: float,
        remaining_s: dict[str, float],
    ) -> None:
        """Learn a delivery: s that remained when it was first seen at each step of progress."""
        logs = {step: _log_ratio(left_s, nominal_s) for step, left_s in remaining_s.items()}
        whole = logs.get("dispatched")
        if whole is not None:
            usual = self._levels.get(f"{service}\ndispatched")
            surprise = whole - (usual.mean if usual else whole)
            for key in (f"lane {service}\n{region}", f"node {node}"):
                level = self._level(key)
                level.update(surprise)
                surprise -= level.trust * level.mean
        for step, value in logs.items():
            self._level(f"{service}\n{step}").update(value)

    def _level(self, key: str) -> Level:
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(_FADING)
        return level

    def state(self) -> dict[str, MomentsState]:
        """Plain values that restore it."""
        return {key: level.state() for key, level in self._levels.items()}


def mean_s(nominal_s: float, mean: float, sd: float) -> float:
    """Expected s that remain, given mean and spread of the log."""
    return nominal_s * min(exp(mean + sd * sd / 2), _LARGEST_RATIO)


def late_log_odds(slack_s: float, nominal_s: float, mean: float, sd: float) -> float:
    """Log-odds that more than `slack_s` remain, with a logistic tail."""
    deviations = (log(max(slack_s, _LEAST_S) / max(nominal_s, _LEAST_S)) - mean) / sd
    return min(max(-_LOG_ODDS_PER_SD * deviations, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)


def _log_ratio(remaining_s: float, nominal_s: float) -> float:
    ratio = remaining_s / max(nominal_s, _LEAST_S)
    return log(min(max(ratio, _LEAST_RATIO), _LARGEST_RATIO))
