"""Builders for tests of the live engine: settings, topics of one's own, and reading them back."""

from pathlib import Path
from typing import Any

from confluent_kafka import Message

from state.settings import Settings, parse_settings
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_topics import KafkaTopics, planned
from state.stores.kafka_writer import KafkaWriter

FEEDS = ("inventory", "telemetry", "demand", "control")


def deployment(
    bootstrap: str, redis_url: str, name: str, folder: Path, **sections: dict[str, Any]
) -> Settings:
    """Return settings with topics and keys of `name`'s own; `sections` override them."""
    document: dict[str, Any] = {
        "kafka": {"bootstrap": bootstrap},
        "topics": {
            "journal": f"{name}.journal",
            "dead_letters": f"{name}.dead-letters",
            "actions": f"{name}.actions",
            "networks": f"{name}.networks",
        },
        "redis": {"url": redis_url, "prefix": name},
        "feeds": [{"topic": f"{name}.{feed}"} for feed in FEEDS],
        "ingest": {"group": f"{name}.ingest", "stamp": "keep", "tick_s": 0},
        "run": {"state": str(folder / "state"), "epoch_s": 0.5},
        "record": {"folder": str(folder / "recording")},
        "monitor": {"port": 0},
    }
    for section, values in sections.items():
        if isinstance(values, dict):
            document[section] = {**document.get(section, {}), **values}
        else:
            document[section] = values
    return parse_settings(document, "a test")


def make_topics(settings: Settings) -> None:
    """Make all topics of a deployment."""
    topics = KafkaTopics(settings.kafka)
    there = topics.partitions()
    for plan in planned(settings):
        if plan.name not in there:
            topics.create(
                plan, partitions=plan.partitions or settings.topics.partitions, replication=1
            )


def sent(settings: Settings, topic: str, *values: bytes | None, key: bytes = b"demo") -> None:
    """Send raw messages to a topic, and wait for them."""
    writer = KafkaWriter(settings.kafka)
    for value in values:
        writer.send(topic, value, key=key)
    writer.flush()


def messages_of(settings: Settings, topic: str) -> list[Message]:
    """Return all messages of a topic, partition by partition."""
    partitions = KafkaTopics(settings.kafka).partitions()[topic]
    found: list[Message] = []
    for partition in range(partitions):
        reader = KafkaReader(settings.kafka, {(topic, partition): None}, to_end=True)
        found += reader.read_to_end()
        reader.close()
    return found
