"""Sourcing: node, carrier and service of an order, and an explanation that holds."""

from typing import Any

import msgspec
import pytest

from operators.chain import build_chain, to_record
from operators.core.contract import Record
from operators.core.facts import DemandOutlook
from operators.orchestrate import Orchestrate
from state.actions import Action, Allocate, Backorder
from state.events import (
    CarrierCapacityChanged,
    CarrierRegistered,
    InboundScheduled,
    NodeCapacityChanged,
    OrderPlaced,
)
from state.policy import Policy, Reevaluation, Sourcing, Weights
from state.quantities import from_ms, to_ms
from tests.builders import (
    DAY,
    HOUR,
    NODES,
    SKUS,
    START_MS,
    Log,
    carrier,
    dispatch,
    fold,
    node,
    order,
    service,
)

#: Hours late cost so much that express may pay.
HURRIED = Policy(weights=Weights(late_hour_cents=90))
EVERYWHERE = {(name, sku): 50 for name in NODES for sku in SKUS}


def allocation(
    placed: OrderPlaced,
    stock: dict[tuple[str, str], int],
    *carriers: CarrierRegistered,
    policy: Policy | None = None,
    before: tuple[Any, ...] = (),
) -> Action:
    """The one action that comes of an order in a world with `stock`."""
    log = Log().network_of(stock, *carriers)
    for fact in before:
        log.add(fact)
    log.add(placed)
    run = fold(log, policy)
    (action,) = (a for a in run.actions if a.subject == placed.order)
    return action


def legs(action: Action) -> list[tuple[str, str, dict[str, int]]]:
    """(node, service, units by SKU) of each leg."""
    assert isinstance(action.data.decision, Allocate)
    return [
        (leg.node, leg.service, {line.sku: line.quantity for line in leg.lines})
        for leg in action.data.decision.legs
    ]


def test_the_cheapest_node_and_service_are_chosen() -> None:
    action = allocation(order("O-1"), EVERYWHERE)
    assert legs(action) == [("N-NORTH", "standard", {"BOOK": 1})]


def test_a_nearer_node_loses_if_its_handling_is_dearer_than_the_way() -> None:
    dear = node("N-NORTH", handling_fixed_cents=5_000)
    action = allocation(order("O-1"), EVERYWHERE, before=(dear,))
    assert legs(action) == [("N-SOUTH", "standard", {"BOOK": 1})]


def test_a_tight_promise_takes_express() -> None:
    tight = allocation(order("O-1", promised_s=30 * HOUR), EVERYWHERE, policy=HURRIED)
    assert legs(tight)[0][1] == "express"
    easy = allocation(order("O-1", promised_s=9 * DAY), EVERYWHERE, policy=HURRIED)
    assert legs(easy)[0][1] == "standard"


def test_lateness_that_costs_nothing_takes_the_cheapest_service() -> None:
    policy = Policy(weights=Weights(late_fixed_cents=0, late_hour_cents=0))
    action = allocation(order("O-1", promised_s=1), EVERYWHERE, policy=policy)
    assert legs(action)[0][1] == "standard"
    assert action.data.because.terms["expected lateness"] == 0


def test_a_parcel_over_the_weight_limit_is_ruled_out_and_that_is_said() -> None:
    heavy = carrier("TRUCK", service("pallet", max_weight_g=500_000, base_cents=4_000))
    action = allocation(order("O-1", {"SOFA": 1}), EVERYWHERE, carrier(), heavy)
    assert legs(action)[0][1] == "pallet"
    (ruled_out,) = action.data.because.eliminated
    assert ruled_out.constraint == "over the service's weight limit"
    assert ruled_out.count == 6
    assert "N-NORTH with POST/standard" in ruled_out.examples


def test_a_service_out_of_reach_is_ruled_out() -> None:
    local = carrier("BIKE", service("local", base_cents=1, max_distance_km=100))
    action = allocation(order("O-1"), {("N-SOUTH", "BOOK"): 5}, carrier(), local)
    assert legs(action)[0][1] == "standard"
    reasons = {e.constraint: e.examples for e in action.data.because.eliminated}
    assert reasons["out of the service's reach"] == ("N-SOUTH with BIKE/local",)


def test_a_closed_node_is_ruled_out() -> None:
    closed = NodeCapacityChanged(node="N-NORTH", parcels_per_day=0)
    action = allocation(order("O-1"), EVERYWHERE, before=(closed,))
    assert legs(action)[0][0] == "N-SOUTH"
    assert [(e.constraint, e.examples) for e in action.data.because.eliminated] == [
        ("node closed", ("N-NORTH",))
    ]


def test_a_node_that_is_full_hands_over_the_next_day() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=1))
    for number in range(3):
        log.add(order(f"O-{number}", promised_s=9 * DAY))
    pickups = [a.data.decision.legs[0].hand_over_by for a in fold(log).of("allocate")]  # type: ignore[attr-defined]
    assert [(p - pickups[0]).days for p in pickups] == [0, 1, 2]


def test_a_service_without_capacity_gives_way_to_another() -> None:
    none_left = CarrierCapacityChanged(carrier="POST", service="standard", parcels_per_day=0)
    action = allocation(order("O-1"), EVERYWHERE, before=(none_left,))
    assert legs(action)[0][1] == "express"
    assert action.data.because.eliminated[0].constraint == "no capacity within days"


def test_a_pickup_missed_today_is_made_tomorrow() -> None:
    late = node("N-NORTH", handling_time_s=10 * HOUR)  # ready at 18:00, pickup at 17:00
    action = allocation(order("O-1"), {("N-NORTH", "BOOK"): 1}, before=(late,))
    assert isinstance(action.data.decision, Allocate)
    pickup = to_ms(action.data.decision.legs[0].hand_over_by)
    assert pickup == START_MS + (9 + 24) * HOUR * 1000


@pytest.mark.parametrize("due_in_s", [-DAY, HOUR, 3 * DAY])
def test_inbound_is_promised_from_its_eta_and_never_before(due_in_s: int) -> None:
    eta_ms = START_MS + due_in_s * 1000
    due = InboundScheduled(
        inbound="I-1", node="N-NORTH", sku="BOOK", quantity=2, eta=from_ms(eta_ms)
    )
    action = allocation(order("O-1", promised_s=9 * DAY), {}, before=(due,))
    assert isinstance(action.data.decision, Allocate)
    slip_ms = Policy().sourcing.inbound_slip_s * 1000
    ready_ms = max(eta_ms, to_ms(action.time)) + slip_ms + 2 * HOUR * 1000
    pickup = to_ms(action.data.decision.legs[0].hand_over_by)
    assert ready_ms <= pickup < ready_ms + DAY * 1000


def test_more_than_shelf_and_inbound_is_never_promised() -> None:
    due = InboundScheduled(
        inbound="I-1", node="N-NORTH", sku="BOOK", quantity=2, eta=from_ms(START_MS)
    )
    action = allocation(order("O-1", {"BOOK": 4}), {("N-NORTH", "BOOK"): 1}, before=(due,))
    decision = action.data.decision
    assert isinstance(decision, Backorder)
    assert [(s.sku, s.missing) for s in decision.shortages] == [("BOOK", 1)]


def test_safety_stock_is_kept_back() -> None:
    policy = Policy(sourcing=Sourcing(safety_stock=2))
    stock = {("N-NORTH", "BOOK"): 2, ("N-SOUTH", "BOOK"): 3}
    action = allocation(order("O-1"), stock, policy=policy)
    assert legs(action)[0][0] == "N-SOUTH"
    assert action.data.because.eliminated[0].examples == ("N-NORTH of BOOK",)


def test_an_order_is_split_over_two_nodes_if_it_must_be() -> None:
    stock = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "LAMP"): 5}
    action = allocation(order("O-1", {"BOOK": 1, "LAMP": 2}), stock)
    assert sorted(legs(action)) == [
        ("N-NORTH", "standard", {"BOOK": 1}),
        ("N-SOUTH", "standard", {"LAMP": 2}),
    ]
    assert action.data.because.terms["split"] == 80


def test_an_order_is_not_split_if_one_node_can_serve_it_cheaper() -> None:
    stock = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5, ("N-SOUTH", "LAMP"): 5}
    action = allocation(order("O-1", {"BOOK": 1, "LAMP": 2}), stock)
    assert legs(action) == [("N-SOUTH", "standard", {"BOOK": 1, "LAMP": 2})]
    assert "split" not in action.data.because.terms


def test_an_order_is_split_if_that_pays() -> None:
    """One parcel would weigh too much for the cheap service, two parcels do not."""
    truck = carrier("TRUCK", service("pallet", max_weight_g=500_000, base_cents=9_000))
    light = carrier("POST", service("standard", max_weight_g=5_000))
    stock = {("N-NORTH", "LAMP"): 9, ("N-NORTH", "BOOK"): 9, ("N-SOUTH", "BOOK"): 9}
    action = allocation(order("O-1", {"LAMP": 2, "BOOK": 4}), stock, truck, light)
    assert len(legs(action)) == 2
    assert any(" + " not in other.option for other in action.data.because.alternatives)


def test_units_of_one_line_may_come_from_several_nodes() -> None:
    stock = {(name, "BOOK"): 2 for name in NODES}
    two = allocation(order("O-1", {"BOOK": 4}), stock)
    assert sum(units["BOOK"] for _, _, units in legs(two)) == 4
    assert len(legs(two)) == 2
    three = allocation(order("O-1", {"BOOK": 5}), stock)
    assert sum(units["BOOK"] for _, _, units in legs(three)) == 5
    assert {name for name, _, _ in legs(three)} == set(NODES)


def test_no_more_legs_than_the_policy_allows() -> None:
    stock = {(name, "BOOK"): 2 for name in NODES}
    policy = Policy(sourcing=Sourcing(max_legs=2))
    action = allocation(order("O-1", {"BOOK": 5}), stock, policy=policy)
    decision = action.data.decision
    assert isinstance(decision, Backorder)
    assert decision.reason == "no_route"
    assert action.data.because.summary.endswith("stock is there, but only in more than 2 parcels.")
    (spread,) = (e for e in action.data.because.eliminated if e.constraint.startswith("in more"))
    assert spread.count == 1 and spread.examples[0].count(" + ") == 2


def test_an_option_is_ruled_out_once_however_many_parcels_are_priced() -> None:
    stock = {(name, sku): 5 for name in ("N-NORTH", "N-SOUTH") for sku in ("BOOK", "LAMP")}
    heavy = carrier("TRUCK", service("pallet", max_weight_g=500_000, base_cents=4_000))
    local = carrier("BIKE", service("local", max_distance_km=1))
    three = order("O-1", {"BOOK": 1, "LAMP": 1, "SOFA": 1})
    every = Policy(sourcing=Sourcing(alternatives=20), reevaluation=Reevaluation(enabled=False))
    stock[("N-SPARE", "SOFA")] = 5
    action = allocation(three, stock, carrier(), heavy, local, policy=every)
    ruled_out = {each.constraint: each for each in action.data.because.eliminated}
    assert ruled_out["out of the service's reach"].count == 2
    for each in ruled_out.values():
        assert len(set(each.examples)) == min(each.count, 3)


def test_terms_sum_and_alternatives_are_sorted_and_dearer() -> None:
    action = allocation(order("O-1", {"BOOK": 2, "LAMP": 1}), EVERYWHERE)
    because = action.data.because
    scores = [other.score_cents for other in because.alternatives]
    assert len(scores) == Policy().sourcing.alternatives
    assert [because.score_cents, *scores] == sorted([because.score_cents, *scores])
    assert sum(because.terms.values()) == because.score_cents
    for other in because.alternatives:
        assert sum(other.terms.values()) == other.score_cents


def test_as_many_alternatives_are_shown_as_the_policy_says() -> None:
    policy = Policy(sourcing=Sourcing(alternatives=0))
    because = allocation(order("O-1"), EVERYWHERE, policy=policy).data.because
    assert because.alternatives == () and because.flips_if == ()


def offers(cheaper: dict[str, int]) -> CarrierRegistered:
    """The usual services, each `cheaper` cents below its base."""
    usual = carrier().services
    return carrier(
        "POST",
        *(
            msgspec.structs.replace(s, base_cents=s.base_cents - cheaper.get(s.service, 0))
            for s in usual
        ),
    )


@pytest.mark.parametrize("promised_s", [30 * HOUR, 40 * HOUR, 52 * HOUR, 4 * DAY])
def test_the_gap_to_the_runner_up_is_where_the_decision_flips(promised_s: int) -> None:
    """One node, so that the runner-up is another service, whose rate card can be changed alone."""
    stock = {("N-NORTH", "BOOK"): 5}
    placed = order("O-1", promised_s=promised_s)
    action = allocation(placed, stock)
    chosen = legs(action)[0][1]
    flip = action.data.because.flips_if[0]
    other = flip.then.rpartition("/")[2]
    assert other != chosen
    gap = -round(flip.by)
    assert legs(allocation(placed, stock, offers({other: gap})))[0][1] == other
    assert legs(allocation(placed, stock, offers({other: gap - 2})))[0][1] == chosen


@pytest.mark.parametrize("promised_s", [28 * HOUR, 30 * HOUR, 32 * HOUR])
def test_the_carbon_switch_is_where_the_decision_flips(promised_s: int) -> None:
    stock = {("N-SOUTH", "BOOK"): 5}
    placed = order("O-1", promised_s=promised_s)
    action = allocation(placed, stock, policy=HURRIED)
    assert legs(action)[0][1] == "express"
    (flip,) = (f for f in action.data.because.flips_if if "carbon" in f.quantity)
    weight = Policy().weights.carbon_kg_cents + flip.by
    for at_weight, goes in ((weight + 0.01, flip.then), (weight - flip.by / 10, None)):
        greener = Policy(weights=Weights(late_hour_cents=90, carbon_kg_cents=at_weight))
        at, with_service, _ = legs(allocation(placed, stock, policy=greener))[0]
        assert (f"{at} with POST/{with_service}" == flip.then) is (goes is not None)


def priced_with_outlook(units_per_day: float) -> Action:
    """An order of the north that a node of the south serves, whose region orders so much a day."""
    log = Log().network_of({("N-SOUTH", "BOOK"): 3, ("N-SPARE", "BOOK"): 40})
    chain = build_chain("net", Policy())
    orchestrate = next(o for o in chain.operators if isinstance(o, Orchestrate))
    for line in log.lines():
        chain.step(to_record(line))
    outlook = DemandOutlook(
        region="SOUTH",
        sku="BOOK",
        from_ms=log.now_ms,
        bucket_s=DAY,
        units=units_per_day,
        level=units_per_day,
        season=1.0,
        signals={},
        sd=0.3,
        quantiles=(units_per_day,) * 5,
        evidence=20.0,
        observed=units_per_day,
        forecast=units_per_day,
    )
    orchestrate.step(Record("net", len(log.events), log.now_ms, outlook))
    log.add(order("O-1", promised_s=9 * DAY))
    made = chain.step(to_record(log.lines()[-1]))
    (action,) = (r.fact for r in made if isinstance(r.fact, Action))
    return action


def test_a_node_whose_own_region_will_want_the_stock_becomes_dearer() -> None:
    displaced = [
        priced_with_outlook(units).data.because.terms["expected displacement"]
        for units in (0.001, 0.8, 9)
    ]
    assert displaced == sorted(displaced)
    assert displaced[0] == 0
    assert displaced[-1] == 120  # a later customer of the south is surely served from elsewhere


def test_displacement_is_not_counted_for_customers_of_the_nodes_own_region() -> None:
    assert priced_with_outlook(9).data.because.terms["expected displacement"] == 120
    local = allocation(order("O-1", region="SOUTH"), {("N-SOUTH", "BOOK"): 1})
    assert local.data.because.terms["expected displacement"] == 0


def test_to_decide_changes_nothing() -> None:
    log = Log().network_of(EVERYWHERE)
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1"))
    run = fold(log)
    orchestrate = run.operator("orchestrate")
    before = orchestrate.snapshot()
    for wanted in ({"BOOK": 1}, {"BOOK": 60, "LAMP": 2}, {"BOOK": 10_000}):
        placed = order("O-2", wanted)
        orchestrate._context.sourcing.decide(placed, tuple(wanted.items()), log.now_ms)
    assert orchestrate.snapshot() == before


def test_ties_have_one_winner() -> None:
    """Two nodes alike: the first by name, whatever order they were registered in."""
    twins = [node("N-SOUTH"), node("N-SPARE", handling_fixed_cents=150)]
    stock = {("N-SPARE", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5}
    for facts in (twins, twins[::-1]):
        action = allocation(order("O-1", region="SOUTH"), stock, before=tuple(facts))
        assert legs(action)[0][0] == "N-SOUTH"
