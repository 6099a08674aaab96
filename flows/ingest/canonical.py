"""One raw message to one canonical event, or to a dead letter; never raises for its bytes."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import orjson
from msgspec import Struct

from flows.ingest.mapping import Unmapped, map_message
from state.codec import DeadLetter, JournalLine, Reason, decode, line_of
from state.feed_settings import FeedSettings
from state.quantities import rfc3339
from state.roles import CONTROL, NEW_NETWORK, ROLE_OF, ROLES
from state.stores.kafka_dead_letters import origin_of
from state.untrusted import MAX_DEPTH, MAX_LINE_BYTES, TooDeep, parse

#: CloudEvents attributes of the binary mode come in headers with this prefix.
_BINARY = "ce_"
#: One more than the longest attribute, so that a longer one is refused rather than cut.
_TEXT = 257


class RawMessage(Struct, frozen=True, kw_only=True, dict=True):
    """A message of a raw topic. `origin` is ``topic/partition/offset`` of where it first stood.

    `headers` are None where they could not be read.
    """

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, bytes] | None
    origin: str

    @property
    def place(self) -> str:
        """Return topic, partition and offset of where it stands, which no producer can claim."""
        return origin_of(self.topic, self.partition, self.offset)

    @cached_property
    def line(self) -> JournalLine:
        """Return the message as a line of its topic."""
        return line_of(self.offset + 1, f"{self.topic}[{self.partition}]", self.value)


class Entry(Struct, frozen=True, kw_only=True):
    """A canonical event on its way into the journal: valid, stamped, as bytes.

    `introduces`: a network that is not known becomes known by it.
    """

    network: str
    value: bytes
    introduces: bool = False


Stamp = Literal["now", "keep"]


def canonical(
    message: RawMessage, feed: FeedSettings, now_ms: int, stamp: Stamp
) -> Entry | DeadLetter:
    """Return a message's event, recorded at `now_ms` (or at its own time, with `keep`)."""
    line = message.line
    if line.size > MAX_LINE_BYTES:
        refused = decode(line)
        assert isinstance(refused, DeadLetter)
        return refused
    try:
        document = _document(message, feed)
    except TooDeep as error:
        return _refused(line, "too_deep", f"JSON of at most {MAX_DEPTH} levels", str(error))
    except orjson.JSONDecodeError as error:
        return _refused(line, "not_json", "one JSON object in UTF-8", str(error))
    except UnicodeDecodeError as error:
        return _refused(line, "not_an_event", "attributes in UTF-8", f"{error.object[:60]!r}")
    except Unmapped as error:
        return _refused(line, "unmapped", error.expected, error.was)
    if not isinstance(document, dict):
        return _refused(line, "not_an_event", "one JSON object", type(document).__name__)
    if stamp == "now" or "recordedtime" not in document:
        document["recordedtime"] = rfc3339(now_ms)
    try:
        value = orjson.dumps(document)
    except TypeError as error:  # a rule made what JSON has no place for
        return _refused(line, "unmapped", "values that are JSON", str(error))
    event = decode(JournalLine(line.seq, line.source, line.line, value, len(value)))
    if isinstance(event, DeadLetter):
        # The bytes as they came are kept, not what was made of them.
        return _refused(line, event.reason, event.expected, event.was, event.network, event.type)
    forbidden = feed.refusal(event.type, event.network)
    if forbidden is not None:
        return _refused(line, "forbidden", *forbidden, event.network, event.type)
    introduces = event.type in ROLES["reference"] or (
        ROLE_OF[event.type] == CONTROL and document.get(NEW_NETWORK) is True
    )
    return Entry(network=event.network, value=value, introduces=introduces)


def _document(message: RawMessage, feed: FeedSettings) -> Any:
    if feed.format == "mapped":
        return map_message(feed, parse(message.value), message.origin)
    headers = message.headers or {}
    if f"{_BINARY}type" in headers:
        document: Any = {
            name.removeprefix(_BINARY): value.decode()[:_TEXT]
            for name, value in headers.items()
            if name.startswith(_BINARY)
        }
        document["data"] = parse(message.value)
    else:
        document = parse(message.value)
    if isinstance(document, dict):
        if feed.source is not None:
            document.setdefault("source", feed.source)
        if feed.network is not None:
            document.setdefault("partitionkey", feed.network)
        document.setdefault("id", message.origin)
    return document


def _refused(
    line: JournalLine,
    reason: Reason,
    expected: str,
    was: str,
    network: str | None = None,
    type_: str | None = None,
) -> DeadLetter:
    return DeadLetter(
        reason=reason, expected=expected, was=was, line=line, network=network, type=type_
    )
