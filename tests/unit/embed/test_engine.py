"""The engine inside another program: the actions of a replay, from events fed one by one."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crossdock import Action, Engine, Event, Policy, replay
from operators.core.contract import Record, pack, unpack
from operators.core.entry import to_record
from state.codec import DeadLetter, JournalLine, encode, encode_action
from state.errors import InvariantBroken, SnapshotError
from state.events import OrderPlaced, StockReceived
from state.journals import open_journal
from tests.builders import Log, line, order
from tests.golden import EXPECTED, LOG
from tests.places import ROOT

STOCK = {("N-NORTH", "BOOK"): 10, ("N-SOUTH", "BOOK"): 10}


def golden_lines() -> Iterator[bytes]:
    with open_journal([LOG]) as reader:
        yield from (each.raw for each in reader)


def a_log(network: str = "net", orders: int = 3) -> Log:
    log = Log(network).network_of(STOCK)
    for number in range(orders):
        log.add(order(f"o{number}"), 60)
    return log


def quiet(policy: Policy | None = None, **options: Any) -> Engine:
    """Return an engine that logs no warnings."""
    return Engine(policy, on_dead_letter=lambda letter: None, **options)


def fed(engine: Engine, events: Iterable[Event | bytes | str]) -> list[bytes]:
    return [encode_action(action) for event in events for action in engine.feed(event)]


# The bytes of a replay.


def test_the_golden_log_fed_line_by_line_through_snapshots_gives_the_golden_digest() -> None:
    engine, digest = quiet(), sha256()
    for number, raw in enumerate(golden_lines(), 1):
        for action in engine.feed(raw):
            digest.update(encode_action(action) + b"\n")
        if number % 2_500 == 0:
            state, engine = engine.snapshot(), quiet()
            engine.restore(state)
            assert (engine.seq, engine.snapshot()) == (number, state)
    assert digest.hexdigest() == json.loads(EXPECTED.read_text())["digest"]


def test_events_bytes_and_text_are_the_same_journal(tmp_path: Path) -> None:
    events = a_log().events
    lines = [encode(event) for event in events]
    as_lines = fed(quiet(), lines)
    assert as_lines
    assert fed(quiet(), events) == as_lines
    assert fed(quiet(), [raw.decode() + "\n" for raw in lines]) == as_lines
    assert fed(quiet(), [raw + b"\r\n" for raw in lines]) == as_lines


def test_networks_share_one_order_and_nothing_else(tmp_path: Path) -> None:
    here, there = a_log("here").events, a_log("there").events
    mixed = [event for pair in zip(here, there, strict=True) for event in pair]
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(encode(event) + b"\n" for event in mixed))
    engine = quiet()
    actions = fed(engine, mixed)
    assert actions == [encode_action(action) for action in replay(log)]
    assert engine.networks == ["here", "there"]
    assert engine.seq == len(mixed)


def test_an_engine_that_was_killed_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from state.codec import encode_action
from tests.unit.embed.test_engine import golden_lines, quiet
engine = quiet()
for number, raw in enumerate(golden_lines(), 1):
    for action in engine.feed(raw):
        print(encode_action(action).decode(), flush=True)
    if number == 1_400:
        Path({str(tmp_path / "state")!r}).write_bytes(engine.snapshot())
    if number == 1_500:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    before = {msgspec.json.decode(raw)["id"]: raw for raw in done.stdout.splitlines()}
    engine, whole = quiet(), quiet()
    engine.restore((tmp_path / "state").read_bytes())
    lines = list(golden_lines())[:1_600]
    after = {msgspec.json.decode(raw)["id"]: raw for raw in fed(engine, lines[engine.seq :])}
    repeated = before.keys() & after.keys()
    assert repeated
    assert all(before[each] == after[each] for each in repeated)
    assert list((before | after).values()) == fed(whole, lines)


# Bad input.


BAD: list[tuple[Any, str]] = [
    (b"", "not_json"),
    (b"{", "not_json"),
    (b"\xff\xfe", "not_json"),
    ("\ud800", "not_json"),
    (b'{"a":1}\n{"a":2}', "not_json"),
    (b"[" * 100_000, "not_json"),
    (b" " * 300_000, "too_long"),
    (b"1", "not_an_event"),
    (b'{"specversion":"1.0"}', "not_an_event"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=range(len(BAD)))
def test_a_line_that_is_no_event_is_a_dead_letter_with_a_place(bad: Any, reason: str) -> None:
    letters: list[DeadLetter] = []
    engine = Engine(on_dead_letter=letters.append)
    assert engine.feed(bad) == []
    assert [(each.reason, each.line.seq) for each in letters] == [(reason, 1)]
    assert engine.seq == 1


def test_an_event_made_by_hand_is_checked_like_any_line() -> None:
    letters: list[DeadLetter] = []
    engine = Engine(on_dead_letter=letters.append)
    good = a_log().events[0]
    for wrong in (
        {"type": "crossdock.order.placed"},
        {"type": 5},
        {"recorded_ms": "noon"},
        {"recorded_ms": 10**30},
        {"fact": order("o", {"BOOK": -4})},
        {"fact": object()},
        {"fact": None},
        {"id": ""},
        {"network": "a:b"},
    ):
        assert engine.feed(msgspec.structs.replace(good, **wrong)) == []
    assert [each.line.seq for each in letters] == list(range(1, 10))
    assert engine.networks == []
    for letter in letters:
        assert letter.line.source == "embedded"
        assert str(letter).startswith("expected ")


def test_what_is_no_line_at_all_is_refused_and_takes_no_place() -> None:
    engine = quiet()
    for wrong in (None, {}, 5, bytearray(b"{}")):
        with pytest.raises(TypeError, match="expected an Event, bytes or str"):
            engine.feed(wrong)  # type: ignore[arg-type]
    assert engine.seq == 0


def test_a_fact_waits_for_its_node_and_is_a_dead_letter_when_none_comes() -> None:
    letters: list[DeadLetter] = []
    engine = Engine(on_dead_letter=letters.append)
    log = Log()
    engine.feed(log.add(StockReceived(node="N-NEW", sku="BOOK", quantity=5)))
    assert not letters
    engine.feed(log.tick(Policy().hygiene.lateness_s + 1))
    assert [(each.reason, each.line.seq) for each in letters] == [("unknown_reference", 1)]


def test_an_engine_that_was_stopped_takes_nothing_in_until_it_is_restored() -> None:
    def refuse(letter: DeadLetter) -> None:
        raise RuntimeError("no dead letters here")

    engine = Engine(on_dead_letter=refuse)
    events = a_log().events
    fed(engine, events[:5])
    state = engine.snapshot()
    with pytest.raises(RuntimeError):
        engine.feed(b"bad")
    with pytest.raises(InvariantBroken, match="restore"):
        engine.feed(events[5])
    engine.restore(state)
    assert fed(engine, events[5:]) == fed(quiet(), events)


# Snapshots.


def test_a_snapshot_of_something_else_is_refused_and_changes_nothing() -> None:
    events = a_log().events
    engine = quiet()
    fed(engine, events[:-1])
    whole = engine.snapshot()
    strangers = (
        quiet(Policy(currency="USD")).snapshot(),
        pack("engine/0", {}),
        b"",
        *(whole[:size] for size in range(1, len(whole), 997)),
        _of(quiet(after={"hygiene": Counting}), events[:-1]).snapshot(),
    )
    for stranger in strangers:
        with pytest.raises(SnapshotError):
            engine.restore(stranger)
        assert engine.snapshot() == whole
    assert fed(engine, events[-1:]) == fed(quiet(), events)[-1:]


def _of(engine: Engine, events: Iterable[Event]) -> Engine:
    fed(engine, events)
    return engine


# Operators of one's own.


class _Seen(msgspec.Struct):
    orders: int = 0


class Counted(msgspec.Struct, frozen=True):
    """So many orders were seen."""

    orders: int


class Counting:
    """Counter of orders, which emits the count behind each."""

    name = "counting"

    def __init__(self, network: str, policy: Policy) -> None:
        self._seen = _Seen()

    def step(self, record: Record) -> list[Record]:
        if not isinstance(record.fact, OrderPlaced):
            return [record]
        self._seen.orders += 1
        return [record, record.derive(Counted(self._seen.orders))]

    def snapshot(self) -> bytes:
        return pack("counting/1", self._seen)

    def restore(self, data: bytes) -> None:
        self._seen = unpack("counting/1", data, _Seen)


def counts(engine: Engine, events: Iterable[Event]) -> list[int]:
    facts = [record.fact for event in events for record in engine.step(event)]
    return [fact.orders for fact in facts if isinstance(fact, Counted)]


@pytest.mark.parametrize(
    "place", ["hygiene", "demand", "lanes", "delays", "incidents", "govern", "rollups"]
)
def test_facts_of_an_operator_leave_the_chain_wherever_it_stands(place: str) -> None:
    events = a_log().events
    assert counts(quiet(after={place: Counting}), events) == [1, 2, 3]
    assert fed(quiet(after={place: Counting}), events) == fed(quiet(), events)


def test_an_operator_resumes_with_the_engine() -> None:
    events = a_log().events
    engine, again = quiet(after={"hygiene": Counting}), quiet(after={"hygiene": Counting})
    counts(engine, events[:-1])
    again.restore(engine.snapshot())
    assert counts(again, events[-1:]) == [3]


@pytest.mark.parametrize("place", ["orchestrate", "notices", "loop", "nowhere"])
def test_an_operator_stands_at_no_other_place(place: str) -> None:
    with pytest.raises(ValueError, match="expected a place among hygiene"):
        quiet(after={place: Counting})


def test_two_operators_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="a name each"):
        fed(quiet(after={"hygiene": Counting, "rollups": Counting}), a_log().events)


def test_records_that_leave_the_chain_have_the_events_and_what_followed() -> None:
    event = a_log().events[0]
    facts = [record.fact for record in quiet().step(event)]
    assert event.fact in facts
    kinds = {type(record.fact) for record in quiet().step(b"bad")}
    assert kinds == {DeadLetter}
    assert Action not in kinds


def test_a_line_enters_as_it_does_from_a_file() -> None:
    """The origin apart: of a line that was fed, that is its place in the journal."""
    raw = encode(a_log().events[0])
    (record,) = (each for each in quiet().step(raw) if each.event is not None)
    expected = to_record(line(raw))
    assert (record.network, record.seq, record.fact) == ("net", expected.seq, expected.fact)
    assert record.line == JournalLine(1, "embedded", 1, raw, len(raw))
