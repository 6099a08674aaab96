"""Commands of people to the engine: events of the control feed, sent by hand."""

from uuid import uuid4

import orjson

from flows.explain.action_log import place_of
from flows.explain.proposals import open_proposal
from state.codec import encode, make_event
from state.errors import JournalError
from state.events import ActionApproved, ActionRejected, Fact
from state.feed_settings import feed_for
from state.roles import NEW_NETWORK
from state.settings import Settings
from state.stores.kafka_writer import KafkaWriter
from state.stores.redis_connection import connect_with

_SOURCE = "crossdock/control"
_TIMEOUT_S = 10.0
#: A Redis that is there answers at once; a person does not wait long for another.
REDIS_READ_S, REDIS_RETRIES = 10.0, 3


def send_control(
    settings: Settings, network: str, fact: Fact, now_ms: int, *, create: bool = False
) -> str:
    """Send one fact to the feed that may bring it, and wait for it; return the event's id.

    `create` lets a network in that no reference data has introduced. Raises SettingsError if there
    is no such feed, StoreError.
    """
    event = make_event(
        fact, id=f"control-{uuid4()}", source=_SOURCE, network=network, time_ms=now_ms
    )
    writer = KafkaWriter(settings.kafka)
    feed = feed_for(settings.feeds, event.type, network)
    value = encode(event)
    if create:
        value = orjson.dumps({**orjson.loads(value), NEW_NETWORK: True})
    writer.send(feed.topic, value, key=network.encode())
    writer.flush(_TIMEOUT_S)
    return event.id


def send_retired(settings: Settings, network: str) -> None:
    """Take a network out of those that are remembered, and wait for it. Raises StoreError."""
    writer = KafkaWriter(settings.kafka)
    writer.send(settings.topics.networks, None, key=network.encode())
    writer.flush(_TIMEOUT_S)


def send_decision(
    settings: Settings, fact: ActionApproved | ActionRejected, now_ms: int, *, unseen: bool = False
) -> str:
    """Send a person's decision on a proposal; return the event's id.

    Raises JournalError if Redis has no such open proposal, unless `unseen`; and what `send_control`
    raises.
    """
    network, _ = place_of(fact.action)
    if not unseen:
        with connect_with(
            settings.redis, read_timeout_s=REDIS_READ_S, retries=REDIS_RETRIES
        ) as client:
            if open_proposal(client, settings.redis.prefix, fact.action) is None:
                raise JournalError(
                    f"expected an open proposal {fact.action}, was none: it was decided, it "
                    "has expired, or it was never there (`crossdock proposals` lists the open "
                    "ones); --unseen sends it all the same"
                )
    return send_control(settings, network, fact, now_ms)
