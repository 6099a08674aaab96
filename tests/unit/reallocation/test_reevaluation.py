"""Allocations move before their pick where that pays, and stay where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.chain import build_chain, to_record
from state.actions import Action, Allocate, Release, Transfer
from state.events import (
    ActionFailed,
    CarrierDisrupted,
    NodeCapacityChanged,
    StockPicked,
    StockReceived,
    TransferArrived,
    TransferDeparted,
)
from state.policy import Exploration, Governance, Policy, Reevaluation
from state.quantities import from_ms
from tests.builders import DAY, HOUR, Log, Run, fold, order

#: Orders placed now miss today's pickup at 17:00: their pick begins tomorrow at 07:00.
EVENING_S = 8 * HOUR
PAIR = {"BOOK": 1, "LAMP": 1}
APART = {("N-NORTH", "BOOK"): 1, ("N-SOUTH", "LAMP"): 1}
#: Each node can send BOOK and LAMP together once; N-NORTH lacks a LAMP for two.
CROWDED = {("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 1, ("N-SOUTH", "LAMP"): 1}


def evening(stock: dict[tuple[str, str], int]) -> Log:
    log = Log().network_of(stock)
    log.tick(EVENING_S)
    return log


def received(node: str, sku: str, quantity: int = 1) -> StockReceived:
    return StockReceived(node=node, sku=sku, quantity=quantity)


def checked(log: Log, policy: Policy | None = None) -> Run:
    return fold(log, policy, each=lambda run: run.twin.check())


def nodes_of(action: Action) -> list[str]:
    assert isinstance(action.data.decision, Allocate)
    return [leg.node for leg in action.data.decision.legs]


def moved(run: Run) -> list[Action]:
    """Allocations that replace one of an order that is looked at again."""
    return [
        action
        for action in run.of("allocate")
        if isinstance(action.data.decision, Allocate) and action.data.decision.replaces
    ]


def test_a_split_merges_when_the_stock_arrives() -> None:
    log = evening(APART)
    log.add(order("O-1", PAIR))
    log.add(received("N-NORTH", "LAMP"), HOUR)
    run = checked(log)
    assert [(action.kind, action.subject) for action in run.actions] == [
        ("allocate", "O-1"),
        ("release", "O-1"),
        ("release", "O-1"),
        ("allocate", "O-1"),
    ]
    first, merged = run.of("allocate")
    assert (nodes_of(first), nodes_of(merged)) == (["N-NORTH", "N-SOUTH"], ["N-NORTH"])
    because = merged.data.because
    assert sum(because.terms.values()) == because.score_cents
    assert "saves" in because.summary
    assert because.causes[-1] == len(log.events)
    releases = [action.data.decision for action in run.of("release")]
    assert all(isinstance(r, Release) and r.reason == "reassigned" for r in releases)


def test_what_moved_gives_its_rooms_back() -> None:
    log = evening(APART)
    log.add(order("O-1", PAIR))
    log.add(received("N-NORTH", "LAMP"), HOUR)
    planned = checked(log).twin.capacity.nodes.planned
    assert sum(planned["N-SOUTH"].values()) == 0
    assert sum(planned["N-NORTH"].values()) == 1


def test_what_may_be_picked_already_stays() -> None:
    log = evening(APART)
    log.add(order("O-1", PAIR))
    log.add(received("N-NORTH", "LAMP"), 15 * HOUR)  # 07:00 the next day
    assert moved(checked(log)) == []


def test_what_is_picked_stays() -> None:
    log = evening(APART)
    log.add(order("O-1", PAIR))
    log.add(StockPicked(node="N-SOUTH", sku="LAMP", quantity=1, order="O-1"))
    log.add(received("N-NORTH", "LAMP"), HOUR)
    assert moved(checked(log)) == []


def test_a_newcomer_is_not_split_if_another_makes_room() -> None:
    log = evening(CROWDED)
    log.add(order("O-1", {"LAMP": 1}))
    log.add(order("O-2", PAIR))
    run = checked(log)
    first, whole, aside = run.of("allocate")
    assert (nodes_of(first), nodes_of(whole), nodes_of(aside)) == (
        ["N-NORTH"],
        ["N-NORTH"],
        ["N-SOUTH"],
    )
    assert [action.subject for action in (first, whole, aside)] == ["O-1", "O-2", "O-1"]
    assert [action.subject for action in run.of("release")] == ["O-1"]
    assert "makes room at N-NORTH" in whole.data.because.summary
    assert moved(run) == [aside]


def test_a_split_is_freed_by_an_exchange_once_the_other_can_be_served_elsewhere() -> None:
    log = evening({("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 2, ("N-SOUTH", "LAMP"): 1})
    log.add(order("O-1", {"LAMP": 2}))
    log.add(order("O-2", PAIR))
    assert moved(checked(log)) == []
    log.add(received("N-SOUTH", "LAMP"), HOUR)
    run = checked(log)
    assert [(action.subject, nodes_of(action)) for action in moved(run)] == [
        ("O-2", ["N-NORTH"]),
        ("O-1", ["N-SOUTH"]),
    ]
    kinds = [action.kind for action in run.actions]
    assert kinds == ["allocate"] * 2 + ["release"] * 3 + ["allocate"] * 2


def consolidated(promised_s: int = 5 * DAY) -> Log:
    """The south has the only lamp, the north books."""
    log = evening(APART)
    log.add(order("O-1", PAIR, promised_s=promised_s))
    return log


def brought(run: Run) -> Transfer:
    (action,) = run.of("transfer")
    assert isinstance(action.data.decision, Transfer)
    return action.data.decision


def test_an_order_that_would_be_split_goes_in_one_parcel_if_there_is_time_to_bring_the_rest() -> (
    None
):
    run = checked(consolidated())
    assert [action.kind for action in run.actions] == ["transfer", "allocate"]
    assert brought(run).order == "O-1"
    (whole,) = run.of("allocate")
    assert nodes_of(whole) == [brought(run).destination]
    assert "brought to" in whole.data.because.summary
    held = run.twin.orders["O-1"].reserved
    assert set(held) == {(brought(run).destination, sku) for sku in PAIR}
    hurried = checked(consolidated(3 * DAY + 2 * HOUR))
    assert not hurried.of("transfer") and len(nodes_of(hurried.of("allocate")[0])) == 2


def departs(log: Log, run: Run, units: int = 1) -> None:
    move = brought(run)
    eta = from_ms(log.now_ms + 20 * HOUR * 1000)
    way = {"transfer": "T-1", "origin": move.origin, "destination": move.destination}
    log.add(TransferDeparted(**way, sku=move.sku, quantity=units, eta=eta), 3 * HOUR)


def test_what_is_brought_is_promised_until_it_is_there() -> None:
    log = consolidated()
    run = checked(log)
    move = brought(run)
    departs(log, run)
    arrived = TransferArrived(transfer="T-1", node=move.destination, sku=move.sku, quantity=1)
    log.add(arrived, 18 * HOUR)
    run = checked(log)
    assert [action.kind for action in run.actions] == ["transfer", "allocate"]
    assert not run.twin.transfer_requests
    position = run.twin.position(move.destination, move.sku)
    assert (position.on_hand, position.reserved, position.inbound) == (1, 1, {})


@pytest.mark.parametrize("how", ["failed", "no truck", "lost"])
def test_an_order_that_waits_for_what_does_not_come_is_sourced_in_another_way(how: str) -> None:
    log = consolidated()
    run = checked(log)
    move = brought(run)
    match how:
        case "failed":
            (asked,) = run.of("transfer")  # the record decided an allocation as well
            log.add(ActionFailed(action=asked.id, kind="transfer", reason="no truck"))
        case "no truck":
            log.tick(13 * HOUR)
        case _:
            departs(log, run)
            log.add(
                TransferArrived(transfer="T-1", node=move.destination, sku=move.sku, quantity=0)
            )
    run = checked(log)
    assert not run.twin.transfer_requests
    if how == "lost":
        assert run.twin.orders["O-1"].status == "backordered"
    else:
        (_, again) = run.of("allocate")
        assert move.origin in nodes_of(again)
        assert not run.twin.orders["O-1"].unsourced()


def test_trouble_at_a_node_moves_what_waits_there() -> None:
    log = evening({("N-NORTH", "BOOK"): 1, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-1", promised_s=2 * DAY))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    log.tick(60)
    run = checked(log)
    first, aside = run.of("allocate")
    assert (nodes_of(first), nodes_of(aside)) == (["N-NORTH"], ["N-SOUTH"])
    planned = run.twin.capacity.nodes.planned
    assert sum(planned["N-NORTH"].values()) == 0


def test_trouble_with_a_service_moves_what_waits_for_it_and_never_back() -> None:
    log = evening({("N-NORTH", "BOOK"): 1})
    log.add(order("O-1", promised_s=3 * DAY))
    until = from_ms(log.now_ms + 3 * DAY * 1000)
    for delay_s in (3 * DAY, 0, 3 * DAY, 0, 3 * DAY):
        log.add(
            CarrierDisrupted(
                carrier="POST", service="standard", reason="strike", delay_s=delay_s, until=until
            ),
            60,
        )
        log.tick(60)
    run = checked(log)
    services = [action.data.decision.legs[0].service for action in run.of("allocate")]
    assert services == ["standard", "express"]  # standard would be cheaper again, and confuse


def test_a_person_who_has_to_agree_is_not_asked_to_move_orders() -> None:
    policy = Policy(governance=Governance(autonomy={"release": "propose"}))
    log = evening(CROWDED)
    log.add(order("O-1", {"LAMP": 1}))
    log.add(order("O-2", PAIR))
    run = checked(log, policy)
    assert [len(nodes_of(action)) for action in run.of("allocate")] == [1, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["N-NORTH", "N-SOUTH", "N-SPARE"]),
            st.sampled_from(["BOOK", "LAMP"]),
            st.integers(1, 2),
            st.integers(0, 2),
            st.integers(60, 3 * HOUR),
        ),
        min_size=4,
        max_size=14,
    )
)
def test_no_order_goes_back_and_all_terms_sum(
    steps: list[tuple[str, str, int, int, int]],
) -> None:
    log = evening(CROWDED)
    for number, (node, sku, units, orders, after_s) in enumerate(steps):
        log.add(received(node, sku, units), after_s)
        for each in range(orders):
            wanted = PAIR if (number + each) % 2 else {sku: units}
            log.add(order(f"O-{number}-{each}", wanted, placed_ms=log.now_ms))
    run = checked(log)
    plans: dict[str, list[str]] = {}
    for action in run.of("allocate"):
        decision = action.data.decision
        assert isinstance(decision, Allocate)
        assert sum(action.data.because.terms.values()) == action.data.because.score_cents
        parts = [(leg.node, leg.service, leg.lines) for leg in decision.legs]
        plans.setdefault(action.subject, []).append(repr(sorted(parts, key=repr)))
    for ways in plans.values():
        assert len(set(ways)) == len(ways)
    log.tick(6 * DAY)
    log.tick(1)
    later = fold(log)
    pickups = later.operator("orchestrate").pickups  # memory follows open work
    assert all(each.hand_over_ms > log.now_ms for each in pickups.orders)
    assert {name for names in pickups.split.values() for name in names} <= set(later.twin.orders)
    for one in run.twin.orders.values():
        assert one.moves <= Policy().reevaluation.most_moves


def test_an_order_that_was_drawn_to_learn_from_is_not_moved() -> None:
    log = evening({("N-NORTH", "BOOK"): 1, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-1", promised_s=9 * DAY))
    for _ in range(14):
        log.tick(HOUR)

    def drawn(share: float) -> Run:
        exploration = Exploration(share=share, most_extra_cents=2_000)
        return checked(
            log, Policy(exploration=exploration, reevaluation=Reevaluation(churn_cents=0.0))
        )

    (action,) = drawn(1.0).of("allocate")
    assert action.data.because.draw is not None and action.data.because.draw.is_explored
    assert len(drawn(0.0).of("allocate")) == 1


def test_a_restart_forgets_nothing_that_a_move_freed_for_others() -> None:
    log = evening(APART)
    log.add(order("O-1", PAIR))
    log.add(order("O-2", {"LAMP": 1, "SOFA": 1}))
    log.add(received("N-NORTH", "LAMP"), HOUR)
    assert moved(fold(log))
    at = len(log.events)
    log.tick(60)
    lines = log.lines()
    restored = build_chain("net", Policy())
    restored.restore(fold(lines[:at]).chains["net"].snapshot())
    told = [record.fact for record in restored.step(to_record(lines[at]))]
    assert told == [record.fact for record in fold(log).records][-len(told) :]
    assert restored.snapshot() == fold(log).chains["net"].snapshot()
