"""Raw messages to canonical events: by rule, in both CloudEvents modes, or to a dead letter."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.canonical import Entry, RawMessage, canonical
from flows.ingest.mapping import Unmapped, map_message
from state.codec import DeadLetter, JournalLine, decode
from state.events import Event, OrderPlaced
from state.feed_settings import FeedSettings
from state.settings import Settings, parse_settings

NOW_MS = 1_770_000_000_000
SHOP = FeedSettings(topic="shop", brings=("demand",))


def shop_feed(**changes: Any) -> FeedSettings:
    rule = {
        "type": "order.placed",
        "when": {"kind": "NEW"},
        "id": "message.id",
        "time": {"from": "created", "time": "unix_s"},
        "network": {"from": "tenant", "map": {"de": "eu", "uk": "gb"}},
        "subject": "order_no",
        "data": {
            "order": "order_no",
            "customer": {"from": "buyer.mail", "default": "unknown"},
            "region": "ship_to.zone",
            "promised": {"from": "deliver_by", "time": "unix_ms"},
            "lines": {
                "from": "items",
                "each": {
                    "sku": "article",
                    "quantity": "qty",
                    "unit_price_cents": {"from": "price", "scale": 100},
                },
            },
            **changes,
        },
    }
    document = {"feeds": [{"topic": "shop", "format": "mapped", "rules": [rule]}]}
    return parse_settings(document, "a test").feeds[0]


def an_order(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "NEW",
        "message": {"id": "m-1"},
        "created": NOW_MS // 1_000,
        "tenant": "de",
        "order_no": "O-1",
        "ship_to": {"zone": "north"},
        "deliver_by": NOW_MS + 172_800_000,
        "items": [{"article": "A", "qty": 2, "price": "59.90"}],
        **changes,
    }


def raw(value: bytes, headers: dict[str, bytes] | None = None) -> RawMessage:
    return RawMessage(
        topic="shop",
        partition=0,
        offset=41,
        value=value,
        headers=headers or {},
        origin="shop/0/41",
    )


def event_of(entry: Entry | DeadLetter) -> Event:
    assert isinstance(entry, Entry), entry
    event = decode(JournalLine(1, "x", 1, entry.value, len(entry.value)))
    assert isinstance(event, Event)
    return event


def test_a_mapped_message_becomes_the_event_it_means() -> None:
    event = event_of(canonical(raw(orjson.dumps(an_order())), shop_feed(), NOW_MS, "now"))
    fact = event.fact
    assert isinstance(fact, OrderPlaced)
    assert (event.id, event.source, event.network, event.subject) == ("m-1", "shop", "eu", "O-1")
    assert fact.customer == "unknown"
    (line,) = fact.lines
    assert (line.sku, line.quantity, line.unit_price_cents) == ("A", 2, 5_990)
    assert event.recorded_ms == NOW_MS


@pytest.mark.parametrize(
    ("change", "expected", "was"),
    [
        ({"kind": "OLD"}, "a rule of feed shop", "OLD"),
        ({"tenant": "fr"}, "one of de, uk at tenant", "fr"),
        ({"items": [{"price": "much"}]}, "a number at price", "much"),
        ({"items": [{"price": 1e300}]}, "a number of at most", "1e+300"),
        ({"created": "soon"}, "a number at created", "soon"),
        ({"created": 1e30}, "an instant as unix_s", "1e+30"),
        ({"items": {}}, "a list", "{}"),
        ({"message": {}}, "id at 'message.id'", "nothing"),
    ],
)
def test_what_no_rule_can_map_says_what_was_expected(
    change: dict[str, Any], expected: str, was: str
) -> None:
    refused = canonical(raw(orjson.dumps(an_order(**change))), shop_feed(), NOW_MS, "now")
    assert isinstance(refused, DeadLetter)
    assert refused.reason == "unmapped"
    assert expected in refused.expected and was in refused.was
    assert refused.line.source == "shop[0]" and refused.line.line == 42


def test_a_mapped_event_that_is_not_valid_keeps_the_bytes_that_came() -> None:
    value = orjson.dumps(an_order(items=[]))
    refused = canonical(raw(value), shop_feed(), NOW_MS, "now")
    assert isinstance(refused, DeadLetter)
    assert refused.reason == "invalid_data" and refused.line.raw == value


def an_event(**changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "shop",
        "type": "crossdock.order.cancelled",
        "time": "2026-02-02T02:00:00Z",
        "partitionkey": "eu",
        "data": {"order": "O-1"},
        **changes,
    }


def test_a_cloud_event_is_stamped_when_it_is_ingested_or_keeps_its_stamp() -> None:
    feed = SHOP
    early = orjson.dumps(an_event(recordedtime="2026-02-02T02:00:01Z"))
    assert event_of(canonical(raw(early), feed, NOW_MS, "now")).recorded_ms == NOW_MS
    kept = event_of(canonical(raw(early), feed, NOW_MS, "keep"))
    assert kept.recorded_ms - kept.time_ms == 1_000
    bare = orjson.dumps(an_event())
    assert event_of(canonical(raw(bare), feed, NOW_MS, "keep")).recorded_ms == NOW_MS


def test_extensions_that_we_do_not_know_stay_in_the_journal() -> None:
    value = orjson.dumps(an_event(traceparent="00-abc-def-01"))
    entry = canonical(raw(value), SHOP, NOW_MS, "now")
    assert isinstance(entry, Entry) and b"00-abc-def-01" in entry.value


def test_the_binary_mode_of_cloud_events_is_read_from_headers() -> None:
    document = an_event()
    data = orjson.dumps(document.pop("data"))
    headers = {f"ce_{name}": str(value).encode() for name, value in document.items()}
    event = event_of(canonical(raw(data, headers), SHOP, NOW_MS, "now"))
    assert event.id == "e-1" and event.network == "eu"


def test_binary_attributes_that_are_no_utf8_or_too_long_are_refused_not_repaired() -> None:
    document = an_event()
    data = orjson.dumps(document.pop("data"))
    good = {f"ce_{name}": str(value).encode() for name, value in document.items()}
    for bad in ({"ce_id": b"\xff"}, {"ce_source": b"s" * 300}):
        refused = canonical(
            raw(data, {**good, **bad}),
            SHOP,
            NOW_MS,
            "now",
        )
        assert isinstance(refused, DeadLetter) and refused.reason == "not_an_event"


@pytest.mark.parametrize("depth", [65, 254, 255, 999, 1_023, 1_024, 5_000])
@pytest.mark.parametrize("place", ["data", "partitionkey", "time", "extra"])
def test_no_nesting_stops_ingest(depth: int, place: str) -> None:
    nested = b"[" * depth + b"]" * depth
    value = orjson.dumps(an_event(**{place: "HERE"})).replace(b'"HERE"', nested)
    for feed in (shop_feed(), SHOP):
        refused = canonical(raw(value), feed, NOW_MS, "now")
        assert isinstance(refused, DeadLetter)
        assert refused.reason == ("too_deep" if depth < 1_024 else "not_json")


def test_what_a_producer_leaves_out_is_added_by_the_feed() -> None:
    feed = FeedSettings(topic="shop", brings=("demand",), source="webshop", network="eu")
    document = an_event()
    for name in ("id", "source", "partitionkey"):
        del document[name]
    event = event_of(canonical(raw(orjson.dumps(document)), feed, NOW_MS, "now"))
    assert (event.id, event.source, event.network) == ("shop/0/41", "webshop", "eu")


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(st.binary(max_size=60), st.text().map(lambda t: orjson.dumps([t]))))
def test_any_bytes_are_an_event_or_a_dead_letter(value: bytes) -> None:
    for feed in (shop_feed(), FeedSettings(topic="shop", brings=("demand",), network="eu")):
        result = canonical(raw(value), feed, NOW_MS, "now")
        assert isinstance(result, Entry) or result.line.raw == value


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "items", "price", "tenant", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(document=_JSON)
def test_any_document_is_mapped_or_refused(document: Any) -> None:
    try:
        map_message(shop_feed(), document, "shop/0/1")
    except Unmapped as refusal:
        assert refusal.expected and refusal.was


def test_too_deep_and_too_long_messages_are_dead_letters() -> None:
    feed = SHOP
    for value, reason in ((b"[" * 5_000, "not_json"), (b" " * 300_000 + b"{}", "too_long")):
        refused = canonical(raw(value), feed, NOW_MS, "now")
        assert isinstance(refused, DeadLetter) and refused.reason == reason


def test_the_default_settings_hold_together() -> None:
    assert [feed.topic for feed in Settings().feeds] == [
        "inventory",
        "telemetry",
        "demand",
        "control",
    ]
