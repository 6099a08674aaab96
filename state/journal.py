"""Journal files: ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``, one or many, read at constant memory.

Several files make one journal: a merge by ``recordedtime``, then by the order the files were named
in; within a file the order of the lines is kept. Every line counts, readable or not, and a line's
place in the merge, from 1, is its `seq`.
"""

import gzip
import hashlib
import heapq
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import msgspec
import zstandard
from msgspec import Struct

from state.codec import MAX_KEPT_BYTES, JournalLine, encode
from state.errors import JournalError
from state.events import Event
from state.quantities import Instant, to_ms

#: A journal is known by these many first lines of each of its files, so that it may grow.
_IDENTITY_LINES = 32
_SKIP_CHUNK = 1024 * 1024
_MAX_ZSTD_WINDOW = 1 << 27
_CORRUPT = (EOFError, OSError, zlib.error, zstandard.ZstdError)


class FilePosition(Struct, frozen=True):
    """Where the next unread line of one file starts.

    `offset` counts decompressed bytes; `line` the lines before it; `latest_ms` is the largest
    recorded time seen in the file, which places lines that have none.
    """

    offset: int = 0
    line: int = 0
    latest_ms: int = 0


class JournalPosition(Struct, frozen=True):
    """Where to go on reading: the last seq handed out, and a place in every file."""

    seq: int
    files: tuple[FilePosition, ...]


class _Stamp(Struct):
    recordedtime: Instant


class _LogFile:
    """One log file: bounded lines, a position after each, corruption as a last unreadable line."""

    def __init__(self, path: Path, position: FilePosition, follow: bool) -> None:
        self.path = path
        self.name = str(path)
        self.position = position
        self._follow = follow
        self._ended = False
        try:
            self._file = path.open("rb")
            self._stream = _decompressed(self._file, path)
            self._skip(position.offset)
        except _CORRUPT as error:
            raise JournalError(f"expected a readable log, was {error}, at {path}") from error

    def _skip(self, offset: int) -> None:
        if not _is_compressed(self.path):
            self._stream.seek(offset)
            return
        while offset > 0:
            skipped = len(self._stream.read(min(offset, _SKIP_CHUNK)))
            if skipped == 0:
                raise JournalError(
                    f"expected at least {self.position.offset} bytes, was {offset} fewer, "
                    f"at {self.path}: the log is shorter than when it was last read"
                )
            offset -= skipped

    def next_line(self) -> JournalLine | None:
        """Next line, with seq 0; None at the end (when following: at the end for now)."""
        if self._ended:
            return None
        offset, number = self.position.offset, self.position.line + 1
        try:
            raw = self._stream.readline(MAX_KEPT_BYTES)
            size, digest = len(raw), None
            if size == MAX_KEPT_BYTES and not raw.endswith(b"\n"):
                size, digest = self._skip_rest(raw)
        except _CORRUPT as error:
            self._ended = True
            self.position = FilePosition(offset, number, self.position.latest_ms)
            return JournalLine(
                0, self.name, number, b"", 0, None, f"{type(error).__name__}: {error}"
            )
        if not raw:
            self._ended = not self._follow
            return None
        if self._follow and digest is None and not raw.endswith(b"\n"):
            self._stream.seek(offset)  # a line still being written
            return None
        self.position = FilePosition(offset + size, number, self.position.latest_ms)
        if digest is None:
            raw = raw.rstrip(b"\r\n")
            size = len(raw)
        return JournalLine(0, self.name, number, raw, size, digest)

    def _skip_rest(self, head: bytes) -> tuple[int, str]:
        """Read to the end of an over-long line; returns its true size and SHA-256."""
        digest = hashlib.sha256(head)
        size = len(head)
        while True:
            part = self._stream.readline(_SKIP_CHUNK)
            digest.update(part)
            size += len(part)
            if not part or part.endswith(b"\n"):
                return size, digest.hexdigest()

    def note_latest(self, latest_ms: int) -> None:
        self.position = FilePosition(self.position.offset, self.position.line, latest_ms)

    def bytes_read(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._stream.close()
        self._file.close()


class JournalReader:
    """Reads one journal from its files; see the module for the order.

    `follow` keeps a single uncompressed file open for lines that are still to be appended.
    Raises JournalError if a file cannot be opened or is shorter than `position`.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        position: JournalPosition | None = None,
        *,
        follow: bool = False,
    ) -> None:
        if not paths:
            raise JournalError("expected at least one log file, was none")
        if follow and (len(paths) > 1 or _is_compressed(paths[0])):
            raise JournalError("expected one uncompressed file to follow, was " + str(paths[0]))
        if position is None:
            position = JournalPosition(0, tuple(FilePosition() for _ in paths))
        if len(position.files) != len(paths):
            raise JournalError(
                f"expected the {len(position.files)} files of the first run, was {len(paths)}"
            )
        self._seq = position.seq
        self._files = [
            _LogFile(path, at, follow) for path, at in zip(paths, position.files, strict=True)
        ]
        self._size = sum(path.stat().st_size for path in paths)
        self._stamp = msgspec.json.Decoder(_Stamp)
        # Of each file, the next line in the merge and the position before it.
        self._heap: list[tuple[int, int, JournalLine]] = []
        self._before: dict[int, FilePosition] = {}
        if len(self._files) > 1:
            for index in range(len(self._files)):
                self._look_ahead(index)

    def read(self, count: int) -> list[JournalLine]:
        """Up to `count` next lines in journal order; an empty list at the end."""
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
        while lines := self.read(1_000):
            yield from lines

    def position(self) -> JournalPosition:
        """Where the line after the last one handed out is found."""
        return JournalPosition(
            self._seq,
            tuple(self._before.get(i, file.position) for i, file in enumerate(self._files)),
        )

    def progress(self) -> tuple[int, int]:
        """Bytes read so far and bytes in all, as they lie on disk."""
        return sum(file.bytes_read() for file in self._files), self._size

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


def journal_identity(paths: Sequence[Path]) -> str:
    """Name a journal by its beginning: twelve hex digits over the first lines of each file.

    It stays the same while the log grows beyond `_IDENTITY_LINES` lines and under recompression.
    Raises JournalError if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        file = _LogFile(path, FilePosition(), follow=False)
        for _ in range(_IDENTITY_LINES):
            line = file.next_line()
            if line is None:
                break
            digest.update(line.raw + b"\n")
        file.close()
        digest.update(b"\x00")
    return digest.hexdigest()[:12]


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class JournalWriter:
    """Writes a log; the suffix of `path` chooses the compression. A context manager.

    The same events give the same bytes, compressed or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        except OSError as error:
            raise JournalError(f"expected a writable path, was {error}") from error
        self._stream = self._compressed(path)

    def _compressed(self, path: Path) -> _Writable:
        if path.suffix == ".gz":
            # No name and time inside, so that equal logs are equal files.
            zipped = gzip.GzipFile(
                filename="", mode="wb", fileobj=self._file, mtime=0, compresslevel=5
            )
            return cast("_Writable", zipped)
        if path.suffix == ".zst":
            return cast(
                "_Writable",
                zstandard.ZstdCompressor(level=6).stream_writer(self._file, closefd=False),
            )
        return self._file

    def write(self, event: Event) -> None:
        """Append one event as a line."""
        self._stream.write(encode(event) + b"\n")
        self.lines += 1

    def close(self) -> None:
        """Finish the compression frame and close the file."""
        if self._stream is not self._file:
            self._stream.close()
        self._file.close()

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_compressed(path: Path) -> bool:
    return path.suffix in (".gz", ".zst")


def _decompressed(file: BinaryIO, path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(
            BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file, mode="rb"), _SKIP_CHUNK)
        )
    if path.suffix == ".zst":
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        reader = decompressor.stream_reader(file, read_across_frames=True, closefd=False)
        return cast(BinaryIO, io.BufferedReader(reader, _SKIP_CHUNK))
    return file
