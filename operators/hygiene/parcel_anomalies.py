"""Anomalies of parcels: seen where, or when, they cannot have been."""

from collections.abc import Callable
from math import cos, log, pi, sqrt
from typing import Any, Literal

from msgspec import Struct, field

from operators.core.facts import Anomaly
from operators.core.wording import span
from operators.prediction.recent import Recent
from operators.prediction.robust import RobustScales
from state.events import (
    NodeRegistered,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentScanned,
)
from state.keys import ServiceId
from state.policy import Anomalies as Rules
from state.quantities import HOUR_MS

#: Parcels held; the longest unused are not checked any more.
_PARCELS = 50_000
#: Least spread of the log of a way by a place ÷ the way without it.
_LEAST_DETOUR = 0.25
_KM_PER_DEGREE, _RADIANS = 111.2, pi / 180.0
#: A parcel for the same town may go by a hub about so far away.
_HUB_KM = 300.0
#: Status of a parcel that may come before its handover: its label.
_LABEL = "pending"

#: Latitude and longitude, in degrees.
Place = tuple[float, float]


class _Parcel(Struct, array_like=True):
    """Handover and delivery (0: not yet) of a parcel; where it was last, if that is believable."""

    dispatched_ms: int
    service: ServiceId
    place: Place | None
    destination: Place | None
    left_km: float
    seen_ms: int
    delivered_ms: int = 0
    doubted: bool = False


class Parcels(Struct):
    """Positions of parcels, and the detours they usually make."""

    nodes: dict[str, Place] = field(default_factory=dict)
    regions: dict[str, Place] = field(default_factory=dict)
    parcels: Recent[str, _Parcel] = field(default_factory=lambda: Recent(_PARCELS))
    detours: RobustScales[ServiceId] = field(default_factory=lambda: RobustScales(_LEAST_DETOUR))

    def place(self, fact: NodeRegistered | RegionRegistered, *_: object) -> None:
        """Learn where a place is."""
        place = (fact.latitude, fact.longitude)
        if isinstance(fact, NodeRegistered):
            self.nodes[fact.node] = place
        else:
            self.regions[fact.region] = place

    def dispatched(self, fact: ShipmentDispatched, time_ms: int, rules: Rules) -> None:
        """Follow a parcel from its handover on."""
        origin, destination = self.nodes.get(fact.node), self.regions.get(fact.region)
        left_km = _km(origin, destination) if origin and destination else 0.0
        service = ServiceId(fact.carrier, fact.service)
        parcel = _Parcel(time_ms, service, origin, destination, left_km, time_ms)
        self.parcels.set(fact.shipment, parcel)

    def scanned(self, fact: ShipmentScanned, time_ms: int, rules: Rules) -> Anomaly | None:
        """Return the anomaly of a scan, if any."""
        name, parcel = fact.shipment, self.parcels.get(fact.shipment)
        if parcel is None or fact.status == _LABEL:
            return None
        early_ms = rules.early_s * 1000
        if time_ms < parcel.dispatched_ms - early_ms:
            return _early(name, parcel.dispatched_ms - time_ms, early_ms)
        if parcel.delivered_ms and time_ms > parcel.delivered_ms + early_ms:
            return _late(name, time_ms - parcel.delivered_ms, early_ms)
        if fact.latitude is not None and fact.longitude is not None:
            return self._moved(name, parcel, (fact.latitude, fact.longitude), time_ms, rules)
        # A carrier may mean either; it is seen at hubs more often than just anywhere in a region.
        place = self.nodes.get(fact.place or "") or self.regions.get(fact.place or "")
        return None if place is None else self._moved(name, parcel, place, time_ms, rules)

    def delivered(self, fact: ShipmentDelivered, time_ms: int, rules: Rules) -> Anomaly | None:
        """Return the anomaly of a delivery, if any."""
        name, parcel = fact.shipment, self.parcels.get(fact.shipment)
        if parcel is None or parcel.delivered_ms:
            return None
        parcel.delivered_ms = time_ms
        early_ms = rules.early_s * 1000
        if time_ms < parcel.dispatched_ms - early_ms:
            return _early(name, parcel.dispatched_ms - time_ms, early_ms)
        if time_ms < parcel.seen_ms - early_ms:
            return _late(name, parcel.seen_ms - time_ms, early_ms)
        place = parcel.destination
        return None if place is None else self._moved(name, parcel, place, time_ms, rules)

    def _moved(
        self, name: str, parcel: _Parcel, place: Place, time_ms: int, rules: Rules
    ) -> Anomaly | None:
        """Return the anomaly of a move that is impossibly fast or far too long a way."""
        last, left_km, end, wrong = parcel.place, parcel.left_km, parcel.destination, None
        to_go_km = _km(place, end) if end is not None else left_km
        if last is not None and last != place:
            km, took_ms = _km(last, place), abs(time_ms - parcel.seen_ms)
            possible = rules.slack_km + rules.fastest_km_h * took_ms / HOUR_MS
            detour = log((_HUB_KM + km + to_go_km) / (_HUB_KM + left_km))
            score = self.detours.judge(parcel.service, detour) / rules.wild_above
            if km > possible:
                reason = f"{name} was seen {km:.0f} km apart within {span(took_ms / 1000)}"
                wrong = _anomaly("impossible_speed", name, km / possible, reason)
            elif score > 1.0 and detour > 0.0:
                reason = f"{name} was seen {km:.0f} km off, with {left_km:.0f} km to go"
                wrong = _anomaly("off_route", name, score, reason)
        if wrong is not None and not parcel.doubted:
            # The wrong one may be this or the last: a second that agrees with this is believed.
            parcel.doubted = True
            return wrong
        parcel.doubted = False
        if time_ms >= parcel.seen_ms:
            parcel.place, parcel.left_km, parcel.seen_ms = place, to_go_km, time_ms
        return None


#: Check by class of fact.
PARCEL_CHECKS: dict[type, Callable[[Parcels, Any, int, Rules], Anomaly | None]] = {
    NodeRegistered: Parcels.place,
    RegionRegistered: Parcels.place,
    ShipmentDispatched: Parcels.dispatched,
    ShipmentScanned: Parcels.scanned,
    ShipmentDelivered: Parcels.delivered,
}


def _km(a: Place, b: Place) -> float:
    """Return km on a flat map, fast: within 1 % up to 1,000 km and too long beyond."""
    south, west = a
    north, east = b[0] - south, b[1] - west
    if not -180.0 <= east <= 180.0:
        east -= 360.0 if east > 0.0 else -360.0
    east *= cos(_RADIANS * (south + 0.5 * north))
    return _KM_PER_DEGREE * sqrt(east * east + north * north)


def _early(shipment: str, by_ms: int, early_ms: int) -> Anomaly:
    reason = f"{shipment} was seen {span(by_ms / 1000)} before its handover"
    return _anomaly("before_handover", shipment, by_ms / max(early_ms, 1), reason)


def _late(shipment: str, by_ms: int, early_ms: int) -> Anomaly:
    reason = f"{shipment} was scanned {span(by_ms / 1000)} after its delivery"
    return _anomaly("after_delivery", shipment, by_ms / max(early_ms, 1), reason)


def _anomaly(
    kind: Literal["impossible_speed", "off_route", "before_handover", "after_delivery"],
    about: str,
    score: float,
    reason: str,
) -> Anomaly:
    return Anomaly(kind=kind, family="telemetry", about=about, score=round(score, 2), reason=reason)
