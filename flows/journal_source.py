"""A Bytewax source over one journal, in files or in Kafka: one partition that can resume."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.checkpoints import Checkpoints
from flows.progress import Progress
from flows.stop import Stop
from state.codec import JournalLine
from state.errors import CrossdockError

#: How soon to look again where there was nothing: well below a millisecond.
_POLL = timedelta(microseconds=200)


class Reader(Protocol):
    """Reads one journal in order."""

    def read(self, count: int) -> list[JournalLine]:
        """Up to `count` next lines; an empty list where there are none at the moment."""
        ...

    def is_at_end(self) -> bool:
        """After an empty `read`: whether nothing will come any more."""
        ...

    def position(self) -> bytes:
        """Where the next line is found, for a reader that resumes."""
        ...

    def progress(self) -> tuple[int, int]:
        """Work done, and work in all."""
        ...

    def close(self) -> None:
        """Let go of files or connections."""
        ...


#: Opens the reader at a position, or at the journal's start.
OpenReader = Callable[[bytes | None], Reader]


class JournalSource(FixedPartitionedSource[JournalLine, bytes | None]):
    """Reads one journal in order, batch by batch.

    With `checkpoints` it resumes where the last committed one was taken. `failed` hears of the
    error that ends the flow, `turned` of each turn of the loop, `paused` of how long (s) an epoch's
    end kept it from turning.
    """

    def __init__(
        self,
        open_reader: OpenReader,
        *,
        batch: int = 1_000,
        stop: Stop | None = None,
        progress: Progress | None = None,
        checkpoints: Checkpoints | None = None,
        failed: Callable[[CrossdockError], object] = lambda error: None,
        turned: Callable[[], object] = lambda: None,
        paused: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.open_reader, self.batch = open_reader, batch
        self.turned, self.paused = turned, paused
        self.stop, self.progress = stop or Stop(), progress or (lambda seq, done, size: None)
        self.checkpoints, self.failed = checkpoints, failed

    def list_parts(self) -> list[str]:
        """One partition: a journal is one total order."""
        return ["journal"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":
        """Open the journal at its start, or where the last committed checkpoint was taken."""
        try:
            position = None
            if self.checkpoints is not None:
                if resume_state is None:
                    self.checkpoints.begin()
                else:
                    position = self.checkpoints.resume(resume_state)
            return _Partition(self, self.open_reader(position))
        except CrossdockError as error:
            self.failed(error)
            raise


class _Partition(StatefulSourcePartition[JournalLine, bytes | None]):
    def __init__(self, source: JournalSource, reader: Reader) -> None:
        self._source, self._reader = source, reader
        self._points = source.checkpoints
        self._emitted = 0
        self._is_idle = self._is_over = False
        self._epoch_ended_at: float | None = None

    def next_batch(self) -> list[JournalLine]:
        if self._epoch_ended_at is not None:
            self._source.paused(time.monotonic() - self._epoch_ended_at)
            self._epoch_ended_at = None
        self._source.turned()
        try:
            return self._next_batch()
        except CrossdockError as error:
            self._source.failed(error)
            raise

    def _next_batch(self) -> list[JournalLine]:
        source, points = self._source, self._points
        if source.stop.is_set or self._is_over:
            return self._end()
        if points is not None and points.is_due():
            if not points.is_settled(self._emitted):
                return []  # what was read is still on its way: let it pass, then take the point
            points.take(self._reader.position())
        lines = self._reader.read(source.batch)
        self._is_idle = not lines
        if lines:
            self._emitted += len(lines)
            source.progress(lines[-1].seq, *self._reader.progress())
        elif self._reader.is_at_end():
            self._is_over = True
            return self._end()
        return lines

    def _end(self) -> list[JournalLine]:
        if self._points is not None:
            if not self._points.is_settled(self._emitted):
                return []
            self._points.take(self._reader.position(), wait=True)
        raise StopIteration

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _POLL if self._is_idle else None

    def snapshot(self) -> bytes | None:
        self._epoch_ended_at = time.monotonic()
        return None if self._points is None else self._points.latest()

    def close(self) -> None:
        self._reader.close()
