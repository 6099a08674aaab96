"""Learning from outcomes: by exploring with known chances, and from nodes' records."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.explain.offpolicy import (
    Logged,
    cheapest,
    decisions,
    estimate,
    realised_costs,
)
from operators.sourcing.exploration import explore
from operators.sourcing.plan import Choice, Plan, PlanLeg
from operators.sourcing.rates import Option
from state.actions import Allocate
from state.events import ShipmentDelivered, StockCounted, StockPicked, StockShortPicked
from state.keys import ServiceId
from state.policy import Exploration, Nodes, Policy, Weights
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order

BOTH = {("N-NORTH", "BOOK"): 9_000, ("N-SOUTH", "BOOK"): 9_000}
BOLD = Policy(exploration=Exploration(share=0.4, most_extra_cents=10_000))


def plan(name: str, score: int) -> Plan:
    option = Option(score, name, ServiceId("POST", "x"), score, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0.0)
    return Plan(score, (PlanLeg(option, (("BOOK", 1),)),), 0)


_CHOICES = st.lists(st.integers(0, 200), min_size=1, max_size=5).map(
    lambda scores: [plan(f"N-{i}", score) for i, score in enumerate(sorted(scores))]
)


@given(_CHOICES, st.floats(0, 1), st.integers(0, 200), st.text(min_size=1))
def test_propensities_sum_to_one_and_only_what_is_near_enough_is_drawn(
    plans: list[Plan], share: float, extra: int, name: str
) -> None:
    choice = Choice(plans[0], tuple(plans[1:]), {}, {})
    drawn, draw = explore(choice, name, Exploration(share=share, most_extra_cents=extra))
    assert drawn.plan is not None and drawn.plan.score <= plans[0].score + extra
    assert {p.describe() for p in (drawn.plan, *drawn.runners_up)} == {p.describe() for p in plans}
    if draw is None:
        assert drawn == choice
        return
    assert sum(option.propensity for option in draw.options) == pytest.approx(1.0)
    (taken,) = (option for option in draw.options if option.option == draw.taken)
    assert (taken.propensity, draw.taken) == (draw.propensity, drawn.plan.describe())
    assert draw.propensity > 0.0


def test_options_are_drawn_as_often_as_the_log_says() -> None:
    choice = Choice(plan("A", 1), (plan("B", 2), plan("C", 3)), {}, {})
    taken = {"A": 0, "B": 0, "C": 0}
    for number in range(4_000):
        drawn, _ = explore(choice, f"O-{number}", Exploration(share=0.3))
        assert drawn.plan is not None
        taken[drawn.plan.legs[0].option.node] += 1
    assert {name: n / 4_000 for name, n in taken.items()} == pytest.approx(
        {"A": 0.7, "B": 0.15, "C": 0.15}, abs=0.03
    )


def explored(policy: Policy, orders: int = 60) -> tuple[Log, Run]:
    log = Log().network_of(BOTH)
    for number in range(orders):
        log.add(order(f"O-{number}", placed_ms=log.now_ms, promised_s=30 * HOUR), 600)
    return log, fold(log, policy)


def test_exploring_is_off_unless_the_policy_asks_for_it() -> None:
    assert all(a.data.because.draw is None for a in explored(Policy(), 5)[1].of("allocate"))


def test_an_explored_allocation_says_so_and_its_terms_are_its_own() -> None:
    _, run = explored(BOLD)
    drawn = [a.data.because for a in run.of("allocate")]
    assert all(because.draw is not None for because in drawn)
    others = [b for b in drawn if b.draw is not None and b.draw.is_explored]
    assert 10 < len(others) < 40
    for because in others:
        assert sum(because.terms.values()) == because.score_cents
        assert because.score_cents >= because.alternatives[0].score_cents
        assert "drawn to learn" in because.summary and not because.flips_if


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_snips_finds_what_a_policy_costs_that_was_never_run(seed: int) -> None:
    luck = Random(seed)
    costs = {"A": 100.0, "B": 60.0}
    rows = []
    for _ in range(3_000):
        took = "A" if luck.random() < 0.8 else "B"
        propensity = 0.8 if took == "A" else 0.2
        target = 0.1 if took == "A" else 0.9
        rows.append(Logged(propensity, target, costs[took] + luck.gauss(0, 20)))
    found = estimate(rows)
    assert found.ips is not None and found.snips is not None
    assert found.snips == pytest.approx(64, abs=5) and found.ips == pytest.approx(64, abs=12)
    assert found.low is not None and found.high is not None
    assert found.low < found.snips < found.high and found.effective < found.n


def test_a_target_that_the_log_never_followed_has_no_estimate() -> None:
    assert estimate([Logged(0.5, 0.0, 10.0)]).snips is None
    assert estimate([]).ips is None


def test_a_logs_own_outcomes_price_its_allocations() -> None:
    log, run = explored(BOLD)
    for action in run.of("allocate"):
        decision = action.data.decision
        assert isinstance(decision, Allocate)
        name, node = decision.order, decision.legs[0].node
        log.add(dispatch(f"S-{name}", name, node=node))
        log.add(ShipmentDelivered(shipment=f"S-{name}"), 60)
    costs = realised_costs(run.actions, log.events, Weights())
    rows = decisions(run.actions, costs, cheapest)
    assert len(rows) == len(costs) == 60
    found = estimate(rows)
    in_time = [a.data.because for a in run.of("allocate")]
    greedy = {
        b.score_cents - b.terms["expected lateness"]
        for b in in_time
        if b.draw and not b.draw.is_explored
    }
    assert found.snips is not None and min(greedy) <= round(found.snips, 6) <= max(greedy)


def sent(orders: int, late_s: float, policy: Policy | None = None) -> Run:
    """Parcels that all leave N-NORTH `late_s` after the pickup that was planned."""
    log = Log().network_of(BOTH)
    for number in range(orders):
        log.add(order(f"O-{number}", placed_ms=log.now_ms))
        allocated = fold(log, policy).of("allocate")[-1].data.decision
        assert isinstance(allocated, Allocate)
        leg = allocated.legs[0]
        by_s = leg.hand_over_by.timestamp() - log.now_ms / 1000
        log.add(dispatch(f"S-{number}", f"O-{number}", node=leg.node), by_s + late_s)
    return fold(log, policy)


def test_a_node_that_hands_over_in_time_is_expected_to() -> None:
    assert sent(4, 600).twin is not None
    run = sent(4, 600)
    assert set(run.operator("orchestrate").outlook.node_delays_ms.values()) == {0}


def test_missed_handovers_make_a_node_ready_later_and_sourcing_counts_on_it() -> None:
    run = sent(6, 20 * HOUR)
    delays = run.operator("orchestrate").outlook.node_delays_ms
    assert 4 * HOUR * 1000 < delays["N-NORTH"] < 20 * HOUR * 1000
    handed = [
        d.legs[0].hand_over_by
        for a in run.of("allocate")
        if isinstance(d := a.data.decision, Allocate)
    ]
    assert handed == sorted(handed)


def test_one_forgotten_parcel_counts_no_more_than_the_policy_lets_it() -> None:
    rules = Policy(nodes=Nodes(most_s=HOUR * 2))
    run = sent(3, 3 * DAY - HOUR, rules)
    assert max(run.operator("orchestrate").outlook.node_delays_ms.values()) < 2 * HOUR * 1000


def test_a_node_that_picks_short_is_ready_later() -> None:
    log = Log().network_of(BOTH)
    for number in range(10):
        log.add(order(f"O-{number}", {"BOOK": 2}))
        if number % 2:
            log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=2, order=f"O-{number}"))
        else:
            short = StockShortPicked(
                node="N-NORTH", sku="BOOK", order=f"O-{number}", expected=2, picked=1
            )
            log.add(short)
            log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=9_000))
    delays = fold(log).operator("orchestrate").outlook.node_delays_ms
    assert HOUR * 1000 < delays["N-NORTH"] < DAY * 1000
    rules = Policy(nodes=Nodes(learn=False))
    assert not fold(log, rules).operator("orchestrate").outlook.node_delays_ms
