"""Recordings: the journal of Kafka in files, with every record's place in it.

A recording is a folder of segments, ``{topic}-{partition}-{first seq}.jsonl.zst``: the records of
one partition, a line each, as they came. A line that is not a record says what the lines cannot:

    {"crossdock.recording":{"journal":…,"topic":…,"partition":…,"after":…}}   the first line
    {"crossdock.recording":{"seq":…}}                 the next line's seq, where it is not the next
    {"crossdock.recording":{"seq":…,"base64":…}}      a record that is no line: with line breaks, …

``after`` is the seq before the segment's first, so that a missing segment is noticed. A segment
under way has the suffix ``.part`` and is not read.
"""

import base64
import os
import re
from pathlib import Path
from typing import BinaryIO, Self, cast

import msgspec
import orjson
import zstandard
from msgspec import Struct

from state.errors import JournalError

_MARK = b'{"crossdock.recording":'
_AWKWARD = re.compile(rb"[\r\n]")
_NAME = re.compile(r"(?P<topic>.+)-(?P<partition>\d{5})-(?P<seq>\d{20})\.jsonl\.zst")
_SUFFIX = ".part"
#: The longest line there can be: what a broker takes as 1 MB compressed, unpacked, in base64.
_LONGEST_LINE = 384 * 1024 * 1024
_LEVEL = 6


class Header(Struct, frozen=True, kw_only=True):
    """First line of a segment. `journal` is the identity that the seqs are places of."""

    journal: str
    topic: str
    partition: int
    after: int
    version: int = 1


class _Mark(Struct, frozen=True):
    seq: int
    base64: str | None = None


class _HeaderLine(Struct, frozen=True, rename={"recording": "crossdock.recording"}):
    recording: Header


class _MarkLine(Struct, frozen=True, rename={"recording": "crossdock.recording"}):
    recording: _Mark


class SegmentWriter:
    """Writer of one segment, which gets its name when it is closed. Raises OSError."""

    def __init__(self, folder: Path, header: Header, first: int) -> None:
        self.path = folder / (f"{header.topic}-{header.partition:05d}-{first:020d}.jsonl.zst")
        self._part = self.path.with_name(self.path.name + _SUFFIX)
        self._file = self._part.open("wb")
        self._stream = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(
            self._file, closefd=False
        )
        self._last = header.after
        self.size = 0
        self._line(orjson.dumps({"crossdock.recording": msgspec.to_builtins(header)}))

    def write(self, seq: int, raw: bytes) -> None:
        """Append the record at `seq`, which is larger than the one before."""
        if _AWKWARD.search(raw) or raw.startswith(_MARK) or not raw:
            text = base64.b64encode(raw).decode("ascii")
            self._line(orjson.dumps({"crossdock.recording": {"seq": seq, "base64": text}}))
        else:
            if seq != self._last + 1:
                self._line(orjson.dumps({"crossdock.recording": {"seq": seq}}))
            self._line(raw)
        self._last = seq

    def _line(self, line: bytes) -> None:
        self._stream.write(line + b"\n")
        self.size += len(line) + 1

    def flush(self) -> None:
        """Bring to the disk what has been written, so that it survives the process."""
        self._stream.flush(zstandard.FLUSH_BLOCK)
        self._file.flush()

    def close(self) -> None:
        """Finish the segment under its name."""
        self._stream.close()  # type: ignore[no-untyped-call]
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self.path)


class Segment:
    """Reader of one segment, record by record. A context manager.

    With `may_be_cut` a segment that ends in the middle ends at its last whole line; else that
    raises JournalError, as does anything else that is wrong with it.
    """

    def __init__(self, path: Path, *, may_be_cut: bool = False) -> None:
        self.path, self._may_be_cut = path, may_be_cut
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise JournalError(f"expected a readable recording, was {error}") from error
        unpacked = zstandard.ZstdDecompressor().stream_reader(
            self._file, read_across_frames=True, closefd=False
        )
        self._stream = cast(BinaryIO, unpacked)
        self._rest = b""
        self._is_over = False
        first = self._line()
        try:
            self.header = msgspec.json.decode(first or b"", type=_HeaderLine).recording
        except msgspec.MsgspecError as error:
            self._file.close()
            raise JournalError(
                f"expected a recording's first line, was {(first or b'')[:60]!r}, at {path}"
            ) from error
        self.last = self.header.after

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> tuple[int, bytes] | None:
        """Return the next record and its seq; None at the end."""
        line = self._line()
        seq = self.last + 1
        if line is not None and line.startswith(_MARK):
            mark = self._mark(line)
            seq = mark.seq
            raw = base64.b64decode(mark.base64) if mark.base64 is not None else self._line()
        else:
            raw = line
        if raw is None:
            return None
        self.last = seq
        return seq, raw

    def _mark(self, line: bytes) -> _Mark:
        try:
            mark = msgspec.json.decode(line, type=_MarkLine).recording
        except msgspec.MsgspecError as error:
            raise JournalError(f"expected a recording's mark, was {error}, at {self.path}") from (
                error
            )
        if mark.seq <= self.last:
            raise JournalError(f"expected a seq after {self.last}, was {mark.seq}, at {self.path}")
        return mark

    def _line(self) -> bytes | None:
        """Return the next whole line without its end; None at the end of the segment."""
        while (end := self._rest.find(b"\n")) < 0 and not self._is_over:
            try:
                part = self._stream.read(1 << 16)
            except zstandard.ZstdError as error:
                if not self._may_be_cut:
                    raise self._cut(str(error)) from error
                part = b""
            if len(self._rest) > _LONGEST_LINE:
                raise JournalError(f"expected lines of at most {_LONGEST_LINE} B, at {self.path}")
            self._is_over = not part
            self._rest += part
        if end < 0:
            if self._rest and not self._may_be_cut:
                raise self._cut("a line without end")
            return None
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return line

    def _cut(self, was: str) -> JournalError:
        return JournalError(f"expected a whole segment, was {was}, at {self.path}")

    def bytes_read(self) -> int:
        """Return bytes read so far, as they lie on disk."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def segments_of(paths: list[Path]) -> dict[tuple[str, int], list[Path]]:
    """Return segments among `paths` (folders are searched), by topic and partition, in order."""
    found: dict[tuple[str, int], list[Path]] = {}
    listed = [each for path in paths for each in (path.iterdir() if path.is_dir() else [path])]
    for path in sorted(listed, key=lambda each: each.name):
        if name := _NAME.fullmatch(path.name):
            found.setdefault((name["topic"], int(name["partition"])), []).append(path)
    return dict(sorted(found.items()))


def unfinished(folder: Path) -> list[Path]:
    """Return segments that were under way when their writer ended."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def is_recording(path: Path) -> bool:
    """Return whether `path` is a segment, or a folder of segments."""
    return bool(segments_of([path]))
