"""Watch over demand, for regions and categories that order more, or less, than they did.

Single series sell too little to show it, so units are added up by region and by category, in
quarters of a day, and compared with the scope's own level at this time of the day and the week.
"""

from math import sqrt

from msgspec import Struct, field

from operators.core.facts import Alarm
from operators.prediction.drift import Monitor, MonitorState
from operators.prediction.levels import Level, Levels
from state.keys import Ref
from state.quantities import DAY_MS

_QUARTER_MS = DAY_MS // 4
#: Quarters until the day and the week are known well enough to judge by: a fortnight.
_SETTLED = 56
#: Weight of the newest quarter in a scope's level, in what a time of the day or week brings, and in
#: how much more than a Poisson count quarters spread.
_LEVEL_FADING, _SEASON_FADING, _SPREAD_FADING = 0.02, 0.05, 0.001
_USUAL_SPREAD, _WIDEST_SPREAD = 1.5, 16.0
_MOST_SCOPES = 5_000


class DemandWatchState(Struct):
    """The watch as plain values: units of the open quarter by scope, levels, and the season."""

    quarter: int = 0
    closed: int = 0
    units: dict[Ref, int] = field(default_factory=dict)
    levels: dict[Ref, Level] = field(default_factory=dict)
    times: dict[str, Level] = field(default_factory=dict)
    spread: Level = field(default_factory=Level)
    monitor: MonitorState[Ref] | None = None


class DemandWatch:
    """Units ordered by scope; raises alarms as quarters close."""

    def __init__(self, state: DemandWatchState | None = None) -> None:
        state = state or DemandWatchState()
        self._quarter, self._closed, self._units = state.quarter, state.closed, state.units
        self._levels = Levels(_LEVEL_FADING, state.levels)
        self._times = Levels(_SEASON_FADING, state.times)
        self._spread = state.spread
        self._monitor: Monitor[Ref] = Monitor(_MOST_SCOPES, state.monitor)

    @property
    def closes_ms(self) -> int:
        """Return the end of the open quarter."""
        return (self._quarter + 1) * _QUARTER_MS

    def ordered(self, region: str, category: str, units: int) -> None:
        """Count units of an order in the open quarter; an empty category is none."""
        scopes = (Ref("region", region), Ref("category", category))
        for scope in scopes if category else scopes[:1]:
            if scope in self._units or len(self._units) < _MOST_SCOPES:
                self._units[scope] = self._units.get(scope, 0) + units

    def close(self, now_ms: int) -> list[Alarm]:
        """Close the open quarter, open that of `now_ms`; returns the alarms that this raises.

        Quarters without any event at all are not counted: the feed was silent, not the customers.
        """
        alarms: list[Alarm] = []
        if self._quarter:
            part, weekday = map(self._times.get, self._times_open())
            season = part.mean * weekday.mean if weekday.seen else 1.0
            alarms = self._judge(max(season, 0.02))
            self._closed += 1
        self._quarter = now_ms // _QUARTER_MS
        self._units = dict.fromkeys(self._levels.by_name, 0)
        return alarms

    def _times_open(self) -> tuple[str, str]:
        """Return the names of the open quarter's time of day and of its weekday."""
        return str(self._quarter % 4), f"day {self._quarter // 4 % 7}"

    def _judge(self, season: float) -> list[Alarm]:
        alarms: list[Alarm] = []
        total = usual = 0.0
        dispersion = max(self._spread.mean, 1.0) if self._spread.seen else _USUAL_SPREAD
        for scope, units in self._units.items():
            level = self._levels.get(scope)
            expected = level.mean * season
            if level.seen:
                total, usual = total + units, usual + level.mean
                sd = sqrt(max(expected, 0.5) * dispersion)
                if self._closed >= _SETTLED // 2:
                    spread = (units - expected) ** 2 / max(expected, 0.5)
                    self._spread.update(min(spread, _WIDEST_SPREAD), _SPREAD_FADING)
                if self._closed >= _SETTLED:
                    alarms += self._watch(scope, (units - expected) / sd, sd / max(expected, 0.5))
            self._levels.update(scope, units / season)
        if usual:
            # Each learns what the other does not explain; both are 1 on average.
            part, weekday = self._times_open()
            ratio, of_weekday = total / usual, self._times.get(weekday)
            explained = max(of_weekday.mean, 0.02) if of_weekday.seen else 1.0
            of_part = self._times.update(part, ratio / explained)
            self._times.update(weekday, ratio / max(of_part.mean, 0.02))
        return alarms

    def _watch(self, scope: Ref, surprise: float, relative_sd: float) -> list[Alarm]:
        shift = self._monitor.update(scope, surprise, self._quarter * _QUARTER_MS)
        if shift is None:
            return []
        return [
            Alarm(
                measure="demand",
                kind=shift.kind,
                region=scope.name if scope.kind == "region" else "",
                category=scope.name if scope.kind == "category" else "",
                size=shift.size,
                factor=max(1.0 + shift.size * relative_sd, 0.0),
                since_ms=shift.since_ms,
                observations=shift.observations,
            )
        ]

    def state(self) -> DemandWatchState:
        """Return the plain values that restore it, shared with it."""
        return DemandWatchState(
            self._quarter,
            self._closed,
            self._units,
            self._levels.by_name,
            self._times.by_name,
            self._spread,
            self._monitor.state(),
        )
