"""What people tell the engine: events of the control feed, sent by hand."""

from uuid import uuid4

from state.codec import encode, make_event
from state.errors import SettingsError
from state.events import Fact
from state.settings import Settings
from state.stores.kafka_writer import KafkaWriter

_TOPIC = "control"
_SOURCE = "crossdock/control"
_TIMEOUT_S = 10.0


def send_control(settings: Settings, network: str, fact: Fact, now_ms: int) -> str:
    """Send one fact to the control feed, and wait until it has arrived; returns the event's id.

    Raises SettingsError if there is no such feed, StoreError.
    """
    topics = [feed.topic for feed in settings.feeds if feed.topic.rpartition(".")[2] == _TOPIC]
    if len(topics) != 1:
        raise SettingsError(f"expected one feed whose topic ends with {_TOPIC!r}, was {topics}")
    event = make_event(
        fact, id=f"control-{uuid4()}", source=_SOURCE, network=network, time_ms=now_ms
    )
    writer = KafkaWriter(settings.kafka)
    writer.send(topics[0], encode(event), key=network.encode())
    writer.flush(_TIMEOUT_S)
    return event.id
