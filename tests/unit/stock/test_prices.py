"""Prices: scarce stock is made to last, a glut to sell, by elasticities that sales have shown."""

from itertools import pairwise
from math import exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.core.facts import BenefitRealised, NoAction
from operators.prediction.price_elasticity import Elasticities, Trial, expected_sales
from state.actions import Action, Reprice
from state.events import InboundScheduled, PriceChanged
from state.policy import Policy, Pricing
from state.quantities import DAY_MS, from_ms
from tests.builders import DAY, HOUR, START_MS, Log, Run, fold, order

RULES = Pricing(enabled=True, change_cents=10)
OPEN = Policy(pricing=RULES)


def selling(stock: int, days: int = 8, per_day: int = 4, rules: Policy = OPEN) -> tuple[Log, Run]:
    """LAMP, at 2500 cents, sells `per_day` units a day in NORTH; `stock` is there at first."""
    at = Log().network_of({("N-NORTH", "LAMP"): stock})
    for number in range(days * 2):
        lines = {"LAMP": per_day // 2}
        at.add(order(f"O-{number}", lines, placed_ms=at.now_ms), 12 * HOUR)
    return at, fold(at, rules)


def prices(run: Run) -> list[tuple[Action, Reprice]]:
    return [(a, a.data.decision) for a in run.of("reprice") if isinstance(a.data.decision, Reprice)]


def check(run: Run) -> None:
    for action, decision in prices(run):
        because = action.data.because
        assert sum(because.terms.values()) == because.score_cents < 0
        assert action.data.benefit is not None
        assert action.data.benefit.expected_cents == -because.score_cents
        up = decision.reason == "scarcity"
        assert (decision.price_cents > decision.from_cents) == up
        assert 2_500 * 0.8 <= decision.price_cents <= 2_500 * 1.1


def test_no_price_is_proposed_unless_the_policy_asks_for_it() -> None:
    assert not selling(40, rules=Policy())[1].of("reprice")


def test_what_runs_out_before_the_next_inbound_is_proposed_at_a_higher_price() -> None:
    _, run = selling(45)
    check(run)
    action, decision = prices(run)[0]
    assert (decision.region, decision.sku, decision.reason) == ("NORTH", "LAMP", "scarcity")
    assert action.data.mode == "propose"
    assert "likely to be sold out" in action.data.because.summary


def test_an_inbound_that_comes_soon_ends_the_scarcity() -> None:
    at = Log().network_of({("N-NORTH", "LAMP"): 45})
    for number in range(16):
        at.add(order(f"O-{number}", {"LAMP": 2}, placed_ms=at.now_ms), 12 * HOUR)
        due = InboundScheduled(
            inbound="I-1",
            node="N-NORTH",
            sku="LAMP",
            quantity=500,
            eta=from_ms(at.now_ms + HOUR * 1000),
        )
        at.add(due)
    assert not fold(at, OPEN).of("reprice")


def test_what_will_not_go_is_proposed_at_a_lower_price_once_demand_gives_way() -> None:
    rules = Pricing(enabled=True, change_cents=10, elasticity=-3.0, holding_day_share=0.0015)
    steep = Policy(pricing=rules)
    _, run = selling(4_000, rules=steep)
    check(run)
    assert {d.reason for _, d in prices(run)} == {"glut"}


def test_a_price_that_would_not_pay_is_not_proposed_and_counted() -> None:
    flat = Policy(pricing=Pricing(enabled=True, elasticity=-0.2))
    _, run = selling(4_000, rules=flat)
    assert not run.of("reprice")
    assert {i.reason for i in run.facts(NoAction) if i.kind == "reprice"} == {
        "no price pays better"
    }
    assert run.totals.benefits["reprice", "prevented"] > 0


@settings(max_examples=25, deadline=None)
@given(
    st.integers(20, 3_000),
    st.lists(st.tuples(st.integers(1, 12), st.integers(2_000, 3_000)), max_size=4),
    st.floats(-6.0, -0.1),
)
def test_no_price_follows_another_within_the_window_and_none_leaves_its_bounds(
    stock: int, changes: list[tuple[int, int]], elasticity: float
) -> None:
    rules = Pricing(enabled=True, change_cents=0, elasticity=elasticity, check_s=HOUR)
    at = Log().network_of({("N-NORTH", "LAMP"): stock})
    for day in range(20):
        at.add(order(f"O-{day}", {"LAMP": 4}, placed_ms=at.now_ms), DAY)
        for when, cents in changes:
            if when == day:
                at.add(PriceChanged(sku="LAMP", region="NORTH", price_cents=cents))
    run = fold(at, Policy(pricing=rules))
    times = [a.time.timestamp() for a, _ in prices(run)]
    assert all(b - a >= rules.window_s for a, b in pairwise(times))
    told = [e.time_ms / 1000 for e in at.events if isinstance(e.fact, PriceChanged)]
    assert not any(0 <= t - c < rules.window_s for t in times for c in told)
    for action, decision in prices(run):
        assert sum(action.data.because.terms.values()) == action.data.because.score_cents < 0
        assert 2_000 <= decision.price_cents <= 2_750


def trial(elasticity: float, ratio: float, per_day: float, days: int = 7) -> Trial:
    units = per_day * days * exp(elasticity * log(ratio))
    start, end = START_MS, START_MS + days * DAY_MS
    return Trial("goods", log(ratio), per_day, 1.0, start, end, round(units))


@given(st.floats(-4.0, -0.3), st.sampled_from([0.8, 0.9, 1.1, 1.2]))
def test_an_elasticity_begins_at_the_prior_and_ends_at_what_sales_show(
    truth: float, ratio: float
) -> None:
    learned = Elasticities()
    assert learned.of("goods", RULES) == (-1.5, pytest.approx(0.7))
    spread = []
    for _ in range(300):
        learned.learn(trial(truth, ratio, 200.0), 7.0)
        spread.append(learned.of("goods", RULES)[1])
    assert spread == sorted(spread, reverse=True)
    assert learned.of("goods", RULES)[0] == pytest.approx(truth, abs=0.15)
    assert learned.of("toys", RULES)[0] == -1.5


def test_few_sales_move_an_elasticity_little() -> None:
    learned = Elasticities()
    learned.learn(trial(-4.0, 1.2, 0.2), 7.0)
    assert learned.of("goods", RULES)[0] == pytest.approx(-1.5, abs=0.05)


def test_a_price_that_changed_teaches_its_category() -> None:
    at, _ = selling(4_000, days=10)
    at.add(PriceChanged(sku="LAMP", price_cents=2_000))
    for number in range(20):  # twice as many as before
        at.add(order(f"P-{number}", {"LAMP": 8}, placed_ms=at.now_ms), 12 * HOUR)
    run = fold(at, OPEN)
    state = run.operator("orchestrate")._context.state.prices
    assert state.elasticities.of("goods", RULES)[0] < -1.8
    assert not state.trials


def test_a_proposed_price_that_came_is_told_what_it_gained() -> None:
    at, run = selling(45, days=4)
    cents = prices(run)[0][1].price_cents
    at.add(PriceChanged(sku="LAMP", region="NORTH", price_cents=cents))
    assert not fold(at, OPEN).facts(BenefitRealised)
    at.tick(7 * DAY)
    run = fold(at, OPEN)
    (gained,) = run.facts(BenefitRealised)
    assert gained.kind == "reprice" and gained.realised_cents < 0  # no one bought any more
    assert run.totals.benefits["reprice", "realised"] == 1


@given(st.floats(0.01, 500), st.floats(0.1, 20), st.floats(0, 1_000))
def test_no_more_is_sold_than_is_wanted_or_there(mean: float, scatter: float, units: float) -> None:
    sold = expected_sales(mean, mean * scatter, units)
    assert 0.0 <= sold <= min(mean, units)
    assert expected_sales(mean, mean * scatter, units * 2) >= sold - 1e-9
