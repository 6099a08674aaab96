"""Transport: parcels from the handover to their end, turned or hurried on request."""

from collections.abc import Callable, Iterator

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.journeys import Journeys, Seen, Stop, Trip
from flows.simulation.opening import Moving
from flows.simulation.tracking import Tracking
from flows.simulation.work import Parcel
from flows.simulation.world import World

#: Scans that end a journey.
_ENDS: frozenset[Seen] = frozenset(("delivered", "lost", "damaged", "refused"))


class _UnderWay:
    """A parcel on its journey, and requests about it meanwhile."""

    __slots__ = ("journey", "parcel", "recalled", "seen", "stops", "trip")

    def __init__(self, parcel: Parcel, trip: Trip, journey: Iterator[Stop]) -> None:
        self.parcel, self.trip, self.journey = parcel, trip, journey
        self.stops = 0
        self.seen: Seen | None = None
        self.recalled = False


class Transport:
    """Runner of journeys. `on_ended` gets (now, parcel, how) at each end, also ``recalled``.

    A parcel that was recalled in time is on its way back for as long as it was on its way out.
    `prefix` begins shipments' names.
    """

    def __init__(
        self,
        world: World,
        agenda: Agenda,
        journeys: Journeys,
        tracking: Tracking,
        prefix: str = "SH",
    ) -> None:
        self._world = world
        self._agenda = agenda
        self._journeys = journeys
        self._tracking = tracking
        self._prefix = prefix
        self._under_way: dict[str, _UnderWay] = {}
        self.on_ended: Callable[[int, Parcel, str], None] = lambda now_ms, parcel, how: None

    def hand_over(self, now_ms: int, parcel: Parcel) -> None:
        """Hand a packed parcel to its carrier."""
        region = parcel.order.region
        parcel.stage = "under_way"
        parcel.shipment = f"{self._prefix}-{parcel.service.carrier}-{parcel.name}"
        trip = Trip(
            luck=parcel.order.luck,
            number=parcel.number,
            service=parcel.service,
            origin=self._world.nodes[parcel.node].region,
            destination=region,
            km=self._world.km[parcel.node][region],
            handed_over_ms=now_ms,
        )
        self._tracking.dispatched(now_ms, parcel)
        moving = _UnderWay(parcel, trip, self._journeys.travel(trip))
        self._under_way[parcel.shipment] = moving
        self._go_on(now_ms, moving)

    def resume(self, now_ms: int, moving: Moving) -> None:
        """Go on with a parcel that was handed over before the run began.

        Its stops until now are passed over. One that should have arrived by now sets out for its
        last mile again: all that is known of it is that it has not.
        """
        parcel, trip = moving.parcel, moving.trip
        going = _UnderWay(parcel, trip, self._journeys.travel(trip))
        self._under_way[parcel.shipment] = going
        for stop in going.journey:
            if stop.at_ms > now_ms:
                self._agenda.at(stop.at_ms, self._reach, going, stop)
                return
            going.stops += 1
            going.seen = stop.seen
        going.seen = "in_transit"
        going.journey = self._journeys.last_mile(trip, now_ms)
        self._go_on(now_ms, going)

    def parcel(self, shipment: str) -> Parcel | None:
        """Return the parcel of a shipment under way; None if it has ended."""
        moving = self._under_way.get(shipment)
        return None if moving is None else moving.parcel

    def reroute(self, shipment: str, service: Service) -> str:
        """Move a parcel to another service of its carrier; returns why not, empty if done."""
        moving = self._under_way.get(shipment)
        if moving is None or moving.recalled:
            return "it is not under way"
        if moving.trip.leg >= moving.trip.stops - 1 or moving.seen == "out_for_delivery":
            return "it is past the last hub where that is possible"
        if not service.takes(moving.trip.km, moving.parcel.weight_g):
            return "the service does not take it"
        moving.trip.service = moving.parcel.service = service
        return ""

    def recall(self, shipment: str) -> str:
        """Call a parcel back; returns why not, empty if it will turn at its next stop."""
        moving = self._under_way.get(shipment)
        if moving is None or moving.recalled:
            return "it is not under way"
        if moving.seen == "out_for_delivery":
            return "it is out for delivery"
        moving.recalled = True
        return ""

    def _go_on(self, now_ms: int, moving: _UnderWay) -> None:
        stop = next(moving.journey)
        self._agenda.at(max(stop.at_ms, now_ms), self._reach, moving, stop)

    def _reach(self, now_ms: int, moving: _UnderWay, stop: Stop) -> None:
        parcel = moving.parcel
        if moving.recalled and stop.seen not in _ENDS:
            del self._under_way[parcel.shipment]
            self._tracking.turned_back(now_ms, parcel)
            home_ms = now_ms + (now_ms - moving.trip.handed_over_ms)
            self._agenda.at(home_ms, self._end, parcel, "recalled")
            return
        moving.stops += 1
        moving.seen = stop.seen
        self._tracking.saw(parcel, stop, moving.stops)
        if stop.seen in _ENDS:
            del self._under_way[parcel.shipment]
            self._end(now_ms, parcel, stop.seen)
        else:
            self._go_on(now_ms, moving)

    def _end(self, now_ms: int, parcel: Parcel, how: str) -> None:
        parcel.stage = "ended"
        self.on_ended(now_ms, parcel, how)
