"""Weather and traffic: what slows transport, and its observations in the log."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import TRAFFIC, WEATHER, Outbox
from flows.simulation.luck import Luck, Weighted, gap_ms, stream
from flows.simulation.world import World
from state.events import TrafficObserved, WeatherObserved
from state.geography import great_circle_km
from state.quantities import DAY_MS, HOUR_MS, from_ms, weekday

WeatherKind = Literal["rain", "snow", "storm", "heat", "fog", "flood", "fair"]

_KINDS: tuple[WeatherKind, ...] = ("rain", "snow", "storm", "heat", "fog", "flood")
#: Frequency of each of `_KINDS`, by quarter of the year from January.
_KINDS_BY_QUARTER = (
    (4, 4, 2, 0, 2, 0.5),
    (5, 0.3, 1.5, 1, 1, 0.7),
    (4, 0, 2, 4, 0.3, 0.7),
    (5, 1, 3, 0, 3, 0.7),
)
#: Congestion on top of free flow at full hours, on a working day.
_RUSH = (
    0.00, 0.00, 0.00, 0.00, 0.02, 0.08, 0.25, 0.50, 0.55, 0.35, 0.22, 0.22,
    0.25, 0.25, 0.28, 0.38, 0.55, 0.62, 0.45, 0.25, 0.12, 0.08, 0.04, 0.02,
)  # fmt: skip
_WEEKEND_RUSH = 0.45
#: A region's traffic has a mood, a moving average of this many draws, one per so long; each
#: counts this much less than the one after it.
_MOOD_MEMORY = 6
_MOOD_KEPT = 0.7
_MOOD_SIGMA = 0.12
_MOOD_MS = 4 * HOUR_MS
#: A front is forgotten this long after it passed: longer than any parcel's leg.
_REMEMBERED_MS = 15 * DAY_MS
_WEATHER_ON_TRAFFIC = 0.6
#: Severity up to which an observer calls the weather fair.
_FAIR = 0.08


@dataclass(frozen=True, slots=True)
class Front:
    """Weather that passes over regions.

    Per region, `peaks` is the greatest severity (0 to 1) and `onset_ms` when it begins there;
    it lasts `lasts_ms` everywhere.
    """

    kind: WeatherKind
    peaks: list[float]
    onset_ms: list[int]
    lasts_ms: int

    def severity(self, region: int, now_ms: int) -> float:
        """Return the severity in `region`: a fast rise, a slow end."""
        passed = (now_ms - self.onset_ms[region]) / self.lasts_ms
        if not 0.0 < passed < 1.0:
            return 0.0
        return self.peaks[region] * min(1.0, passed / 0.2, (1.0 - passed) / 0.35)


class Conditions:
    """Weather and traffic of every region; emits their observations.

    Both can be asked for at any past instant as well, for as long as fronts are remembered; with
    `remembers_all` none is forgotten. `on_front` is called for each front when it can be forecast,
    12 to 30 hours before it begins.
    """

    remembers_all = False

    def __init__(
        self, seed: int, config: WorldConfig, world: World, agenda: Agenda, outbox: Outbox
    ) -> None:
        self._config = config
        self._seed = seed
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._front_luck = stream(seed, "fronts")
        self._luck = stream(seed, "observations")
        self._fronts: list[Front] = []
        count = len(world.regions)
        self._moods: dict[tuple[int, int], float] = {}
        self._busy = [self._luck.uniform(0.6, 1.4) for _ in range(count)]
        self.on_front: Callable[[int, Front], None] = lambda now_ms, front: None

    def start(self, now_ms: int) -> None:
        """Enter the first fronts (some already under way) and all observations."""
        if self._config.fronts_per_day > 0:
            for _ in range(3):
                self._add_front(now_ms, -self._front_luck.randrange(0, 12 * HOUR_MS))
            first_ms = now_ms + gap_ms(self._front_luck, self._config.fronts_per_day)
            self._agenda.at(first_ms, self._new_front)
        weather_ms = self._config.weather_every_h * HOUR_MS
        traffic_ms = self._config.traffic_every_h * HOUR_MS
        for region in range(len(self._world.regions)):
            self._agenda.at(now_ms + self._luck.randrange(weather_ms), self._see_weather, region)
            self._agenda.at(now_ms + self._luck.randrange(traffic_ms), self._see_traffic, region)

    def severity(self, region: int, now_ms: int) -> float:
        """Return the weather severity, 0 is fair and 1 is nothing moves."""
        return max((front.severity(region, now_ms) for front in self._fronts), default=0.0)

    def congestion(self, region: int, now_ms: int) -> float:
        """Travel time over free-flow travel time, at least 1."""
        hour, past = divmod(now_ms % DAY_MS, HOUR_MS)
        share = past / HOUR_MS
        rush = _RUSH[hour] * (1 - share) + _RUSH[(hour + 1) % 24] * share
        if weekday(now_ms) >= 5:
            rush *= _WEEKEND_RUSH
        weather = _WEATHER_ON_TRAFFIC * self.severity(region, now_ms)
        mood = self._mood(region, now_ms // _MOOD_MS)
        return 1.0 + max(0.0, self._busy[region] * rush + mood + weather)

    def add(self, now_ms: int, front: Front) -> None:
        """Let a front come."""
        self._fronts.append(front)
        self.on_front(now_ms, front)

    def _mood(self, region: int, step: int) -> float:
        known = self._moods.get((region, step))
        if known is None:
            if len(self._moods) > 50 * len(self._busy):
                self._moods.clear()
            known = 0.0
            for back in range(_MOOD_MEMORY):
                luck = Luck(self._seed, "mood", region, step - back)
                known += _MOOD_KEPT**back * luck.normal("drawn", _MOOD_SIGMA)
            self._moods[region, step] = known
        return known

    def _new_front(self, now_ms: int) -> None:
        luck = self._front_luck
        self._agenda.at(now_ms + gap_ms(luck, self._config.fronts_per_day), self._new_front)
        if not self.remembers_all:
            over_ms = now_ms - _REMEMBERED_MS
            self._fronts = [f for f in self._fronts if max(f.onset_ms) + f.lasts_ms > over_ms]
        self._add_front(now_ms, luck.randrange(12 * HOUR_MS, 30 * HOUR_MS))

    def _add_front(self, now_ms: int, lead_ms: int) -> None:
        luck = self._front_luck
        regions = self._world.regions
        kind = Weighted(_KINDS, _KINDS_BY_QUARTER[(from_ms(now_ms).month - 1) // 3]).draw(luck)
        centre = regions[luck.randrange(len(regions))]
        radius_km = luck.uniform(110, 340)
        peak = 0.25 + 0.65 * luck.betavariate(1.6, 2.0)
        km_per_h = luck.uniform(25, 60)
        km_per_degree = 111.0 * math.cos(math.radians(centre.latitude))
        peaks, onset_ms = [], []
        for region in regions:
            away_km = great_circle_km(
                centre.latitude, centre.longitude, region.latitude, region.longitude
            )
            peaks.append(peak * math.exp(-0.5 * (away_km / radius_km) ** 2))
            # Fronts come from the west.
            eastward_km = (region.longitude - centre.longitude) * km_per_degree
            hours = min(24.0, max(-6.0, eastward_km / km_per_h))
            onset_ms.append(now_ms + lead_ms + round(hours * HOUR_MS))
        self.add(now_ms, Front(kind, peaks, onset_ms, round(luck.uniform(12, 44) * HOUR_MS)))

    def _see_weather(self, now_ms: int, region: int) -> None:
        self._agenda.at(now_ms + self._config.weather_every_h * HOUR_MS, self._see_weather, region)
        worst = max(self._fronts, key=lambda front: front.severity(region, now_ms), default=None)
        severity = worst.severity(region, now_ms) if worst else 0.0
        seen = min(1.0, max(0.0, severity + self._luck.gauss(0.0, 0.02)))
        kind: WeatherKind = worst.kind if worst and severity > _FAIR else "fair"
        place = self._world.regions[region].id
        observed = WeatherObserved(region=place, severity=round(seen, 3), kind=kind)
        self._outbox.emit(WEATHER, f"{place}@{now_ms}", observed, now_ms, subject=place)

    def _see_traffic(self, now_ms: int, region: int) -> None:
        self._agenda.at(now_ms + self._config.traffic_every_h * HOUR_MS, self._see_traffic, region)
        place = self._world.regions[region].id
        congestion = round(self.congestion(region, now_ms), 3)
        observed = TrafficObserved(region=place, congestion=congestion)
        self._outbox.emit(TRAFFIC, f"{place}@{now_ms}", observed, now_ms, subject=place)
