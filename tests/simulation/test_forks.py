"""A fork goes on from wherever a journal is left, with everything that was under way."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flows.simulation.scenario import UNDISTURBED
from state.events import (
    ActionApproved,
    Fact,
    InboundScheduled,
    ShipmentDelivered,
    ShipmentDispatched,
    StockCounted,
    StockReceived,
    TransferArrived,
    TransferDeparted,
)
from state.policy import Demand, Governance, Policy, Repositioning
from state.quantities import from_ms
from state.twin.stock import InboundKey
from tests.builders import HOUR, NODES, SKUS, Log, fold, order
from tests.forks import ALL_SCENARIOS, cheap, fork_of, hurried, journal_of, random_case, run_on
from tests.random_logs import ANYTHING, PAUSES
from tests.unit.reallocation.test_reevaluation import consolidated

#: Demand is known after an hour instead of a day.
QUICK = Policy(demand=Demand(bucket_s=HOUR), repositioning=Repositioning(enabled=False))


def busy() -> Log:
    """The south's lamp is to be brought to the north for an order; other units are due there."""
    log = consolidated()
    eta = from_ms(log.now_ms + 20 * HOUR * 1000)
    due = InboundScheduled(inbound="I-1", node="N-NORTH", sku="SOFA", quantity=5, eta=eta)
    log.add(due)
    way = {"transfer": "T-1", "origin": "N-SOUTH", "destination": "N-NORTH", "sku": "SOFA"}
    log.add(TransferDeparted(**way, quantity=2, eta=eta))
    log.tick(1.5 * HOUR)
    log.add(order("O-2", {"SOFA": 1}))
    return log


def test_a_fork_goes_on_with_each_kind_of_what_is_due() -> None:
    log = busy()
    twin = fold(log, QUICK).twin
    due = {key for _, _, position in twin.positions() for key in position.inbound}
    assert due == {
        InboundKey("supplier", "I-1"),
        InboundKey("transfer", "T-1"),
        InboundKey("asked", "1"),
    }
    (move,) = twin.transfer_requests.values()

    fork = fork_of(log.events, policy=QUICK)
    facts = run_on(fork, UNDISTURBED, days=3)
    name = f"F{fork.seq}-T-1"
    departed = [f for f in facts if isinstance(f, TransferDeparted)]
    assert [(f.transfer, f.origin, f.destination, f.sku) for f in departed] == [
        (name, move.origin, move.destination, move.sku)
    ]
    arrived = {f.transfer for f in facts if isinstance(f, TransferArrived)}
    assert arrived == {"T-1", name}
    assert "I-1" in {f.inbound for f in facts if isinstance(f, StockReceived)}
    assert any(isinstance(f, ShipmentDelivered) and "O-1" in f.shipment for f in facts)


def test_an_order_that_is_called_as_a_transfer_was_is_not_taken_for_one() -> None:
    log = consolidated()
    log.add(StockReceived(node="N-SPARE", sku="BOOK", quantity=1))
    log.add(order("transfer 1"))
    log.add(StockCounted(node="N-SPARE", sku="BOOK", quantity=0))
    run = fold(log, QUICK, lambda run: run.twin.check())
    assert [move.quantity for move in run.twin.transfer_requests.values()] == [1]
    assert run.twin.orders["transfer 1"].status == "backordered"


def test_what_is_only_proposed_waits_for_people_in_a_fork_too() -> None:
    asking = replace(QUICK, governance=Governance(autonomy={"allocate": "propose"}))
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    log.add(order("O-1"))
    log.tick(1.5 * HOUR)
    log.add(order("O-2"))
    facts = run_on(fork_of(log.events, policy=asking), UNDISTURBED, days=1)
    approved = {f.action for f in facts if isinstance(f, ActionApproved)}
    assert {action.id for action in fold(log, asking).of("allocate")} <= approved
    sent = [f.order for f in facts if isinstance(f, ShipmentDispatched)]
    assert sorted(each for each in sent if each in ("O-1", "O-2")) == ["O-1", "O-2"]


@pytest.mark.parametrize(
    "seed", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_fork_of_a_simulated_journal_runs_to_its_end(seed: int) -> None:
    world, scenario, share = random_case(seed)
    events = journal_of(cheap(world), 1.8)
    fork = fork_of(events, round(share * len(events)))
    assert run_on(fork, hurried(scenario, 10), days=0.5)


# Shrinking would run hundreds of forks.
@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    happening=st.lists(st.tuples(ANYTHING, PAUSES), max_size=60),
    share=st.floats(0.0, 1.0),
    scenario=st.sampled_from(ALL_SCENARIOS),
)
def test_a_fork_of_any_journal_runs_to_its_end(
    happening: list[tuple[Fact, int]], share: float, scenario: str
) -> None:
    log = Log().network_of({(node, sku): 4 for node in NODES for sku in SKUS})
    log.add(order("O-20"))
    log.tick(2 * HOUR)
    log.add(order("O-21"), 60)  # demand is known from here on
    known = len(log.events)
    for fact, pause in happening:
        log.add(fact, pause)
    until_seq = known + round(share * len(happening))
    run_on(fork_of(log.events, until_seq, QUICK), hurried(scenario, 10), days=0.5)
