"""Dead letters, listed for repair, and requeued."""

import base64
from collections.abc import Iterator
from pathlib import Path

import orjson
from msgspec import Struct

from state.codec import DeadLetter
from state.dead_letters import encode_dead_letter
from state.errors import JournalError
from state.quantities import rfc3339
from state.settings import Settings
from state.stores.kafka_dead_letters import (
    ORIGIN,
    StoredLetter,
    dead_letters,
    mark_requeued,
    place_of,
)
from state.stores.kafka_topics import KafkaTopics, planned, require
from state.stores.kafka_writer import KafkaWriter
from state.untrusted import TooDeep, parse

#: Field of a listed line that says where the message first stood.
_ORIGIN_FIELD = "origin"
#: A letter's MiB where each byte needs an escape of six.
_MOST_BYTES = 8 * 1024 * 1024


class Requeued(Struct):
    """Totals of a requeue; `skipped` lines are no longer in the dead-letter topic."""

    messages: int = 0
    skipped: int = 0


def listed(settings: Settings, reason: str | None = None) -> Iterator[bytes]:
    """Yield a JSON line for each dead letter not requeued yet, oldest first.

    ``raw`` (or ``raw_base64``) holds the message: what is to be repaired. Raises StoreError.
    """
    for stored in _stored(settings):
        if reason is None or stored.letter.reason == reason:
            yield _line(stored)


def requeue(settings: Settings, path: Path, now_ms: int) -> Requeued:
    """Requeue the messages of a file of `listed` lines, repaired or not, where they came from.

    A message keeps its first origin, so that putting it in twice has one effect; what ingest
    checks it checks again. What came from the journal is stamped as recorded at `now_ms` and goes
    to the journal. Raises JournalError, before anything is sent, if the file is none or holds what
    cannot be put in; StoreError.
    """
    found = {stored.origin: stored for stored in _stored(settings)}
    done = Requeued()
    for number, line in enumerate(_lines(path), 1):
        origin, _ = _parsed(line, path, number)
        if origin in found:
            _require_whole(settings, found[origin], f"{path}:{number}")
    writer = KafkaWriter(settings.kafka)
    for number, line in enumerate(_lines(path), 1):
        origin, raw = _parsed(line, path, number)
        stored = found.get(origin)
        if stored is None:
            done.skipped += 1
            continue
        _send(settings, writer, stored, raw, now_ms)
        done.messages += 1
        mark_requeued(writer, settings.topics.dead_letters, origin)
    writer.flush()
    return done


def _require_whole(settings: Settings, stored: StoredLetter, where: str) -> None:
    """Raise JournalError if the letter lacks a part of its message, or came from elsewhere."""
    if stored.cut is not None:
        raise JournalError(
            f"expected a dead letter with all of its message, was {stored.origin} ({stored.cut}), "
            f"at {where}: delete the line; whoever sent the message has to send it again, in parts "
            "or corrected"
        )
    topic, _, _ = place_of(stored.origin)
    ours = {*(feed.topic for feed in settings.feeds), settings.topics.journal}
    if topic not in ours:
        raise JournalError(
            f"expected a dead letter of {', '.join(sorted(ours))}, was of {topic}, at {where}: "
            "the settings have no such feed"
        )


def _stored(settings: Settings) -> Iterator[StoredLetter]:
    topic = settings.topics.dead_letters
    topics = KafkaTopics(settings.kafka)
    require(topics, [plan for plan in planned(settings) if plan.name == topic])
    return dead_letters(settings.kafka, topic, topics.partitions()[topic])


def _line(stored: StoredLetter) -> bytes:
    letter: DeadLetter = stored.letter
    document = orjson.loads(encode_dead_letter(letter))
    cut = {} if stored.cut is None else {"cut": stored.cut}
    return orjson.dumps({_ORIGIN_FIELD: stored.origin, **cut, **document})


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(_MOST_BYTES):
                yield line
    except OSError as error:
        raise JournalError(f"expected a readable file of dead letters, was {error}") from error


def _parsed(line: bytes, path: Path, number: int) -> tuple[str, bytes]:
    try:
        document = orjson.loads(line)
        origin = document[_ORIGIN_FIELD]
        place_of(origin)
        if "raw" in document:
            raw = document["raw"]
            return origin, raw.encode() if isinstance(raw, str) else orjson.dumps(raw)
        return origin, base64.b64decode(document["raw_base64"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(
            f"expected a line of `crossdock dead-letters`, was {type(error).__name__} {error}, "
            f"at {path}:{number}"
        ) from error


def _send(
    settings: Settings, writer: KafkaWriter, stored: StoredLetter, raw: bytes, now_ms: int
) -> None:
    topic, _, _ = place_of(stored.origin)
    network = stored.letter.network
    key = network.encode() if network else None
    # A message that was put in before names the place where it first stood.
    headers = list({ORIGIN: stored.origin.encode(), **stored.headers}.items())
    if topic == settings.topics.journal:
        raw = _stamped(raw, now_ms)
        network = _network_of(raw) or network
        key = network.encode() if network else None
    writer.send(topic, raw, key=key, headers=headers)


def _stamped(raw: bytes, now_ms: int) -> bytes:
    """Return the event recorded now: the journal's time does not go back. As it is, if no JSON."""
    try:
        document = parse(raw)
    except (orjson.JSONDecodeError, TooDeep):
        return raw
    if isinstance(document, dict):
        document["recordedtime"] = rfc3339(now_ms)
    return orjson.dumps(document)


def _network_of(raw: bytes) -> str | None:
    try:
        document = parse(raw)
    except (orjson.JSONDecodeError, TooDeep):
        return None
    network = document.get("partitionkey") if isinstance(document, dict) else None
    return network if isinstance(network, str) else None
