"""Hygiene: facts let in, left out, parked and refused."""

import msgspec
import pytest

from operators.core.facts import Duplicate, FeedHealth, Parked, PolicyInForce
from operators.hygiene.feeds import FeedKey
from state.codec import encode
from state.events import (
    ClockTicked,
    NodeRegistered,
    OrderPlaced,
    PolicyChanged,
    ShipmentScanned,
    StockCounted,
    StockReceived,
)
from state.policy import Hygiene, Policy
from tests.builders import DAY, HOUR, SKUS, Log, Run, dispatch, fold, line, node, order, region

STOCK = {("N-NORTH", "BOOK"): 9}
YEARS = 3 * 365 * DAY


def again(log: Log, *positions: int) -> Run:
    """The log, with the events at `positions` delivered once more at its end."""
    lines = log.lines()
    for position in positions:
        lines.append(line(encode(log.events[position]), len(lines) + 1))
    return fold(lines)


def on_hand(run: Run, name: str = "N-NORTH", sku: str = "BOOK") -> int:
    return run.twin.position(name, sku).on_hand


def test_a_duplicate_is_left_out_and_counted() -> None:
    log = Log().network_of(STOCK)
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=5))
    run = again(log, -1, -1)
    assert on_hand(run) == 14
    assert len(run.facts(Duplicate)) == 2
    assert run.totals.duplicates == 2
    assert run.totals.events == len(log.events) + 2


def test_the_same_id_of_another_producer_is_no_duplicate() -> None:
    log = Log().network_of(STOCK)
    event = log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=5))
    other = msgspec.structs.replace(event, source="another")
    lines = [*log.lines(), line(encode(other), len(log.events) + 1)]
    assert on_hand(fold(lines)) == 19


def test_duplicates_cost_no_health() -> None:
    log = Log().network_of(STOCK)
    for _ in range(60):
        log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=1))
    run = again(log, *([-1] * 500))
    assert run.totals.duplicates == 500
    assert run.facts(FeedHealth) == []
    assert run.operator("hygiene")._state.feeds.feeds[FeedKey("inventory", "test")].bad == 0


def test_a_scan_before_its_dispatch_waits_and_then_counts() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.add(ShipmentScanned(shipment="S-1", status="in_transit"))
    waiting = fold(log)
    assert waiting.facts(Parked) == [Parked(reference="shipment S-1")]
    assert waiting.parked == 1
    log.add(dispatch("S-1", "O-1"), 60, happened_s_ago=120)
    run = fold(log)
    assert run.parked == 0
    assert run.twin.shipments["S-1"].status == "in_transit"
    assert run.totals.events == len(log.events)


def test_a_reference_that_never_comes_makes_a_dead_letter_with_its_bytes() -> None:
    log = Log().network_of(STOCK)
    lost = log.add(StockReceived(node="N-NEW", sku="BOOK", quantity=5))
    log.tick(2 * HOUR - 1)
    assert fold(log).dead_letters == []
    log.tick(1)
    run = fold(log)
    (letter,) = run.dead_letters
    assert letter.reason == "unknown_reference"
    assert letter.expected == "a known node N-NEW"
    assert letter.line.raw == encode(lost)
    assert letter.line.seq == log.events.index(lost) + 1
    assert run.parked == 0


def test_a_dead_letter_can_be_put_in_again_after_repair() -> None:
    log = Log().network_of(STOCK)
    log.add(StockReceived(node="N-NEW", sku="BOOK", quantity=5), id="lost")
    log.tick(3 * HOUR)
    (letter,) = fold(log).dead_letters
    log.add(msgspec.structs.replace(node("N-NORTH"), node="N-NEW"))
    lines = [*log.lines(), line(letter.line.raw, len(log.events) + 1)]
    run = fold(lines)
    assert on_hand(run, "N-NEW") == 5
    assert run.totals.duplicates == 0
    assert run.totals.dead_letters == 1


def test_facts_wait_for_one_reference_after_the_other() -> None:
    log = Log()
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=5))
    log.add(region("NORTH"))
    log.add(node("N-NORTH"))
    run = fold(log)
    assert [p.reference for p in run.facts(Parked)] == ["node N-NORTH", "sku BOOK"]
    assert run.parked == 1


def test_no_more_facts_wait_than_the_policy_allows() -> None:
    policy = Policy(hygiene=Hygiene(parked_events=2))
    log = Log().network_of(STOCK)
    for number in range(3):
        log.add(StockReceived(node=f"N-{number}", sku="BOOK", quantity=5))
    run = fold(log, policy)
    assert run.parked == 2
    assert [letter.reason for letter in run.dead_letters] == ["unknown_reference"]


def test_a_count_too_late_is_a_dead_letter_and_a_late_movement_is_not() -> None:
    log = Log().network_of(STOCK)
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=1), happened_s_ago=2 * HOUR + 1)
    log.add(StockReceived(node="N-NORTH", sku="LAMP", quantity=4), happened_s_ago=2 * HOUR + 1)
    run = fold(log)
    assert [letter.reason for letter in run.dead_letters] == ["too_late"]
    assert on_hand(run) == 9
    assert on_hand(run, sku="LAMP") == 4


def test_a_clock_that_runs_ahead_is_a_dead_letter() -> None:
    log = Log().network_of(STOCK)
    log.add(ClockTicked(), happened_s_ago=-600)
    log.add(ClockTicked(), happened_s_ago=-601)
    (letter,) = fold(log).dead_letters
    assert letter.reason == "absurd_time"
    assert letter.line.seq == len(log.events)


def test_a_jump_of_years_is_a_dead_letter_and_moves_nothing() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.tick(YEARS)
    log.now_ms -= YEARS * 1000
    log.tick(1)
    run = fold(log)
    assert [letter.reason for letter in run.dead_letters] == ["absurd_time"]
    assert run.totals.now_ms == log.now_ms
    assert run.twin.orders["O-1"].status == "allocated"


def test_three_jumps_in_a_row_are_believed() -> None:
    log = Log().network_of(STOCK)
    log.tick(YEARS)
    log.tick(1)
    log.tick(1)
    run = fold(log)
    assert [letter.reason for letter in run.dead_letters] == ["absurd_time"] * 2
    assert run.totals.now_ms == log.now_ms


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"sourcing": {"max_leggs": 2}}, "max_leggs"),
        ({"sourcing": {"max_legs": "two"}}, "sourcing.max_legs"),
        ({"governance": {"autonomy": {"allocat": "act"}}}, "allocat"),
    ],
)
def test_an_invalid_policy_is_a_dead_letter_that_names_the_key(
    changed: dict[str, object], named: str
) -> None:
    log = Log().network_of(STOCK)
    log.add(PolicyChanged(policy=changed))
    log.add(order("O-1"))
    run = fold(log)
    (letter,) = run.dead_letters
    assert letter.reason == "invalid_data"
    assert named in letter.expected
    assert run.facts(PolicyInForce) == []
    assert run.of("allocate")[0].data.because.policy == Policy().fingerprint()


def test_a_silent_feed_lowers_health_until_it_is_heard_again() -> None:
    log = Log().network_of({("N-NORTH", sku): 500 for sku in SKUS})
    for _ in range(60):
        log.add(StockReceived(node="N-NORTH", sku="LAMP", quantity=1))
    ticking = Log(now_ms=log.now_ms)
    ticking.tick(7 * HOUR)
    ticking.add(order("O-1"))
    ticking.add(order("O-2"))
    for event in ticking.events:
        source = "shop" if isinstance(event.fact, OrderPlaced) else "clock"
        log.events.append(msgspec.structs.replace(event, id=f"late-{event.id}", source=source))
    log.now_ms = ticking.now_ms
    heard = log.add(StockReceived(node="N-NORTH", sku="LAMP", quantity=1))
    log.add(order("O-3"))
    # The feed is known by its first fact: let that be one of inventory.
    for position, event in enumerate(log.events):
        if isinstance(event.fact, StockReceived | StockCounted):
            log.events[position] = msgspec.structs.replace(event, source="wms")
    run = fold(log)
    silent, again_ = run.facts(FeedHealth)
    assert (silent.family, silent.score) == ("inventory", 0.0)
    assert "silent" in silent.reason
    assert again_.score > 0.9
    modes = {action.subject: action.data.mode for action in run.of("allocate")}
    assert modes == {"O-1": "propose", "O-2": "propose", "O-3": "act"}
    assert "inventory feed" in run.of("allocate")[0].data.because.summary
    assert isinstance(heard.fact, StockReceived)


def test_a_registration_is_never_held_up() -> None:
    log = Log()
    log.add(node("N-NORTH"))  # before its region
    run = fold(log)
    assert run.facts(NodeRegistered) and not run.facts(Parked)
