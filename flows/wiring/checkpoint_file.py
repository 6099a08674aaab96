"""A checkpoint on disk: the state of every network's operators, compressed, checked, atomic.

One zstandard frame with its checksum. Inside: a line with the version, then per network the
lengths of name and state (4 and 8 bytes, big-endian), the name, the state.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import zstandard

from operators.core.contract import Operator
from state.errors import SnapshotError

_VERSION = b"crossdock checkpoint 1\n"
#: The fastest level: a checkpoint is short-lived, and read only at a restart.
_LEVEL = -1


def write_checkpoint(path: Path, operators: Mapping[str, Operator]) -> None:
    """Write the state of `operators` (by network) to `path`, durably; raises OSError.

    Under another name first, so that `path` is whole or not there.
    """
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        with packer.stream_writer(file, closefd=False) as stream:
            stream.write(_VERSION)
            for network, operator in operators.items():
                name, state = network.encode(), operator.snapshot()
                stream.write(len(name).to_bytes(4, "big") + len(state).to_bytes(8, "big"))
                stream.write(name)
                stream.write(state)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_checkpoint(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each network and its operators' state.

    Raises SnapshotError if the file is not whole, which is known for certain at its end only.
    """
    try:
        with path.open("rb") as file:
            unpacked = _Unpacked(file)
            if unpacked.read(len(_VERSION)) != _VERSION:
                raise SnapshotError(f"expected a checkpoint of version 1, at {path}: {_WAY_ON}")
            while head := unpacked.read(12, may_end=True):
                name = unpacked.read(int.from_bytes(head[:4], "big")).decode()
                yield name, unpacked.read(int.from_bytes(head[4:], "big"))
    except (OSError, EOFError, zstandard.ZstdError, UnicodeDecodeError) as error:
        problem = f"expected a whole checkpoint, was {error}, at {path}: {_WAY_ON}"
        raise SnapshotError(problem) from error


_WAY_ON = "remove the recovery folder to work the state out again from the journal"
_CHUNK = 1 << 20


class _Unpacked:
    """One zstandard frame, read to the checksum at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def read(self, size: int, *, may_end: bool = False) -> bytes:
        """Return exactly `size` bytes; none where the frame ends there and `may_end`."""
        parts, missing = [], size
        while missing:
            if not self._rest and not self._unpack():
                if may_end and missing == size:
                    return b""
                raise EOFError(f"{missing} bytes short")
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _unpack(self) -> bool:
        """Unpack some more; return False at the frame's end."""
        while not self._rest and not self._frame.eof:
            packed = self._file.read(_CHUNK)
            if not packed:
                raise EOFError("cut off")
            self._rest = self._frame.decompress(packed)
        return bool(self._rest)
