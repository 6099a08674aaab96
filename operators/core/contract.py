"""The operator contract: a fold over records, and the chain of them.

An operator does no I/O, reads no clock and draws no luck. `step` takes one record and returns the
records that go on down the chain: what it received, unless it rules it out, then what it derived.
All records that one journal record causes share its `seq` and `now_ms`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from operators.core.facts import Derived
from state.actions import Action
from state.codec import DeadLetter, JournalLine
from state.errors import SnapshotError
from state.events import Event, Fact

S = TypeVar("S")
#: Content of a record: a journal fact, a derived one, an action, or something unusable.
RecordFact = Fact | Derived | Action | DeadLetter


class Record(Struct, frozen=True, gc=False):
    """One thing on its way down the chain.

    The class of `fact` is its kind. `network` is empty for an undecoded line. `now_ms` is the
    journal's now: the largest recorded time up to this record. `event` and `line` are given for
    journal facts only. A `suspect` fact takes effect like any other, but no model learns from it.
    """

    network: str
    seq: int
    now_ms: int
    fact: RecordFact
    event: Event | None = None
    line: JournalLine | None = None
    suspect: bool = False

    def derive(self, fact: RecordFact) -> "Record":
        """Return a record with `fact`, caused by the same journal record."""
        return Record(self.network, self.seq, self.now_ms, fact)


class Operator(Protocol):
    """Link of the chain."""

    name: str

    def step(self, record: Record) -> list[Record]:
        """Fold one record in; returns what goes on, in order."""
        ...

    def snapshot(self) -> bytes:
        """Return the whole state, as bytes that `restore` of this version reads."""
        ...

    def restore(self, data: bytes) -> None:
        """Restore what `snapshot` returned; raises SnapshotError on an unknown version."""
        ...


class Chain:
    """Operators in a line, itself an operator: the fused form, and the plain fold."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.name = "chain"
        #: Steps of the chain: operators, and loops of them.
        self.parts = tuple(operators)
        #: The operators themselves, those in loops among them.
        self.operators: tuple[Operator, ...] = tuple(
            each for part in self.parts for each in getattr(part, "operators", (part,))
        )
        self._steps: tuple[Callable[[Record], list[Record]], ...] = tuple(
            part.step for part in self.parts
        )

    def step(self, record: Record) -> list[Record]:
        """Pass one record through all operators; returns all that leaves the last one."""
        return through(self._steps, record)

    def snapshot(self) -> bytes:
        """Return all operators' snapshots, by name."""
        return pack_all(self.operators)

    def restore(self, data: bytes) -> None:
        """Restore every operator; raises SnapshotError if they are not the same operators."""
        restore_all(self.operators, data)


def through(steps: Sequence[Callable[[Record], list[Record]]], record: Record) -> list[Record]:
    """Pass one record through all `steps`; returns all that leaves the last one, in order."""
    records = [record]
    for step in steps:
        if len(records) == 1:
            records = step(records[0])
        else:
            passed: list[Record] = []
            for each in records:
                passed += step(each)
            records = passed
    return records


def pack_all(operators: Sequence[Operator]) -> bytes:
    """Return snapshots of several operators, by name."""
    return msgspec.msgpack.encode({o.name: o.snapshot() for o in operators})


def restore_all(operators: Sequence[Operator], data: bytes) -> None:
    """Restore what `pack_all` packed; raises SnapshotError if they are not the same operators."""
    parts = msgspec.msgpack.decode(data, type=dict[str, bytes])
    names = [operator.name for operator in operators]
    if list(parts) != names:
        raise SnapshotError(
            f"expected a snapshot of the operators {', '.join(names)}, was {', '.join(parts)}"
        )
    for operator in operators:
        operator.restore(parts[operator.name])


def step_all(operator: Operator, records: list[Record]) -> list[Record]:
    """Step a batch through, in order; a chain part by part, which keeps caches warm.

    The parts of a chain share nothing, so that each sees the same records either way.
    """
    if isinstance(operator, Chain):
        for each in operator.parts:
            records = step_all(each, records)
        return records
    step = operator.step
    passed: list[Record] = []
    for record in records:
        passed += step(record)
    return passed


def pack(version: str, state: object) -> bytes:
    """Return snapshot bytes: a line with the version, then `state` as MessagePack."""
    return version.encode() + b"\n" + msgspec.msgpack.encode(state)


def unpack(version: str, data: bytes, kind: type[S]) -> S:
    """Return what `pack` packed; raises SnapshotError if its version or shape differs."""
    head, _, body = data.partition(b"\n")
    if head != version.encode():
        raise SnapshotError(
            f"expected a snapshot of {version}, was {head[:80]!r}: "
            "this version cannot read it. `crossdock run --rebuild` works the state out again from "
            "the journal; a replay does with another --out folder"
        )
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"expected state of {version}, was damaged: {error}") from error


def dead_letter(record: Record, reason: Any, expected: str, was: str) -> Record:
    """Return the record as a dead letter; only for records that came from the journal."""
    assert record.event is not None and record.line is not None
    return record.derive(
        DeadLetter(
            reason=reason,
            expected=expected,
            was=was,
            line=record.line,
            network=record.event.network,
            type=record.event.type,
        )
    )
