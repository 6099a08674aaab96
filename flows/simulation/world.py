"""The network as it stands at the beginning: regions, nodes, SKUs, carriers, and what is where."""

import math
import random
from dataclasses import dataclass

from flows.simulation.carriers import Service, build_carriers
from flows.simulation.catalogue import Sku, build_catalogue
from flows.simulation.config import WorldConfig
from flows.simulation.luck import stream
from flows.simulation.places import Region, Site, distance_km, place_nodes, place_regions
from state.events import CarrierRegistered, Fact, NodeRegistered, RegionRegistered, SkuRegistered
from state.events.reference import NodeKind

#: Lines of an order (1 to 5) and pieces of a line (1 to 3), with their shares.
LINES_SHARES = (0.66, 0.20, 0.08, 0.04, 0.02)
PIECES_SHARES = (0.84, 0.12, 0.04)
#: Only what is light is bought by the piece.
HEAVIEST_IN_PIECES_G = 1_500
_MEAN_LINES = sum(n * share for n, share in enumerate(LINES_SHARES, 1))
_MEAN_PIECES = sum(n * share for n, share in enumerate(PIECES_SHARES, 1))


@dataclass(frozen=True, slots=True)
class _Trade:
    """What is typical of a kind of node; `draw` is how likely it stocks a SKU."""

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
    """A node as it runs: `capacity` in parcels per day as last announced, `load` by day."""

    def __init__(self, index: int, site: Site, capacity: int, luck: random.Random) -> None:
        trade = _TRADES[site.kind]
        self.index = index
        self.site = site
        self.handling_fixed_cents = round(trade.fixed_cents * luck.uniform(0.85, 1.15))
        self.handling_unit_cents = round(trade.unit_cents * luck.uniform(0.85, 1.15))
        self.handling_s = round(trade.handling_s * luck.uniform(0.85, 1.15) / 60) * 60
        self.usual = capacity
        self.capacity = capacity
        self.load: dict[int, int] = {}

    def fullness(self, day: int) -> float:
        """Parcels assigned on `day` (days since the epoch) over capacity; 1 if it is closed."""
        return self.load.get(day, 0) / self.capacity if self.capacity else 1.0


@dataclass(frozen=True, slots=True)
class World:
    """The network. Indices into its lists stand for things everywhere in the simulation.

    `km[node][region]` is a distance in km. `assortment[sku]` gives, per node that stocks the SKU,
    the units per day that it can expect to be asked for.
    """

    regions: list[Region]
    nodes: list[Node]
    skus: list[Sku]
    carriers: list[CarrierRegistered]
    services: list[Service]
    km: list[list[float]]
    assortment: list[dict[int, float]]

    def reference(self) -> list[Fact]:
        """Registrations of everything, each after what it refers to."""
        facts: list[Fact] = [
            RegionRegistered(
                region=region.id,
                latitude=region.latitude,
                longitude=region.longitude,
                name=region.name,
            )
            for region in self.regions
        ]
        facts += (self._registration(node) for node in self.nodes)
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

    def _registration(self, node: Node) -> NodeRegistered:
        site = node.site
        return NodeRegistered(
            node=site.id,
            kind=site.kind,
            region=self.regions[site.region].id,
            latitude=site.latitude,
            longitude=site.longitude,
            handling_fixed_cents=node.handling_fixed_cents,
            handling_unit_cents=node.handling_unit_cents,
            handling_time_s=node.handling_s,
            parcels_per_day=node.usual,
            name=site.name,
        )


def build_world(seed: int, config: WorldConfig) -> World:
    """Build the network that `seed` and `config` describe."""
    regions = place_regions(seed, config.regions)
    sites = place_nodes(seed, config.nodes, regions)
    skus = build_catalogue(seed, config.skus)
    km = [
        [distance_km(site.latitude, site.longitude, r.latitude, r.longitude) for r in regions]
        for site in sites
    ]
    units_per_day = config.orders_per_day * _MEAN_LINES * _MEAN_PIECES
    assortment = _assort(stream(seed, "assortment"), regions, sites, skus, km, units_per_day)
    asked = [0.0] * len(sites)
    for stocking in assortment:
        for node, units in stocking.items():
            asked[node] += units
    luck = stream(seed, "nodes")
    nodes = []
    for index, site in enumerate(sites):
        parcels = asked[index] / (_MEAN_LINES * _MEAN_PIECES)
        capacity = 10 * math.ceil((_TRADES[site.kind].capacity_factor * parcels + 15) / 10)
        nodes.append(Node(index, site, capacity, luck))
    carriers, services = build_carriers(config.carriers, config.orders_per_day)
    return World(regions, nodes, skus, carriers, services, km, assortment)


def _assort(
    luck: random.Random,
    regions: list[Region],
    sites: list[Site],
    skus: list[Sku],
    km: list[list[float]],
    units_per_day: float,
) -> list[dict[int, float]]:
    """Per SKU the nodes that stock it and the demand of the regions that are nearest to each."""
    demand = sum(sku.weight for sku in skus)
    people = sum(region.weight for region in regions)
    draws = [_TRADES[site.kind].draw * luck.uniform(0.6, 1.6) for site in sites]
    assortment = []
    for sku in skus:
        popularity = (1 - sku.rank / len(skus)) ** 6
        count = min(len(sites), 3 + round(7 * popularity) + (luck.random() < 0.3))
        # The smallest of exponential variables of rate `draw`: a weighted draw without replacement.
        order = sorted(range(len(sites)), key=[luck.expovariate(d) for d in draws].__getitem__)
        stocking = dict.fromkeys(sorted(order[: 2 if sku.scarce else count]), 0.0)
        units = units_per_day * sku.weight / demand
        for index, region in enumerate(regions):
            nearest = min(stocking, key=lambda node: km[node][index])
            stocking[nearest] += units * region.weight / people
        assortment.append(stocking)
    return assortment
