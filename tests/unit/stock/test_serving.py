"""Serving: short cuts give what pricing everything would, to the cent."""

from itertools import product
from math import ceil, inf
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from operators.core.facts import LaneOutlook
from operators.network.context import Context, ContextState
from operators.sourcing.rates import HandOver, Parcel, price
from operators.stock.serving import Serving
from state.events import CarrierRegistered, CarrierService, NodeRegistered, RegionRegistered
from state.keys import Lane, ServiceId
from state.policy import Policy, Weights
from state.quantities import DAY_S, HOUR_S
from tests.builders import START_MS

NODES = tuple(f"N-{number}" for number in range(6))
REGIONS = tuple(f"R-{number}" for number in range(4))
SERVICES = ("slow", "fast", "express")


def a_network(luck: Random) -> Context:
    """A network of drawn places, rate cards and lanes; some services reach few of the regions."""
    context = Context(ContextState(policy=Policy()))
    context.now_ms = START_MS + luck.randrange(DAY_S) * 1000
    geography = context.twin.geography
    for name in REGIONS:
        at = {"latitude": luck.uniform(40, 60), "longitude": luck.uniform(-5, 25)}
        geography.learn(RegionRegistered(region=name, **at))
    for name in NODES:
        geography.learn(
            NodeRegistered(
                node=name,
                kind="warehouse",
                region=luck.choice(REGIONS),
                latitude=luck.uniform(40, 60),
                longitude=luck.uniform(-5, 25),
                handling_fixed_cents=luck.randrange(200),
                handling_unit_cents=luck.randrange(100),
                handling_time_s=luck.randrange(6) * HOUR_S,
                parcels_per_day=100,
            )
        )
    services = tuple(
        CarrierService(
            service=name,
            mode="road",
            base_cents=luck.randrange(1_000),
            per_kg_cents=luck.randrange(200),
            per_100km_cents=luck.randrange(100),
            transit_base_s=luck.randrange(48) * HOUR_S,
            transit_s_per_100km=luck.randrange(2 * HOUR_S),
            cutoff_s=luck.randrange(24) * HOUR_S,
            parcels_per_day=100,
            max_weight_g=luck.choice((2_000, 31_500)),
            max_distance_km=luck.choice((0, 600)),
            gco2e_per_tonne_km=luck.randrange(800),
        )
        for name in SERVICES
    )
    geography.learn(CarrierRegistered(carrier="POST", services=services))
    for service, node, region in product(SERVICES, NODES, REGIONS):
        if luck.random() < 0.7:  # the others are known by their service, if at all
            learn(context, luck, service, node, region)
    for _ in range(8):
        context.outlook.learn_promise(luck.randrange(5 * DAY_S))
    return context


def learn(context: Context, luck: Random, service: str, node: str, region: str) -> LaneOutlook:
    """Draw a lane's transit, now and then close to what it was; without a node, a service's."""
    known = context.outlook.usual_ratios(Lane(ServiceId("POST", service), node, region))
    p50 = known.p50 + luck.uniform(-0.01, 0.01) if luck.random() < 0.5 else luck.uniform(0.8, 1.5)
    quantiles = {"p10": p50 * 0.7, "p50": p50, "p90": p50 * 1.6}
    of = {"carrier": "POST", "service": service, "node": node, "region": region}
    usual = {"weekdays": (1.0,) * 7, "on_time": 0.9, "seen": 9}
    outlook = LaneOutlook(**of, **quantiles, **usual)
    context.outlook.learn_lane(outlook)
    return outlook


def plainly(context: Context, node: str, region: str, kg: float) -> float:
    """Return the mean over usual promises of the cheapest option, every option priced in full."""
    lane, outlook = context.rates.lane(node, region), context.outlook
    assert lane.node is not None
    kg = ceil(kg * 4) / 4 if kg <= 5 else kg
    handling = lane.node.handling_fixed_cents + lane.node.handling_unit_cents
    best = []
    for lead_s in outlook.leads_s:
        parcel = Parcel(node, kg, handling, (lead_s - lane.node.handling_time_s) * 1000)
        scores = [inf]
        for quote in lane.quotes:
            if kg * 1000 <= quote.max_weight_g:
                hand_over = HandOver(0, outlook.usual_ratios(quote.lane))
                scores.append(price(quote, parcel, hand_over, context.policy.weights).score)
        best.append(min(scores))
    return sum(best) / len(best)


@given(st.randoms(use_true_random=False), st.sampled_from((0.1, 1.7, 12.0)))
def test_a_cost_is_that_of_the_one_price_whatever_was_learned_since(
    luck: Random, kg: float
) -> None:
    context = a_network(luck)
    serving = Serving(context)
    for _ in range(4):
        for node, region in product(NODES, REGIONS):
            assert serving.cents(node, region, kg) == plainly(context, node, region, kg)
        for _ in range(4):
            place = luck.choice(((luck.choice(NODES), luck.choice(REGIONS)), ("", "")))
            serving.learned(learn(context, luck, luck.choice(SERVICES), *place))
        for _ in range(luck.randrange(300)):
            context.outlook.learn_promise(luck.randrange(5 * DAY_S))
        if luck.random() < 0.3:
            weights = Weights(late_hour_cents=luck.uniform(0, 100))
            context.adopt(Policy(weights=weights))


@given(st.randoms(use_true_random=False), st.sampled_from((0.1, 1.7, 12.0)))
def test_the_least_cost_is_that_of_all_nodes(luck: Random, kg: float) -> None:
    serving = Serving(a_network(luck))
    some = set(luck.sample(NODES, 4))
    for region in REGIONS:
        every = [serving.cents(node, region, kg) for node in some]
        assert serving.least_cents(some, region, kg) == min(every)


def test_usual_transit_changes_by_steps_only() -> None:
    context = a_network(Random(1))
    lane = Lane(ServiceId("POST", "slow"), NODES[0], REGIONS[0])
    before = context.outlook.usual_ratios(lane)
    for p50, is_kept in ((before.p50 + 0.14, True), (before.p50 + 0.16, False)):
        of = {"carrier": "POST", "service": "slow", "node": NODES[0], "region": REGIONS[0]}
        quantiles = {"p10": before.p10, "p50": p50, "p90": before.p90}
        usual = {"weekdays": (1.0,) * 7, "on_time": 0.9, "seen": 9}
        context.outlook.learn_lane(LaneOutlook(**of, **quantiles, **usual))
        assert (context.outlook.usual_ratios(lane) is before) == is_kept
        assert context.outlook.lanes[lane].p50 == p50
