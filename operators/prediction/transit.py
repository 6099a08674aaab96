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

from msgspec import Struct, field

from operators.prediction.bands import Bands, BandsState
from operators.prediction.levels import Level
from operators.prediction.linear import Features, LinearState, learn, median, score, state_of
from state.keys import ServiceId
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


class StepLevels(Struct, array_like=True):
    """Usual remaining time of a service at a step of progress.

    `ratio` is the log of what remains over nominal, `longer_s` the excess over what is published,
    `tours_s` what the tours that a way may end with add to it (`_tour`), and `off_s` the error.
    """

    ratio: Level = field(default_factory=Level)
    longer_s: Level = field(default_factory=Level)
    off_s: Level = field(default_factory=Level)
    tours_s: dict[int, Level] = field(default_factory=dict)


class TransitState(Struct):
    """The model as plain values: steps by service and progress, lanes by service and region."""

    steps: dict[ServiceId, dict[str, StepLevels]] = field(default_factory=dict)
    lanes: dict[ServiceId, dict[str, Level]] = field(default_factory=dict)
    nodes: dict[str, Level] = field(default_factory=dict)
    median: LinearState = field(default_factory=LinearState)
    bands: BandsState[str] | None = None


#: Stand for what has not been delivered yet; read only.
_NEW, _NONE = StepLevels(), dict[str, StepLevels]()
_NO_LANES = dict[str, Level]()


class Transit:
    """Model of the remaining time, learned from deliveries; holds no shipment."""

    def __init__(self, state: TransitState | None = None) -> None:
        state = state or TransitState()
        self._steps, self._lanes, self._nodes = state.steps, state.lanes, state.nodes
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
        share, levels = _share(progress), self._steps.get(service, _NONE).get(progress, _NEW)
        ratio = levels.ratio
        mean = ratio.shrunk_to(log(share))
        variance = _USUAL_VARIANCE + ratio.trust * (ratio.square - _USUAL_VARIANCE)
        for level in (self._lanes.get(service, _NO_LANES).get(region), self._nodes.get(node)):
            if level is not None:
                mean += share * level.trust * level.mean
        usual_s = max(nominal_s, _LEAST_S) * min(exp(mean), _LARGEST_RATIO)
        sd = max(sqrt(variance), _LEAST_SD)
        base_s = _base_s(levels, nominal_s * share, _tour(nominal_s, time_ms))
        off_s = max(levels.off_s.shrunk_to(usual_s * sd), _LEAST_OFF_S)
        return UsualRemaining(usual_s, sd, base_s, off_s)

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
            usual = self._steps.get(service, _NONE).get("dispatched", _NEW).ratio
            surprise = whole - (usual.mean if usual.seen else whole)
            for levels, name in (
                (self._lanes.setdefault(service, {}), region),
                (self._nodes, node),
            ):
                level = levels.setdefault(name, Level())
                level.update(surprise, _FADING)
                surprise -= level.trust * level.mean
        steps = self._steps.setdefault(service, {})
        for step, value in logs.items():
            of_step = steps.setdefault(step, StepLevels())
            of_step.ratio.update(value, _FADING)
            left_s, published_s = took_s[step], nominal_s * _share(step)
            tour = _tour(nominal_s, ended_ms - round(left_s * 1000))
            base_s = _base_s(of_step, published_s, tour)
            of_step.off_s.update(abs(left_s - base_s), _FADING)
            longer_s = left_s - published_s
            beyond_s = longer_s - of_step.longer_s.trust * of_step.longer_s.mean
            of_step.longer_s.update(longer_s, _FADING)
            of_step.tours_s.setdefault(tour, Level()).update(beyond_s, _FADING)

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
            learn(self._median, features, bounded)

    def state(self) -> TransitState:
        """Return the plain values that restore it; all but the median's are shared with it."""
        return TransitState(
            steps=self._steps,
            lanes=self._lanes,
            nodes=self._nodes,
            median=state_of(self._median),
            bands=self._bands.state(),
        )

    def _median_of(self, features: Features) -> float:
        return score(self._median, features)


def _log_ratio(remaining_s: float, nominal_s: float) -> float:
    ratio = remaining_s / max(nominal_s, _LEAST_S)
    return log(min(max(ratio, _LEAST_RATIO), _LARGEST_RATIO))


def _share(progress: str) -> float:
    """Return the share of the published time that usually remains, before learning."""
    return _USUAL_REMAINING.get(progress.partition(" ")[0], _USUAL_OTHERWISE)


def _base_s(levels: StepLevels, published_s: float, tour: int) -> float:
    """Return the published remaining time plus the usual excess over it."""
    longer, of_tour = levels.longer_s, levels.tours_s.get(tour)
    base_s = published_s + longer.trust * longer.mean
    if of_tour is not None:
        base_s += of_tour.trust * of_tour.mean
    return max(base_s, 0.0)


def _tour(nominal_s: float, time_ms: int) -> int:
    """Return the number of a tour: they run by day, not every day, so the end of a way counts."""
    length = bisect_right(_LENGTH_EDGES, nominal_s / 3600)
    return weekday(time_ms) * (len(_LENGTH_EDGES) + 1) + length
