"""A world as the twin sees it: the network, and its behaviour as learned.

What the engine does not know is assumed: that demand of a SKU spreads over regions as all demand
does, that carriers are as reliable as they were on average, and that days are as rough as those of
the usual world, in proportion to its orders.
"""

from math import log

from msgspec.structs import replace

from flows.simulation.carriers import Character, Service
from flows.simulation.catalogue import Sku
from flows.simulation.config import WorldConfig
from flows.simulation.places import Region
from flows.simulation.world import MEAN_UNITS, Node, World, shares_of_demand
from operators.prediction.transit import Z90
from operators.sourcing.outlook import Outlook
from state.errors import JournalError
from state.events import CarrierRegistered, NodeRegistered
from state.geography import Geography, nominal_transit_s
from state.keys import Lane, ServiceId
from state.sums import float_sum
from state.twin import Twin

#: A usual parcel goes so far; what is learned of transit is brought back to its parts there.
_USUAL_KM = 400.0
#: Parts of transit besides the line: the wait for a tour, and the tour.
_LAST_MILE_H = 10.0
_PACE = (0.3, 3.0)
_SPREAD = (0.05, 0.5)
#: Values of an average carrier of which nothing is known.
_ASTRAY, _MISSES, _FRAGILITY = 0.01, 1.0, 1.0
#: Demand of SKUs not ordered yet, in units per day.
_HARDLY_ANY = 0.001
#: The rates of a world that grow with its orders.
_RATES = (
    "fronts_per_day",
    "disruptions_per_day",
    "carrier_squeezes_per_day",
    "node_squeezes_per_day",
    "promotions_per_day",
    "search_waves_per_day",
    "sentiment_shifts_per_day",
    "shrinkages_per_day",
    "adjustments_per_day",
)


def world_of_twin(twin: Twin, outlook: Outlook) -> tuple[World, float]:
    """Return the world, and its orders per day.

    Raises JournalError if the twin has no nodes, SKUs, carriers or demand to make one of.
    """
    geography = twin.geography
    by_region, by_sku = _demand(outlook)
    nodes = [n for n in geography.nodes.values() if n.region in geography.regions]
    services = [name for name in geography.services if name not in geography.withdrawn]
    if not (nodes and services and twin.skus and by_sku):
        raise JournalError(
            "expected a journal with nodes, SKUs, carriers and a day of orders behind it, was one "
            f"with {len(nodes)} nodes, {len(twin.skus)} SKUs, {len(services)} carrier services and "
            f"demand seen for {len(by_sku)} SKUs: fork it at a later place"
        )
    regions = [
        Region(
            r.region,
            r.region,
            r.name,
            r.latitude,
            r.longitude,
            max(by_region.get(r.region, 0.0), _HARDLY_ANY),
        )
        for r in geography.regions.values()
    ]
    skus = _skus(twin, by_sku)
    places = {region.id: index for index, region in enumerate(regions)}
    running = [_node(index, fact, places, twin) for index, fact in enumerate(nodes)]
    km = [[geography.distance_km(n.node, r.id) or 0.0 for r in regions] for n in nodes]
    assortment = _assortment(twin, running, regions, skus, km)
    carriers, offered = _carriers(geography, services, outlook, twin)
    orders_per_day = float_sum(by_sku.values()) / MEAN_UNITS
    return World(regions, running, skus, carriers, offered, km, assortment), orders_per_day


def temper_of(network: str, orders_per_day: float) -> WorldConfig:
    """Return how rough the days of a network are assumed to be: the usual, scaled to its orders."""
    usual = WorldConfig()
    scale = orders_per_day / usual.orders_per_day
    rates = {name: getattr(usual, name) * scale for name in _RATES}
    return replace(
        usual, network=network, origin="fork", orders_per_day=orders_per_day, tick_s=300, **rates
    )


def _demand(outlook: Outlook) -> tuple[dict[str, float], dict[str, float]]:
    """Return units per day by region and by SKU."""
    by_region: dict[str, float] = {}
    by_sku: dict[str, float] = {}
    for sku, in_regions in outlook.demand.items():
        for region, demand in in_regions.items():
            by_region[region] = by_region.get(region, 0.0) + demand.units_per_day
            by_sku[sku] = by_sku.get(sku, 0.0) + demand.units_per_day
    return by_region, by_sku


def _skus(twin: Twin, by_sku: dict[str, float]) -> list[Sku]:
    wanted = sorted(twin.skus, key=lambda sku: (-by_sku.get(sku, 0.0), sku))
    ranks = {sku: rank for rank, sku in enumerate(wanted)}
    return [
        Sku(
            id=fact.sku,
            category=fact.category,
            weight_g=fact.weight_g,
            value_cents=fact.value_cents,
            name=fact.name,
            weight=max(by_sku.get(fact.sku, 0.0), _HARDLY_ANY),
            rank=ranks[fact.sku],
            scarce=False,
        )
        for fact in twin.skus.values()
    ]


def _node(index: int, fact: NodeRegistered, places: dict[str, int], twin: Twin) -> Node:
    node = Node(index, fact, places[fact.region])
    limit = twin.capacity.nodes.limits.get(fact.node)
    if limit is not None:
        node.capacity.set(0, limit)
    return node


def _assortment(
    twin: Twin, nodes: list[Node], regions: list[Region], skus: list[Sku], km: list[list[float]]
) -> list[dict[int, float]]:
    """Return per SKU the nodes that have, or wait for, any; the largest node where none does."""
    index_of = {node.id: node.index for node in nodes}
    largest = max(nodes, key=lambda node: node.usual).index
    found = []
    for sku in skus:
        positions = twin.stock.get(sku.id, {})
        stocking = [index_of[name] for name in positions if name in index_of]
        found.append(shares_of_demand(stocking or [largest], regions, km, sku.weight))
    return found


def _carriers(
    geography: Geography, names: list[ServiceId], outlook: Outlook, twin: Twin
) -> tuple[list[CarrierRegistered], list[Service]]:
    services: list[Service] = []
    by_carrier: dict[str, list[Service]] = {}
    for name in names:
        carrier, spec = name.carrier, geography.services[name]
        nominal_h = nominal_transit_s(spec, _USUAL_KM) / 3600
        ratios = outlook.transit_ratios(Lane(name), 0)
        sd = log(ratios.p90 / ratios.p10) / (2 * Z90)
        line_h = max(nominal_h - 6.0, 1.0)
        pace = (ratios.p50 * nominal_h - _LAST_MILE_H) / line_h
        character = Character(
            pace=min(max(pace, _PACE[0]), _PACE[1]),
            spread=min(max(sd, _SPREAD[0]), _SPREAD[1]),
            astray=_ASTRAY,
            misses=_MISSES,
            fragility=_FRAGILITY,
        )
        service = Service(len(services), carrier, character, spec)
        limit = twin.capacity.services.limits.get(name)
        if limit is not None:
            service.capacity.set(0, limit)
        services.append(service)
        by_carrier.setdefault(carrier, []).append(service)
    facts = [
        CarrierRegistered(carrier=carrier, services=tuple(s.spec for s in offered))
        for carrier, offered in by_carrier.items()
    ]
    return facts, services
