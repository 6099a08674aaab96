"""Parcels on their way: hub to hub, out for delivery, delivered late, at once, or never.

Real time = line time x (the carrier's pace x the lane x noise) x what weather, traffic, load and
the weekday do to each leg, + a disruption if one is met. A parcel then waits for the next delivery
wave, so that a small delay may cost nothing or half a day.
"""

from collections.abc import Callable

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.conditions import Conditions, weekday
from flows.simulation.config import WorldConfig
from flows.simulation.disruptions import Disruptions
from flows.simulation.feeds import Outbox
from flows.simulation.luck import stream
from flows.simulation.tracking import Fate, Shipment, Tracking
from flows.simulation.work import Parcel
from flows.simulation.world import World
from state.quantities import DAY_MS, HOUR_MS

#: What the published time leaves for the last mile; the rest is line time.
_LAST_MILE_MS = 6 * HOUR_MS
_SHORTEST_LINE_MS = HOUR_MS // 2
#: Beyond these distances a parcel passes the destination's hub, and one on the way.
_TWO_HUBS_KM = 60.0
_THREE_HUBS_KM = 700.0
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
_LOAD_ON_LINE = 0.14
_LANE_SIGMA = 0.09
#: Above this severity a tour may not start at all.
_TOUR_STOPS_AT = 0.45
_TOUR_MEAN_MS = {"bike": 0.9 * HOUR_MS, "parcel_van": 2.4 * HOUR_MS}
_TOUR_ENDS_H = 21
#: The carrier admits a delay of more than this, in this share of cases.
_ADMITTED_MS = 9 * HOUR_MS
_ADMITTED_SHARE = 0.6
#: A lost parcel is declared lost after so many days without a scan, from and to.
_LOST_AFTER_DAYS = (1.5, 4.0)
_DAMAGED_AFTER_MS = 7 * HOUR_MS


class Transport:
    """Moves parcels; `on_delivered` is told (now, parcel) of each that arrives."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        conditions: Conditions,
        disruptions: Disruptions,
    ) -> None:
        self._seed = seed
        self._config = config
        self._world = world
        self._agenda = agenda
        self._tracking = Tracking(seed, config, world, outbox)
        self._conditions = conditions
        self._disruptions = disruptions
        self._luck = stream(seed, "transport")
        self._lanes: dict[tuple[int, int, int], float] = {}
        self._shipped = 0
        self.on_delivered: Callable[[int, Parcel], None] = lambda now_ms, parcel: None

    def hand_over(self, now_ms: int, parcel: Parcel) -> None:
        """Hand a packed parcel to its carrier."""
        world, service, luck = self._world, parcel.service, self._luck
        node = world.nodes[parcel.node]
        order = parcel.order
        self._shipped += 1
        km = world.km[parcel.node][order.region]
        nominal_ms = service.nominal_ms(km)
        character = service.character
        lane = self._lane(service, node.site.region, order.region)
        hubs = 1 if km < _TWO_HUBS_KM else 2 if km < _THREE_HUBS_KM else 3
        shipment = Shipment(
            id=f"SH-{service.carrier}-{self._shipped:06d}",
            parcel=parcel,
            origin=node.site.region,
            destination=order.region,
            line_ms=max(_SHORTEST_LINE_MS, nominal_ms - _LAST_MILE_MS),
            slowness=character.pace * lane * luck.lognormvariate(-0.05, character.spread),
            hubs=hubs,
            due_ms=now_ms + nominal_ms,
            fate=self._draw_fate(),
        )
        self._tracking.dispatched(now_ms, shipment)
        self._travel(now_ms, shipment)

    def _lane(self, service: Service, origin: int, destination: int) -> float:
        """How good or bad a carrier's service always is between two regions, 1 is average."""
        key = (service.index, origin, destination)
        factor = self._lanes.get(key)
        if factor is None:
            luck = stream(self._seed, "lane", service.carrier, service.spec.service, *map(str, key))
            factor = self._lanes[key] = luck.lognormvariate(0, _LANE_SIGMA)
        return factor

    def _draw_fate(self) -> Fate:
        drawn = self._luck.random()
        if drawn < self._config.lost_share:
            return "lost"
        if drawn < self._config.lost_share + self._config.spoiled_share:
            return "damaged" if self._luck.random() < 0.5 else "refused"
        return "arrives"

    def _travel(self, now_ms: int, shipment: Shipment) -> None:
        """Start the next leg, under the conditions of where it runs."""
        luck, service = self._luck, shipment.parcel.service
        legs = _LEGS[shipment.hubs]
        at_origin = shipment.leg < len(legs) / 2
        region = shipment.origin if at_origin else shipment.destination
        hindrance = service.character.fragility * (
            _WEATHER_ON_LINE * self._conditions.severity(region, now_ms)
            + _TRAFFIC_ON_LINE * (self._conditions.congestion(region, now_ms) - 1)
            + _LOAD_ON_LINE * service.fullness(now_ms // DAY_MS) ** 3
        )
        share = legs[shipment.leg] * shipment.slowness * _WEEKDAY[weekday(now_ms)]
        leg_ms = shipment.line_ms * share * (1 + hindrance)
        if shipment.leg and not shipment.hindered:
            delay_ms = self._disruptions.delay_ms(service, shipment.origin, shipment.destination)
            if delay_ms:
                shipment.hindered = True
                leg_ms += delay_ms * luck.triangular(0.3, 1.3, 0.7)
        if luck.random() < service.character.astray / len(legs):
            leg_ms += luck.lognormvariate(3.0, 0.4) * HOUR_MS
        self._agenda.at(now_ms + round(leg_ms), self._reach, shipment)

    def _reach(self, now_ms: int, shipment: Shipment) -> None:
        """Be scanned at the end of a leg."""
        luck = self._luck
        leg = shipment.leg
        last = leg == shipment.hubs
        at_origin = leg <= 1 and not (last and shipment.hubs == 1)
        place = shipment.origin if at_origin else shipment.destination
        if shipment.hubs == 3 and leg == 2:
            place = self._on_the_way(shipment)
        eta_ms: int | None = None
        if leg == 0 or luck.random() < 0.4:
            eta_ms = self._carrier_eta(now_ms, shipment)
        self._tracking.scanned(
            now_ms, shipment, "in_transit" if leg else "picked_up", place, eta_ms
        )
        # Parcels vanish after any scan with the same probability.
        vanishes = shipment.fate in ("lost", "damaged")
        if vanishes and luck.random() < 1 / (shipment.hubs + 1 - leg):
            after_ms = _DAMAGED_AFTER_MS
            if shipment.fate == "lost":
                after_ms = round(luck.uniform(*_LOST_AFTER_DAYS) * DAY_MS)
            self._agenda.at(now_ms + after_ms, self._tracking.failed, shipment)
            return
        shipment.leg += 1
        if not last:
            self._travel(now_ms, shipment)
            return
        tour_ms = self._next_tour_ms(now_ms, shipment.parcel.service.spec.mode)
        if tour_ms - shipment.due_ms > _ADMITTED_MS and luck.random() < _ADMITTED_SHARE:
            self._agenda.at(now_ms + luck.randrange(HOUR_MS), self._admit, shipment)
        self._agenda.at(tour_ms + luck.randrange(HOUR_MS // 2), self._tour, shipment)

    def _on_the_way(self, shipment: Shipment) -> int:
        """Return the region between origin and destination, least off the way."""
        regions = self._world.regions
        start, end = regions[shipment.origin], regions[shipment.destination]
        latitude = (start.latitude + end.latitude) / 2
        longitude = (start.longitude + end.longitude) / 2
        return min(
            range(len(regions)),
            key=lambda index: (
                (regions[index].latitude - latitude) ** 2
                + (regions[index].longitude - longitude) ** 2
            ),
        )

    def _carrier_eta(self, now_ms: int, shipment: Shipment) -> int:
        """Return the carrier's own estimate: its published time, as if nothing slowed the rest."""
        legs = _LEGS[shipment.hubs]
        rest = sum(legs[shipment.leg + 1 :]) * shipment.line_ms + _LAST_MILE_MS
        minutes = round((now_ms + rest) / 60_000)
        return max(minutes * 60_000, now_ms + HOUR_MS)

    def _admit(self, now_ms: int, shipment: Shipment) -> None:
        tour_ms = self._next_tour_ms(now_ms, shipment.parcel.service.spec.mode)
        self._tracking.scanned(now_ms, shipment, "delivery_delayed", eta_ms=tour_ms + 4 * HOUR_MS)

    def _next_tour_ms(self, now_ms: int, mode: str) -> int:
        waves = _WAVES_H.get(mode, _WAVES_H["road"])
        day, past_ms = divmod(now_ms, DAY_MS)
        while True:
            if weekday(day * DAY_MS) != 6 or mode in _SUNDAY_MODES:
                for hour in waves:
                    if hour * HOUR_MS >= past_ms:
                        return round(day * DAY_MS + hour * HOUR_MS)
            day, past_ms = day + 1, 0

    def _tour(self, now_ms: int, shipment: Shipment) -> None:
        """Go out for delivery, unless the weather forbids it."""
        luck, mode = self._luck, shipment.parcel.service.spec.mode
        severity = self._conditions.severity(shipment.destination, now_ms)
        if severity > _TOUR_STOPS_AT and luck.random() < severity - 0.2:
            self._tracking.scanned(now_ms, shipment, "delivery_delayed")
            self._again(now_ms, shipment)
            return
        midnight_ms = now_ms // DAY_MS * DAY_MS
        eta_ms = max(midnight_ms + 19 * HOUR_MS, now_ms + HOUR_MS)
        self._tracking.scanned(now_ms, shipment, "out_for_delivery", eta_ms=eta_ms)
        hindrance = _WEATHER_ON_TOUR * severity + _TRAFFIC_ON_TOUR * (
            self._conditions.congestion(shipment.destination, now_ms) - 1
        )
        mean_ms = _TOUR_MEAN_MS.get(mode, 2.8 * HOUR_MS)
        tour_ms = luck.gammavariate(2.5, mean_ms / 2.5) * (1 + hindrance)
        end_ms = now_ms + max(5 * 60_000, round(tour_ms))
        end_ms = min(end_ms, midnight_ms + _TOUR_ENDS_H * HOUR_MS)
        self._agenda.at(end_ms, self._knock, shipment)

    def _knock(self, now_ms: int, shipment: Shipment) -> None:
        """Be at the door, if the tour got that far before the evening."""
        luck = self._luck
        if now_ms % DAY_MS >= _TOUR_ENDS_H * HOUR_MS:
            self._tracking.scanned(now_ms, shipment, "delivery_delayed")
            self._again(now_ms, shipment)
            return
        if shipment.fate == "refused":
            self._tracking.failed(now_ms, shipment)
            return
        shipment.attempts += 1
        missed_share = self._config.failed_attempt_share * shipment.parcel.service.character.misses
        if shipment.attempts < 3 and luck.random() < missed_share:
            self._tracking.scanned(now_ms, shipment, "delivery_failed")
            self._again(max(now_ms, now_ms // DAY_MS * DAY_MS + 18 * HOUR_MS), shipment)
            return
        self._tracking.delivered(now_ms, shipment)
        self.on_delivered(now_ms, shipment.parcel)

    def _again(self, now_ms: int, shipment: Shipment) -> None:
        tour_ms = self._next_tour_ms(now_ms + HOUR_MS, shipment.parcel.service.spec.mode)
        self._agenda.at(tour_ms + self._luck.randrange(HOUR_MS // 2), self._tour, shipment)
