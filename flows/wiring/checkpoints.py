"""Checkpoints: the state of the whole flow at one place in the journal, taken without a pause.

A snapshot of a large twin takes seconds, and the stream must not wait for it. So the process is
forked at a moment when everything read has been decided and written: the child, which sees the
state of that moment for as long as it likes, writes it to a file while the parent goes on. Bytewax
keeps, in its recovery store, which file that is and where in the journal it was taken; as that is
committed at the end of an epoch, all that was emitted before is known to have been written.

A resumed flow starts at the checkpoint and does again what was done since; its outlets know what
they have.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from flows.wiring.checkpoint_file import read_checkpoint, write_checkpoint
from flows.wiring.outlets import Mark, Outlet
from operators.core.contract import Operator
from state.errors import SnapshotError, StoreError

_VERSION = 1
#: A checkpoint may take this share of the time at most, so that a large one comes less often.
_LARGEST_SHARE = 0.2
_PR_SET_PDEATHSIG = 1


class Manifest(Struct, frozen=True, kw_only=True):
    """Entry of the recovery store: where a checkpoint was taken, and its file.

    `position` is the reader's own; `marks` are those of the outlets, by name.
    """

    version: int = _VERSION
    position: bytes
    file: str
    marks: dict[str, Mark]


class Folded(Protocol):
    """A step whose operators are kept; counts records in and out."""

    operators: dict[str, Operator]
    taken: int
    given: int

    def restore(self, network: str, state: bytes) -> None:
        """Make the operator of `network` from a snapshot."""
        ...


class Sunk(Protocol):
    """A sink; counts what reached it."""

    name: str
    outlet: Outlet
    received: int


class Checkpoints:
    """Checkpoints in `folder`, some `every_s` apart, to which a flow can be brought back.

    `failed` gets why one could not be taken; the stream goes on with the one before. `taken`
    gets how long the stream was held up, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        every_s: float,
        *,
        failed: Callable[[str], object] = lambda reason: None,
        taken: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._folder, self._every_s = folder, every_s
        self._failed, self._taken = failed, taken
        self._step: Folded | None = None
        self._sinks: Sequence[Sunk] = ()
        self._due_at = time.monotonic() + every_s
        self._begun_at = 0.0
        self._child = 0
        self._underway: Manifest | None = None
        self._ready: Manifest | None = None
        self._committed: list[str] = []

    def watch(self, step: Folded, sinks: Sequence[Sunk]) -> None:
        """Take in the flow whose state is kept."""
        self._step, self._sinks = step, sinks

    def is_settled(self, emitted: int) -> bool:
        """Return whether all of `emitted` lines have been decided, and all decisions written."""
        assert self._step is not None
        given = self._step.given
        return self._step.taken == emitted and all(s.received == given for s in self._sinks)

    def is_due(self) -> bool:
        """Return whether the next one is due; also look after the one under way."""
        if self._child:
            self._look_after()
        return not self._child and time.monotonic() >= self._due_at

    def take(self, position: bytes, *, wait: bool = False) -> None:
        """Take one of a settled flow; the journal's reader stands at `position`.

        With `wait` it is on disk when this returns, or `failed` has got why not.
        """
        begun = time.monotonic()
        if wait and self._child:
            self._look_after(block=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}.zst"
        self._begun_at = begun
        try:
            marks = {sink.name: sink.outlet.mark() for sink in self._sinks}
        except StoreError as error:
            self._finish(f"an outlet that does not know where it stands: {error}")
            return
        self._underway = Manifest(position=position, file=name, marks=marks)
        if wait or sys.platform != "linux":  # elsewhere a forked child may not use much of libc
            self._finish(self._write(name))
        else:
            self._fork(name)
        if not wait:  # the last one, before an end, holds nothing up
            self._taken(time.monotonic() - begun)

    def latest(self) -> bytes | None:
        """Return the newest finished one, as the recovery store keeps it, at an epoch's end."""
        if self._ready is None:
            return None
        if self._ready.file not in self._committed:
            self._committed.append(self._ready.file)
            self._sweep()
        return msgspec.msgpack.encode(self._ready)

    def resume(self, kept: bytes) -> bytes:
        """Bring operators and outlets back to what `latest` gave; return the reader's position.

        Raises SnapshotError if it cannot be read.
        """
        assert self._step is not None
        try:
            manifest = msgspec.msgpack.decode(kept, type=Manifest)
        except msgspec.MsgspecError as error:
            raise SnapshotError(
                f"expected a checkpoint's manifest of version {_VERSION}, was {error}: "
                "remove the recovery folder to work the state out again from the journal"
            ) from error
        for network, state in read_checkpoint(self._folder / manifest.file):
            self._step.restore(network, state)
        for sink in self._sinks:
            sink.outlet.rewind(manifest.marks.get(sink.name, {}))
        self._ready = manifest
        return manifest.position

    def begin(self) -> None:
        """Start outlets over: nothing was committed, and what was written is written again."""
        for sink in self._sinks:
            sink.outlet.rewind({})

    def _fork(self, name: str) -> None:
        # Loaded before the fork, after which as little as possible is done.
        libc, parent = ctypes.CDLL(None), os.getpid()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads. The child takes no lock that a thread of ours holds:
            # it packs plain values, writes a file, and is gone without any clean-up.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._child = os.fork()
            except OSError as error:
                self._finish(f"cannot fork: {error}")
                return
        if self._child:
            return
        code = 1
        try:
            # It outlives its parent in nothing: the next start is another's.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                return
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # Locks and connections are the parent's alone: they must not outlive it in here.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os.nice(19)  # whatever the machine has left over is enough
            problem = self._write(name)
            if problem is not None:
                (self._folder / name).with_suffix(".problem").write_text(problem)
            code = 0 if problem is None else 1
        finally:
            os._exit(code)

    def _write(self, name: str) -> str | None:
        """Write the file; return what went wrong."""
        assert self._step is not None
        try:
            write_checkpoint(self._folder / name, self._step.operators)
        except OSError as error:
            with contextlib.suppress(OSError):
                (self._folder / name).with_suffix(".part").unlink()
            return str(error)
        return None

    def _look_after(self, *, block: bool = False) -> None:
        pid, status = os.waitpid(self._child, 0 if block else os.WNOHANG)
        if not pid:
            return
        self._child = 0
        assert self._underway is not None
        if status == 0:
            self._finish(None)
            return
        note = (self._folder / self._underway.file).with_suffix(".problem")
        problem = note.read_text() if note.exists() else ""  # a full disk has no room for it either
        note.unlink(missing_ok=True)
        self._finish(problem or f"a writer that ended with status {status}")

    def _finish(self, problem: str | None) -> None:
        now = time.monotonic()
        took = now - self._begun_at
        self._due_at = max(self._begun_at + self._every_s, now + took / _LARGEST_SHARE - took)
        if problem is None:
            self._ready = self._underway
        else:
            self._failed(f"expected to write a checkpoint to {self._folder}, was {problem}")
        self._underway = None

    def _sweep(self) -> None:
        """Remove what no manifest can name any more: the store may still be one epoch behind."""
        keep = set(self._committed[-2:])
        del self._committed[:-2]
        if self._underway is not None:
            keep.add(self._underway.file)
        for path in self._folder.iterdir():
            if path.with_suffix(".zst").name not in keep:
                path.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Make the folder; raises StoreError if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"expected a writable recovery folder, was {error}") from error
