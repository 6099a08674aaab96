"""Any bytes give an event, or a dead letter with place and reason."""

import base64
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.codec import (
    DeadLetter,
    JournalLine,
    decode,
    decode_action,
    decode_carefully,
    encode,
    encode_action,
)
from state.dead_letters import decode_dead_letter, encode_dead_letter
from state.events import EVENT_TYPES, Event
from state.untrusted import MAX_DEPTH, MAX_LINE_BYTES
from tests.builders import START_MS, Log, fold, line, order


def wire(**changes: object) -> dict[str, object]:
    document = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "test",
        "type": "crossdock.stock.counted",
        "time": "2026-01-05T08:00:00Z",
        "recordedtime": "2026-01-05T08:00:01Z",
        "partitionkey": "net",
        "data": {"node": "N", "sku": "S", "quantity": 3},
    }
    return {**document, **changes}


def decoded(document: object) -> Event | DeadLetter:
    return decode(line(json.dumps(document).encode()))


def refused(document: object) -> DeadLetter:
    result = decoded(document)
    assert isinstance(result, DeadLetter)
    return result


def test_a_valid_line_becomes_an_event_with_times_in_milliseconds() -> None:
    event = decoded(wire())
    assert isinstance(event, Event)
    assert event.time_ms == START_MS
    assert event.recorded_ms == START_MS + 1000
    assert event.network == "net"


def test_encoding_and_decoding_gives_the_event_back() -> None:
    event = Log().add(order("O-1"))
    assert decode(line(encode(event))) == event


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": 1e999}', "not_json"),
        (b"[" * 5_000, "not_json"),
        *(
            (opening * depth + b"1" + closing * depth, "too_deep")
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"))
            for depth in (MAX_DEPTH + 1, 254, 999, 1_023)
        ),
        (b'{"id": "a\x7fb"}', "not_an_event"),
        (b'{"id": "\\ud800"}', "not_json"),
        (b"[1]", "not_an_event"),
        (b"null", "not_an_event"),
        (b"{}", "not_an_event"),
        (b"x" * (MAX_LINE_BYTES + 1), "too_long"),
    ],
)
def test_bytes_that_are_no_event_are_dead_letters(raw: bytes, reason: str) -> None:
    letter = decode(line(raw, 7))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == reason
    assert letter.line.raw == raw
    assert str(letter).endswith("at test.jsonl:7")


@pytest.mark.parametrize(
    ("data", "reason", "expected", "was"),
    [
        ({"node": "N", "sku": "S", "quantity": -1}, "invalid_data", ">= 0", "-1"),
        ({"node": "N", "sku": "S", "quantity": 1.5}, "invalid_data", "int", "1.5"),
        ({"node": "N", "sku": "S", "quantity": 10**12}, "invalid_data", "<=", "1000000000000"),
        ({"node": "N", "sku": "S"}, "invalid_data", "`quantity`", "without it"),
        ({"node": "", "sku": "S", "quantity": 1}, "invalid_data", "length >= 1", "''"),
        ({"node": "N" * 500, "sku": "S", "quantity": 1}, "invalid_data", "128", "NNN"),
        ({"node": "N", "sku": "S", "quantity": 1, "qty": 2}, "invalid_data", "unknown", "qty"),
    ],
)
def test_a_bad_field_is_named_with_what_was_there(
    data: dict[str, object], reason: str, expected: str, was: str
) -> None:
    letter = refused(wire(data=data))
    assert letter.reason == reason
    assert expected in letter.expected
    assert was in letter.was or was in letter.expected
    assert letter.network == "net"
    assert letter.type == "crossdock.stock.counted"


@pytest.mark.parametrize(
    "instant",
    ["1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00"],
)
def test_absurd_times_are_dead_letters(instant: str) -> None:
    assert refused(wire(time=instant)).reason == "absurd_time"
    assert refused(wire(recordedtime=instant)).reason == "absurd_time"


def test_absurd_times_inside_the_data_are_dead_letters() -> None:
    data = {"inbound": "I", "node": "N", "sku": "S", "quantity": 1, "eta": "2222-01-01T00:00:00Z"}
    letter = refused(wire(type="crossdock.inbound.scheduled", data=data))
    assert letter.reason == "absurd_time"
    assert "data.eta" in letter.expected


@pytest.mark.parametrize("name", ["a\nb", "N\n", "\x00", "tab\t"])
def test_control_characters_are_refused_wherever_they_are(name: str) -> None:
    for document in (wire(id=name), wire(data={"node": name, "sku": "S", "quantity": 1})):
        letter = refused(document)
        assert "control characters" in letter.expected
        assert repr(name) in letter.was


def test_a_time_without_an_offset_is_refused() -> None:
    assert refused(wire(time="2026-01-05T08:00:00")).reason == "not_an_event"


def test_an_unknown_type_is_a_dead_letter_that_names_it() -> None:
    letter = refused(wire(type="crossdock.stock.vanished"))
    assert letter.reason == "unknown_type"
    assert "vanished" in letter.was


def test_a_damaged_compressed_log_is_a_dead_letter() -> None:
    letter = decode(JournalLine(5, "log.gz", 5, b"", 0, None, "EOFError: cut off"))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "unreadable"


@pytest.mark.parametrize("raw", [b"plain text", b"\xff\x00\xfe", b""])
def test_a_dead_letter_survives_its_own_encoding(raw: bytes) -> None:
    letter = decode(line(raw))
    assert isinstance(letter, DeadLetter)
    assert decode_dead_letter(encode_dead_letter(letter)) == letter
    kept = json.loads(encode_dead_letter(letter))
    assert kept.get("raw", "").encode() == raw or base64.b64decode(kept["raw_base64"]) == raw


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_decoded_without_raising(raw: bytes) -> None:
    assert isinstance(decode(line(raw)), Event | DeadLetter)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["net", "2026-01-05T08:00:00Z", "1.0", *EVENT_TYPES]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(wire())), _VALUES), st.sampled_from([*EVENT_TYPES]))
def test_any_values_in_the_envelope_are_decoded_without_raising(
    changes: dict[str, object], kind: str
) -> None:
    raw = json.dumps(wire(type=kind) | changes).encode("utf-8", "surrogatepass")
    assert isinstance(decode(line(raw)), Event | DeadLetter)


def _lines() -> list[bytes]:
    log = Log().network_of({("N-NORTH", "BOOK"): 5})
    log.add(order("O-1"))
    return [encode(event) for event in log.events]


_PARTS = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\\", b"\\u0041", b"\x7f", b"\x00"),
    *("ä".encode(), b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"Z", b"+01:00", b"a", b"A" * 200),
    *(
        b"0",
        b"1.0",
        b"1e1",
        b"-0",
        b"1e400",
        b"NaN",
        b"12345678901234567890",
        b"null",
        b"[]",
        b"{}",
    ),
    *(b'"traceparent":"00",', b'"partitionkey":"net",', b'"partitionkey":"-",', b'"id":"other",'),
    *(b"1999-12-31T23:59:59.9999Z", b"2099-12-31T23:59:59.9999Z", b"2026-01-05T08:00:00.0005Z"),
]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 2_000, 40_000])
def test_data_of_any_depth_is_a_dead_letter_both_ways(opening: bytes, depth: int) -> None:
    raw = encode(Log().add(order("O-1"))).replace(b'"data":{', b'"data":' + opening * depth)
    assert isinstance(decode(line(raw)), DeadLetter)
    assert repr(decode(line(raw))) == repr(decode_carefully(line(raw)))


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(_lines()),
    st.floats(0.0, 1.0),
    st.sampled_from([0, 0, 1, 2, 24]),
    st.sampled_from(_PARTS) | st.binary(max_size=2),
)
def test_the_quick_and_the_careful_way_read_the_same(
    raw: bytes, place: float, cut: int, put: bytes
) -> None:
    at = round(place * len(raw))
    changed = line(raw[:at] + put + raw[at + cut :])
    assert repr(decode(changed)) == repr(decode_carefully(changed))


def test_actions_survive_their_own_encoding() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 5})
    log.add(order("O-1"))
    (action,) = fold(log).actions
    assert decode_action(encode_action(action)) == action


def test_what_is_no_action_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match="expected an action"):
        decode_action(encode(Log().add(order("O-1"))))


def test_non_finite_numbers_cannot_reach_a_model() -> None:
    data = {"kind": "search", "ratio": math.inf}
    assert isinstance(decoded(wire(type="crossdock.signal.observed", data=data)), DeadLetter)
