"""Transit: remaining time of a shipment, as P10, P50 and P90, from its progress on the way.

Three layers, each corrected by the next:

- what is usual: transit over nominal is skewed, so its logarithm is followed, by service and
  progress, corrected by what lane and node usually add;
- the median, by a River linear regression with the pinball loss, over the features of P(late);
- the band, by conformal offsets around the median that follow what was really covered. They are
  kept by risk: where lateness is likely the band is wider.
"""

from bisect import bisect_right
from math import exp, inf, isfinite, log, sqrt
from typing import Literal

from msgspec import Struct, field

from operators.prediction.bands import Bands, BandsState
from operators.prediction.levels import Level, Levels
from operators.prediction.linear import Features, LinearState, median, state_of
from state.keys import ANY_SERVICE, ServiceId
from state.quantities import weekday

#: Weight of the newest delivery once the plain mean has seen 2,000.
_FADING = 0.0005
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
_LEAST_SD = 0.05
#: Bounds of what counts as transit over nominal, and s below which slack makes no difference.
_LEAST_RATIO, _LARGEST_RATIO = 0.005, 20.0
_LEAST_S = 600.0
_LEAST_OFF_S = 60.0
#: Hours of published transit, at the edges of the classes of tours.
_LENGTH_EDGES = (7.0, 11.0, 15.0, 19.0, 23.0, 27.0, 31.0, 36.0, 42.0, 50.0, 60.0, 75.0, 100.0)
#: Log-odds per standard deviation: between the normal's 1.7 and less, as real tails are wider.
_LOG_ODDS_PER_SD = 1.4
#: Log-odds are kept within ±: half a percent.
_MOST_LOG_ODDS = 5.3
#: AdaGrad's step of the median, in usual spreads, and the largest residual it learns from.
_STEP = 0.03
_LARGEST_RESIDUAL = 20.0
_LEVELS = (0.1, 0.9)
_START = (-1.1, 1.5)
_BAND_STEP = 0.02
#: P(late) at the edges of the classes of risk that have a band each.
_RISK_EDGES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8)
#: Prefix of the classes of risk that are under an alarm.
_ALARMED = "alarmed"
#: The normal's 90 % quantile.
Z90 = 1.2816


class UsualRemaining(Struct, frozen=True, gc=False, array_like=True):
    """Usual remaining time: log-normal with the median `s`, and `sd` of the logarithm.

    `base_s` is the published remaining time plus the usual excess over it; `off_s` is
    by how many seconds that is usually off. The median starts from there: waiting for a tour adds
    hours to a short way and to a long one alike, which a ratio cannot express.
    """

    s: float
    sd: float
    base_s: float
    off_s: float

    def late_log_odds(self, slack_s: float) -> float:
        """Return the log-odds that more than `slack_s` remain, with a logistic tail."""
        deviations = log(max(slack_s, _LEAST_S) / max(self.s, _LEAST_S)) / self.sd
        return min(max(-_LOG_ODDS_PER_SD * deviations, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)


class Remaining(Struct, frozen=True, gc=False, array_like=True):
    """Quantiles of the seconds that remain; they rise. `risk` names the class of the band."""

    p10_s: float
    p50_s: float
    p90_s: float
    risk: str = ""

    def surprise(self, took_s: float) -> float:
        """Return the deviation of `took_s` in standard deviations, by its half of the band."""
        off_s = took_s - self.p50_s
        half_s = self.p90_s - self.p50_s if off_s > 0 else self.p50_s - self.p10_s
        return off_s / max(half_s, 1.0) * Z90


class LevelOf(Struct, frozen=True, array_like=True, gc=False):
    """Subject of a level: a service at a step of progress, on its way to a region, or a node.

    `tour` numbers the tours that a way may end with (`_tour`).
    """

    kind: Literal["step", "longer", "off", "tour", "lane", "node"]
    service: ServiceId
    name: str
    tour: int = 0


class TransitState(Struct):
    """The model as plain values."""

    levels: dict[LevelOf, Level] = field(default_factory=dict)
    median: LinearState = field(default_factory=LinearState)
    bands: BandsState[str] | None = None


class Transit:
    """Model of the remaining time, learned from deliveries; holds no shipment."""

    def __init__(self, state: TransitState | None = None) -> None:
        state = state or TransitState()
        self._levels = Levels(_FADING, state.levels)
        self._median = median(_STEP, state.median)
        # By class of risk.
        self._bands: Bands[str] = Bands(_LEVELS, _START, state.bands, step=_BAND_STEP, kept=1.0)

    def usual(
        self,
        service: ServiceId,
        node: str,
        region: str,
        progress: str,
        nominal_s: float,
        time_ms: int,
    ) -> UsualRemaining:
        """Return the usual remaining time of a shipment that made `progress` at `time_ms`."""
        share = _share(progress)
        mean, variance = log(share), _USUAL_VARIANCE
        level = self._levels.get(LevelOf("step", service, progress))
        trust = level.trust
        mean += trust * (level.mean - mean)
        variance += trust * (level.square - variance)
        for key in (LevelOf("lane", service, region), LevelOf("node", ANY_SERVICE, node)):
            level = self._levels.get(key)
            mean += share * level.trust * level.mean
        usual_s = max(nominal_s, _LEAST_S) * min(exp(mean), _LARGEST_RATIO)
        sd = max(sqrt(variance), _LEAST_SD)
        base_s, off_s = self._base(service, progress, nominal_s, time_ms, usual_s * sd)
        return UsualRemaining(usual_s, sd, base_s, off_s)

    def _base(
        self, service: ServiceId, progress: str, nominal_s: float, time_ms: int, off_s: float
    ) -> tuple[float, float]:
        """Return the published remaining time plus the usual excess, and its usual error."""
        base_s = nominal_s * _share(progress)
        for key in (
            LevelOf("longer", service, progress),
            _tour(service, progress, nominal_s, time_ms),
        ):
            level = self._levels.get(key)
            base_s += level.trust * level.mean
        off = self._levels.get(LevelOf("off", service, progress))
        off_s += off.trust * (off.mean - off_s)
        return max(base_s, 0.0), max(off_s, _LEAST_OFF_S)

    def remaining(
        self,
        features: Features,
        usual: UsualRemaining,
        p_late: float,
        stage: str,
        alarmed: bool = False,
    ) -> Remaining:
        """Return quantiles of the remaining time; scopes under an alarm have bands of their own.

        Those have learned how wide it gets. Hurrying levels at an alarm was tried and dropped: in
        simulated worlds, where whole days are slow or quick, it made the median a quarter worse.
        """
        off_s = usual.off_s
        p50_s = max(usual.base_s + off_s * self._median_of(features), 0.0)
        risk = f"{stage} {bisect_right(_RISK_EDGES, p_late)}"
        if alarmed:
            risk = f"{_ALARMED} {risk}"
        low, high = self._bands.offsets(risk)
        return Remaining(
            max(p50_s + min(low, 0.0) * off_s, 0.0),
            p50_s,
            p50_s + max(high, 0.0) * off_s,
            risk,
        )

    def learn_usual(
        self,
        service: ServiceId,
        node: str,
        region: str,
        nominal_s: float,
        took_s: dict[str, float],
        ended_ms: int,
    ) -> None:
        """Learn a delivery by the seconds that remained, `took_s`, at each step of its progress."""
        logs = {step: _log_ratio(left_s, nominal_s) for step, left_s in took_s.items()}
        whole = logs.get("dispatched")
        if whole is not None:
            usual = self._levels.get(LevelOf("step", service, "dispatched"))
            surprise = whole - (usual.mean if usual.seen else whole)
            for key in (LevelOf("lane", service, region), LevelOf("node", ANY_SERVICE, node)):
                level = self._levels.update(key, surprise)
                surprise -= level.trust * level.mean
        for step, value in logs.items():
            self._levels.update(LevelOf("step", service, step), value)
            left_s = took_s[step]
            seen_ms = ended_ms - round(left_s * 1000)
            base_s, _ = self._base(service, step, nominal_s, seen_ms, 0.0)
            self._levels.update(LevelOf("off", service, step), abs(left_s - base_s))
            longer_s = left_s - nominal_s * _share(step)
            of_step = LevelOf("longer", service, step)
            longer = self._levels.get(of_step)
            beyond_s = longer_s - longer.trust * longer.mean
            self._levels.update(of_step, longer_s)
            self._levels.update(_tour(service, step, nominal_s, seen_ms), beyond_s)

    def learn(
        self,
        features: Features,
        usual: UsualRemaining,
        predicted: Remaining,
        took_s: float,
        so_far_s: float = -inf,
    ) -> None:
        """Learn the time that really remained when `predicted` was predicted.

        `so_far_s` is the time that `learn_underway` already learned of it, if any.
        """
        if so_far_s < predicted.p50_s:
            self._learn_median(features, usual, took_s)
        self._bands.update(predicted.risk, (took_s - predicted.p50_s) / usual.off_s)

    def learn_underway(
        self, features: Features, usual: UsualRemaining, predicted: Remaining, so_far_s: float
    ) -> None:
        """Learn that it takes longer than `so_far_s`, if that is past the median.

        All that the pinball loss asks is on which side of the median the truth is.
        """
        if so_far_s >= predicted.p50_s:
            self._learn_median(features, usual, so_far_s)

    def _learn_median(self, features: Features, usual: UsualRemaining, took_s: float) -> None:
        residual = (took_s - usual.base_s) / usual.off_s
        if isfinite(residual):
            bounded = max(-_LARGEST_RESIDUAL, min(_LARGEST_RESIDUAL, residual))
            self._median.learn_one(features, bounded)

    def state(self) -> TransitState:
        """Return the plain values that restore it; all but the median's are shared with it."""
        return TransitState(
            levels=self._levels.by_name,
            median=state_of(self._median),
            bands=self._bands.state(),
        )

    def _median_of(self, features: Features) -> float:
        return float(self._median.predict_one(features))  # type: ignore[no-untyped-call]


def _log_ratio(remaining_s: float, nominal_s: float) -> float:
    ratio = remaining_s / max(nominal_s, _LEAST_S)
    return log(min(max(ratio, _LEAST_RATIO), _LARGEST_RATIO))


def _share(progress: str) -> float:
    """Return the share of the published time that usually remains, before learning."""
    return _USUAL_REMAINING.get(progress.partition(" ")[0], _USUAL_OTHERWISE)


def _tour(service: ServiceId, progress: str, nominal_s: float, time_ms: int) -> LevelOf:
    """Return the level of a tour: tours run by day, not every day, so the end of a way counts."""
    length = bisect_right(_LENGTH_EDGES, nominal_s / 3600)
    tour = weekday(time_ms) * (len(_LENGTH_EDGES) + 1) + length
    return LevelOf("tour", service, progress, tour)
