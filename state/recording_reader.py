"""Reader of a recording as a journal: partition by partition, each record under its seq."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from state.codec import JournalLine, line_of
from state.errors import JournalError
from state.recording import Segment, segments_of
from state.sums import int_sum


class RecordingPosition(Struct, frozen=True):
    """Place to resume at: a segment's name, and the last seq handed out of it."""

    segment: str
    seq: int


class RecordingReader:
    """Reader of all segments among `paths`; networks of one partition keep their order.

    `at` is a `position` of an earlier reader of the same recording. Raises JournalError if a
    segment is missing or damaged, or the recording does not begin with the journal.
    """

    def __init__(self, paths: Sequence[Path], at: bytes | None = None) -> None:
        by_partition = segments_of(list(paths))
        if not by_partition:
            raise JournalError(f"expected segments of a recording, was none in {paths[0]}")
        self._segments = [path for each in by_partition.values() for path in each]
        self._size = int_sum(path.stat().st_size for path in self._segments)
        self._read_before = 0
        self._index = 0
        self._previous: tuple[str, int, int] | None = None
        self._segment = self._open()
        self.identity = self._segment.header.journal
        self._seq = 0
        #: Records handed out, those before the place it was resumed at included.
        self.lines = 0
        if at is not None:
            self._go_to(at)

    def _open(self) -> Segment:
        """Open the segment at `_index`, which follows the one before it without a gap."""
        segment = Segment(self._segments[self._index])
        header = segment.header
        place = (header.topic, header.partition)
        last = self._previous[2] if self._previous and self._previous[:2] == place else 0
        if header.after != last:
            segment.close()
            raise JournalError(
                f"expected a segment of {header.topic}[{header.partition}] that begins after "
                f"record {last}, was after {header.after}, at {segment.path}: "
                + (
                    "a segment is missing"
                    if last
                    else "the recording was begun late; what came before decides what comes after"
                )
            )
        return segment

    def _go_to(self, at: bytes) -> None:
        try:
            position = msgspec.msgpack.decode(at, type=RecordingPosition)
        except msgspec.MsgspecError as error:
            raise JournalError(f"expected a place in a recording, was {error}") from error
        while True:
            if self._segment.path.name == position.segment and self._segment.last >= position.seq:
                return
            if self._next() is None:
                raise JournalError(
                    f"expected record {position.seq} in {position.segment}: the recording is "
                    "shorter than when it was last read"
                )

    def read(self, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        """Return up to `count` next records; an empty list at the end, which no waiting moves."""
        lines: list[JournalLine] = []
        while len(lines) < count and (line := self._next()) is not None:
            lines.append(line)
        return lines

    def _next(self) -> JournalLine | None:
        while (found := self._segment.next()) is None:
            header, last = self._segment.header, self._segment.last
            if self._index + 1 == len(self._segments):
                return None
            self._segment.close()
            self._read_before += self._segment.path.stat().st_size
            self._previous = (header.topic, header.partition, last)
            self._index += 1
            self._segment = self._open()
        self._seq, raw = found
        self.lines += 1
        header = self._segment.header
        return line_of(self._seq, f"{header.topic}[{header.partition}]", raw)

    def __iter__(self) -> Iterator[JournalLine]:
        """Yield all records that are left; close the files at the end."""
        try:
            while lines := self.read(1_000):
                yield from lines
        finally:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_at_end(self) -> bool:
        """Return True after an empty `read`: a recording does not grow while it is read."""
        return True

    def position(self) -> bytes:
        """Return the place after the last record handed out."""
        return msgspec.msgpack.encode(RecordingPosition(self._segment.path.name, self._seq))

    def progress(self) -> tuple[int, int]:
        """Return bytes read so far and bytes in all, as they lie on disk."""
        return self._read_before + self._segment.bytes_read(), self._size

    def close(self) -> None:
        """Close the files."""
        self._segment.close()
