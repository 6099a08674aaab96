"""Codec: bytes to events and back, totally; any bytes give an `Event` or a `DeadLetter`.

The wire is JSON by orjson, which refuses NaN, infinities and wrong UTF-8; `state.untrusted` bounds
size and nesting; msgspec then checks names, types and bounds. Canonical bytes of an action are
compact JSON with the fields in the order of the types, so equal actions are equal bytes.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct, field

from state.actions import ACTION_TYPES, Action, ActionData
from state.events import EVENT_TYPES, WIRE_TYPE, Event, Fact
from state.quantities import EARLIEST, LATEST, Id, Instant, NetworkId, rfc3339, to_ms
from state.untrusted import MAX_DEPTH, MAX_LINE_BYTES, TooDeep, kept, parse

Reason = Literal[
    "unreadable",
    "too_long",
    "too_deep",
    "not_json",
    "not_an_event",
    "unmapped",
    "forbidden",
    "unknown_network",
    "unknown_type",
    "invalid_data",
    "absurd_time",
    "unknown_reference",
    "too_late",
]


class JournalLine(Struct, frozen=True, gc=False):
    """One line or message as it was read.

    `seq` is its place in the journal (from 1), `line` its place in `source` (from 1). `size` is
    its true length in bytes; `raw` is shorter only where the line exceeds `MAX_KEPT_BYTES`.
    `sha256` is the hex digest of the whole line, given only in that case. `problem` says why
    nothing more could be read (a damaged compressed file); `raw` is empty then.
    """

    seq: int
    source: str
    line: int
    raw: bytes
    size: int
    sha256: str | None = None
    problem: str | None = None


def line_of(seq: int, source: str, raw: bytes) -> JournalLine:
    """Return message `raw` at place `seq` of `source`, cut where it exceeds what is kept."""
    start, sha256 = kept(raw)
    return JournalLine(seq, source, seq, start, len(raw), sha256)


class DeadLetter(Struct, frozen=True, kw_only=True, gc=False):
    """A record that could not be used: why, what was expected, what was there, where, the bytes."""

    reason: Reason
    expected: str
    was: str
    line: JournalLine
    network: str | None = None
    type: str | None = None

    def __str__(self) -> str:
        return f"expected {self.expected}, was {self.was}, at {self.line.source}:{self.line.line}"


class Envelope(Struct, frozen=True, kw_only=True, gc=False):
    """Attributes that matter to us; further CloudEvents extensions are allowed and ignored."""

    specversion: Literal["1.0"]
    id: Id
    source: Annotated[str, Meta(min_length=1, max_length=256)]
    type: str
    time: Instant
    recordedtime: Instant
    partitionkey: NetworkId
    data: dict[str, Any]
    subject: Annotated[str, Meta(max_length=256)] | None = None
    correlationid: Annotated[str, Meta(max_length=256)] | None = None
    causationid: Annotated[str, Meta(max_length=256)] | None = None
    sequence: Annotated[str, Meta(max_length=64)] | None = None


_INSTANT_FIELDS: dict[type[Fact], tuple[str, ...]] = {
    cls: tuple(f.name for f in msgspec.structs.fields(cls) if "datetime" in str(f.type))
    for cls in WIRE_TYPE
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH = re.compile(r" - at `\$(.*)`$")
_convert = msgspec.convert


def decode(line: JournalLine) -> Event | DeadLetter:
    """Decode one journal line; never raises on account of the bytes."""
    if line.problem is not None:
        return DeadLetter(
            reason="unreadable", expected="a log readable to its end", was=line.problem, line=line
        )
    if line.size > MAX_LINE_BYTES:
        return DeadLetter(
            reason="too_long",
            expected=f"a line of at most {MAX_LINE_BYTES} bytes",
            was=f"{line.size} bytes",
            line=line,
        )
    try:
        document = parse(line.raw)
    except TooDeep as error:
        return DeadLetter(
            reason="too_deep",
            expected=f"JSON of at most {MAX_DEPTH} levels",
            was=str(error),
            line=line,
        )
    except orjson.JSONDecodeError as error:
        return DeadLetter(
            reason="not_json",
            expected="one JSON object in UTF-8",
            was=f"{_excerpt(line.raw)} ({error})",
            line=line,
        )
    # JSON can hold a control character only as an escape (DEL also as it is): few lines have any.
    if (b"\\" in line.raw or b"\x7f" in line.raw) and (
        bad := _control_character(document)
    ) is not None:
        return DeadLetter(
            reason="not_an_event",
            expected="text without control characters",
            was=_short(bad),
            line=line,
            **_known(document),
        )
    try:
        envelope = _convert(document, Envelope)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        expected, was = _explain(error, document)
        return DeadLetter(
            reason="not_an_event", expected=expected, was=was, line=line, **_known(document)
        )
    kind = EVENT_TYPES.get(envelope.type)
    if kind is None:
        return DeadLetter(
            reason="unknown_type",
            expected="an event type of `crossdock schema`",
            was=_short(envelope.type),
            line=line,
            network=envelope.partitionkey,
        )
    try:
        fact = _convert(envelope.data, kind)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        expected, was = _explain(error, envelope.data)
        return DeadLetter(
            reason="invalid_data",
            expected=expected,
            was=was,
            line=line,
            network=envelope.partitionkey,
            type=envelope.type,
        )
    absurd = _absurd(envelope, fact)
    if absurd is not None:
        name, instant = absurd
        return DeadLetter(
            reason="absurd_time",
            expected=f"{name} from {EARLIEST:%Y} to before {LATEST:%Y}",
            was=instant.isoformat(),
            line=line,
            network=envelope.partitionkey,
            type=envelope.type,
        )
    return Event(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        network=envelope.partitionkey,
        time_ms=to_ms(envelope.time),
        recorded_ms=to_ms(envelope.recordedtime),
        fact=fact,
        subject=envelope.subject,
        correlation=envelope.correlationid,
        causation=envelope.causationid,
        sequence=envelope.sequence,
    )


def encode(event: Event) -> bytes:
    """Return one canonical JSON line for `event`, without the newline; `decode` gives it back."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": rfc3339(event.time_ms),
        "recordedtime": rfc3339(event.recorded_ms),
        "partitionkey": event.network,
    }
    for name, value in (
        ("subject", event.subject),
        ("correlationid", event.correlation),
        ("causationid", event.causation),
        ("sequence", event.sequence),
    ):
        if value is not None:
            document[name] = value
    document["data"] = msgspec.to_builtins(event.fact, builtin_types=(datetime,))
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)


def make_event(
    fact: Fact,
    *,
    id: str,  # noqa: A002 - the envelope's own name
    source: str,
    network: str,
    time_ms: int,
    recorded_ms: int | None = None,
    subject: str | None = None,
    correlation: str | None = None,
    causation: str | None = None,
) -> Event:
    """Wrap `fact` in an envelope; `recorded_ms` defaults to `time_ms`."""
    return Event(
        id=id,
        source=source,
        type=WIRE_TYPE[type(fact)],
        network=network,
        time_ms=time_ms,
        recorded_ms=time_ms if recorded_ms is None else recorded_ms,
        fact=fact,
        subject=subject,
        correlation=correlation,
        causation=causation,
    )


def shifted(event: Event, by_ms: int) -> Event:
    """Return `event` with all its instants moved by `by_ms`, those of its fact included."""
    by = timedelta(milliseconds=by_ms)
    moved = {
        name: instant + by
        for name in _INSTANT_FIELDS[type(event.fact)]
        if (instant := getattr(event.fact, name)) is not None
    }
    fact = msgspec.structs.replace(event.fact, **moved) if moved else event.fact
    return msgspec.structs.replace(
        event, time_ms=event.time_ms + by_ms, recorded_ms=event.recorded_ms + by_ms, fact=fact
    )


def encode_action(action: Action) -> bytes:
    """Return canonical bytes of `action`: equal actions give equal bytes. No newline."""
    return orjson.dumps(
        msgspec.to_builtins(action, builtin_types=(datetime,)), option=orjson.OPT_UTC_Z
    )


class _RawActionData(ActionData, frozen=True, kw_only=True):
    decision: dict[str, Any]  # type: ignore[assignment] # its class depends on the action's type


class _RawAction(Action, frozen=True, kw_only=True):
    data: _RawActionData = field()


def decode_action(raw: bytes) -> Action:
    """Return the typed action of its wire bytes; raise ValueError if it is none."""
    try:
        loose = _convert(orjson.loads(raw), _RawAction)
        data = loose.data
        decision = _convert(data.decision, ACTION_TYPES[loose.type])
    except KeyError as error:
        raise ValueError(f"expected an action type, was {error}") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"expected an action: {error}") from error
    return Action(
        **{f: getattr(loose, f) for f in Action.__struct_fields__ if f != "data"},
        data=ActionData(
            **{f: getattr(data, f) for f in ActionData.__struct_fields__ if f != "decision"},
            decision=decision,
        ),
    )


def fingerprint(data: bytes) -> str:
    """Return twelve hex digits of the SHA-256 of `data`: enough to tell two policies apart."""
    return hashlib.sha256(data).hexdigest()[:12]


def _absurd(envelope: Envelope, fact: Fact) -> tuple[str, datetime] | None:
    for name, instant in (("time", envelope.time), ("recordedtime", envelope.recordedtime)):
        if not EARLIEST <= instant < LATEST:
            return name, instant
    for name in _INSTANT_FIELDS[type(fact)]:
        instant = getattr(fact, name)
        if instant is not None and not EARLIEST <= instant < LATEST:
            return f"data.{name}", instant
    return None


def _explain(error: Exception, document: object) -> tuple[str, str]:
    """Return expected and actual value, from msgspec's message and the parsed document."""
    message = str(error)
    found = _PATH.search(message)
    expected = _PATH.sub("", message).removeprefix("Expected ")
    expected = expected.replace("Object missing required field", "the required field")
    if expected.startswith("Invalid enum value"):
        expected = "one of the values that `crossdock schema` lists"
    if found is None:
        if message.startswith("Object missing"):
            return expected, "an object without it"
        return expected, _short(document)
    path = found.group(1)
    value = document
    for part in re.findall(r"\.([^.\[\]]+)|\[(\d*|\.\.\.)\]", path):
        key, index = part
        if key and isinstance(value, dict):
            value = value.get(key)
        elif index.isdigit() and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            break
    return f"{expected} at {path.lstrip('.')}", _short(value)


def _control_character(document: object) -> str | None:
    """Return the first string of the document, names included, that holds a control character."""
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str() as text:
                if _CONTROL.search(text):
                    return text
            case dict() as inner:
                waiting += [*inner, *inner.values()]
            case list() as items:
                waiting += items
            case _:
                pass
    return None


def _known(document: object) -> dict[str, str]:
    """Return network and type of a document that failed as an envelope, where they can be read."""
    if not isinstance(document, dict):
        return {}
    found = {}
    for name, attribute in (("network", "partitionkey"), ("type", "type")):
        value = document.get(attribute)
        if isinstance(value, str):
            found[name] = value[:128]
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _excerpt(raw: bytes) -> str:
    text = repr(raw[:60])[1:]
    return text if len(raw) <= 60 else f"{text}..."
