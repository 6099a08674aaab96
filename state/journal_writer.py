"""Writer of logs; the suffix of the name chooses the compression."""

import gzip
from pathlib import Path
from typing import Protocol, cast

import zstandard

from state.codec import encode
from state.errors import JournalError
from state.events import Event


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class JournalWriter:
    """Writer of a log; the suffix of `path` chooses the compression. A context manager.

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
