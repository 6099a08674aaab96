"""One log file: bounded lines, a place to resume at, and damage reported instead of raised."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from msgspec import Struct

from state.codec import JournalLine
from state.errors import JournalError
from state.untrusted import MAX_KEPT_BYTES

_SKIP_CHUNK = 1024 * 1024
_MAX_ZSTD_WINDOW = 1 << 27
_CORRUPT = (EOFError, OSError, zlib.error, zstandard.ZstdError)


class FilePosition(Struct, frozen=True):
    """Start of the next unread line of one file.

    `offset` counts decompressed bytes; `line` the lines before it; `latest_ms` is the largest
    recorded time seen in the file, which places lines that have none.
    """

    offset: int = 0
    line: int = 0
    latest_ms: int = 0


class LogFile:
    """One log file: bounded lines, a position after each, corruption as a last unreadable line."""

    def __init__(self, path: Path, position: FilePosition, follow: bool) -> None:
        self.path = path
        self.name = str(path)
        self.position = position
        self._follow = follow
        self._ended = False
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise JournalError(f"expected a readable log, was {error}") from error
        try:
            self._unpacked = _unpacked(self._file, path)
            self._stream: BinaryIO = self._file
            if self._unpacked is not None:
                self._stream = cast(BinaryIO, io.BufferedReader(self._unpacked, _SKIP_CHUNK))
            self._skip(position.offset)
        except JournalError:
            self._file.close()
            raise

    def _skip(self, offset: int) -> None:
        if self._unpacked is None:
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
        """Return the next line, with seq 0; None at the end (following: the end for now)."""
        if self._ended:
            return None
        offset, number = self.position.offset, self.position.line + 1
        raw = self._stream.readline(MAX_KEPT_BYTES)
        size, digest = len(raw), None
        if size == MAX_KEPT_BYTES and not raw.endswith(b"\n"):
            size, digest = self._skip_rest(raw)
        if not raw:
            self._ended = not self._follow
            if self._unpacked is None or self._unpacked.problem is None:
                return None
            self.position = FilePosition(offset, number, self.position.latest_ms)
            return JournalLine(0, self.name, number, b"", 0, None, self._unpacked.problem)
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
        """Remember the largest recorded time seen, for the merge."""
        self.position = FilePosition(self.position.offset, self.position.line, latest_ms)

    def bytes_read(self) -> int:
        """Return bytes read so far, as they lie on disk."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()


def is_compressed(path: Path) -> bool:
    """Return whether the name marks the log as compressed."""
    return path.suffix in (".gz", ".zst")


class _Unpacked(io.RawIOBase):
    """A decompressed stream that ends where it is damaged, and remembers why.

    It reads no further at a time than the codec has ready, so that all before the damage is read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self.problem: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self.problem is not None:
            return 0
        try:
            data = self._stream.read1(len(buffer))  # type: ignore[attr-defined]
        except _CORRUPT as error:
            self.problem = f"{type(error).__name__}: {error}"
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _unpacked(file: BinaryIO, path: Path) -> _Unpacked | None:
    if path.suffix == ".gz":
        return _Unpacked(cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")))
    if path.suffix == ".zst":
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        reader = decompressor.stream_reader(file, read_across_frames=True, closefd=False)
        return _Unpacked(cast(BinaryIO, reader))
    return None
