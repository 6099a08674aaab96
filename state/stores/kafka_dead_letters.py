"""Dead letters as Kafka messages: the bytes as they came, and in headers why and from where.

The key is the place where the message stood, ``topic/partition/offset``. A crash may write one
twice under its key. A message without a value says that the one of that key was put in again.

A letter always fits into its topic, whatever came: of the value the first MiB is kept, of the
headers as many as fit, and what was cut is noted.
"""

import re
from collections.abc import Iterator, Mapping
from operator import methodcaller
from types import MappingProxyType
from typing import Any, cast

from confluent_kafka import Message

from state.codec import DeadLetter, JournalLine, Reason
from state.settings import KafkaSettings
from state.stores.kafka_reader import KafkaReader, bytes_of
from state.stores.kafka_writer import KafkaWriter, Outgoing
from state.untrusted import MAX_KEPT_BYTES

#: Header that carries the origin of a message which is put in again.
ORIGIN = "crossdock-origin"
#: Bytes that the topic must take: the bytes kept, the headers kept, the texts, the key, and room.
LARGEST_LETTER_BYTES = 1_500_000
_RAW = "raw-"
#: Headers of ours that say what a letter lacks of its message.
_SIZE, _SHA256, _CUT = "size", "sha256", "cut"
_MOST_TEXT = 1_000
#: Headers of a raw message that are kept: so many, and so many bytes of names and values.
_MOST_HEADERS, _MOST_HEADER_BYTES = 64, 64 * 1024
_HEADER_OVERHEAD = 16
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,10})/([0-9]{1,19})")
_NUMBER = re.compile(r"[0-9]{1,19}")
_headers = methodcaller("headers")
#: A message that came without headers.
NO_HEADERS: Mapping[str, bytes] = MappingProxyType({})
_UNREADABLE = "headers whose names are not UTF-8 were left out"


def origin_of(topic: str, partition: int, offset: int) -> str:
    """Name a message by its place."""
    return f"{topic}/{partition}/{offset}"


def place_of(origin: str) -> tuple[str, int, int]:
    """Return topic, partition and offset of an origin; raises ValueError if it is none."""
    found = _PLACE.fullmatch(origin)
    if found is None:
        raise ValueError(f"expected topic/partition/offset, was {origin!r:.100}")
    return found[1], int(found[2]), int(found[3])


def send_dead_letter(
    writer: KafkaWriter,
    topic: str,
    letter: DeadLetter,
    origin: str,
    raw_headers: Mapping[str, bytes] | None = NO_HEADERS,
) -> None:
    """Write one dead letter; None stands for unreadable headers. Raises StoreError."""
    message = dead_letter_message(topic, letter, origin, raw_headers)
    writer.send(topic, message.value, key=message.key, headers=message.headers)


def dead_letter_message(
    topic: str,
    letter: DeadLetter,
    origin: str,
    raw_headers: Mapping[str, bytes] | None = NO_HEADERS,
) -> Outgoing:
    """Return a dead letter as a message on its way to `topic`."""
    cut = _UNREADABLE if raw_headers is None else None
    kept: list[tuple[str, bytes]] = []
    if raw_headers is not None:
        kept, cut = _fitting(raw_headers)
    texts = {
        "reason": letter.reason,
        "expected": letter.expected,
        "was": letter.was,
        "network": letter.network,
        "type": letter.type,
        _SIZE: str(letter.line.size),
        _SHA256: letter.line.sha256,
        _CUT: cut,
    }
    headers = [
        (name, text[:_MOST_TEXT].encode(errors="backslashreplace"))
        for name, text in texts.items()
        if text is not None
    ]
    raw = letter.line.raw[:MAX_KEPT_BYTES]
    return Outgoing(topic=topic, value=raw, key=origin.encode(), headers=headers + kept)


def _fitting(headers: Mapping[str, bytes]) -> tuple[list[tuple[str, bytes]], str | None]:
    """Return the headers kept whole, the small ones first; and a note on the others."""
    fitting: list[tuple[str, bytes]] = []
    left = _MOST_HEADER_BYTES
    for name, value in sorted(headers.items(), key=lambda each: len(each[0]) + len(each[1])):
        size = len(name.encode()) + len(value) + _HEADER_OVERHEAD
        if len(fitting) == _MOST_HEADERS or size > left:
            break
        left -= size
        fitting.append((_RAW + name, value))
    if len(fitting) == len(headers):
        return fitting, None
    return fitting, f"{len(headers) - len(fitting)} of {len(headers)} headers were left out"


def mark_requeued(writer: KafkaWriter, topic: str, origin: str) -> None:
    """Record that the dead letter of `origin` was requeued. Raises StoreError."""
    writer.send(topic, None, key=origin.encode())


def headers_of(message: Message) -> dict[str, bytes]:
    """Return headers by name, the last one of a name; none where a name is not UTF-8."""
    return readable_headers(message) or {}


def readable_headers(message: Message) -> dict[str, bytes] | None:
    """Return headers by name, the last one of a name; None where a name is not UTF-8.

    To be asked once of a message. The client library then returns a list with a hole in it, and an
    error beside it that only a call through C notices; to touch the hole ends the process.
    """
    try:
        listed: Any = _headers(message) or ()
    except (SystemError, UnicodeDecodeError):
        return None
    return {name: _bytes(value) for name, value in listed}


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


class StoredLetter:
    """A dead letter as found in its topic. `cut` lists the parts missing from its message."""

    def __init__(self, message: Message) -> None:
        found = headers_of(message)
        text = {
            name: value.decode("utf-8", "replace")
            for name, value in found.items()
            if not name.startswith(_RAW)
        }
        self.origin = (_bytes(message.key())).decode("utf-8", "replace")
        self.headers = {
            name.removeprefix(_RAW): value for name, value in found.items() if name.startswith(_RAW)
        }
        try:
            topic, partition, offset = place_of(self.origin)
        except ValueError:
            topic, partition, offset = self.origin, 0, 0
        raw = bytes_of(message)
        size = text.get(_SIZE, "")
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
                int(size) if _NUMBER.fullmatch(size) else len(raw),
                text.get(_SHA256),
            ),
        )
        self.cut = text.get(_CUT)
        if self.letter.line.size > len(raw):
            self.cut = f"only the first {len(raw)} of {self.letter.line.size} bytes were kept"


def dead_letters(settings: KafkaSettings, topic: str, partitions: int) -> Iterator[StoredLetter]:
    """Yield all dead letters not requeued yet, each once, in the order they first came.

    Holds all of them in memory. Raises StoreError.
    """
    kept: dict[str, StoredLetter] = {}
    reader = KafkaReader(settings, {(topic, p): None for p in range(partitions)}, to_end=True)
    try:
        for message in reader.read_to_end():
            if message.value() is None:
                kept.pop(_bytes(message.key()).decode("utf-8", "replace"), None)
            else:
                letter = StoredLetter(message)
                kept.setdefault(letter.origin, letter)
    finally:
        reader.close()
    yield from kept.values()
