"""Codec: bytes to events and back, totally; any bytes give an `Event` or a `DeadLetter`.

The wire is JSON by orjson, which refuses NaN, infinities and wrong UTF-8; `state.untrusted` bounds
size and nesting; msgspec then checks names, types and bounds. Canonical bytes of an action are
compact JSON with the fields in the order of the types, so equal actions are equal bytes.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct, field

from state.actions import ACTION_TYPES, Action, ActionData
from state.events import EVENT_TYPES, WIRE_TYPE, Event, Fact, PolicyChanged
from state.faults import control_character, excerpt, explain, known, short
from state.quantities import (
    EARLIEST,
    LATEST,
    MOST_NETWORK_LETTERS,
    NETWORK_PATTERN,
    Id,
    Instant,
    NetworkId,
    rfc3339,
    to_ms,
)
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


class _Canonical(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An envelope as `encode` writes it, its data not read yet and its network not checked."""

    partitionkey: str
    data: msgspec.Raw  # type: ignore[assignment] # read once its type is known


_INSTANT_FIELDS: dict[type[Fact], tuple[str, ...]] = {
    cls: tuple(f.name for f in msgspec.structs.fields(cls) if "datetime" in str(f.type))
    for cls in WIRE_TYPE
}
#: Reader of an event's data, and the instants in it, by wire type. A policy may hold any document.
_READERS: dict[str, tuple[Callable[[msgspec.Raw], Fact], tuple[str, ...]]] = {
    name: (msgspec.json.Decoder(kind).decode, _INSTANT_FIELDS[kind])
    for name, kind in EVENT_TYPES.items()
    if kind is not PolicyChanged
}
_BACKSLASH, _DEL = 0x5C, 0x7F
_EARLIEST_MS, _LATEST_MS = to_ms(EARLIEST), to_ms(LATEST)
_read_envelope = msgspec.json.Decoder(_Canonical).decode
_matches_network = re.compile(NETWORK_PATTERN).search
#: Networks whose names were found right: a pattern takes as long as all else in an envelope.
_networks: set[str] = set()
_MOST_NETWORKS = 1_024
_convert = msgspec.convert


def decode(line: JournalLine) -> Event | DeadLetter:
    """Decode one journal line; never raises on account of the bytes.

    Nearly all lines are as `encode` writes them. Every byte of those belongs to a field of a known
    type, so they are read straight into the types. All others, and all that is wrong, is left to
    `decode_carefully`, which gives the same event wherever this gives one.
    """
    raw = line.raw
    if line.problem is not None or line.size > MAX_LINE_BYTES or _BACKSLASH in raw or _DEL in raw:
        return decode_carefully(line)
    try:
        envelope = _read_envelope(raw)
        read, instants = _READERS[envelope.type]
        fact = read(envelope.data)
        time_ms, recorded_ms = to_ms(envelope.time), to_ms(envelope.recordedtime)
    except (msgspec.MsgspecError, KeyError, ValueError, OverflowError, RecursionError):
        return decode_carefully(line)
    is_sane = _EARLIEST_MS < time_ms < _LATEST_MS and _EARLIEST_MS < recorded_ms < _LATEST_MS
    network = envelope.partitionkey
    if not is_sane or (network not in _networks and not _is_network_id(network)):
        return decode_carefully(line)
    if instants and _absurd_in(fact, instants) is not None:
        return decode_carefully(line)
    return _event(envelope, fact, time_ms, recorded_ms)


def decode_carefully(line: JournalLine) -> Event | DeadLetter:
    """Decode one journal line by way of its JSON document; says what is wrong with it, if so."""
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
            was=f"{excerpt(line.raw)} ({error})",
            line=line,
        )
    # JSON can hold a control character only as an escape (DEL also as it is): few lines have any.
    if (_BACKSLASH in line.raw or _DEL in line.raw) and (
        bad := control_character(document)
    ) is not None:
        return DeadLetter(
            reason="not_an_event",
            expected="text without control characters",
            was=short(bad),
            line=line,
            **known(document),
        )
    try:
        envelope = _convert(document, Envelope)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        expected, was = explain(error, document)
        return DeadLetter(
            reason="not_an_event", expected=expected, was=was, line=line, **known(document)
        )
    kind = EVENT_TYPES.get(envelope.type)
    if kind is None:
        return DeadLetter(
            reason="unknown_type",
            expected="an event type of `crossdock schema`",
            was=short(envelope.type),
            line=line,
            network=envelope.partitionkey,
        )
    try:
        fact = _convert(envelope.data, kind)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        expected, was = explain(error, envelope.data)
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
    return _event(envelope, fact, to_ms(envelope.time), to_ms(envelope.recordedtime))


def _event(envelope: Envelope, fact: Fact, time_ms: int, recorded_ms: int) -> Event:
    return Event(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        network=envelope.partitionkey,
        time_ms=time_ms,
        recorded_ms=recorded_ms,
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
    return _absurd_in(fact, _INSTANT_FIELDS[type(fact)])


def _absurd_in(fact: Fact, instants: tuple[str, ...]) -> tuple[str, datetime] | None:
    for name in instants:
        instant = getattr(fact, name)
        if instant is not None and not EARLIEST <= instant < LATEST:
            return f"data.{name}", instant
    return None


def _is_network_id(name: str) -> bool:
    if len(name) > MOST_NETWORK_LETTERS or _matches_network(name) is None:
        return False
    if len(_networks) >= _MOST_NETWORKS:
        _networks.clear()
    _networks.add(name)
    return True
