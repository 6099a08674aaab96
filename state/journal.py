"""Journal files: ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``, one or many, read at constant memory.

Several files make one journal: a merge by ``recordedtime``, then by the order the files were named
in; within a file the order of the lines is kept. Every line counts, readable or not, and a line's
place in the merge, from 1, is its `seq`.
"""

import hashlib
import heapq
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from state.codec import JournalLine
from state.errors import JournalError
from state.log_file import FilePosition, LogFile, is_compressed
from state.quantities import Instant, to_ms
from state.sums import int_sum

#: A journal is known by these many first lines of each of its files, so that it may grow.
_IDENTITY_LINES = 32
#: Seconds between looks at a followed file: a share of the time since the last line, within bounds.
#: A steady stream waits next to nothing, and a silent one takes next to no CPU.
_LOOK_SHARE, _LOOK_LEAST_S, _LOOK_MOST_S = 1 / 16, 0.000_2, 0.02


class JournalPosition(Struct, frozen=True):
    """Place to resume reading: the last seq handed out, and a position in every file."""

    seq: int
    files: tuple[FilePosition, ...]


class _Stamp(Struct):
    recordedtime: Instant


class JournalReader:
    """Reader of one journal from its files; see the module for the order.

    `follow` keeps a single uncompressed file open for lines that are still to be appended.
    `at` is a `position` of an earlier reader of the same files. Raises JournalError if a file
    cannot be opened or is shorter than that.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        at: bytes | None = None,
        *,
        follow: bool = False,
    ) -> None:
        if not paths:
            raise JournalError("expected at least one log file, was none")
        if follow and (len(paths) > 1 or is_compressed(paths[0])):
            raise JournalError("expected one uncompressed file to follow, was " + str(paths[0]))
        position = JournalPosition(0, tuple(FilePosition() for _ in paths))
        if at is not None:
            try:
                position = msgspec.msgpack.decode(at, type=JournalPosition)
            except msgspec.MsgspecError as error:
                raise JournalError(f"expected a place in a journal, was {error}") from error
        if len(position.files) != len(paths):
            raise JournalError(
                f"expected the {len(position.files)} files of the first run, was {len(paths)}"
            )
        self._follow = follow
        self._read_at = time.monotonic()
        self._seq = position.seq
        self._files = [
            LogFile(path, at, follow) for path, at in zip(paths, position.files, strict=True)
        ]
        self._size = int_sum(path.stat().st_size for path in paths)
        self._stamp = msgspec.json.Decoder(_Stamp)
        # By file: the next line in the merge and the position before it.
        self._heap: list[tuple[int, int, JournalLine]] = []
        self._before: dict[int, FilePosition] = {}
        if len(self._files) > 1:
            for index in range(len(self._files)):
                self._look_ahead(index)

    def read(self, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        """Return up to `count` next lines in journal order; an empty list at the end.

        Where lines may still be appended, it waits up to `wait_s` for the first.
        """
        until = time.monotonic() + wait_s
        while not (lines := self._read(count)) and self._follow:
            now = time.monotonic()
            if now >= until:
                return lines
            pause_s = max((now - self._read_at) * _LOOK_SHARE, _LOOK_LEAST_S)
            time.sleep(min(pause_s, _LOOK_MOST_S, until - now))
        self._read_at = time.monotonic()
        return lines

    def _read(self, count: int) -> list[JournalLine]:
        lines: list[JournalLine] = []
        take = self._next_single if len(self._files) == 1 else self._next_merged
        while len(lines) < count:
            line = take()
            if line is None:
                break
            self._seq += 1
            lines.append(
                JournalLine(
                    self._seq,
                    line.source,
                    line.line,
                    line.raw,
                    line.size,
                    line.sha256,
                    line.problem,
                )
            )
        return lines

    def __iter__(self) -> Iterator[JournalLine]:
        """Yield all lines that are left; close the files at the end."""
        try:
            while lines := self.read(1_000):
                yield from lines
        finally:
            self.close()

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def position(self) -> bytes:
        """Return the place after the last line handed out: a packed JournalPosition."""
        return msgspec.msgpack.encode(
            JournalPosition(
                self._seq,
                tuple(self._before.get(i, file.position) for i, file in enumerate(self._files)),
            )
        )

    @property
    def lines(self) -> int:
        """Return the number of lines handed out, those before the place of resumption included."""
        return self._seq

    def is_at_end(self) -> bool:
        """Return whether nothing will come any more, after an empty `read`."""
        return not self._follow

    def progress(self) -> tuple[int, int]:
        """Return bytes read so far and bytes in all, as they lie on disk."""
        return int_sum(file.bytes_read() for file in self._files), self._size

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            file.close()

    def _next_single(self) -> JournalLine | None:
        return self._files[0].next_line()

    def _next_merged(self) -> JournalLine | None:
        if not self._heap:
            return None
        _, index, line = heapq.heappop(self._heap)
        del self._before[index]
        self._look_ahead(index)
        return line

    def _look_ahead(self, index: int) -> None:
        file = self._files[index]
        before = file.position
        line = file.next_line()
        if line is None:
            return
        try:
            stamped = to_ms(self._stamp.decode(line.raw).recordedtime)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            stamped = 0  # unreadable: it keeps its place in its file
        latest = max(stamped, before.latest_ms)
        file.note_latest(latest)
        self._before[index] = before
        heapq.heappush(self._heap, (latest, index, line))


def log_identity(paths: Sequence[Path]) -> str:
    """Name a journal by its beginning: twelve hex digits over the first lines of each file.

    It stays the same while the log grows beyond `_IDENTITY_LINES` lines and under recompression.
    Raises JournalError if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        file = LogFile(path, FilePosition(), follow=False)
        try:
            for _ in range(_IDENTITY_LINES):
                line = file.next_line()
                if line is None:
                    break
                digest.update(line.raw + b"\n")
        finally:
            file.close()
        digest.update(b"\x00")
    return digest.hexdigest()[:12]
