"""Journeys: how a parcel travels, stop by stop, delivered in time, late, or never.

Real time = line time x (the carrier's pace x the lane x the lane's day x the parcel's own luck) x
what weather, traffic and the weekday do to each leg, + a disruption if one is met. A parcel then
waits for the next delivery tour, so that a small delay may cost nothing or half a day.

A journey depends on the order's luck, the way taken and the conditions of the place and moment, and
on nothing else: two policies that send the same order the same way at the same time see the same
journey. So it can also be foreseen, by whoever knows all conditions (the clairvoyant bound).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from flows.simulation.carriers import Service
from flows.simulation.conditions import Conditions
from flows.simulation.config import WorldConfig
from flows.simulation.disruptions import Disruptions
from flows.simulation.luck import Luck
from flows.simulation.world import World
from state.quantities import DAY_MS, HOUR_MS, weekday
from state.sums import float_sum

#: Share of the published time left for the last mile; the rest is line time.
_LAST_MILE_MS = 6 * HOUR_MS
_SHORTEST_LINE_MS = HOUR_MS // 2
#: Beyond these road distances a parcel passes the destination's hub, and one on the way.
_TWO_HUBS_KM = 80.0
_THREE_HUBS_KM = 900.0
#: Shares of the line time until each scan.
_LEGS: dict[int, tuple[float, ...]] = {1: (0.2, 0.8), 2: (0.1, 0.3, 0.6), 3: (0.08, 0.22, 0.4, 0.3)}
#: Hours (UTC) at which a delivery tour starts, by mode; the others are as "road".
_WAVES_H: dict[str, tuple[float, ...]] = {
    "road": (7.5, 13.0),
    "parcel_van": (7.5, 12.0, 15.5),
    "bike": (8.0, 10.0, 12.0, 14.0, 16.0, 17.0, 18.0),
}
_SUNDAY_MODES = ("bike", "parcel_van")
#: Line time by weekday: the pile on Monday, thin staff on Sunday.
_WEEKDAY = (1.08, 1.0, 0.98, 1.0, 1.03, 1.06, 1.14)
_WEATHER_ON_LINE = 1.3
_WEATHER_ON_TOUR = 1.6
_TRAFFIC_ON_LINE = 0.18
_TRAFFIC_ON_TOUR = 0.7
#: Sigmas of how good a lane always is, and how good its day is; what is left of the carrier's
#: spread is the parcel's own.
_LANE_SIGMA = 0.09
_DAY_SHARE = 0.6
#: Above this severity a tour may not start at all.
_TOUR_STOPS_AT = 0.45
_TOUR_MEAN_H = {"bike": 0.9, "parcel_van": 2.4}
_TOUR_USUAL_H = 2.8
#: Spread of a tour's length; its mean is kept.
_TOUR_SIGMA = 0.6
_TOUR_ENDS_H = 21
#: The carrier admits a delay of more than this, in this share of cases.
_ADMITTED_MS = 9 * HOUR_MS
_ADMITTED_SHARE = 0.6
_ETA_SHARE = 0.4
#: A lost parcel is declared lost after so many days without a scan, from and to.
_LOST_AFTER_DAYS = (1.5, 4.0)
_DAMAGED_AFTER_MS = 7 * HOUR_MS
_MOST_ATTEMPTS = 3

Fate = Literal["arrives", "lost", "damaged", "refused"]
Seen = Literal[
    "picked_up",
    "in_transit",
    "delivery_delayed",
    "out_for_delivery",
    "delivery_failed",
    "delivered",
    "lost",
    "damaged",
    "refused",
]


@dataclass(slots=True)
class Trip:
    """A parcel's way between two regions (indices), over `km` of road.

    `service` may be changed under way. `luck` is the order's, `number` which of its parcels it is;
    `leg` counts stops made, of `stops` until the last hub.
    """

    luck: Luck
    number: int
    service: Service
    origin: int
    destination: int
    km: float
    handed_over_ms: int
    leg: int = 0
    hindered: bool = False

    @property
    def stops(self) -> int:
        """Return the number of scans until the last hub."""
        return 2 if self.km < _TWO_HUBS_KM else 3 if self.km < _THREE_HUBS_KM else 4

    @property
    def due_ms(self) -> int:
        """Return when it would arrive by the published time."""
        return self.handed_over_ms + self.service.nominal_ms(self.km)


@dataclass(frozen=True, slots=True)
class Stop:
    """A parcel's next scan; the last one of a journey is its end."""

    at_ms: int
    seen: Seen
    region: int
    carrier_eta_ms: int | None = None


class Journeys:
    """Maker of journeys under the conditions of one world."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        conditions: Conditions,
        disruptions: Disruptions,
    ) -> None:
        self._seed = seed
        self._config = config
        self._world = world
        self._conditions = conditions
        self._disruptions = disruptions
        self._days: dict[tuple[int, int, int, int], float] = {}

    def fate(self, trip: Trip) -> Fate:
        """Return a parcel's end; the same whichever way it takes."""
        drawn = trip.luck.share(f"fate {trip.number}")
        lost, spoiled = self._config.lost_share, self._config.spoiled_share
        if drawn < lost:
            return "lost"
        if drawn < lost + spoiled:
            return "damaged" if drawn < lost + spoiled / 2 else "refused"
        return "arrives"

    def travel(self, trip: Trip) -> Iterator[Stop]:
        """Yield the stops of a parcel, each found out at the time of the one before it."""
        now_ms, fate = trip.handed_over_ms, self.fate(trip)
        shares = _LEGS[trip.stops - 1]
        vanishes_at = -1
        if fate in ("lost", "damaged"):
            vanishes_at = trip.luck.integer(f"vanishes {trip.number}", 0, trip.stops - 1)
        for leg, share in enumerate(shares):
            now_ms += self._leg_ms(trip, share, now_ms)
            eta_ms = None
            if leg == 0 or trip.luck.share(f"eta {trip.number} {leg}") < _ETA_SHARE:
                rest = float_sum(shares[leg + 1 :]) * self._line_ms(trip) + _LAST_MILE_MS
                eta_ms = max(round((now_ms + rest) / 60_000) * 60_000, now_ms + HOUR_MS)
            yield Stop(now_ms, "in_transit" if leg else "picked_up", self._place(trip), eta_ms)
            if leg == vanishes_at:
                yield Stop(now_ms + self._missed_ms(trip, fate), _vanished(fate), trip.destination)
                return
            trip.leg += 1
        yield from self._last_mile(trip, now_ms, fate)

    def last_mile(self, trip: Trip, now_ms: int) -> Iterator[Stop]:
        """Return the stops from the last hub on, which the parcel leaves at `now_ms`."""
        return self._last_mile(trip, now_ms, "arrives")

    def arrival_ms(self, trip: Trip) -> int:
        """Return when a parcel's journey ends, foreseen; conditions must be known until then."""
        at_ms = trip.handed_over_ms
        for stop in self.travel(trip):
            at_ms = stop.at_ms
        return at_ms

    def _missed_ms(self, trip: Trip, fate: Fate) -> int:
        if fate == "damaged":
            return _DAMAGED_AFTER_MS
        return round(trip.luck.uniform(f"missed {trip.number}", *_LOST_AFTER_DAYS) * DAY_MS)

    def _line_ms(self, trip: Trip) -> int:
        return max(_SHORTEST_LINE_MS, trip.service.nominal_ms(trip.km) - _LAST_MILE_MS)

    def _leg_ms(self, trip: Trip, share: float, now_ms: int) -> int:
        """Return the next leg's time, under the conditions of where it runs."""
        service, luck, leg = trip.service, trip.luck, trip.leg
        character = service.character
        at_origin = leg < trip.stops / 2
        region = trip.origin if at_origin else trip.destination
        hindrance = character.fragility * (
            _WEATHER_ON_LINE * self._conditions.severity(region, now_ms)
            + _TRAFFIC_ON_LINE * (self._conditions.congestion(region, now_ms) - 1)
        )
        own_sigma = character.spread * (1 - _DAY_SHARE**2) ** 0.5
        slowness = (
            character.pace
            * self._lane_day(trip)
            * luck.lognormal(f"own {trip.number}", -0.05, own_sigma)
        )
        leg_ms = self._line_ms(trip) * share * slowness * _WEEKDAY[weekday(now_ms)]
        leg_ms *= 1 + hindrance
        if leg and not trip.hindered:
            delay_ms = self._disruptions.delay_ms(service, trip.origin, trip.destination, now_ms)
            if delay_ms:
                trip.hindered = True
                leg_ms += delay_ms * luck.triangular(f"hindered {trip.number}", 0.3, 1.3, 0.7)
        if luck.share(f"astray {trip.number} {leg}") < character.astray / trip.stops:
            leg_ms += luck.lognormal(f"astray {trip.number}", 3.0, 0.4) * HOUR_MS
        return round(leg_ms)

    def _lane_day(self, trip: Trip) -> float:
        """Return how slow the service is between two regions, always and on the handover's day."""
        day = trip.handed_over_ms // DAY_MS
        key = (trip.service.index, trip.origin, trip.destination, day)
        known = self._days.get(key)
        if known is None:
            if len(self._days) > 20_000:
                self._days.clear()
            way = (trip.service.name, trip.origin, trip.destination)
            always = Luck(self._config.layout, "lane", *way).lognormal("always", 0, _LANE_SIGMA)
            known = self._days[key] = always * self._day(trip, day)
        return known

    def _day(self, trip: Trip, day: int) -> float:
        """Return how slow a lane is on a day, beside what it always is."""
        luck = Luck(self._seed, "lane", trip.service.name, trip.origin, trip.destination)
        return luck.lognormal(f"{day}", 0, trip.service.character.spread * _DAY_SHARE)

    def _place(self, trip: Trip) -> int:
        """Return the region where the stop just reached is."""
        if trip.leg == 2 and trip.stops == 4:
            return self._on_the_way(trip)
        at_origin = trip.leg <= 1 and not (trip.stops == 2 and trip.leg == 1)
        return trip.origin if at_origin else trip.destination

    def _on_the_way(self, trip: Trip) -> int:
        """Return the region between origin and destination, least off the way."""
        regions = self._world.regions
        start, end = regions[trip.origin], regions[trip.destination]
        latitude = (start.latitude + end.latitude) / 2
        longitude = (start.longitude + end.longitude) / 2
        return min(
            range(len(regions)),
            key=lambda index: (
                (regions[index].latitude - latitude) ** 2
                + (regions[index].longitude - longitude) ** 2
            ),
        )

    def _last_mile(self, trip: Trip, now_ms: int, fate: Fate) -> Iterator[Stop]:
        """Yield tours until the parcel is accepted or refused, or weather or evening ends one."""
        luck, place, doors = trip.luck, trip.destination, 0
        for tour in range(1_000_000):
            drawn = f"{trip.number} {tour}"
            mode = trip.service.spec.mode
            tour_ms = next_tour_ms(now_ms, mode) + round(
                luck.uniform(f"tour {drawn}", 0, HOUR_MS // 2)
            )
            admits = luck.share(f"admits {drawn}") < _ADMITTED_SHARE
            if tour == 0 and tour_ms - trip.due_ms > _ADMITTED_MS and admits:
                admitted_ms = min(
                    tour_ms, now_ms + round(luck.uniform(f"admitted {drawn}", 0, HOUR_MS))
                )
                yield Stop(admitted_ms, "delivery_delayed", place, tour_ms + 4 * HOUR_MS)
            now_ms = tour_ms
            severity = self._conditions.severity(place, now_ms)
            if severity > _TOUR_STOPS_AT and luck.share(f"stops {drawn}") < severity - 0.2:
                yield Stop(now_ms, "delivery_delayed", place)
                now_ms += HOUR_MS
                continue
            midnight_ms = now_ms // DAY_MS * DAY_MS
            eta_ms = max(midnight_ms + 19 * HOUR_MS, now_ms + HOUR_MS)
            yield Stop(now_ms, "out_for_delivery", place, eta_ms)
            now_ms += max(5 * 60_000, self._tour_ms(trip, drawn, severity, now_ms))
            evening_ms = midnight_ms + _TOUR_ENDS_H * HOUR_MS
            if now_ms >= evening_ms:
                yield Stop(evening_ms, "delivery_delayed", place)
                now_ms = evening_ms + HOUR_MS
                continue
            if fate == "refused":
                yield Stop(now_ms, "refused", place)
                return
            doors += 1
            missed = self._config.failed_attempt_share * trip.service.character.misses
            if doors < _MOST_ATTEMPTS and luck.share(f"nobody {drawn}") < missed:
                yield Stop(now_ms, "delivery_failed", place)
                now_ms = max(now_ms, midnight_ms + 18 * HOUR_MS) + HOUR_MS
                continue
            yield Stop(now_ms, "delivered", place)
            return

    def _tour_ms(self, trip: Trip, drawn: str, severity: float, now_ms: int) -> int:
        """Return how long a tour takes to reach the door."""
        congestion = self._conditions.congestion(trip.destination, now_ms)
        hindrance = _WEATHER_ON_TOUR * severity + _TRAFFIC_ON_TOUR * (congestion - 1)
        mean_h = _TOUR_MEAN_H.get(trip.service.spec.mode, _TOUR_USUAL_H)
        hours = mean_h * trip.luck.lognormal(f"door {drawn}", -(_TOUR_SIGMA**2) / 2, _TOUR_SIGMA)
        return round(hours * (1 + hindrance) * HOUR_MS)


def next_tour_ms(now_ms: int, mode: str) -> int:
    """Return when the next delivery tour of a mode starts at or after `now_ms`."""
    waves = _WAVES_H.get(mode, _WAVES_H["road"])
    day, past_ms = divmod(now_ms, DAY_MS)
    while True:
        if weekday(day * DAY_MS) != 6 or mode in _SUNDAY_MODES:
            for hour in waves:
                if hour * HOUR_MS >= past_ms:
                    return round(day * DAY_MS + hour * HOUR_MS)
        day, past_ms = day + 1, 0


def _vanished(fate: Fate) -> Seen:
    if fate == "lost":
        return "lost"
    assert fate == "damaged", fate
    return "damaged"
