"""Orders from placed to delivered: reserving, waiting, giving back, sending again."""

import msgspec

from operators.core.facts import DelayRisk, NoAction, OrderMoved
from state.actions import Action, Allocate, Backorder, Refund, Release, Reroute, Reship
from state.events import (
    InboundScheduled,
    OrderCancelled,
    ShipmentDelivered,
    ShipmentFailed,
    ShipmentScanned,
    StockCounted,
    StockPicked,
    StockReceived,
    StockShortPicked,
)
from state.policy import Delays, Policy, Weights
from state.quantities import from_ms
from tests.builders import (
    DAY,
    HOUR,
    Log,
    Run,
    carrier,
    dispatch,
    fold,
    order,
    region,
    service,
    sku,
)

ONE = {("N-NORTH", "BOOK"): 1}
BOTH = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5}


def reserved(run: Run, node: str = "N-NORTH", of: str = "BOOK") -> int:
    run.twin.check()
    return run.twin.position(node, of).reserved


def told(run: Run) -> list[tuple[str, str]]:
    """Return (kind, subject) of every action, in order."""
    return [(action.kind, action.subject) for action in run.actions]


def node_of(action: Action) -> str:
    decision = action.data.decision
    assert isinstance(decision, Allocate)
    return decision.legs[0].node


def reasons(run: Run) -> list[str]:
    return [inert.reason for inert in run.facts(NoAction)]


def test_an_allocation_reserves() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", {"BOOK": 3}))
    run = fold(log)
    assert reserved(run) == 3
    assert run.twin.orders["O-1"].reserved == {("N-NORTH", "BOOK"): 3}
    log.add(order("O-2", {"BOOK": 3}))
    assert node_of(fold(log).of("allocate")[1]) == "N-SOUTH"


def test_a_reservation_lapses_and_releases() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    (allocated,) = fold(log).of("allocate")
    assert allocated.expirytime is not None
    log.add(order("O-2", {"LAMP": 1}))  # waits for something else
    wait_s = allocated.expirytime.timestamp() - log.now_ms / 1000
    log.tick(wait_s - 1)
    assert reserved(fold(log)) == 1
    log.tick(1)
    run = fold(log)
    assert reserved(run) == 0
    (release,) = run.of("release")
    assert isinstance(release.data.decision, Release)
    assert release.data.decision.reason == "expired"
    assert run.totals.orders.allocated == 1  # a promise was made, if not kept


def test_a_pick_uses_up_the_reservation() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", {"BOOK": 3}))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=2, order="O-1"))
    run = fold(log)
    assert reserved(run) == 1
    assert run.twin.position("N-NORTH", "BOOK").on_hand == 3
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.tick(30 * DAY)
    run = fold(log)
    assert reserved(run) == 0
    assert [kind for kind, _ in told(run) if kind != "notify"] == ["allocate"]


def test_a_pick_elsewhere_releases_what_was_reserved() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-SOUTH", sku="BOOK", quantity=1, order="O-1"))
    run = fold(log)
    assert reserved(run) == 0
    (release,) = run.of("release")
    assert isinstance(release.data.decision, Release)
    assert (release.data.decision.node, release.data.decision.reason) == (
        "N-NORTH",
        "shipped_elsewhere",
    )


def test_what_is_released_serves_those_who_wait() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.add(dispatch("S-1", "O-1", node="N-SOUTH"))  # O-1 was served from elsewhere
    assert told(fold(log)) == [
        ("allocate", "O-1"),
        ("backorder", "O-2"),
        ("release", "O-1"),
        ("allocate", "O-2"),
    ]


def test_a_cancelled_order_frees_its_stock() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(OrderCancelled(order="O-1", reason="changed mind"))
    log.add(order("O-2"))
    run = fold(log)
    assert told(run) == [("allocate", "O-1"), ("cancel", "O-1"), ("allocate", "O-2")]
    assert "1 reserved unit" in run.of("cancel")[0].data.because.summary
    assert list(run.twin.orders) == ["O-2"]
    assert run.totals.orders.cancelled == 1


def test_an_order_under_way_is_stopped_as_far_as_it_has_not_left() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.add(OrderCancelled(order="O-1"))
    log.add(OrderCancelled(order="O-2"))
    run = fold(log)
    assert told(run)[-1] == ("cancel", "O-1")
    assert run.twin.orders["O-1"].is_withdrawn
    assert reasons(run) == ["the order is not open"]


def test_a_backorder_says_what_is_missing() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-1", {"BOOK": 5, "LAMP": 1}))
    (action,) = fold(log).actions
    assert isinstance(action.data.decision, Backorder)
    assert action.data.decision.reason == "no_stock"
    missing = {s.sku: s.missing for s in action.data.decision.shortages}
    assert missing == {"BOOK": 2, "LAMP": 1}
    assert "2 of BOOK, 1 of LAMP" in action.data.because.summary


def test_those_who_wait_are_served_the_oldest_first_when_stock_comes() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 0})
    for name in ("O-3", "O-1", "O-2"):
        log.add(order(name))
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=2))
    run = fold(log)
    assert [a.subject for a in run.of("allocate")] == ["O-3", "O-1"]
    first = run.of("allocate")[0]
    assert first.data.because.causes == (
        len(log.events) - 3,
        len(log.events),
    )
    log.add(
        InboundScheduled(
            inbound="I-1", node="N-NORTH", sku="BOOK", quantity=9, eta=from_ms(log.now_ms)
        )
    )
    assert [a.subject for a in fold(log).of("allocate")] == ["O-3", "O-1", "O-2"]


def test_an_unknown_sku_waits_and_is_served_once_registered() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", {"NEW": 1}))
    run = fold(log)
    (waits,) = run.actions
    assert isinstance(waits.data.decision, Backorder)
    assert waits.data.decision.reason == "unknown_reference"
    assert "SKU NEW is not registered" in waits.data.because.summary
    assert run.totals.orders.unfillable == 1
    log.add(msgspec.structs.replace(sku("BOOK"), sku="NEW"))
    log.add(StockCounted(node="N-NORTH", sku="NEW", quantity=3))
    run = fold(log)
    assert told(run) == [("backorder", "O-1"), ("allocate", "O-1")]
    assert run.totals.orders.unfillable == 0


def test_an_unknown_region_is_tried_again_by_itself() -> None:
    log = Log().network_of(BOTH)
    log.add(msgspec.structs.replace(order("O-1"), region="WEST"))
    log.tick(HOUR)
    assert reasons(fold(log)) == ["still unknown_reference"]
    log.add(msgspec.structs.replace(region("SOUTH"), region="WEST"))
    log.tick(2 * HOUR)
    assert fold(log).of("allocate")[0].subject == "O-1"


def test_an_order_that_no_service_takes_is_tried_again() -> None:
    log = Log().network_of({("N-NORTH", "SOFA"): 1})
    log.add(order("O-1", {"SOFA": 1}))
    (waits,) = fold(log).actions
    assert isinstance(waits.data.decision, Backorder)
    assert waits.data.decision.reason == "no_route"
    assert waits.data.because.eliminated
    log.add(carrier("TRUCK", service("pallet", max_weight_g=500_000)))
    log.tick(HOUR)
    assert told(fold(log))[-1] == ("allocate", "O-1")


def test_tries_become_rarer() -> None:
    log = Log().network_of({("N-NORTH", "SOFA"): 1})
    log.add(order("O-1", {"SOFA": 1}))
    for _ in range(10 * 24):
        log.tick(HOUR)
    tried = reasons(fold(log)).count("still no_route")
    assert 5 < tried < 20


def test_a_count_below_what_is_reserved_sources_the_newest_order_again() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2, ("N-SOUTH", "BOOK"): 2})
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=1))
    run = fold(log)
    assert told(run)[2:] == [("reconcile", "N-NORTH/BOOK"), ("release", "O-2"), ("allocate", "O-2")]
    again = run.of("allocate")[-1].data
    assert isinstance(again.decision, Allocate)
    assert again.decision.legs[0].node == "N-SOUTH"
    assert again.decision.replaces == "BOOK at N-NORTH no longer covered"
    assert "Sourced again: BOOK at N-NORTH no longer covered." in again.because.summary
    assert run.totals.orders.allocated == 2


def test_a_short_pick_is_sourced_from_another_node() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1", {"BOOK": 2}))
    log.add(StockShortPicked(node="N-NORTH", sku="BOOK", order="O-1", expected=2, picked=1))
    run = fold(log)
    again = run.of("allocate")[-1].data.decision
    assert isinstance(again, Allocate)
    assert [(leg.node, leg.lines[0].quantity) for leg in again.legs] == [("N-SOUTH", 1)]
    assert again.replaces == "short pick at N-NORTH"
    assert run.twin.position("N-NORTH", "BOOK").on_hand == 0
    assert reserved(run) == 0


def failed(reason: str, stock: dict[tuple[str, str], int]) -> Run:
    log = Log().network_of(stock)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.add(ShipmentFailed(shipment="S-1", reason=reason, party="carrier"))  # type: ignore[arg-type]
    return fold(log)


def test_a_lost_parcel_is_sent_again() -> None:
    run = failed("lost", BOTH)
    (reship,) = run.of("reship")
    assert isinstance(reship.data.decision, Reship)
    assert reship.data.decision.shipment == "S-1"
    assert reserved(run, reship.data.decision.leg.node) == 1
    assert sum(reship.data.because.terms.values()) == reship.data.because.score_cents
    assert "O-1" in run.twin.orders


def test_a_lost_parcel_without_stock_is_paid_back() -> None:
    assert ("refund", "O-1") in told(failed("lost", ONE))


def test_a_refused_parcel_is_paid_back() -> None:
    run = failed("refused", BOTH)
    (refund,) = run.of("refund")
    assert isinstance(refund.data.decision, Refund)
    assert (refund.data.mode, refund.data.decision.cents) == ("act", 2_500)
    assert refund.data.because.terms == {"lost margin": 750, "lost goodwill": 1_000}
    assert run.of("reship") == []
    assert run.twin.orders == {}
    assert run.facts(OrderMoved)[-1].after == "lost"


def test_what_was_sent_again_ends_the_order_when_it_arrives() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.add(ShipmentFailed(shipment="S-1", reason="lost", party="carrier"))
    log.add(dispatch("S-2", "O-1"))
    log.add(ShipmentDelivered(shipment="S-2"))
    run = fold(log)
    assert run.twin.orders == {}
    assert run.facts(OrderMoved)[-1].after == "delivered"
    assert reserved(run) == 0


def at_risk(weights: Weights, service_name: str = "standard", stock: int = 0) -> Run:
    """A parcel with a risk of being late while there is still time to speed it up."""
    log = Log().network_of({("N-SOUTH", "BOOK"): 1 + stock})
    log.add(order("O-1"))
    log.add(StockPicked(node="N-SOUTH", sku="BOOK", quantity=1, order="O-1"))
    promised_ms = log.now_ms + 30 * HOUR * 1000
    log.add(dispatch("S-1", "O-1", node="N-SOUTH", service=service_name, promised_ms=promised_ms))
    log.add(ShipmentScanned(shipment="S-1", status="picked_up"), HOUR)
    return fold(log, Policy(weights=weights, delays=Delays(act_above=0.05)))


def test_a_parcel_likely_late_is_rerouted_if_express_pays() -> None:
    run = at_risk(Weights(late_fixed_cents=90_000))
    assert run.facts(DelayRisk)[0].p_late > 0.05
    (reroute,) = run.of("reroute")
    decision = reroute.data.decision
    assert isinstance(decision, Reroute)
    assert (decision.from_service, decision.to_service) == ("standard", "express")
    because = reroute.data.because
    assert [other.option for other in because.alternatives] == ["waiting"]
    assert because.alternatives[0].score_cents > because.score_cents
    assert "likely to be late" in because.summary


def test_nothing_is_done_twice_for_one_parcel() -> None:
    run = at_risk(Weights(late_fixed_cents=90_000))
    assert len(run.facts(DelayRisk)) >= 1
    assert len(run.of("reroute")) == 1


def test_nothing_is_done_if_waiting_is_cheapest() -> None:
    run = at_risk(Weights(late_fixed_cents=100, late_hour_cents=1), stock=5)
    assert told(run) == [("allocate", "O-1")]
    assert "waiting is cheapest" in reasons(run)


def test_nothing_is_done_if_there_is_nothing_faster() -> None:
    run = at_risk(Weights(late_fixed_cents=100, late_hour_cents=1), "express")
    assert run.of("reroute") == []
    assert set(reasons(run)) <= {"there is no alternative"}


def test_an_order_handed_over_before_it_was_heard_of_is_not_allocated() -> None:
    log = Log().network_of(BOTH)
    log.add(dispatch("S-1", "O-1"))
    log.add(order("O-1"))
    log.add(ShipmentDelivered(shipment="S-1"))
    run = fold(log)
    assert run.actions == []
    assert reasons(run) == ["it was handed over before it was heard of"]
    assert reserved(run) == 0
    assert run.twin.orders == {}
    assert run.totals.orders.allocated == 1


def test_a_parcel_is_presumed_lost_long_after_its_promise() -> None:
    policy = Policy(delays=Delays(give_up_s=10 * DAY))
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(dispatch("S-1", "O-1"))
    log.tick(14 * DAY - 1 * HOUR)
    assert fold(log, policy).of("refund") == []
    log.tick(DAY)
    log.tick(DAY)  # looked at once a day
    run = fold(log, policy)
    (refund,) = run.of("refund")
    assert "failed: lost" in refund.data.because.summary
    assert run.twin.orders == {}


def test_a_second_order_of_the_same_name_is_left_alone() -> None:
    log = Log().network_of(BOTH)
    log.add(order("O-1"))
    log.add(order("O-1", {"BOOK": 4}))
    run = fold(log)
    assert told(run) == [("allocate", "O-1")]
    assert reasons(run) == ["the order is already open"]
