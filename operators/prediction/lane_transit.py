"""Lane transit: P10, P50 and P90 of transit ÷ nominal per service and lane, as of handover.

The logarithm of the ratio is followed: a level per service, what a weekday of handover adds to it
(tours do not run every day), what a lane adds. A lane that few have used borrows from its service
(empirical-Bayes shrinkage). The band around that is conformal, per lane, warm from all lanes.
"""

from math import exp, log, sqrt

from msgspec import Struct, field

from operators.prediction.bands import Bands, BandsState
from operators.prediction.drift import Monitor, MonitorState
from operators.prediction.levels import Level, Levels
from state.keys import Lane, ServiceId

#: Weights of the newest delivery once a plain mean has seen as many: 500, 200 and 50.
_SERVICE_FADING, _WEEKDAY_FADING, _LANE_FADING = 0.002, 0.005, 0.02
#: Ratios beyond these are errors of the record.
_LEAST_RATIO, _LARGEST_RATIO = 0.02, 20.0
#: Spread of the log ratio before a service has delivered anything, and at the least.
_USUAL_SD, _LEAST_SD = 0.25, 0.05
_LEVELS, _START = (0.1, 0.5, 0.9), (-1.0, 0.0, 1.2)
_MOST_LANES = 20_000


class Ratios(Struct, frozen=True, gc=False, array_like=True):
    """Quantiles of transit ÷ nominal; they rise."""

    p10: float
    p50: float
    p90: float

    def times(self, factor: float) -> "Ratios":
        """Return all of them times `factor`."""
        return Ratios(self.p10 * factor, self.p50 * factor, self.p90 * factor)

    def differs(self, other: "Ratios", step: float) -> bool:
        """Return whether any of them differs from its like in `other` by `step` or more."""
        return (
            abs(self.p10 - other.p10) >= step
            or abs(self.p50 - other.p50) >= step
            or abs(self.p90 - other.p90) >= step
        )


class LaneTransitState(Struct):
    """The model as plain values; weekdays by service and day, 0 = Monday."""

    levels: dict[Lane, Level] = field(default_factory=dict)
    weekdays: dict[tuple[ServiceId, int], Level] = field(default_factory=dict)
    bands: BandsState[Lane] | None = None
    monitor: MonitorState[Lane] | None = None


class LaneTransit:
    """Model that learns delivery by delivery; a service as a whole is the lane `Lane(service)`."""

    def __init__(self, state: LaneTransitState | None = None) -> None:
        state = state or LaneTransitState()
        # One table of levels that fade by two speeds: services as a whole are lanes of their own.
        self._services = Levels(_SERVICE_FADING, state.levels)
        self._lanes = Levels(_LANE_FADING, state.levels)
        self._weekdays = Levels(_WEEKDAY_FADING, state.weekdays)
        self._bands: Bands[Lane] = Bands(_LEVELS, _START, state.bands)
        self._monitor: Monitor[Lane] = Monitor(_MOST_LANES, state.monitor)

    def seen(self, lane: Lane) -> int:
        """Return the number of deliveries on a lane, or of a service."""
        return self._lanes.get(lane).seen

    def ratios(self, lane: Lane) -> Ratios:
        """Return quantiles on a lane, or of the service as a whole, on an average weekday."""
        service = Lane(lane.service)
        level = self._services.get(service)
        mean, sd = level.mean * level.trust, _sd(level)
        if lane != service:
            of_lane = self._lanes.get(lane)
            mean += of_lane.trust * of_lane.mean
        low, mid, high = self._bands.offsets(lane)
        return Ratios(exp(mean + low * sd), exp(mean + mid * sd), exp(mean + high * sd))

    def weekdays(self, service: ServiceId) -> tuple[float, ...]:
        """Return the factor of transit for each weekday of handover, Monday first."""
        return tuple(exp(self._weekday(service, day)) for day in range(7))

    def learn(self, lane: Lane, weekday: int, ratio: float, time_ms: int) -> None:
        """Learn a delivery handed over on `weekday` (0 = Monday)."""
        value = log(min(max(ratio, _LEAST_RATIO), _LARGEST_RATIO))
        service = Lane(lane.service)
        level = self._services.get(service)
        sd = _sd(level)
        off = value - level.mean * level.trust - self._weekday(lane.service, weekday)
        of_lane = self._lanes.get(lane)
        residual = (off - of_lane.trust * of_lane.mean) / sd
        self._bands.update(lane, residual)
        # A service's own band is for unused lanes: it includes the spread between lanes.
        self._bands.update(service, off / sd)
        if self._monitor.update(lane, residual, time_ms) is not None:
            self._bands.alarm(lane)
            self._lanes.hurry(lane)
        if level.seen:
            self._weekdays.update((lane.service, weekday), value - level.mean)
        self._services.update(service, value)
        self._lanes.update(lane, off)

    def state(self) -> LaneTransitState:
        """Return the plain values that restore it, shared with it."""
        return LaneTransitState(
            self._lanes.by_name,
            self._weekdays.by_name,
            self._bands.state(),
            self._monitor.state(),
        )

    def _weekday(self, service: ServiceId, weekday: int) -> float:
        level = self._weekdays.get((service, weekday))
        return level.trust * level.mean


def _sd(level: Level) -> float:
    if level.seen < 2:
        return _USUAL_SD
    variance = _USUAL_SD**2 + level.trust * (level.square - _USUAL_SD**2)
    return max(sqrt(variance), _LEAST_SD)
