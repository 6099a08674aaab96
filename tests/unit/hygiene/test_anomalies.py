"""Facts that are not believable are marked before any model learns, and still take effect."""

from typing import Any

import pytest

from operators.chain import to_record
from operators.core.facts import Anomaly, FeedHealth
from operators.hygiene.hygiene import Hygiene
from operators.prediction.robust import RobustScale, RobustScales
from state.events import (
    OrderPlaced,
    ShipmentDelivered,
    ShipmentScanned,
    SignalObserved,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
)
from state.policy import Policy
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order

STOCK = {("N-NORTH", "BOOK"): 400, ("N-SOUTH", "BOOK"): 400}
SHIPPED = {"service": "standard", "region": "SOUTH"}


def kinds(run: Run) -> list[str]:
    return [anomaly.kind for anomaly in run.facts(Anomaly)]


def shipped(**changes: Any) -> Log:
    log = Log().network_of(STOCK)
    log.add(order("O-1", region="SOUTH"))
    log.add(dispatch("P-1", "O-1", **{**SHIPPED, **changes}), 2 * HOUR)
    return log


def scan(place: str | None = None, **changes: Any) -> ShipmentScanned:
    return ShipmentScanned(**{"shipment": "P-1", "status": "in_transit", "place": place, **changes})


def test_a_usual_journey_is_believed() -> None:
    log = shipped()
    log.add(scan("NORTH"), HOUR)
    log.add(scan("SOUTH"), 20 * HOUR)
    log.add(ShipmentDelivered(shipment="P-1"), 5 * HOUR)
    assert kinds(fold(log)) == []


def test_a_parcel_cannot_outrun_an_aeroplane() -> None:
    log = shipped()
    log.add(scan("NORTH"), HOUR)
    log.add(scan(latitude=-33.9, longitude=151.2), HOUR)
    log.add(scan("SOUTH"), 20 * HOUR)
    run = fold(log)
    assert kinds(run) == ["impossible_speed"]
    assert run.facts(Anomaly)[0].reason.endswith(" km apart within 60 min")


def test_a_place_seen_twice_is_believed_after_all() -> None:
    log = shipped()
    log.add(scan(latitude=-33.9, longitude=151.2), HOUR)
    log.add(scan(latitude=-33.9, longitude=151.2), HOUR)
    log.add(scan(latitude=-33.8, longitude=151.2), HOUR)
    assert kinds(fold(log)) == ["impossible_speed"]


def test_a_delivery_minutes_after_the_handover_is_not_believed() -> None:
    log = shipped()
    log.add(ShipmentDelivered(shipment="P-1"), 60)
    run = fold(log)
    assert kinds(run) == ["impossible_speed"]
    assert run.twin.shipments["P-1"].is_terminal


def test_a_parcel_keeps_to_its_route() -> None:
    log = Log().network_of(STOCK)
    for number in range(30):
        log.add(order(f"O-{number}", region="SOUTH"))
        log.add(dispatch(f"P-{number}", f"O-{number}", **SHIPPED), 2 * HOUR)
        wrong = {"latitude": 40.7, "longitude": -74.0} if number == 20 else {}
        log.add(scan("SOUTH", shipment=f"P-{number}", **wrong), 20 * HOUR)
    run = fold(log)
    assert [(a.kind, a.about) for a in run.facts(Anomaly)] == [("off_route", "P-20")]


def test_a_delivery_before_the_last_scan_is_not_believed() -> None:
    log = shipped()
    log.add(scan("SOUTH"), 20 * HOUR)
    log.add(ShipmentDelivered(shipment="P-1"), HOUR, happened_s_ago=10 * HOUR)
    assert kinds(fold(log)) == ["after_delivery"]


@pytest.mark.parametrize("fact", [scan("NORTH"), ShipmentDelivered(shipment="P-1")])
def test_nothing_is_seen_before_its_handover(fact: Any) -> None:
    log = shipped()
    log.add(fact, 60, happened_s_ago=2 * HOUR)
    assert kinds(fold(log)) == ["before_handover"]


def test_a_label_may_be_made_before_the_handover() -> None:
    log = shipped()
    log.add(scan("NORTH", status="pending"), 60, happened_s_ago=3 * HOUR)
    assert kinds(fold(log)) == []


def test_nothing_moves_after_its_delivery() -> None:
    log = shipped()
    log.add(ShipmentDelivered(shipment="P-1"), DAY)
    log.add(scan("SOUTH"), 60, happened_s_ago=HOUR)
    assert kinds(fold(log)) == []
    log.add(scan("SOUTH"), 1.5 * HOUR)
    assert kinds(fold(log)) == ["after_delivery"]


def counted(*quantities: int) -> Log:
    log = Log().network_of(STOCK)
    for number in range(30):
        log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=2, order=f"O-{number}"), HOUR)
        book = 400 - 2 * (number + 1) - number % 3
        log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=book), HOUR)
    for quantity in quantities:
        log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=quantity), HOUR)
    return log


def test_a_count_far_from_the_ledger_is_marked_and_counts_all_the_same() -> None:
    run = fold(counted(1_200))
    assert [(a.kind, a.about) for a in run.facts(Anomaly)] == [("stock_jump", "N-NORTH/BOOK")]
    assert run.facts(Anomaly)[0].reason == "1200 units of BOOK were counted at N-NORTH, not 338"
    assert run.twin.position("N-NORTH", "BOOK").on_hand == 1_200
    assert kinds(fold(counted(345))) == []


def test_a_count_that_puts_a_wrong_one_right_is_believed() -> None:
    assert kinds(fold(counted(1_200, 338))) == ["stock_jump"]
    assert kinds(fold(counted(1_200, 1_199))) == ["stock_jump"]


def test_an_adjustment_far_from_the_usual_is_marked() -> None:
    log = counted()
    for number in range(12):
        delta = -1 - number % 2
        log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=delta, reason="shrinkage"), HOUR)
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-300, reason="correction"), HOUR)
    assert kinds(fold(log)) == ["stock_jump"]


def ordered(*quantities: int) -> Log:
    log = Log().network_of(STOCK)
    for number, quantity in enumerate([1, 2, 1, 1, 3, 1, 2, 1, 1, 1, 2, 1, *quantities]):
        log.add(order(f"O-{number}", {"BOOK": quantity}), HOUR)
    return log


def test_an_order_far_larger_than_is_usual_is_marked() -> None:
    assert kinds(fold(ordered(4, 5))) == []
    assert kinds(fold(ordered(200))) == ["wild_quantity"]


def test_a_new_usual_is_learned() -> None:
    marked = kinds(fold(ordered(*[60] * 120)))
    assert 1 <= len(marked) < 80


def test_a_receipt_far_larger_than_is_usual_is_marked() -> None:
    log = Log().network_of(STOCK)
    for quantity in [40, 60, 50, 40, 80, 50, 60, 40, 50, 60, 40, 50_000]:
        log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=quantity), HOUR)
    assert kinds(fold(log)) == ["wild_quantity"]


def test_a_signal_far_from_the_usual_is_marked() -> None:
    log = Log().network_of(STOCK)
    for ratio in [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.0, 1.3, 1.0, 1.1, 3.0, 400.0]:
        log.add(SignalObserved(kind="search", category="goods", ratio=ratio), HOUR)
    assert kinds(fold(log)) == ["wild_signal"]


def test_what_is_marked_goes_on_as_suspect_and_only_that() -> None:
    run = fold(ordered(200, 1))
    orders = [record for record in run.records if isinstance(record.fact, OrderPlaced)]
    assert [record.suspect for record in orders] == [False] * 12 + [True, False]


def test_an_anomaly_comes_just_before_its_fact() -> None:
    facts = [type(record.fact) for record in fold(ordered(200)).records]
    at = facts.index(Anomaly)
    assert facts[at + 1] is OrderPlaced


def test_anomalies_are_counted_by_kind() -> None:
    assert fold(ordered(200)).totals.anomalies == {"wild_quantity": 1}


def test_a_redelivery_is_not_doubted_again() -> None:
    log = ordered(200)
    log.add(order("O-again", {"BOOK": 200}), HOUR, id=log.events[-1].id)
    assert kinds(fold(log)) == ["wild_quantity"]


def test_a_feed_that_talks_nonsense_is_no_longer_trusted() -> None:
    log = Log().network_of(STOCK)
    for number in range(160):
        name = f"O-{number}"
        log.add(order(name, region="SOUTH"))
        log.add(dispatch(f"P-{number}", name, region="SOUTH"))
    usable = fold(log)
    assert usable.facts(FeedHealth) == []
    for number in range(160):
        log.add(ShipmentScanned(shipment=f"P-{number}", status="in_transit", place="SOUTH"))
    health = fold(log).facts(FeedHealth)
    assert [(h.family, h.score < 0.5) for h in health] == [("telemetry", True)]


def test_a_restored_operator_goes_on_as_before() -> None:
    records = [to_record(line) for line in (*ordered(200).lines(), *counted(1_200).lines())]
    whole, parts = Hygiene(Policy()), Hygiene(Policy())
    for record in records:
        expected = whole.step(record)
        again = Hygiene(Policy())
        again.restore(parts.snapshot())
        parts = again
        assert [r.fact for r in parts.step(record)] == [r.fact for r in expected]
    assert parts.snapshot() == whole.snapshot()


def test_a_median_and_its_spread_are_not_moved_by_the_wild() -> None:
    scale = RobustScale()
    for number in range(1_000):
        scale.judge(1e12 if number % 10 == 9 else float(number % 9), 0.1)
    assert scale.median == pytest.approx(4.4, abs=0.8)
    assert scale.mad == pytest.approx(2.4, abs=0.8)


def test_a_new_key_is_judged_by_all_keys() -> None:
    scales = RobustScales(0.1)
    for number in range(50):
        assert scales.judge("known", 1.0 + number % 3 / 10) < 5
    assert scales.judge("new", 9.0) > 20
