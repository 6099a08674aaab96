"""Exceptions: recovered from at the least cost, reported once, and closed by facts."""

from collections import Counter
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.core.facts import ExceptionCase, NoAction
from state.actions import Action, Allocate, Notify, Refund
from state.events import (
    ActionFailed,
    CarrierCapacityChanged,
    CarrierDisrupted,
    Fact,
    HoldPlaced,
    InboundScheduled,
    NodeCapacityChanged,
    OrderCancelled,
    PolicyChanged,
    ShipmentDelivered,
    ShipmentFailed,
    ShipmentScanned,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
)
from state.policy import Exceptions, Governance, Policy
from state.quantities import from_ms
from tests.builders import DAY, HOUR, NODES, SKUS, Log, Run, carrier, dispatch, fold, order, service
from tests.random_logs import control, demand, inventory, telemetry

BOTH = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5}
ONE = {("N-NORTH", "BOOK"): 1}
STORM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def cases(run: Run) -> list[tuple[str, str, str]]:
    """Return (kind, state, closed by) of the cases published, in order, but for late parcels."""
    said: list[ExceptionCase] = run.facts(ExceptionCase)
    return [(case.kind, case.state, case.closed_by) for case in said if case.kind != "late"]


def messages(run: Run) -> list[str]:
    return [
        action.data.decision.message
        for action in run.of("notify")
        if isinstance(action.data.decision, Notify)
    ]


def nodes(run: Run) -> list[str]:
    """Node of each allocation's first leg."""
    decisions = [action.data.decision for action in run.of("allocate")]
    return [d.legs[0].node for d in decisions if isinstance(d, Allocate)]


def refused(run: Run, kind: str = "allocate", nth: int = -1) -> ActionFailed:
    action = run.of(kind)[nth]
    return ActionFailed(action=action.id, reason="no staff", kind=kind, order=action.correlationid)


def shipped(stock: dict[tuple[str, str], int]) -> Log:
    log = Log().network_of(stock)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(dispatch("S-1", "O-1"))
    return log


@st.composite
def troubles(draw: st.DrawFn) -> Fact:
    """Draw a fact of a kind that the usual random logs leave out."""
    number = draw(st.integers(1, 8))
    node, of = draw(st.sampled_from(sorted(NODES))), draw(st.sampled_from(sorted(SKUS)))
    reason = draw(st.sampled_from(["damaged", "refused", "address", "returned", "other"]))
    return draw(
        st.sampled_from(
            [
                ShipmentFailed(shipment=f"S-{number}", reason=reason, party="consignee"),
                ShipmentScanned(shipment=f"S-{number}", status="delivery_failed"),
                StockAdjusted(node=node, sku=of, delta=-3, reason="damage"),
                NodeCapacityChanged(node=node, parcels_per_day=0),
                CarrierCapacityChanged(carrier="POST", service="standard", parcels_per_day=0),
                StockReturned(node=node, sku=of, quantity=1, order=f"O-{number}"),
            ]
        )
    )


#: Facts, and with a number the refusal of the so-many-latest action.
STORMS = st.lists(
    st.tuples(
        st.one_of(
            demand(), inventory(), telemetry(), control(), troubles(), troubles(), st.integers(1, 4)
        ),
        st.sampled_from([1, 60, HOUR, 9 * HOUR, DAY]),
    ),
    max_size=40,
)


@STORM
@given(STORMS)
def test_every_case_of_a_storm_closes_and_no_promise_is_uncovered(
    storm: list[tuple[Fact | int, int]],
) -> None:
    log = Log().network_of({(node, of): 4 for node in NODES for of in SKUS})

    def covered(run: Run) -> None:
        run.twin.check()
        assert not any(position.uncovered() for _, _, position in run.twin.positions())

    for what, pause in storm:
        if not isinstance(what, int):
            log.add(what, pause)
        else:
            actions = fold(log).actions
            if len(actions) >= what:
                at: Action = actions[-what]
                log.add(
                    ActionFailed(action=at.id, kind=at.kind, order=at.correlationid, reason="no"),
                    pause,
                )
    for name in NODES:
        log.add(NodeCapacityChanged(node=name, parcels_per_day=100))
    log.add(CarrierCapacityChanged(carrier="POST", service="standard", parcels_per_day=100))
    for _ in range(40):
        log.tick(4 * DAY)
    run = fold(log, each=covered)
    said: list[ExceptionCase] = run.facts(ExceptionCase)
    opened = Counter(case.name for case in said if case.state == "opened")
    closed = Counter(case.name for case in said if case.state == "closed")
    assert opened == closed
    assert not opened or max(opened.values()) == 1
    assert run.twin.orders == {}
    assert run.operator("orchestrate")._context.state.decided == {}
    assert sum(run.totals.exceptions_closed.values()) == len(closed)
    for action in run.actions:
        assert sum(action.data.because.terms.values()) == action.data.because.score_cents


def test_a_short_pick_closes_when_the_order_is_handed_over() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(StockShortPicked(node="N-NORTH", sku="BOOK", order="O-1", expected=1, picked=0))
    assert ("short_pick", "acting", "") in cases(fold(log))
    log.add(dispatch("S-1", "O-1", node="N-SOUTH"))
    assert ("short_pick", "closed", "itself") in cases(fold(log))


def test_stock_sold_elsewhere_is_oversold_and_sourced_again() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-5, reason="correction"))
    run = fold(log)
    assert nodes(run) == ["N-NORTH", "N-SOUTH"]
    (opened, *_) = (case for case in run.facts(ExceptionCase) if case.kind == "oversold")
    assert (opened.party, opened.order) == ("channel", "O-1")


def test_a_count_that_differs_is_a_case_that_closes_at_once() -> None:
    log = Log().network_of(BOTH)
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=3))
    assert [state for kind, state, _ in cases(fold(log))] == ["opened", "acting", "closed"]


def test_a_parcel_that_nothing_can_replace_is_paid_back_and_the_customer_told_once() -> None:
    log = shipped(ONE)
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    log.tick(DAY)
    run = fold(log)
    assert messages(run) == [
        "Your order O-1: We are sorry that we cannot deliver all of it. You get 25.00 EUR back."
    ]
    assert cases(run)[-1] == ("lost", "closed", "itself")


def test_what_there_is_of_a_lost_parcel_is_sent_again_and_the_rest_paid_back() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 3, ("N-NORTH", "LAMP"): 1})
    log.add(order("O-1", {"BOOK": 1, "LAMP": 1}))
    for of in ("BOOK", "LAMP"):
        log.add(StockPicked(node="N-NORTH", sku=of, quantity=1, order="O-1"))
    log.add(dispatch("S-1", "O-1", {"BOOK": 1, "LAMP": 1}))
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    dear = Policy(margin_share=1.0)
    run = fold(log, dear)
    assert [action.kind for action in run.actions[-2:]] == ["reship", "notify"] or [
        action.kind for action in run.actions if action.kind in ("refund", "reship")
    ] == ["refund", "reship"]
    (refund,) = run.of("refund")
    assert isinstance(refund.data.decision, Refund)
    assert [(line.sku, line.quantity) for line in refund.data.decision.lines] == [("LAMP", 1)]


def test_a_refund_over_the_limit_is_proposed_and_needs_a_person() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    log.add(order("O-1", {"BOOK": 9}))
    log.add(dispatch("S-1", "O-1", {"BOOK": 9}))
    log.add(ShipmentFailed(shipment="S-1", reason="refused", party="consignee"))
    run = fold(log)
    (refund,) = run.of("refund")
    assert (refund.data.mode, refund.data.value_cents) == ("propose", 22_500)
    assert cases(run)[-1] == ("failed_delivery", "closed", "person")


def test_a_very_late_arrival_earns_goodwill_by_the_policy() -> None:
    log = shipped(ONE)
    log.add(ShipmentDelivered(shipment="S-1"), 8 * DAY)
    (refund,) = fold(log).of("refund")
    assert isinstance(refund.data.decision, Refund)
    assert (refund.data.decision.cents, refund.data.decision.lines) == (300, ())
    assert fold(log, Policy(exceptions=Exceptions(goodwill_cents=0))).of("refund") == []


def test_an_order_that_nothing_can_serve_is_paid_back_in_the_end() -> None:
    log = Log().network_of({})
    log.add(order("O-1"))
    for _ in range(20):
        log.tick(DAY)
    run = fold(log)
    (refund,) = run.of("refund")
    assert refund.data.because.alternatives[0].option == "waiting on"
    assert run.twin.orders == {}
    assert cases(run)[-1] == ("unfillable", "closed", "itself")


def test_a_node_that_refuses_is_left_out_from_then_on() -> None:
    log = Log().network_of({**BOTH, ("N-SPARE", "BOOK"): 5})
    log.add(order("O-1"))
    tried = []
    for _ in range(3):
        tried.append(nodes(fold(log))[-1])
        log.add(refused(fold(log)))
    run = fold(log)
    assert sorted(tried) == sorted(NODES)
    assert run.of("allocate")[1].data.decision.replaces == "the allocate was refused (no staff)"  # type: ignore[union-attr]
    assert run.twin.orders["O-1"].is_waiting
    run.twin.check()


def test_after_the_most_attempts_a_person_is_asked() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    once = Policy(exceptions=Exceptions(most_attempts=1))
    for _ in range(2):
        log.add(refused(fold(log, once)))
    run = fold(log, once)
    (escalate,) = run.of("escalate")
    assert "refused 2 times" in escalate.data.because.summary
    assert len(run.of("allocate")) == 2


def test_a_refusal_of_nothing_known_is_inert() -> None:
    log = Log().network_of(BOTH)
    log.add(ActionFailed(action="net:999-1"))
    log.add(ActionFailed(action="nonsense"))
    assert [i.reason for i in fold(log).facts(NoAction)] == ["it is of no open order"] * 2


def test_a_closed_node_loses_what_waits_there_if_that_is_cheaper() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", promised_s=2 * DAY))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    run = fold(log)
    assert nodes(run) == ["N-NORTH", "N-SOUTH"]
    assert run.of("release")[0].data.decision.reason == "reassigned"  # type: ignore[union-attr]
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=10))
    assert cases(fold(log)) == [
        ("node_down", "opened", ""),
        ("node_down", "acting", ""),
        ("node_down", "closed", "itself"),
    ]


def test_a_closed_node_loses_nothing_that_is_on_hold_or_that_a_person_decides_on() -> None:
    asking = Policy(governance=Governance(autonomy={"release": "propose"}))
    for policy, is_held in ((Policy(), True), (asking, False)):
        log = Log().network_of(BOTH)
        log.add(order("O-1", promised_s=2 * DAY))
        if is_held:
            log.add(HoldPlaced(kind="order", scope="O-1", by="ann"))
        log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
        run = fold(log, policy)
        assert nodes(run) == ["N-NORTH"] and not run.of("release")


def test_what_has_time_waits_for_a_closed_node() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", promised_s=20 * DAY))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    run = fold(log)
    assert nodes(run) == ["N-NORTH"]
    assert "waiting is cheapest while node down" in [i.reason for i in run.facts(NoAction)]
    assert run.twin.position("N-NORTH", "BOOK").reserved == 1


def test_a_carrier_in_trouble_loses_what_it_would_deliver_late() -> None:
    log = Log().network_of(BOTH, carrier(), carrier("FLASH", service("swift", base_cents=450)))
    log.add(order("O-1", promised_s=3 * DAY))
    until = from_ms(log.now_ms + 2 * DAY * 1000)
    log.add(CarrierDisrupted(carrier="POST", delay_s=4 * DAY, until=until))
    run = fold(log)
    services = [a.data.decision.legs[0].carrier for a in run.of("allocate")]  # type: ignore[union-attr]
    assert services == ["POST", "FLASH"]
    log.tick(3 * DAY)
    assert ("carrier_down", "closed", "itself") in cases(fold(log))


def test_what_was_picked_for_a_cancelled_order_is_followed_to_its_shelf() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(OrderCancelled(order="O-1"))
    assert cases(fold(log))[-1] == ("cancelled_after_pick", "acting", "")
    log.add(StockReturned(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    assert cases(fold(log))[-1] == ("cancelled_after_pick", "closed", "itself")


def test_a_cancelled_parcel_that_comes_back_is_paid_back_not_sent_again() -> None:
    log = shipped(BOTH)
    log.add(OrderCancelled(order="O-1"))
    log.add(ShipmentFailed(shipment="S-1", reason="returned", party="consignee"))
    run = fold(log)
    assert [a.kind for a in run.actions] == ["allocate", "cancel", "refund", "notify"]
    assert run.twin.orders == {}


def test_an_order_on_hold_keeps_what_is_reserved_for_it_when_its_node_closes() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", promised_s=2 * DAY))
    log.add(HoldPlaced(kind="order", scope="O-1", by="ann"))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    run = fold(log)
    assert nodes(run) == ["N-NORTH"]
    assert run.twin.position("N-NORTH", "BOOK").reserved == 1


@pytest.mark.parametrize(("kind", "mode"), [("allocate", "off"), ("release", "propose")])
def test_a_closed_node_keeps_what_could_not_leave_it_on_its_own(
    kind: str, mode: Literal["off", "propose"]
) -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", promised_s=2 * DAY))
    log.add(PolicyChanged(policy={"governance": {"autonomy": {kind: mode}}}))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    run = fold(log)
    assert nodes(run) == ["N-NORTH"]
    assert run.twin.position("N-NORTH", "BOOK").reserved == 1


def test_inbound_that_brings_another_sku_uncovers_what_was_promised_of_it() -> None:
    log = Log().network_of({})
    due = from_ms(log.now_ms + DAY * 1000)
    log.add(InboundScheduled(inbound="I-1", node="N-NORTH", sku="BOOK", quantity=1, eta=due))
    log.add(order("O-1", promised_s=9 * DAY))
    assert fold(log).twin.orders["O-1"].reserved
    log.add(StockReceived(inbound="I-1", node="N-NORTH", sku="LAMP", quantity=1))
    run = fold(log)
    assert not run.twin.position("N-NORTH", "BOOK").uncovered()
    assert run.twin.orders["O-1"].is_waiting


def test_what_is_worth_nothing_is_not_paid_back() -> None:
    log = Log().network_of({})
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1", {"LAMP": 1}))  # which was not ordered
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    run = fold(log)
    assert not run.of("refund") and not run.of("notify")
    assert "there is nothing to pay back" in [inert.reason for inert in run.facts(NoAction)]


def test_what_was_picked_all_the_same_is_not_paid_back_as_unfillable() -> None:
    log = Log().network_of({})
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    for _ in range(12):
        log.tick(DAY)
    run = fold(log)
    assert not run.of("refund")
    assert run.twin.orders["O-1"].status == "allocated" and run.twin.waiting == {}


def test_an_order_that_waits_for_a_part_goes_on_waiting_when_the_rest_is_given_back() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", {"BOOK": 10}))
    log.add(StockAdjusted(node="N-SOUTH", sku="BOOK", delta=-1, reason="damage"))
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-5, reason="damage"))
    log.tick(7 * DAY)
    run = fold(log)
    assert run.of("release")[-1].data.decision.reason == "expired"  # type: ignore[union-attr]
    assert run.twin.orders["O-1"].status == "backordered"
    assert list(run.twin.waiting) == ["BOOK"]


def test_what_is_refused_gives_back_nothing_of_a_later_parcel_from_the_same_shelf() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2})
    log.add(order("O-1", {"BOOK": 2}))
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-1, reason="damage"))
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=1))
    log.add(refused(fold(log), nth=0))
    run = fold(log)
    run.twin.check()
    assert len(run.of("allocate")) == 2
    assert run.twin.position("N-NORTH", "BOOK").reserved == 1


def test_a_parcel_of_an_earlier_order_of_the_same_name_is_none_of_the_later_one() -> None:
    log = Log().network_of({})
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1", {"LAMP": 1}))
    for _ in range(10):
        log.tick(DAY)
    assert fold(log).twin.orders == {}
    log.add(order("O-1", placed_ms=log.now_ms))
    log.add(ShipmentDelivered(shipment="S-1"))
    assert fold(log).twin.orders["O-1"].open_shipments == 0
