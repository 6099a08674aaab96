"""Baseline rules: what a simple order-management system would decide, by policy alone."""

from pathlib import Path
from typing import Any

import pytest

from operators.core.contract import Record
from operators.core.facts import DelayRisk, Draft, LaneOutlook
from state.actions import Action, Allocate, Backorder, Confidence
from state.errors import PolicyError
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    InboundScheduled,
    NodeCapacityChanged,
    OrderPlaced,
    PolicyChanged,
    ShipmentFailed,
)
from state.keys import ServiceId
from state.policies import BUILT_IN, find_policy
from state.policy import NEVER, Delays, Notices, Policy, Sourcing
from state.quantities import from_ms
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

NEAREST, CHEAPEST = find_policy("nearest"), find_policy("cheapest")
BOTH_RULES = pytest.mark.parametrize("policy", [NEAREST, CHEAPEST], ids=["nearest", "cheapest"])
EVERYWHERE = {(name, sku): 50 for name in NODES for sku in SKUS}


def allocation(
    policy: Policy,
    placed: OrderPlaced,
    stock: dict[tuple[str, str], int],
    *carriers: CarrierRegistered,
    before: tuple[Any, ...] = (),
) -> Action:
    """The one action that comes of an order in a world with `stock`."""
    log = Log().network_of(stock, *carriers)
    for fact in before:
        log.add(fact)
    log.add(placed)
    (action,) = (a for a in fold(log, policy).actions if a.subject == placed.order)
    return action


def legs(action: Action) -> list[tuple[str, str, dict[str, int]]]:
    """(node, service, units by SKU) of each leg."""
    assert isinstance(action.data.decision, Allocate)
    return [
        (leg.node, leg.service, {line.sku: line.quantity for line in leg.lines})
        for leg in action.data.decision.legs
    ]


def test_nearest_takes_the_nearest_node_although_it_is_dearer() -> None:
    dear = node("N-NORTH", handling_fixed_cents=5_000)
    nearest = allocation(NEAREST, order("O-1"), EVERYWHERE, before=(dear,))
    cheapest = allocation(CHEAPEST, order("O-1"), EVERYWHERE, before=(dear,))
    assert legs(nearest) == [("N-NORTH", "standard", {"BOOK": 1})]
    assert legs(cheapest) == [("N-SOUTH", "standard", {"BOOK": 1})]
    summary = nearest.data.because.summary
    assert "Next best by the rule nearest: N-NORTH with POST/express" in summary


def test_nearest_prefers_the_shelf_to_what_is_due_and_a_node_with_room() -> None:
    due = InboundScheduled(
        inbound="I-1", node="N-NORTH", sku="BOOK", quantity=5, eta=from_ms(START_MS)
    )
    stock = {("N-SOUTH", "BOOK"): 5}
    assert legs(allocation(NEAREST, order("O-1"), stock, before=(due,)))[0][0] == "N-SOUTH"
    assert legs(allocation(NEAREST, order("O-1"), {}, before=(due,)))[0][0] == "N-NORTH"
    closed = NodeCapacityChanged(node="N-NORTH", parcels_per_day=0)
    assert legs(allocation(NEAREST, order("O-1"), EVERYWHERE, before=(closed,)))[0][0] == "N-SOUTH"


@BOTH_RULES
def test_the_cheapest_service_that_keeps_the_promise_else_the_earliest(policy: Policy) -> None:
    stock = {("N-NORTH", "BOOK"): 5}
    for promised_s, taken in ((4 * DAY, "standard"), (30 * HOUR, "express"), (HOUR, "express")):
        action = allocation(policy, order("O-1", promised_s=promised_s), stock)
        assert legs(action)[0][1] == taken


@BOTH_RULES
def test_a_service_known_to_be_late_is_taken_all_the_same(policy: Policy) -> None:
    """Transit learned to take three times as long, and trouble reported: ours moves, rules stay."""
    learned = LaneOutlook(
        carrier="POST",
        service="standard",
        node="",
        region="",
        p10=2.7,
        p50=3.0,
        p90=3.3,
        weekdays=(1.0,) * 7,
        seen=50,
        on_time=0.0,
    )
    for known, taken in ((policy, "standard"), (Policy(), "express")):
        log = Log().network_of({("N-NORTH", "BOOK"): 5})
        log.add(
            CarrierDisrupted(
                carrier="POST",
                service="standard",
                delay_s=9 * DAY,
                until=from_ms(START_MS + 9 * DAY * 1000),
                reason="strike",
            )
        )
        run = fold(log, known)
        orchestrate = run.operator("orchestrate")
        orchestrate.step(Record("net", 90, log.now_ms, learned))
        placed = order("O-1", promised_s=3 * DAY)
        choice = orchestrate._context.sourcing.decide(placed, (("BOOK", 1),), log.now_ms)
        assert choice.plan.legs[0].option.service == ServiceId("POST", taken)


@BOTH_RULES
def test_a_service_without_capacity_or_withdrawn_is_not_taken(policy: Policy) -> None:
    none_left = CarrierCapacityChanged(carrier="POST", service="standard", parcels_per_day=0)
    withdrawn = carrier("POST", service("express"))
    for fact in (none_left, withdrawn):
        action = allocation(policy, order("O-1"), EVERYWHERE, before=(fact,))
        assert legs(action)[0][1] == "express"


@BOTH_RULES
def test_no_order_is_split_that_one_node_can_send(policy: Policy) -> None:
    """Two parcels would be nearer, and with this rate card cheaper."""
    stock = {("N-NORTH", "BOOK"): 9, ("N-SOUTH", "LAMP"): 9} | {
        ("N-SPARE", sku): 9 for sku in ("BOOK", "LAMP")
    }
    truck = carrier("TRUCK", service("pallet", max_weight_g=500_000, base_cents=9_000))
    light = carrier("POST", service("standard", max_weight_g=4_500))
    wanted = {"LAMP": 2, "BOOK": 4}
    assert legs(allocation(policy, order("O-1", wanted), stock, truck, light)) == [
        ("N-SPARE", "pallet", wanted)
    ]


@BOTH_RULES
def test_an_order_is_split_if_it_must_be_and_no_further_than_allowed(policy: Policy) -> None:
    stock = {(name, "BOOK"): 2 for name in NODES} | {("N-SOUTH", "LAMP"): 2}
    two = allocation(policy, order("O-1", {"BOOK": 3, "LAMP": 1}), stock)
    assert sorted(legs(two)) == [
        ("N-NORTH", "standard", {"BOOK": 2}),
        ("N-SOUTH", "standard", {"BOOK": 1, "LAMP": 1}),
    ]
    three = allocation(policy, order("O-1", {"BOOK": 5}), stock)
    assert {name for name, _, _ in legs(three)} == set(NODES)
    assert sum(units["BOOK"] for _, _, units in legs(three)) == 5
    rule = policy.sourcing.rule
    at_most_two = Policy(sourcing=Sourcing(rule=rule, max_legs=2))
    decision = allocation(at_most_two, order("O-1", {"BOOK": 5}), stock).data.decision
    assert isinstance(decision, Backorder) and decision.reason == "no_route"


@BOTH_RULES
def test_a_split_passes_over_a_node_without_room(policy: Policy) -> None:
    """Pickups of the next days are all taken, though the node is open."""
    log = Log().network_of({("N-NORTH", "LAMP"): 9} | {(name, "BOOK"): 2 for name in NODES})
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=1))
    for number in range(4):
        log.add(order(f"L-{number}", {"LAMP": 1}))
    log.add(order("O-1", {"BOOK": 4}))
    action = fold(log, policy).actions[-1]
    assert {name for name, _, _ in legs(action)} == {"N-SOUTH", "N-SPARE"}


@BOTH_RULES
def test_terms_are_freight_and_handling_and_sum_to_the_score(policy: Policy) -> None:
    stock = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "LAMP"): 5}
    for placed, shelf in (
        (order("O-1", {"BOOK": 2, "LAMP": 1}), EVERYWHERE),
        (order("O-1", {"BOOK": 2, "LAMP": 1}), stock),
        (order("O-1", promised_s=HOUR), EVERYWHERE),
    ):
        because = allocation(policy, placed, shelf).data.because
        for terms, score in (
            (because.terms, because.score_cents),
            *((other.terms, other.score_cents) for other in because.alternatives),
        ):
            assert sum(terms.values()) == score == terms["freight"] + terms["handling"]
        assert because.flips_if == ()


@BOTH_RULES
def test_the_chance_of_lateness_is_said_though_it_did_not_count(policy: Policy) -> None:
    hopeless = allocation(policy, order("O-1", promised_s=HOUR), EVERYWHERE)
    easy = allocation(policy, order("O-1", promised_s=9 * DAY), EVERYWHERE)
    for action, p_late in ((hopeless, 1.0), (easy, 0.0)):
        assert action.data.because.confidence is not None
        assert action.data.because.confidence.probability == pytest.approx(p_late, abs=0.01)


def test_a_changed_policy_switches_the_rule() -> None:
    log = Log().network_of(EVERYWHERE)
    log.add(node("N-NORTH", handling_fixed_cents=5_000))
    for number, rule in enumerate(("nearest", "cheapest", "least_cost", "nearest")):
        log.add(PolicyChanged(policy={"sourcing": {"rule": rule}}))
        log.add(order(f"O-{number}"))
    taken = [legs(action)[0][0] for action in fold(log).of("allocate")]
    assert taken == ["N-NORTH", "N-SOUTH", "N-SOUTH", "N-NORTH"]


@BOTH_RULES
def test_a_restart_keeps_the_rule(policy: Policy) -> None:
    orchestrate = fold(Log().network_of(EVERYWHERE), policy).operator("orchestrate")
    before = type(orchestrate._context.sourcing)
    orchestrate.restore(orchestrate.snapshot())
    assert type(orchestrate._context.sourcing) is before
    assert orchestrate._context.sourcing.policy == policy


@BOTH_RULES
def test_nothing_is_sold_twice(policy: Policy) -> None:
    log = Log().network_of({(name, sku): 4 for name in NODES for sku in ("BOOK", "LAMP")})
    for number in range(12):
        log.add(order(f"O-{number}", {"BOOK": 1 + number % 3, "LAMP": 1}))
    run = fold(log, policy, each=lambda run: run.twin.check())
    promised: dict[tuple[str, str], int] = {}
    for action in run.of("allocate"):
        for name, _, units in legs(action):
            for sku, quantity in units.items():
                promised[name, sku] = promised.get((name, sku), 0) + quantity
    assert max(promised.values()) == 4
    assert run.of("backorder")


@BOTH_RULES
def test_what_was_lost_is_sent_again_by_the_rule(policy: Policy) -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5})
    log.add(node("N-NORTH", handling_fixed_cents=5_000))
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    (again,) = fold(log, policy).of("reship")
    assert again.data.decision.leg.node == ("N-NORTH" if policy is NEAREST else "N-SOUTH")  # type: ignore[attr-defined]
    assert sum(again.data.because.terms.values()) == again.data.because.score_cents


@pytest.mark.parametrize(
    ("act_above", "notify_above", "kinds"),
    [(NEVER, NEVER, []), (0.99, NEVER, ["Reroute"]), (0.99, 0.99, ["Reroute", "Notify"])],
)
def test_at_one_nothing_is_done_about_a_delay_and_nobody_is_told(
    act_above: float, notify_above: float, kinds: list[str]
) -> None:
    promised_ms = START_MS + HOUR * 1000
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    log.add(order("O-1", promised_s=HOUR))
    log.add(dispatch("S-1", "O-1", promised_ms=promised_ms))
    rules = Delays(act_above=act_above, notify_above=notify_above)
    run = fold(log, Policy(delays=rules, notices=Notices(last_call_s=0)))
    risk = DelayRisk(
        shipment="S-1",
        order="O-1",
        stage="in_transit",
        p_late=1.0,
        expected_ms=START_MS + 12 * DAY * 1000,
        earliest_ms=START_MS + 11 * DAY * 1000,
        latest_ms=START_MS + 13 * DAY * 1000,
        promised_ms=promised_ms,
        confidence=Confidence(statement="it is late", probability=1.0),
    )
    orchestrate, notices = run.operator("orchestrate"), run.operator("notices")
    records = orchestrate.step(Record("net", 90, log.now_ms, risk))
    records.append(Record("net", 91, log.now_ms + HOUR * 1000, None))
    said = [record.fact for each in records for record in notices.step(each)]
    assert [type(fact.decision).__name__ for fact in said if isinstance(fact, Draft)] == kinds


def test_built_in_policies_load_by_name() -> None:
    policies = {name: find_policy(name) for name in BUILT_IN}
    assert list(policies) == ["ours", "nearest", "cheapest"]
    assert policies["ours"] == Policy()
    for name in ("nearest", "cheapest"):
        assert policies[name] == Policy(
            sourcing=Sourcing(rule=name),
            delays=Delays(act_above=NEVER, notify_above=NEVER),
        )


def test_a_policy_is_found_by_path_and_an_unknown_one_names_the_choices(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[sourcing]\nmax_legs = 2", encoding="utf-8")
    assert find_policy(str(path)) == Policy(sourcing=Sourcing(max_legs=2))
    with pytest.raises(PolicyError, match=r"ours, nearest, cheapest or the path .* 'farthest'"):
        find_policy("farthest")
