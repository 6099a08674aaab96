"""A feed brings what it may, for the network that it is bound to; all else is `forbidden`."""

from typing import Any

import orjson
import pytest

from flows.ingest.canonical import Entry, RawMessage, canonical
from state.codec import DeadLetter, encode, make_event
from state.errors import SettingsError
from state.events import (
    EVENT_TYPES,
    ActionApproved,
    ActionCompleted,
    Fact,
    NetworkHalted,
    OrderCancelled,
    PolicyChanged,
    StockCounted,
)
from state.feed_settings import FeedSettings, feed_for
from state.roles import ROLE_OF, ROLES
from state.settings import Settings, parse_settings
from tests.builders import START_MS, region

HALT = NetworkHalted(by="ceo")
APPROVAL = ActionApproved(action="net:1-1", by="ceo")
POLICY = PolicyChanged(policy={})
COUNT = StockCounted(node="N", sku="S", quantity=1)


def feeds(*documents: dict[str, Any]) -> tuple[FeedSettings, ...]:
    return parse_settings({"feeds": list(documents)}, "a test").feeds


def brought(feed: FeedSettings, fact: Fact, network: str = "net") -> Entry | DeadLetter:
    event = make_event(fact, id="e", source="s", network=network, time_ms=START_MS)
    message = RawMessage(
        topic=feed.topic, partition=0, offset=0, value=encode(event), headers={}, origin="t/0/0"
    )
    return canonical(message, feed, START_MS, "now")


def refused(feed: FeedSettings, fact: Fact, network: str = "net") -> DeadLetter:
    found = brought(feed, fact, network)
    assert isinstance(found, DeadLetter) and found.reason == "forbidden", found
    return found


@pytest.mark.parametrize("fact", [HALT, APPROVAL, POLICY, region("NORTH")], ids=repr)
@pytest.mark.parametrize("name", ["inventory", "telemetry", "demand"])
def test_only_control_tells_the_engine_what_to_do(name: str, fact: Fact) -> None:
    (feed,) = feeds({"topic": f"eu.{name}"})
    letter = refused(feed, fact)
    assert letter.expected == f"what feed eu.{name} may bring: {name}"
    assert letter.was.startswith("crossdock.") and letter.network == "net"
    (control,) = feeds({"topic": "eu.control"})
    assert isinstance(brought(control, fact), Entry)


def test_each_type_has_one_role_and_each_default_topic_brings_its_own() -> None:
    assert set(ROLE_OF) == set(EVENT_TYPES)
    assert sum(map(len, ROLES.values())) == len(EVENT_TYPES)
    allowed = {feed.topic: feed.allowed for feed in Settings().feeds}
    assert allowed == {
        "inventory": ROLES["inventory"],
        "telemetry": ROLES["telemetry"],
        "demand": ROLES["demand"],
        "control": ROLES["control"] | ROLES["reference"],
    }
    assert "crossdock.policy.changed" not in ROLES["reference"]


def test_an_executing_system_may_say_what_it_did_without_more_power() -> None:
    (wms,) = feeds({"topic": "wms", "brings": ["inventory", "action.completed"]})
    assert isinstance(brought(wms, ActionCompleted(action="net:1-1")), Entry)
    assert isinstance(brought(wms, COUNT), Entry)
    letter = refused(wms, APPROVAL)
    assert letter.expected == "what feed wms may bring: inventory, action.completed"


def test_a_feeds_network_binds_unless_messages_choose() -> None:
    bound, free = feeds(
        {"topic": "a.inventory", "network": "a"},
        {"topic": "b.inventory", "network": "a", "network_is": "default"},
    )
    assert isinstance(brought(bound, COUNT, "a"), Entry)
    letter = refused(bound, COUNT, "b")
    assert (letter.expected, letter.was) == (
        "what feed a.inventory may bring: events of network a",
        "b",
    )
    assert isinstance(brought(free, COUNT, "b"), Entry)


def mapped(**changes: Any) -> dict[str, Any]:
    rule = {"type": "order.cancelled", "network": "tenant", "data": {"order": "order"}}
    return {"topic": "shop", "format": "mapped", "rules": [{**rule, **changes}]}


def test_what_a_mapped_feed_makes_is_checked_at_each_message() -> None:
    (feed,) = feeds({**mapped(), "network": "a"})
    document = {"tenant": "b", "order": "O-1", "time": "2026-01-05T08:00:00Z"}
    message = RawMessage(
        topic="shop",
        partition=0,
        offset=0,
        value=orjson.dumps(document),
        headers={},
        origin="shop/0/0",
    )
    letter = canonical(message, feed, START_MS, "now")
    assert isinstance(letter, DeadLetter) and letter.reason == "forbidden"
    assert isinstance(brought(feeds(mapped())[0], OrderCancelled(order="O-1")), DeadLetter)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"topic": "shop"}, "expected `brings`.*'shop'"),
        ({"topic": "shop", "brings": []}, "expected `brings`"),
        ({"topic": "shop", "brings": ["everything"]}, "'everything'"),
        (mapped(type="network.halted"), "rule 1 .*was 'network.halted': name it in `brings`"),
        ({**mapped(), "brings": ["inventory"]}, "rule 1 .*was 'order.cancelled'"),
        ({**mapped(network={"value": "b"}), "network": "a"}, "rule 1 .*network 'a', was 'b'"),
    ],
)
def test_a_feed_that_cannot_be_right_is_named_at_the_start(
    document: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        feeds(document)


def test_an_event_is_sent_to_the_feed_that_may_bring_it() -> None:
    there = feeds(
        {"topic": "reference"},
        {"topic": "a.control", "network": "a"},
        {"topic": "b.control", "network": "b"},
        {"topic": "stock", "brings": ["inventory"]},
    )
    assert feed_for(there, "crossdock.region.registered", "a").topic == "reference"
    assert feed_for(there, "crossdock.policy.changed", "a").topic == "a.control"
    assert feed_for(there, "crossdock.network.halted", "b").topic == "b.control"
    assert feed_for(there, "crossdock.stock.counted", "b").topic == "stock"
    with pytest.raises(SettingsError, match=r"may bring crossdock\.order\.placed"):
        feed_for(there, "crossdock.order.placed", "a")


def test_the_topic_of_the_networks_is_no_feed() -> None:
    with pytest.raises(SettingsError, match="beside our own topics"):
        feeds({"topic": "crossdock.networks", "brings": ["control"]})
