"""A Bytewax source over journal files: one partition, resumed at a byte offset."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from state.codec import JournalLine
from state.errors import SnapshotError
from state.journal import JournalPosition, JournalReader

#: How soon to look again at a followed log that had nothing: well below a millisecond.
_POLL = timedelta(microseconds=200)

#: Told after each batch: lines read in all, bytes read, bytes in all.
Progress = Callable[[int, int, int], None]


class Stop:
    """A flag that ends the source, so that the last epoch is committed before the process ends."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self, *_: object) -> None:
        """End the source at its next batch; also fits as a signal handler."""
        self.is_set = True


class _Partition(StatefulSourcePartition[JournalLine, bytes]):
    def __init__(
        self, reader: JournalReader, batch: int, follow: bool, stop: Stop, progress: Progress | None
    ) -> None:
        self._reader, self._batch = reader, batch
        self._follow, self._stop, self._progress = follow, stop, progress
        self._is_idle = False

    def next_batch(self) -> list[JournalLine]:
        if self._stop.is_set:
            raise StopIteration
        lines = self._reader.read(self._batch)
        self._is_idle = not lines
        if not lines and not self._follow:
            raise StopIteration
        if lines and self._progress is not None:
            self._progress(lines[-1].seq, *self._reader.progress())
        return lines

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _POLL if self._is_idle else None

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._reader.position())

    def close(self) -> None:
        self._reader.close()


class JournalSource(FixedPartitionedSource[JournalLine, bytes]):
    """Reads one journal in order; see `state.journal` for what that order is."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        batch: int = 1_000,
        follow: bool = False,
        stop: Stop | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._paths, self._batch, self._follow = paths, batch, follow
        self._stop, self._progress = stop or Stop(), progress

    def list_parts(self) -> list[str]:
        """One partition: a journal is one total order."""
        return ["journal"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _Partition:
        """Open the journal at its start, or where the last committed epoch left off."""
        position = None
        if resume_state is not None:
            try:
                position = msgspec.msgpack.decode(resume_state, type=JournalPosition)
            except msgspec.MsgspecError as error:
                raise SnapshotError(f"expected a journal position, was {error}") from error
        reader = JournalReader(self._paths, position, follow=self._follow)
        if position is not None and self._progress is not None:
            self._progress(position.seq, *reader.progress())
        return _Partition(reader, self._batch, self._follow, self._stop, self._progress)
