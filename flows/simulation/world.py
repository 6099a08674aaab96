"""The network at the beginning: regions, nodes, SKUs, carriers, and what is where."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from flows.simulation.carriers import Service, build_carriers, count_one
from flows.simulation.catalogue import Sku, build_catalogue
from flows.simulation.config import WorldConfig
from flows.simulation.history import History
from flows.simulation.luck import stream
from flows.simulation.places import Region, Site, place_nodes, place_regions
from state.events import CarrierRegistered, Fact, NodeRegistered, RegionRegistered, SkuRegistered
from state.events.reference import NodeKind
from state.geography import DETOUR, great_circle_km
from state.quantities import DAY_MS, HOUR_MS
from state.sums import float_sum, int_sum

#: Lines of an order (1 to 5) and pieces of a line (1 to 3), with their shares.
LINES_SHARES = (0.66, 0.20, 0.08, 0.04, 0.02)
PIECES_SHARES = (0.84, 0.12, 0.04)
#: Only what is light is bought by the piece.
HEAVIEST_IN_PIECES_G = 1_500
#: Units of an average order.
MEAN_UNITS = float_sum(n * share for n, share in enumerate(LINES_SHARES, 1)) * float_sum(
    n * share for n, share in enumerate(PIECES_SHARES, 1)
)
_STORE_HOURS = (8, 20)
#: A day's work can be done in so long.
_SHIFT_MS = 12 * HOUR_MS
#: A closed node is asked again after so long.
_CLOSED_MS = 2 * HOUR_MS


@dataclass(frozen=True, slots=True)
class _Trade:
    """Typical values of a kind of node; `draw` is how likely it stocks a SKU."""

    fixed_cents: int
    unit_cents: int
    handling_s: int
    draw: float
    capacity_factor: float


_TRADES: dict[NodeKind, _Trade] = {
    "fulfilment_centre": _Trade(180, 25, 10_800, 1.0, 2.4),
    "cross_dock": _Trade(150, 30, 14_400, 0.30, 2.0),
    "store": _Trade(290, 60, 7_200, 0.22, 2.2),
    "dark_store": _Trade(240, 40, 2_400, 0.28, 2.2),
}


class Node:
    """A node as it runs: `capacity` in parcels per day, as it changes with time.

    `free_ms` is when the packing tables are through with what was begun, `begun` counts parcels by
    day since the epoch.
    """

    def __init__(self, index: int, registration: NodeRegistered, region: int) -> None:
        self.index = index
        self.registration = registration
        self.region = region
        self.usual = registration.parcels_per_day
        self.capacity = History(registration.parcels_per_day)
        self.free_ms = 0
        self.begun: dict[int, int] = {}

    @property
    def id(self) -> str:
        """Return the node's id."""
        return self.registration.node

    @property
    def opens(self) -> tuple[int, int]:
        """Return the hours of the day (UTC) between which it works; only stores close."""
        return _STORE_HOURS if self.registration.kind == "store" else (0, 24)

    def open_ms(self, now_ms: int) -> int:
        """Return `now_ms`, or when the node next opens."""
        return next_open_ms(now_ms, *self.opens)

    def turn_ms(self, now_ms: int) -> int:
        """Return when the next parcel may be begun; no day has more than its capacity."""
        capacity = self.capacity.at(now_ms)
        if not capacity:
            return now_ms + _CLOSED_MS
        turn_ms = self.open_ms(max(now_ms, self.free_ms))
        day = turn_ms // DAY_MS
        is_full = self.begun.get(day, 0) >= capacity
        return self.open_ms((day + 1) * DAY_MS) if is_full else turn_ms

    def begin(self, now_ms: int) -> None:
        """Begin a parcel, whose turn it is."""
        count_one(self.begun, now_ms // DAY_MS)
        self.free_ms = now_ms + _SHIFT_MS // self.capacity.at(now_ms)


def next_open_ms(now_ms: int, opens_h: int, closes_h: int) -> int:
    """Return `now_ms`, or when staff who work between two hours of the day (UTC) are next there."""
    day, past_ms = divmod(now_ms, DAY_MS)
    if past_ms < opens_h * HOUR_MS:
        return day * DAY_MS + opens_h * HOUR_MS
    return now_ms if past_ms < closes_h * HOUR_MS else (day + 1) * DAY_MS + opens_h * HOUR_MS


@dataclass(frozen=True, slots=True)
class World:
    """The network. Indices into its lists stand for things everywhere in the simulation.

    `km[node][region]` is the road distance in km. `assortment[sku]` gives, per node that stocks the
    SKU, the units per day that the regions nearest to it order.
    """

    regions: list[Region]
    nodes: list[Node]
    skus: list[Sku]
    carriers: list[CarrierRegistered]
    services: list[Service]
    km: list[list[float]]
    assortment: list[dict[int, float]]

    def home(self, sku: int, region: int) -> int:
        """Return the node nearest to `region` of those that stock `sku`."""
        return min(self.assortment[sku], key=lambda node: (self.km[node][region], node))

    def weight_g(self, lines: Iterable[tuple[int, int]]) -> int:
        """Return the weight in g of a parcel with `lines` (SKU's index, units) in it."""
        return int_sum(self.skus[sku].weight_g * quantity for sku, quantity in lines)

    def reference(self) -> list[Fact]:
        """Return registrations of everything, each after what it refers to."""
        facts: list[Fact] = [
            RegionRegistered(
                region=region.id,
                latitude=region.latitude,
                longitude=region.longitude,
                name=region.name,
            )
            for region in self.regions
        ]
        facts += (node.registration for node in self.nodes)
        facts += (
            SkuRegistered(
                sku=sku.id,
                category=sku.category,
                weight_g=sku.weight_g,
                value_cents=sku.value_cents,
                name=sku.name,
            )
            for sku in self.skus
        )
        facts += self.carriers
        return facts


def build_world(config: WorldConfig) -> World:
    """Build the network that `config` describes; luck has no part in it."""
    seed = config.layout
    regions = place_regions(seed, config.regions)
    sites = place_nodes(seed, config.nodes, regions)
    skus = build_catalogue(seed, config.skus)
    km = [[_road_km(site, region) for region in regions] for site in sites]
    units_per_day = config.orders_per_day * MEAN_UNITS
    assortment = _assort(stream(seed, "assortment"), regions, sites, skus, km, units_per_day)
    asked = [0.0] * len(sites)
    for stocking in assortment:
        for node, units in stocking.items():
            asked[node] += units
    luck = stream(seed, "nodes")
    nodes = [
        _open_node(index, site, regions, asked[index] / MEAN_UNITS, luck)
        for index, site in enumerate(sites)
    ]
    carriers, services = build_carriers(config.carriers, config.orders_per_day)
    return World(regions, nodes, skus, carriers, services, km, assortment)


def _road_km(site: Site, region: Region) -> float:
    return DETOUR * great_circle_km(
        site.latitude, site.longitude, region.latitude, region.longitude
    )


def _open_node(
    index: int, site: Site, regions: list[Region], orders_per_day: float, luck: random.Random
) -> Node:
    trade = _TRADES[site.kind]
    registration = NodeRegistered(
        node=site.id,
        kind=site.kind,
        region=regions[site.region].id,
        latitude=site.latitude,
        longitude=site.longitude,
        handling_fixed_cents=round(trade.fixed_cents * luck.uniform(0.85, 1.15)),
        handling_unit_cents=round(trade.unit_cents * luck.uniform(0.85, 1.15)),
        handling_time_s=round(trade.handling_s * luck.uniform(0.85, 1.15) / 60) * 60,
        parcels_per_day=10 * math.ceil((trade.capacity_factor * orders_per_day + 15) / 10),
        name=site.name,
    )
    return Node(index, registration, site.region)


def shares_of_demand(
    stocking: Iterable[int], regions: list[Region], km: list[list[float]], units_per_day: float
) -> dict[int, float]:
    """Return units of a SKU per day ordered by the regions nearest to each node `stocking` it."""
    people = float_sum(region.weight for region in regions)
    shares = dict.fromkeys(sorted(stocking), 0.0)
    for index, region in enumerate(regions):
        nearest = min(shares, key=lambda node: km[node][index])
        shares[nearest] += units_per_day * region.weight / people
    return shares


def _assort(
    luck: random.Random,
    regions: list[Region],
    sites: list[Site],
    skus: list[Sku],
    km: list[list[float]],
    units_per_day: float,
) -> list[dict[int, float]]:
    """Return, per SKU, the nodes that stock it and the demand of their nearest regions."""
    demand = float_sum(sku.weight for sku in skus)
    draws = [_TRADES[site.kind].draw * luck.uniform(0.6, 1.6) for site in sites]
    assortment = []
    for sku in skus:
        popularity = (1 - sku.rank / len(skus)) ** 6
        count = min(len(sites), 3 + round(7 * popularity) + (luck.random() < 0.3))
        # The smallest of exponential variables of rate `draw`: a weighted draw without replacement.
        order = sorted(range(len(sites)), key=[luck.expovariate(d) for d in draws].__getitem__)
        stocking = order[: 2 if sku.scarce else count]
        units = units_per_day * sku.weight / demand
        assortment.append(shares_of_demand(stocking, regions, km, units))
    return assortment
