"""Time sourcing decisions in networks of a given size; prints JSON.

It imports only what it measures, so that it can be run as a file against another checkout: with
``PYTHONPATH=CHECKOUT python benchmarks/sourcing_cases.py`` it times that one.
"""

import gc
import json
import sys
from random import Random
from time import perf_counter_ns

from operators.core.facts import DemandOutlook, LaneOutlook
from operators.network.context import Context, ContextState
from operators.orders.order_desk import OrderDesk
from state.events import (
    CarrierRegistered,
    CarrierService,
    NodeRegistered,
    OrderCancelled,
    OrderLine,
    OrderPlaced,
    RegionRegistered,
    SkuRegistered,
)
from state.policy import Policy
from state.quantities import DAY_MS, DAY_S, HOUR_MS, HOUR_S, from_ms

_START_MS = 20_458 * DAY_MS + 8 * HOUR_MS  # Monday, 5 January 2026, 08:00 UTC
_REGIONS, _SKUS, _ORDERS = 20, 60, 150
#: (carrier, service, base cents, cents per kg, cents per 100 km, base h, s per 100 km, g per tkm)
_SERVICES = (
    ("POST", "economy", 340, 18, 9, 42, 3_000, 110.0),
    ("POST", "standard", 410, 22, 12, 28, 2_400, 125.0),
    ("POST", "express", 1_150, 60, 38, 12, 1_500, 620.0),
    ("VAN", "parcel", 390, 25, 14, 30, 2_300, 140.0),
    ("VAN", "next-day", 780, 40, 25, 16, 1_800, 240.0),
    ("RAIL", "slow", 300, 12, 7, 60, 3_300, 30.0),
)


def _context(nodes: int, luck: Random) -> Context:
    """Return a network in which every node has every SKU and every lane is learned."""
    context = Context(ContextState(policy=Policy()))
    twin, outlook = context.twin, context.outlook
    places = {f"R-{n:02}": (luck.uniform(47, 54), luck.uniform(7, 14)) for n in range(_REGIONS)}
    for name, (north, east) in places.items():
        twin.geography.learn(RegionRegistered(region=name, latitude=north, longitude=east))
    for number in range(nodes):
        name, region = f"N-{number:03}", luck.choice(sorted(places))
        twin.geography.learn(
            NodeRegistered(
                node=name,
                kind="fulfilment_centre",
                region=region,
                latitude=places[region][0] + luck.uniform(-0.5, 0.5),
                longitude=places[region][1] + luck.uniform(-0.5, 0.5),
                handling_fixed_cents=luck.randint(110, 190),
                handling_unit_cents=luck.randint(10, 30),
                handling_time_s=2 * HOUR_S,
                parcels_per_day=100_000,
            )
        )
        twin.capacity.nodes.limit(name, 10**9)
    for carrier in ("POST", "VAN", "RAIL"):
        services = tuple(
            CarrierService(
                service=code,
                mode="road",
                base_cents=base,
                per_kg_cents=per_kg,
                per_100km_cents=per_km,
                transit_base_s=hours * HOUR_S,
                transit_s_per_100km=pace,
                cutoff_s=17 * HOUR_S,
                parcels_per_day=100_000,
                max_weight_g=31_500,
                gco2e_per_tonne_km=grams,
            )
            for of, code, base, per_kg, per_km, hours, pace, grams in _SERVICES
            if of == carrier
        )
        twin.geography.learn(CarrierRegistered(carrier=carrier, services=services))
    for service in twin.geography.services:
        twin.capacity.services.limit(service, 10**9)
    for number in range(_SKUS):
        sku = f"S-{number:02}"
        weight_g = luck.randint(200, 4_000)
        twin.skus[sku] = SkuRegistered(
            sku=sku, category=f"C-{number % 5}", weight_g=weight_g, value_cents=2_500
        )
        for node in twin.geography.nodes:
            twin.position(node, sku).on_hand = luck.randint(40, 90)
    _learn(context, luck)
    assert outlook.lanes
    return context


def _learn(context: Context, luck: Random) -> None:
    """Learn outlooks of every lane and of the demand for every SKU in every region."""
    geography = context.twin.geography
    for of in geography.services:
        weekdays = tuple(luck.uniform(0.95, 1.1) for _ in range(7))
        for node in geography.nodes:
            for region in geography.regions:
                p50 = luck.uniform(0.9, 1.15)
                context.outlook.learn_lane(
                    LaneOutlook(
                        carrier=of.carrier,
                        service=of.service,
                        node=node,
                        region=region,
                        p10=p50 * 0.8,
                        p50=p50,
                        p90=p50 * luck.uniform(1.15, 1.6),
                        weekdays=weekdays,
                        on_time=0.9,
                        seen=40,
                    )
                )
    for region in geography.regions:
        for sku in context.twin.skus:
            level = luck.uniform(2.0, 15.0)
            context.outlook.learn_demand(
                DemandOutlook(
                    region=region,
                    sku=sku,
                    from_ms=_START_MS - DAY_MS // 2,
                    bucket_s=DAY_S,
                    units=level,
                    level=level,
                    season=luck.uniform(0.7, 1.4),
                    signals={},
                    sd=(level * luck.uniform(1.0, 4.0)) ** 0.5,
                    quantiles=(level,) * 5,
                    evidence=20.0,
                    observed=level,
                    forecast=level,
                )
            )


def _orders(lines: int, luck: Random) -> list[tuple[OrderPlaced, int]]:
    """Return orders with the instants at which they come."""
    found = []
    for number in range(_ORDERS):
        now_ms = _START_MS + luck.randrange(0, 20 * HOUR_MS)
        skus = luck.sample(range(_SKUS), lines)
        order = OrderPlaced(
            order=f"O-{number}",
            customer=f"customer-{number}",
            region=f"R-{luck.randrange(_REGIONS):02}",
            lines=tuple(
                OrderLine(sku=f"S-{n:02}", quantity=luck.choice((1, 1, 1, 2)), unit_price_cents=900)
                for n in skus
            ),
            promised=from_ms(now_ms + luck.randrange(2 * DAY_MS, 5 * DAY_MS)),
        )
        found.append((order, now_ms))
    return found


def measure(nodes: int, lines: int, rounds: int) -> dict[str, list[float]]:
    """Return the least µs of each order: to decide, and to decide, reserve and explain."""
    luck = Random(nodes * 10 + lines)
    context = _context(nodes, luck)
    desk = OrderDesk(context)
    orders = _orders(lines, luck)
    decide = [float("inf")] * len(orders)
    place = [float("inf")] * len(orders)
    gc.disable()
    for round_ in range(rounds + 1):
        for index, (order, at_ms) in enumerate(orders):
            context.seq, context.now_ms = context.seq + 1, at_ms + round_ * 1_000
            wanted = tuple((line.sku, line.quantity) for line in order.lines)
            begun = perf_counter_ns()
            context.sourcing.decide(order, wanted, context.now_ms)
            decided = perf_counter_ns()
            desk.place(order)
            placed = perf_counter_ns()
            desk.cancel(OrderCancelled(order=order.order, reason="measured"))
            if round_:  # the first makes the rates, as the first order of a lane does
                decide[index] = min(decide[index], (decided - begun) / 1_000)
                place[index] = min(place[index], (placed - decided) / 1_000)
        gc.collect()
    return {"decide": decide, "place": place}


def main() -> None:
    """Measure for the arguments: nodes, lines, rounds."""
    nodes, lines, rounds = map(int, sys.argv[1:])
    json.dump(measure(nodes, lines, rounds), sys.stdout)


if __name__ == "__main__":
    main()
