"""Dead letters as Kafka messages: the bytes as they came, and in headers why and from where.

The key is the origin, ``topic/partition/offset``. A crash may write one twice under its key. A
message without a value says that the one of that key was put in again.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from confluent_kafka import Message

from state.codec import DeadLetter, JournalLine, Reason
from state.settings import KafkaSettings
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_writer import KafkaWriter, Outgoing

#: Header that carries the origin of a message which is put in again.
ORIGIN = "crossdock-origin"
_RAW = "raw-"
_MOST_TEXT = 1_000


def origin_of(topic: str, partition: int, offset: int) -> str:
    """Name a message by its place."""
    return f"{topic}/{partition}/{offset}"


def place_of(origin: str) -> tuple[str, int, int]:
    """Topic, partition and offset of an origin; raises ValueError if it is none."""
    topic, partition, offset = origin.rsplit("/", 2)
    return topic, int(partition), int(offset)


def send_dead_letter(
    writer: KafkaWriter,
    topic: str,
    letter: DeadLetter,
    origin: str,
    raw_headers: Mapping[str, bytes] | None = None,
) -> None:
    """Write one dead letter. Raises StoreError."""
    message = dead_letter_message(topic, letter, origin, raw_headers)
    writer.send(topic, message.value, key=message.key, headers=message.headers)


def dead_letter_message(
    topic: str, letter: DeadLetter, origin: str, raw_headers: Mapping[str, bytes] | None = None
) -> Outgoing:
    """A dead letter as a message, on its way to `topic`."""
    texts = {
        "reason": letter.reason,
        "expected": letter.expected,
        "was": letter.was,
        "network": letter.network,
        "type": letter.type,
        "sha256": letter.line.sha256,
    }
    headers = [
        (name, text[:_MOST_TEXT].encode()) for name, text in texts.items() if text is not None
    ]
    headers.append(("size", str(letter.line.size).encode()))
    headers += [(_RAW + name, value) for name, value in (raw_headers or {}).items()]
    return Outgoing(topic=topic, value=letter.line.raw, key=origin.encode(), headers=headers)


def mark_requeued(writer: KafkaWriter, topic: str, origin: str) -> None:
    """Say that the dead letter of `origin` was put in again. Raises StoreError."""
    writer.send(topic, None, key=origin.encode())


def headers_of(message: Message) -> dict[str, bytes]:
    """Headers by name; the last one of a name counts."""
    listed: Any = message.headers() or ()
    return {name: value or b"" for name, value in listed}


class StoredLetter:
    """A dead letter as it was found in its topic."""

    def __init__(self, message: Message) -> None:
        found = headers_of(message)
        text = {name: value.decode("utf-8", "replace") for name, value in found.items()}
        self.origin = (message.key() or b"").decode("utf-8", "replace")
        self.headers = {
            name.removeprefix(_RAW): value for name, value in found.items() if name.startswith(_RAW)
        }
        try:
            topic, partition, offset = place_of(self.origin)
        except ValueError:
            topic, partition, offset = self.origin, 0, 0
        raw = message.value() or b""
        self.letter = DeadLetter(
            reason=cast(Reason, text.get("reason", "unreadable")),
            expected=text.get("expected", ""),
            was=text.get("was", ""),
            network=text.get("network"),
            type=text.get("type"),
            line=JournalLine(
                offset + 1,
                f"{topic}[{partition}]",
                offset + 1,
                raw,
                int(text.get("size", len(raw))),
                text.get("sha256"),
            ),
        )


def dead_letters(settings: KafkaSettings, topic: str, partitions: int) -> Iterator[StoredLetter]:
    """All dead letters that were not put in again, each once, in the order they came first.

    Holds all of them in memory. Raises StoreError.
    """
    kept: dict[str, StoredLetter] = {}
    reader = KafkaReader(settings, {(topic, p): None for p in range(partitions)}, to_end=True)
    try:
        for message in reader.read_to_end():
            if message.value() is None:
                kept.pop((message.key() or b"").decode("utf-8", "replace"), None)
            else:
                letter = StoredLetter(message)
                kept.setdefault(letter.origin, letter)
    finally:
        reader.close()
    yield from kept.values()
