"""A planned parcel takes stock and rooms, and gives all of it back however it is given up."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.actions import Allocate
from state.events import (
    ActionFailed,
    CarrierCapacityChanged,
    CarrierDisrupted,
    Fact,
    NodeCapacityChanged,
    OrderCancelled,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockShortPicked,
)
from state.policy import Policy, parse_policy
from state.quantities import from_ms
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order
from tests.random_logs import ANYTHING, logs

MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
PROPOSING = parse_policy({"governance": {"autonomy": {"allocate": "propose"}}}, "test")


def one_parcel_a_day(stock: dict[tuple[str, str], int]) -> Log:
    """A network whose one stocked node packs a single parcel a day."""
    log = Log().network_of(stock)
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=1))
    return log


def days_of(run: Run, name: str) -> list[str]:
    """Return the days on which allocations of an order hand over, in the order they were made."""
    decisions = [action.data.decision for action in run.of("allocate")]
    return [
        f"{decision.legs[0].hand_over_by:%d %b}"
        for decision in decisions
        if isinstance(decision, Allocate) and decision.order == name
    ]


def cancelled(log: Log) -> None:
    log.add(OrderCancelled(order="O-1"))


def uncovered(log: Log) -> None:
    """Lose the unit of the first order, and find another one for the second."""
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-1, reason="damage"))


def short_picked(log: Log) -> None:
    log.add(StockShortPicked(node="N-NORTH", sku="BOOK", order="O-1", expected=1, picked=0))


def refused(log: Log) -> None:
    (allocated,) = fold(log).of("allocate")
    log.add(ActionFailed(action=allocated.id, reason="no packers"))


def shipped_elsewhere(log: Log) -> None:
    log.add(dispatch("S-1", "O-1", node="N-SOUTH"))


@pytest.mark.parametrize(
    "give_up", [cancelled, uncovered, short_picked, refused, shipped_elsewhere]
)
def test_a_room_that_is_given_up_serves_the_next_order(give_up: Callable[[Log], None]) -> None:
    """The second order takes a lamp: only the room, not the stock, could keep it waiting."""
    log = one_parcel_a_day({("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 1})
    log.add(order("O-1"))
    give_up(log)
    log.add(order("O-2", {"LAMP": 1}))
    run = fold(log, each=lambda run: run.twin.check())
    assert days_of(run, "O-2") == days_of(run, "O-1")[:1]


def test_a_room_of_a_proposal_that_ran_out_serves_the_next_order() -> None:
    log = one_parcel_a_day({("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 1})
    log.add(order("O-1"))
    (proposed,) = fold(log, PROPOSING).of("allocate")
    assert proposed.data.deadline is not None
    while from_ms(log.now_ms) <= proposed.data.deadline:
        log.tick(HOUR)
    run = fold(log, PROPOSING, each=lambda run: run.twin.check())
    planned = run.twin.capacity.nodes.planned["N-NORTH"]
    assert sum(planned.values()) == sum(not leg.is_begun for leg in run.twin.orders["O-1"].legs)


def test_the_room_of_a_parcel_that_was_packed_stays_taken() -> None:
    log = one_parcel_a_day({("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 1})
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(OrderCancelled(order="O-1"))
    log.add(order("O-2", {"LAMP": 1}))
    run = fold(log, each=lambda run: run.twin.check())
    assert days_of(run, "O-2") > days_of(run, "O-1")


def test_a_parcel_that_left_before_its_pick_was_reported_is_not_moved() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-1", promised_s=2 * DAY))
    log.add(dispatch("S-1", "O-1"))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    log.tick(HOUR)
    run = fold(log, each=lambda run: run.twin.check())
    assert len(run.of("allocate")) == 1


REFUSING = st.builds(
    ActionFailed,
    action=st.integers(8, 60).map(lambda seq: f"net:{seq}-1"),
    kind=st.sampled_from(["", "allocate", "reship", "transfer"]),
)
TIGHT: st.SearchStrategy[Fact] = st.one_of(
    ANYTHING,
    REFUSING,
    st.builds(
        NodeCapacityChanged,
        node=st.sampled_from(["N-NORTH", "N-SOUTH"]),
        parcels_per_day=st.integers(0, 2),
    ),
    st.builds(
        CarrierCapacityChanged,
        carrier=st.just("POST"),
        service=st.just("standard"),
        parcels_per_day=st.integers(0, 3),
    ),
    st.builds(
        CarrierDisrupted,
        carrier=st.just("POST"),
        service=st.just("standard"),
        delay_s=st.sampled_from([0, DAY]),
        until=st.just(from_ms(1_768_000_000_000)),
    ),
    st.builds(StockCounted, node=st.just("N-NORTH"), sku=st.just("BOOK"), quantity=st.just(0)),
)


@pytest.mark.parametrize("policy", [Policy(), PROPOSING], ids=["acting", "proposing"])
@MANY
@given(log=logs(TIGHT, most=60))
def test_the_rooms_taken_are_those_of_the_legs_that_stand(policy: Policy, log: Log) -> None:
    """`Twin.check` counts stock, legs and rooms against each other after every record."""
    fold(log, policy, each=lambda run: run.twin.check())
