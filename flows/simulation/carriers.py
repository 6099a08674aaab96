"""Carriers: their published terms (rates, cut-offs, factors), and their real behaviour."""

from dataclasses import dataclass

from flows.simulation.history import History
from state.events import CarrierRegistered, CarrierService
from state.events.reference import Mode
from state.geography import nominal_transit_s
from state.keys import ServiceId
from state.quantities import DAY_MS, HOUR_S

_DEFRA = "DEFRA 2025, well-to-wheel, "
_ARTICULATED = (96.0, _DEFRA + "articulated HGV")
_AVERAGE_HGV = (125.0, _DEFRA + "average HGV")
_RIGID = (241.0, _DEFRA + "rigid HGV")
_AVERAGE_VAN = (792.0, _DEFRA + "average van")
_BATTERY_VAN = (276.0, _DEFRA + "battery van")
_RAIL = (35.0, _DEFRA + "rail freight")
_AIR = (961.0, _DEFRA + "short-haul air freight, without radiative forcing")
_CARGO_BIKE = (30.0, "assumed: electric cargo bike; DEFRA 2025 has none")


@dataclass(frozen=True, slots=True)
class Character:
    """A carrier's real behaviour. The log never gives it; only its scans betray it.

    `pace` is real over published line time (median), `spread` the sigma of its lognormal noise,
    `astray` the share of parcels sent the wrong way once, `misses` scales failed attempts,
    `fragility` scales what weather, traffic and load do to it.
    """

    pace: float
    spread: float
    astray: float
    misses: float
    fragility: float


@dataclass(frozen=True, slots=True)
class _Offer:
    service: str
    mode: Mode
    base_cents: int
    per_kg_cents: int
    per_100km_cents: int
    base_h: float
    h_per_100km: float
    cutoff_h: float
    share: float
    factor: tuple[float, str]
    max_kg: float = 31.5
    max_km: int = 0


@dataclass(frozen=True, slots=True)
class _Carrier:
    id: str
    name: str
    claimed_on_time: float
    character: Character
    offers: tuple[_Offer, ...]


_CARRIERS: tuple[_Carrier, ...] = (
    _Carrier(
        "NORDPOST",
        "Nordpost",
        0.95,
        Character(0.66, 0.17, 0.012, 1.0, 1.0),
        (
            _Offer("economy", "road", 330, 25, 12, 33, 3.0, 17.0, 0.50, _ARTICULATED),
            _Offer("standard", "road", 430, 35, 18, 17, 2.3, 18.0, 0.45, _AVERAGE_HGV),
        ),
    ),
    _Carrier(
        "EUROLINE",
        "Euroline Parcel",
        0.96,
        Character(0.62, 0.13, 0.006, 0.8, 0.8),
        (
            _Offer("rail_economy", "rail", 300, 18, 9, 42, 2.6, 15.0, 0.35, _RAIL),
            _Offer("parcel", "road", 440, 34, 18, 16.5, 2.1, 18.5, 0.40, _AVERAGE_HGV),
            _Offer("express", "road", 790, 55, 30, 14, 1.5, 19.0, 0.25, _RIGID),
        ),
    ),
    _Carrier(
        "AEROX",
        "AeroX",
        0.98,
        Character(0.62, 0.15, 0.005, 0.8, 1.3),
        (
            _Offer("express_air", "air", 1_290, 160, 22, 15, 0.5, 18.0, 0.25, _AIR),
            _Offer("express_road", "road", 840, 60, 34, 13.5, 1.4, 19.5, 0.20, _RIGID),
        ),
    ),
    _Carrier(
        "HANSALOG",
        "Hansalog",
        0.95,
        # Cheap, and worse than its terms: a learner has to find out.
        Character(0.73, 0.22, 0.022, 1.5, 1.3),
        (
            _Offer("economy", "road", 318, 22, 11, 34, 3.1, 16.5, 0.40, _ARTICULATED),
            _Offer("standard", "road", 424, 34, 17, 18, 2.3, 17.5, 0.35, _AVERAGE_HGV),
            _Offer("van", "parcel_van", 425, 28, 50, 17, 2.5, 19.0, 0.20, _AVERAGE_VAN, 31.5, 200),
        ),
    ),
    _Carrier(
        "VELOCITO",
        "Velocito",
        0.97,
        Character(0.68, 0.12, 0.003, 1.2, 1.2),
        (
            _Offer("bike", "bike", 390, 60, 0, 3, 0.0, 16.0, 0.15, _CARGO_BIKE, 15.0, 25),
            _Offer("van", "parcel_van", 410, 25, 55, 16, 2.8, 18.0, 0.25, _BATTERY_VAN, 31.5, 150),
        ),
    ),
    _Carrier(
        "MERIDIAN",
        "Meridian Freight",
        0.94,
        Character(0.70, 0.18, 0.010, 1.0, 1.0),
        (
            _Offer("economy", "road", 320, 24, 12, 35, 2.9, 16.0, 0.35, _ARTICULATED),
            _Offer("express_air", "air", 1_190, 170, 24, 16, 0.6, 17.5, 0.20, _AIR),
        ),
    ),
)
#: Number of carriers to choose from.
MOST = len(_CARRIERS)


class Service:
    """One service of a carrier as it runs: what it published, and how full it is.

    `spec` is what it published last, `capacity` parcels per day as they change with time, `load`
    parcels taken by day since the epoch. `usual` is the capacity of an undisturbed day.
    """

    def __init__(
        self, index: int, carrier: str, character: Character, spec: CarrierService
    ) -> None:
        self.index = index
        self.id = ServiceId(carrier, spec.service)
        self.carrier = carrier
        self.character = character
        self.spec = spec
        self.usual = spec.parcels_per_day
        self.capacity = History(spec.parcels_per_day)
        self.load: dict[int, int] = {}

    @property
    def name(self) -> str:
        """Return carrier and service, as in ``NORDPOST/economy``."""
        return str(self.id)

    def nominal_ms(self, distance_km: float) -> int:
        """Return the published transit time in ms."""
        return round(1_000 * nominal_transit_s(self.spec, distance_km))

    def takes(self, distance_km: float, weight_g: int) -> bool:
        """Return whether a parcel of this weight may go this far."""
        spec = self.spec
        return weight_g <= spec.max_weight_g and (
            spec.max_distance_km == 0 or distance_km <= spec.max_distance_km
        )

    def accept(self, now_ms: int) -> bool:
        """Take one more parcel at this moment's pickup; return whether the day had room for it."""
        day = now_ms // DAY_MS
        if self.load.get(day, 0) >= self.capacity.at(now_ms):
            return False
        count_one(self.load, day)
        return True

    def pickup_ms(self, ready_ms: int) -> int:
        """Return the first daily pickup at or after `ready_ms`."""
        day, past_ms = divmod(ready_ms, DAY_MS)
        cutoff_ms = self.spec.cutoff_s * 1_000
        return (day + (past_ms > cutoff_ms)) * DAY_MS + cutoff_ms


def count_one(load: dict[int, int], day: int) -> None:
    """Add one to the load of `day`, and forget days long gone."""
    load[day] = load.get(day, 0) + 1
    if len(load) > 16:
        del load[min(load)]


def build_carriers(
    count: int, parcels_per_day: float
) -> tuple[list[CarrierRegistered], list[Service]]:
    """Return registrations and running services of the first `count` carriers of the table.

    Their capacities are shares of `parcels_per_day`.
    """
    facts: list[CarrierRegistered] = []
    services: list[Service] = []
    for carrier in _CARRIERS[:count]:
        specs = tuple(_published(offer, parcels_per_day) for offer in carrier.offers)
        facts.append(
            CarrierRegistered(
                carrier=carrier.id,
                services=specs,
                claimed_on_time=carrier.claimed_on_time,
                name=carrier.name,
            )
        )
        for spec in specs:
            services.append(Service(len(services), carrier.id, carrier.character, spec))
    return facts, services


def _published(offer: _Offer, parcels_per_day: float) -> CarrierService:
    factor, source = offer.factor
    return CarrierService(
        service=offer.service,
        mode=offer.mode,
        base_cents=offer.base_cents,
        per_kg_cents=offer.per_kg_cents,
        per_100km_cents=offer.per_100km_cents,
        transit_base_s=round(offer.base_h * HOUR_S),
        transit_s_per_100km=round(offer.h_per_100km * HOUR_S),
        cutoff_s=round(offer.cutoff_h * HOUR_S),
        parcels_per_day=max(10, round(offer.share * parcels_per_day)),
        max_weight_g=round(offer.max_kg * 1_000),
        max_distance_km=offer.max_km,
        gco2e_per_tonne_km=factor,
        factor_source=source,
    )
