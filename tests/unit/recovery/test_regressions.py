"""Defects that were fixed, each with the smallest log that showed it."""

from typing import Any

import msgspec
import pytest

from operators.chain import build_chain, to_record
from operators.core.facts import DemandLift, DemandOutlook, OrderMoved
from operators.hygiene.feeds import FeedKey
from operators.network.due import Retry
from state.actions import Allocate
from state.codec import DeadLetter, decode, decode_action, encode
from state.events import (
    ActionApproved,
    ClockTicked,
    Fact,
    InboundScheduled,
    NodeCapacityChanged,
    OrderCancelled,
    PolicyChanged,
    ShipmentDelivered,
    ShipmentFailed,
    SignalObserved,
    SkuRegistered,
    StockCounted,
    StockPicked,
    StockReceived,
    StockShortPicked,
)
from state.keys import ServiceId
from state.policy import Demand as DemandRules
from state.policy import Governance, Policy
from state.quantities import from_ms
from state.stores.redis_keys import checked_name
from tests.builders import (
    DAY,
    HOUR,
    START_MS,
    Log,
    Run,
    carrier,
    dispatch,
    fold,
    line,
    node,
    order,
    region,
    service,
    sku,
)

ONE = {("N-NORTH", "BOOK"): 1}
FIVE = {("N-NORTH", "BOOK"): 5}
PROPOSING = Policy(governance=Governance(autonomy={"allocate": "propose"}))
MOST = 10**7


def status(run: Run, name: str) -> str:
    return run.twin.orders[name].status


def readable(run: Run) -> None:
    for raw in run.bytes():
        decode_action(raw)


# Defects that stop the process, or leave actions that nothing can read.


def test_a_count_of_dear_goods_does_not_stop_the_process() -> None:
    log = Log().network_of(ONE)
    log.add(msgspec.structs.replace(sku("BOOK"), value_cents=10**9))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=MOST))
    assert fold(log).of("reconcile")


def test_the_reconciliation_of_a_huge_ledger_can_be_approved() -> None:
    log = Log().network_of(ONE)
    for _ in range(2):
        log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=MOST))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=5))
    (proposed,) = fold(log).of("reconcile")
    log.add(ActionApproved(action=proposed.id, by="ann"))
    assert len(fold(log).of("reconcile")) == 2


def test_an_absurd_handling_rate_does_not_stop_the_process() -> None:
    log = Log().network_of({})
    log.add(node("N-NORTH", handling_unit_cents=10**9))
    log.add(SkuRegistered(sku="AIR", category="goods", weight_g=0, value_cents=1))
    log.add(StockCounted(node="N-NORTH", sku="AIR", quantity=MOST))
    log.add(order("O-1", {"AIR": MOST}))
    readable(fold(log))


def test_an_order_of_one_sku_in_many_lines_gives_a_readable_action() -> None:
    log = Log().network_of(ONE)
    placed = order("O-1", {"BOOK": MOST})
    log.add(msgspec.structs.replace(placed, lines=placed.lines * 2))
    readable(fold(log))


def test_long_names_give_readable_actions() -> None:
    name = "N" * 120
    log = Log().network_of({("N-SOUTH", "BOOK"): 5})
    log.add(msgspec.structs.replace(node("N-NORTH"), node=name))
    log.add(StockCounted(node=name, sku="BOOK", quantity=1))
    log.add(order("O-1"))
    log.add(StockShortPicked(node=name, sku="BOOK", order="O-1", expected=1, picked=0))
    readable(fold(log))


@pytest.mark.parametrize("fact", [msgspec.structs.replace(region("NORTH"), region="NORTH\n")])
def test_an_id_that_ends_in_a_newline_is_refused(fact: Fact) -> None:
    event = Log().add(fact)
    assert isinstance(decode(line(encode(event))), DeadLetter)


def test_a_network_that_decodes_can_be_written_to_redis() -> None:
    event = decode(line(encode(Log("net\n").add(ClockTicked()))))
    if not isinstance(event, DeadLetter):
        checked_name(event.network, "network")


# Determinism.


def swapped(changed: dict[str, Any], log: Log) -> tuple[bytes, bytes]:
    """Snapshots at the log's end: run through, and restored right after a change of policy."""
    log.events.insert(len(log.events) // 2, log.add(PolicyChanged(policy=changed), 0))
    del log.events[-1]
    lines = log.lines()
    whole, restored = build_chain("net", Policy()), build_chain("net", Policy())
    for number, each in enumerate(lines):
        whole.step(to_record(each))
        if number == len(lines) // 2:
            restored.restore(whole.snapshot())
        elif number > len(lines) // 2:
            restored.step(to_record(each))
    return whole.snapshot(), restored.snapshot()


def test_to_restore_after_a_change_of_fading_changes_nothing() -> None:
    log = Log().network_of(FIVE)
    for number in range(30):
        log.add(order(f"O-{number}", {"BOOK": 1 + number % 3}), DAY / 2)
    whole, restored = swapped({"demand": {"fading": 0.9}}, log)
    assert whole == restored


def test_to_restore_after_a_change_of_learning_rate_changes_nothing() -> None:
    log = Log().network_of(FIVE)
    for number in range(30):
        promised_ms = log.now_ms + (HOUR if number % 3 else 4 * DAY) * 1000
        log.add(dispatch(f"S-{number}", f"O-{number}", promised_ms=promised_ms), HOUR)
        log.add(ShipmentDelivered(shipment=f"S-{number}"), DAY)
    whole, restored = swapped({"delays": {"learning_rate": 0.5}}, log)
    assert whole == restored


def test_a_dead_letter_does_not_move_now() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(ClockTicked(), 40 * DAY, happened_s_ago=-41 * DAY)
    log.now_ms -= 40 * DAY * 1000
    log.tick(1)
    nows = [record.now_ms for record in fold(log).records]
    assert nows == sorted(nows)


def test_a_duplicate_does_not_move_now() -> None:
    log = Log().network_of(ONE)
    event = log.add(order("O-1"))
    later = msgspec.structs.replace(event, recorded_ms=event.recorded_ms + 3650 * DAY * 1000)
    run = fold([*log.lines(), line(encode(later), len(log.events) + 1)])
    assert run.records[-1].now_ms == log.now_ms


# Orders that wait although they could be served.


def test_what_a_cancelled_order_frees_serves_those_who_wait() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.add(OrderCancelled(order="O-1"))
    assert status(fold(log), "O-2") == "allocated"


def test_what_lapses_serves_those_who_wait() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.tick(6 * DAY)
    log.tick(DAY)
    assert status(fold(log), "O-2") == "allocated"


def test_all_who_wait_are_served_if_there_is_enough() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 0})
    for number in range(40):
        log.add(order(f"O-{number}"))
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=100))
    for _ in range(5):  # one record serves a few
        log.tick(60)
    run = fold(log)
    assert {status(run, f"O-{number}") for number in range(40)} == {"allocated"}


def test_large_orders_do_not_starve_the_small_ones_behind_them() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 0})
    for number in range(25):
        log.add(order(f"O-{number}", {"BOOK": 50}))
    log.add(order("O-SMALL"))
    for _ in range(5):
        log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=1), DAY)
    assert [action.subject for action in fold(log).of("allocate")] == ["O-SMALL"]


def test_a_node_that_opens_again_serves_those_who_wait() -> None:
    log = Log().network_of(FIVE)
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    log.add(order("O-1"))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=10))
    log.tick(DAY)
    log.tick(DAY)
    assert status(fold(log), "O-1") == "allocated"


def test_an_order_is_retried_by_one_deadline() -> None:
    log = Log().network_of({("N-NORTH", "SOFA"): 5})
    log.add(order("O-1", {"SOFA": 1}))  # too heavy for any service
    for _ in range(50):
        log.add(StockReceived(node="N-NORTH", sku="SOFA", quantity=1))
    heap = fold(log).operator("orchestrate")._context.deadlines.deadlines.heap
    assert sum(isinstance(due, Retry) for _, _, due in heap) == 1


# Stock promised twice, or reserved for no order.


def test_a_dispatch_told_before_its_pick_promises_nothing_twice() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.add(dispatch("S-1", "O-1"))
    assert status(fold(log), "O-2") == "backordered"
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"), happened_s_ago=60)
    assert [a.subject for a in fold(log).of("allocate")] == ["O-1"]


def test_an_inbound_scheduled_for_another_node_replaces_the_first() -> None:
    log = Log().network_of({})
    for name in ("N-NORTH", "N-SOUTH"):
        eta = from_ms(START_MS + DAY * 1000)
        log.add(InboundScheduled(inbound="I-1", node=name, sku="BOOK", quantity=5, eta=eta))
    assert sum(p.due() for _, _, p in fold(log).twin.positions()) == 5


def test_a_second_early_parcel_outlives_the_first() -> None:
    log = Log().network_of(FIVE)
    log.add(dispatch("S-1", "O-1"))
    log.add(dispatch("S-2", "O-1"))
    log.add(ShipmentDelivered(shipment="S-1"))
    log.tick(3 * HOUR)
    log.add(order("O-1"))
    assert fold(log).of("allocate") == []


def test_the_rest_of_an_order_heard_of_late_is_served() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 5, ("N-NORTH", "LAMP"): 5})
    log.add(dispatch("S-1", "O-1"))
    log.add(order("O-1", {"BOOK": 1, "LAMP": 1}))
    log.tick(DAY)
    assert [action.subject for action in fold(log).of("allocate")] == ["O-1"]


def test_the_allocation_of_a_cancelled_order_cannot_be_approved() -> None:
    log = Log().network_of(FIVE)
    log.add(order("O-1"))
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(OrderCancelled(order="O-1"))
    log.add(ActionApproved(action=proposed.id, by="ann"))
    assert [a.data.mode for a in fold(log, PROPOSING).of("allocate")] == ["propose"]


def test_a_parcel_sent_again_takes_room_at_its_service() -> None:
    log = Log().network_of(FIVE)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    capacity = fold(log).twin.capacity
    standard = ServiceId("POST", "standard")
    assert capacity.services.planned[standard] == capacity.nodes.planned["N-NORTH"]


# Texts and learning.


def test_a_service_that_is_no_longer_registered_is_no_longer_used() -> None:
    log = Log().network_of(FIVE)
    log.add(carrier("POST", service("express")))
    log.add(order("O-1"))
    (allocated,) = fold(log).of("allocate")
    assert isinstance(allocated.data.decision, Allocate)
    assert allocated.data.decision.legs[0].service == "express"


def test_an_unfillable_order_served_in_time_is_not_told_to_wait() -> None:
    log = Log().network_of({})
    log.add(order("O-1", {"NEW": 1}))
    log.add(msgspec.structs.replace(sku("BOOK"), sku="NEW"))
    log.add(StockCounted(node="N-NORTH", sku="NEW", quantity=5))
    log.tick(HOUR)
    run = fold(log)
    assert run.of("allocate")
    assert run.of("notify") == []


def test_notices_forget_orders_that_are_abandoned() -> None:
    log = Log().network_of(FIVE)
    log.add(order("O-1"))
    for _ in range(100):
        log.tick(DAY)
    run = fold(log)
    assert run.twin.orders == {}
    assert run.facts(OrderMoved)[-1].after == "abandoned"
    assert run.operator("notices")._state.orders == {}


def test_one_unit_is_free() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(OrderCancelled(order="O-1"))
    assert "freed 1 reserved unit." in fold(log).of("cancel")[0].data.because.summary


def test_longer_buckets_can_be_introduced_while_running() -> None:
    log = Log().network_of(FIVE)
    log.add(order("O-A"))
    log.add(PolicyChanged(policy={"demand": {"bucket_s": 7 * DAY}}))
    for number in range(40):
        log.add(order(f"O-{number}"), DAY)
    assert len(fold(log).facts(DemandOutlook)) >= 4


def test_a_signal_teaches_of_the_bucket_it_was_in() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 10**6})
    for number in range(240):
        midnight_ms = log.now_ms
        if number % 4 == 0:
            log.add(SignalObserved(kind="promotion", region="NORTH", sku="BOOK", ratio=2.7), 1)
        units = 24 if number % 4 == 0 else 8
        log.add(order(f"O-{number}", {"BOOK": units}), 1)
        log.now_ms = midnight_ms + DAY * 1000
    run = fold(log, Policy(demand=DemandRules(signal_memory_s=12 * HOUR)))
    assert run.facts(DemandLift)[-1].factor > 1.1


def test_a_warehouse_that_registers_itself_first_is_judged_as_inventory() -> None:
    log = Log().network_of(FIVE)
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=1))
    assert (
        fold(log).operator("hygiene")._state.feeds.feeds[FeedKey("inventory", "test")].received == 2
    )
