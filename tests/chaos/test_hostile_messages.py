"""Hostile messages through a real Kafka into `crossdock ingest`, killed and stopped meanwhile."""

import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from state.codec import JournalLine, decode
from state.events import Event
from state.settings import Settings
from state.stores.kafka_dead_letters import ORIGIN, StoredLetter, headers_of, origin_of
from state.stores.kafka_reader import KafkaReader, bytes_of, where
from state.stores.kafka_topics import KafkaTopics
from state.untrusted import MAX_KEPT_BYTES
from tests.chaos.conftest import MakeRig
from tests.chaos.hostile import (
    VALID,
    HostileProducer,
    good_events,
    hostile,
    send_with_raw_header_name,
    valid,
)
from tests.chaos.rig import Rig
from tests.services.kafka_broker import KafkaBroker, KafkaCluster

#: Messages; `make chaos` sends 100,000.
MESSAGES = int(os.environ.get("CROSSDOCK_HOSTILE", "2000"))
_AT_ONCE = 2_000
_SHARE_OF_EVENTS = 0.3


@pytest.fixture(scope="module")
def broker(kafka: KafkaCluster) -> KafkaBroker:
    """The one of all tests: it is not harmed here."""
    if kafka.broker is None:
        pytest.skip("needs a broker of our own")
    return kafka.broker


def test_every_hostile_message_is_an_event_or_a_dead_letter_and_none_stops_ingest(
    make_rig: MakeRig, broker: KafkaBroker, tmp_path: Path
) -> None:
    luck = random.Random(13)
    with make_rig(stamp="now") as rig:
        producer = HostileProducer(broker.bootstrap, rig.name)
        good = list(good_events())
        events = 0
        for event in good:
            producer.send(valid(event, luck))
            events += 1
        producer.flush()
        rig.start("ingest")
        ends = Counter[str]()
        for begin in range(0, MESSAGES, _AT_ONCE):
            for _ in range(min(_AT_ONCE, MESSAGES - begin)):
                if luck.random() < _SHARE_OF_EVENTS:
                    producer.send(valid(luck.choice(good), luck))
                    events += 1
                else:
                    producer.send(hostile(luck))
            producer.flush()
            for family in ("inventory", "control"):
                send_with_raw_header_name(broker.bootstrap, rig.topic(family), b"\xff\xfe")
            ends[_interrupted(rig, luck)] += 1
        rig.stop("ingest")
        rig.once("ingest")
        assert rig.deaths == []
        counted = _count(rig.settings, events)
        print(f"\n{counted}; ingest was {dict(ends)}, deaths: {len(rig.deaths)}")  # noqa: T201


def _interrupted(rig: Rig, luck: random.Random) -> str:
    """Kill it, stop it or let it be; it must not have ended before."""
    rig.until_logged("ingest", "ingesting")
    how = luck.choice(("killed", "stopped", "let be"))
    assert rig.engines["ingest"].runs, rig.engines["ingest"].output()[-3_000:]
    if how == "killed":
        rig.kill("ingest")
        rig.start("ingest")
    elif how == "stopped":
        rig.stop("ingest")
        rig.start("ingest")
    return how


def _count(settings: Settings, events: int) -> str:
    """Hold the journal and the dead letters against the raw topics; raises AssertionError."""
    journal: dict[str, str] = {}
    ticks = 0
    for message in _all(settings, {settings.topics.journal}):
        found = decode(JournalLine(1, "journal", 1, bytes_of(message), len(bytes_of(message))))
        assert isinstance(found, Event), f"ingest wrote what is no event: {found}"
        origin = headers_of(message).get(ORIGIN)
        if origin is None:
            assert found.type == "crossdock.clock.ticked"
            ticks += 1
        else:
            journal[origin.decode()] = found.id
    letters: dict[str, StoredLetter] = {}
    for message in _all(settings, {settings.topics.dead_letters}):
        letter = StoredLetter(message)
        assert len(letter.letter.line.raw) <= MAX_KEPT_BYTES
        letters.setdefault(letter.origin, letter)
    raw = 0
    for message in _all(settings, {feed.topic for feed in settings.feeds}):
        raw += 1
        origin = origin_of(*where(message), int(message.offset() or 0))
        assert (origin in journal) != (origin in letters), f"{origin} is in both, or in neither"
        if origin in letters:
            _require_same(bytes_of(message), letters[origin])
    assert raw == len(journal) + len(letters)
    assert sum(name.startswith(VALID) for name in journal.values()) == events
    reasons = Counter(letter.letter.reason for letter in letters.values())
    cut = sum(letter.cut is not None for letter in letters.values())
    return (
        f"{raw:,} messages = {len(journal):,} events + {len(letters):,} dead letters "
        f"({dict(reasons.most_common())}, {cut:,} of them cut), and {ticks:,} ticks"
    )


def _require_same(value: bytes, stored: StoredLetter) -> None:
    line = stored.letter.line
    assert line.raw == value[:MAX_KEPT_BYTES] and line.size == len(value)
    if len(value) > MAX_KEPT_BYTES:
        assert line.sha256 == hashlib.sha256(value).hexdigest() and stored.cut is not None


def _all(settings: Settings, topics: set[str]) -> Iterator[Message]:
    counts = KafkaTopics(settings.kafka).partitions()
    places = [(topic, number) for topic in topics for number in range(counts[topic])]
    reader = KafkaReader(settings.kafka, dict.fromkeys(places), to_end=True)
    try:
        yield from reader.read_to_end()
    finally:
        reader.close()
