"""A checkpoint on disk: the state of every network's operators, compressed, checked, atomic.

One zstandard frame with its checksum. Inside: a line with the version, then per network the
lengths of name and state (4 and 8 bytes, big-endian), the name, the state.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from operators.contract import Operator
from state.errors import SnapshotError

_VERSION = b"crossdock checkpoint 1\n"
#: The fastest level: a checkpoint is short-lived, and is read in anger only.
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
    """Each network and its operators' state; raises SnapshotError if the file is not whole."""
    try:
        with path.open("rb") as file:
            unpacker = zstandard.ZstdDecompressor()
            stream = cast(BinaryIO, unpacker.stream_reader(file, closefd=False))
            if stream.read(len(_VERSION)) != _VERSION:
                raise SnapshotError(f"expected a checkpoint of version 1, at {path}: {_WAY_ON}")
            while head := _exactly(stream, 12, path, may_end=True):
                name = _exactly(stream, int.from_bytes(head[:4], "big"), path).decode()
                yield name, _exactly(stream, int.from_bytes(head[4:], "big"), path)
    except (OSError, zstandard.ZstdError, UnicodeDecodeError) as error:
        raise SnapshotError(
            f"expected a whole checkpoint, was {error}, at {path}: {_WAY_ON}"
        ) from (error)


_WAY_ON = "remove the recovery folder to work the state out again from the journal"


def _exactly(stream: BinaryIO, size: int, path: Path, *, may_end: bool = False) -> bytes:
    parts, missing = [], size
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    if missing and not (may_end and missing == size):
        raise SnapshotError(f"expected {missing} more bytes at the end of {path}: {_WAY_ON}")
    return b"".join(parts)
