"""Geography: places, services and the distances between them.

Several operators need it; each keeps its own, learned from the same registrations.
"""

from functools import lru_cache
from math import asin, cos, radians, sin, sqrt

from msgspec import Struct, field

from state.events import (
    CarrierRegistered,
    CarrierService,
    Fact,
    NodeRegistered,
    RegionRegistered,
)
from state.keys import ServiceId

_EARTH_RADIUS_KM = 6371.0088
#: Roads are longer than the crow flies; 1.3 is usual for Western Europe (Boscoe et al. 2012: 1.4).
DETOUR = 1.3


#: Facts that say where places are and what services offer.
GEOGRAPHIC = (NodeRegistered, RegionRegistered, CarrierRegistered)


class Geography(Struct):
    """Registered places and services.

    A service that its carrier no longer offers stays known, for parcels under way with it, and is
    `withdrawn`: nothing new is sent with it.
    """

    nodes: dict[str, NodeRegistered] = field(default_factory=dict)
    regions: dict[str, RegionRegistered] = field(default_factory=dict)
    services: dict[ServiceId, CarrierService] = field(default_factory=dict)
    withdrawn: dict[ServiceId, None] = field(default_factory=dict)

    def learn(self, fact: Fact) -> None:
        """Take in a registration; other facts are ignored."""
        match fact:
            case NodeRegistered():
                self.nodes[fact.node] = fact
            case RegionRegistered():
                self.regions[fact.region] = fact
            case CarrierRegistered():
                for known in self.services:
                    if known.carrier == fact.carrier:
                        self.withdrawn[known] = None
                for service in fact.services:
                    offered = ServiceId(fact.carrier, service.service)
                    self.services[offered] = service
                    self.withdrawn.pop(offered, None)
            case _:
                pass

    def distance_km(self, node: str, region: str) -> float | None:
        """Return the road distance in km from a node to a region's centre; None if unknown."""
        origin, destination = self.nodes.get(node), self.regions.get(region)
        if origin is None or destination is None:
            return None
        return DETOUR * great_circle_km(
            origin.latitude, origin.longitude, destination.latitude, destination.longitude
        )


@lru_cache(maxsize=200_000)
def great_circle_km(
    latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float
) -> float:
    """Return the distance in km along the sphere (haversine formula); arguments in degrees."""
    phi_a, phi_b = radians(latitude_a), radians(latitude_b)
    half = sin((phi_b - phi_a) / 2) ** 2
    half += cos(phi_a) * cos(phi_b) * sin(radians(longitude_b - longitude_a) / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def nominal_transit_s(service: CarrierService, distance_km: float) -> float:
    """Return seconds from handover to delivery that the service names for a distance."""
    return service.transit_base_s + service.transit_s_per_100km * distance_km / 100


def freight_cents(service: CarrierService, distance_km: float, weight_g: int) -> int:
    """Return the freight of one parcel by the rate card, rounded to the nearest cent."""
    return round(
        service.base_cents
        + service.per_kg_cents * weight_g / 1000
        + service.per_100km_cents * distance_km / 100
    )


def carbon_gco2e(service: CarrierService, distance_km: float, weight_g: int) -> float:
    """Return emissions of one parcel in g CO2e, well-to-wheel: tonnes × km × factor (ISO 14083)."""
    return weight_g / 1e6 * distance_km * service.gco2e_per_tonne_km
