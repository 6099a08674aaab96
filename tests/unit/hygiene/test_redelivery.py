"""No event takes effect twice, however long ago it came first; memory is bounded all the same."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from operators.chain import build_chain, to_record
from operators.core.facts import Duplicate, FeedHealth, OrderMoved
from operators.hygiene import redelivery
from operators.hygiene.redelivery import Remembered
from state.actions import Action
from state.codec import DeadLetter, encode
from state.events import Event, PolicyChanged, ShipmentDelivered, StockPicked, StockReceived
from state.policy import Hygiene, Policy
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, line, node, order
from tests.random_logs import logs

STOCK = {("N-NORTH", "BOOK"): 9}
#: Forgets as soon as it may.
FORGETFUL = Policy(hygiene=Hygiene(remembered_ids=5))

Said = tuple[str, int, int]


@settings(deadline=None)
@given(
    said=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=120),
    pauses=st.lists(st.integers(0, 20), min_size=120, max_size=120),
    ages=st.lists(st.integers(0, 60), min_size=31, max_size=31),
)
def test_nothing_is_let_in_twice_and_memory_is_bounded(
    said: list[tuple[str, int]], pauses: list[int], ages: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redelivery, "_REMEMBERED_MS", 50)
        patch.setattr(redelivery, "_MOST_IDS", 6)
        patch.setattr(redelivery, "_MOST_SOURCES", 2)
        seen, let_in, now_ms = Remembered(), [], 1_000
        happened: dict[tuple[str, int], int] = {}
        for (source, number), pause in zip(said, pauses, strict=False):
            now_ms += pause
            # An event has the same time whenever it is delivered.
            time_ms = happened.setdefault((source, number), now_ms - ages[number])
            if seen.knows(source, str(number)) or time_ms <= seen.forgotten_ms(source):
                continue
            let_in.append((source, number))
            seen.add(source, str(number), time_ms, now_ms, 3)
            assert seen.knows(source, str(number))
            assert len(seen) <= 12 and len(seen.forgotten) <= 2
            seen = msgspec.msgpack.decode(msgspec.msgpack.encode(seen), type=Remembered)
        assert len(let_in) == len(set(let_in))


def test_what_is_new_and_in_time_is_always_let_in() -> None:
    seen = Remembered()
    for hour in range(24 * 20):
        now_ms = hour * HOUR * 1000
        late_ms = now_ms - 40 * HOUR * 1000
        for number in range(3):
            assert late_ms > seen.forgotten_ms("wms") or hour < 41
            seen.add("wms", f"{hour}-{number}", late_ms, now_ms, 5)
    assert len(seen) <= 4 * 24 * 3 + 10, "two generations of two days"


def forgetting(event: Event) -> Event:
    """The event; a change of policy keeps on forgetting as soon as it may."""
    fact = event.fact
    if not isinstance(fact, PolicyChanged):
        return event
    policy = {**fact.policy, "hygiene": {"remembered_ids": 5}}
    return msgspec.structs.replace(event, fact=PolicyChanged(policy=policy))


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(log=logs(most=30), forgets=st.booleans())
def test_a_log_that_is_published_again_has_no_second_effect(log: Log, forgets: bool) -> None:
    if forgets:
        log.events = [forgetting(event) for event in log.events]
    first = len(log.events)
    for _ in range(12):
        log.add(StockReceived(node="N-SPARE", sku="SOFA", quantity=1), DAY)
    chain = build_chain("net", FORGETFUL if forgets else Policy())
    without_effect = {
        record.fact.line.seq
        for each in log.lines()
        for record in chain.step(to_record(each))
        if isinstance(record.fact, DeadLetter)
    }
    before = _twin(chain.snapshot())
    seq = len(log.events)
    for number, event in enumerate(log.events[:first], 1):
        if number in without_effect and not forgets:
            continue  # what waited in vain may come again, as long as its id is remembered
        seq += 1
        raw = encode(msgspec.structs.replace(event, recorded_ms=log.now_ms))
        facts = [record.fact for record in chain.step(to_record(line(raw, seq)))]
        (fate,) = (fact for fact in facts if isinstance(fact, Duplicate | DeadLetter))
        assert isinstance(fate, DeadLetter) == forgets
        if isinstance(fate, DeadLetter):
            assert (fate.reason, fate.line.raw) == ("too_late", raw)
        assert not any(isinstance(fact, Action | FeedHealth) for fact in facts)
    assert _twin(chain.snapshot()) == before


def _twin(snapshot: bytes) -> object:
    other = build_chain("net", Policy())
    other.restore(snapshot)
    return next(o for o in other.operators if o.name == "orchestrate").twin  # type: ignore[attr-defined]


def forgotten() -> Log:
    """A network with a supply of books, forgotten among what came after it."""
    log = Log().network_of(STOCK)
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=5))
    for _ in range(12):
        log.add(StockReceived(node="N-SPARE", sku="SOFA", quantity=1), DAY)
    return log


def again(log: Log, events: Sequence[Event]) -> Run:
    lines = log.lines()
    for event in events:
        raw = encode(msgspec.structs.replace(event, recorded_ms=log.now_ms))
        lines.append(line(raw, len(lines) + 1))
    return fold(lines, FORGETFUL)


def test_what_may_be_a_redelivery_is_a_dead_letter_that_says_so_and_costs_no_health() -> None:
    log = forgotten()
    supply = next(e for e in log.events if isinstance(e.fact, StockReceived))
    run = again(log, [supply] * 80)
    assert run.twin.position("N-NORTH", "BOOK").on_hand == 14
    letter = run.dead_letters[0]
    assert letter.reason == "too_late"
    assert "what test said up to then is forgotten" in letter.expected
    assert len(run.dead_letters) == 80 and not run.facts(FeedHealth)
    assert [feed.duplicates for feed in run.operator("hygiene").feeds.feeds.values()].count(80) == 1


def test_a_producer_that_was_away_is_heard_with_all_that_happened_meanwhile() -> None:
    log = Log().network_of(STOCK)
    supply = StockReceived(node="N-NORTH", sku="BOOK", quantity=1)
    first = msgspec.structs.replace(log.add(supply), source="wms")
    log.events[-1] = first
    for _ in range(12):
        log.add(StockReceived(node="N-SPARE", sku="SOFA", quantity=1), DAY)
    for days_ago in (11, 8, 3, 1):
        late = log.add(supply, happened_s_ago=days_ago * DAY)
        log.events[-1] = msgspec.structs.replace(late, source="wms")
    run = again(log, [first])
    assert run.twin.position("N-NORTH", "BOOK").on_hand == 9 + 1 + 4
    assert [letter.reason for letter in run.dead_letters] == ["too_late"]


def test_an_old_registration_of_what_is_new_here_counts_once() -> None:
    log = forgotten()
    old = log.add(node("N-SPARE", parcels_per_day=7), happened_s_ago=400 * DAY)
    news = msgspec.structs.replace(node("N-SPARE"), node="N-NEW")
    new = log.add(news, happened_s_ago=300 * DAY)
    run = again(log, [new, new])
    twin = run.twin
    assert twin.geography.nodes["N-NEW"] == news
    assert twin.geography.nodes["N-SPARE"].parcels_per_day != 7, "a later registration stands"
    assert [letter.line.raw for letter in run.dead_letters] == [encode(old)]
    assert len(run.facts(Duplicate)) == 2


def test_the_delivery_of_a_parcel_under_way_counts_however_late_it_is_told() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-1"))
    log.add(dispatch("S-1", "O-1"))
    happened = len(log.events)
    for _ in range(12):
        log.add(StockReceived(node="N-SPARE", sku="SOFA", quantity=1), DAY)
    late = log.add(ShipmentDelivered(shipment="S-1"), happened_s_ago=11 * DAY)
    run = again(log, log.events[:happened])
    assert "O-1" not in run.twin.orders
    assert [moved.after for moved in run.facts(OrderMoved)][-1] == "delivered"
    assert encode(late) not in [letter.line.raw for letter in run.dead_letters]
