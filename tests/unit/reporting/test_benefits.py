"""Gains of interventions: expected when they are taken, realised when their parcel arrives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.core.facts import BenefitRealised
from operators.reporting.benefits import by_kind
from operators.sourcing.rates import lateness_cents
from state.actions import ActionData, Reship
from state.events import ShipmentDelivered, ShipmentScanned
from state.policy import Delays, Policy, Weights
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order

WORRIED = Weights(late_fixed_cents=90_000)


def rerouted(weights: Weights = WORRIED, stock: int = 1) -> tuple[Log, Policy]:
    """A parcel on its way to being late; with WORRIED weights, express pays."""
    log = Log().network_of({("N-NORTH", "BOOK"): stock})
    log.add(order("O-1", promised_s=DAY))
    promised_ms = log.now_ms + DAY * 1000
    log.add(dispatch("S-1", "O-1", promised_ms=promised_ms))
    log.add(ShipmentScanned(shipment="S-1", status="in_transit", code="x"), 2 * HOUR)
    return log, Policy(weights=weights, delays=Delays(act_above=0.05))


def taken(run: Run, kind: str = "reroute") -> ActionData:
    return run.of(kind)[0].data


def test_an_intervention_says_what_it_is_expected_to_gain_over_waiting() -> None:
    data = taken(fold(*rerouted()))
    assert data.benefit is not None and data.benefit.saves_s is not None
    (waiting,) = (a for a in data.because.alternatives if a.option == "waiting")
    assert data.benefit.nothing_cents == waiting.score_cents
    assert data.benefit.expected_cents == waiting.score_cents - data.because.score_cents > 0
    assert data.benefit.saves_s > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60))
def test_the_realised_benefit_prices_the_lateness_that_came(hours: int) -> None:
    log, policy = rerouted()
    log.add(ShipmentDelivered(shipment="S-1"), hours * HOUR)
    run = fold(log, policy)
    data = taken(run)
    (gained,) = run.facts(BenefitRealised)
    assert data.benefit is not None
    late_s = hours * HOUR + 2 * HOUR + 1 - DAY
    late = lateness_cents(1.0, late_s, WORRIED) if late_s > 0 else 0
    sunk = sum(c for term, c in data.because.terms.items() if term != "expected lateness")
    assert gained.realised_cents == pytest.approx(data.benefit.nothing_cents - sunk - late, abs=2)
    assert gained.expected_cents == data.benefit.expected_cents
    assert by_kind(run.totals.benefits)["reroute"] == {
        "actions": 1,
        "expected_cents": gained.expected_cents,
        "realised": 1,
        "realised_cents": gained.realised_cents,
        "unnecessary": int(gained.unnecessary),
    }


def test_it_was_unnecessary_if_the_original_would_have_been_in_time_too() -> None:
    log, policy = rerouted()
    log.add(ShipmentDelivered(shipment="S-1"), HOUR)
    run = fold(log, policy)
    saves_s = taken(run).benefit
    (gained,) = run.facts(BenefitRealised)
    assert saves_s is not None and saves_s.saves_s is not None
    assert gained.unnecessary == (3 * HOUR + saves_s.saves_s <= DAY)


def test_what_was_priced_and_not_worth_it_is_counted() -> None:
    log, policy = rerouted(Weights(late_fixed_cents=100, late_hour_cents=1), stock=5)
    assert by_kind(fold(log, policy).totals.benefits) == {"reroute": {"prevented": 1}}


def test_a_parcel_sent_again_is_judged_by_the_new_parcel_not_by_the_one_given_up() -> None:
    log = Log().network_of({("N-SOUTH", "BOOK"): 5})
    log.add(order("O-1"))
    promised_ms = log.now_ms + 14 * HOUR * 1000
    log.add(dispatch("S-1", "O-1", node="N-SOUTH", service="express", promised_ms=promised_ms))
    log.add(ShipmentScanned(shipment="S-1", status="picked_up"), HOUR)
    policy = Policy(weights=WORRIED, delays=Delays(act_above=0.05))
    again = taken(fold(log, policy), "reship")
    assert isinstance(again.decision, Reship) and again.benefit is not None
    log.add(ShipmentDelivered(shipment="S-1"), HOUR)
    assert fold(log, policy).facts(BenefitRealised) == []
    log.add(dispatch("S-2", "O-1", node=again.decision.leg.node, service="express"))
    log.add(ShipmentDelivered(shipment="S-2"), HOUR)
    assert [g.kind for g in fold(log, policy).facts(BenefitRealised)] == ["reship"]
