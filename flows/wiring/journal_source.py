"""A Bytewax source over one journal, in files or in Kafka: one partition that can resume."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.wiring.checkpoints import Checkpoints
from flows.wiring.failure import Failure
from flows.wiring.progress import Progress
from flows.wiring.stop import Stop
from state.codec import JournalLine

#: Pause before another look where there was nothing: well below a millisecond.
_POLL = timedelta(microseconds=200)
#: After so many looks in vain all that was read has long left the flow, and it may stand still.
IDLE_TURNS = 25
#: Longest wait of an idle flow for the next record; signals and ticks wait as long.
IDLE_WAIT_S = 0.1


class Reader(Protocol):
    """Reader of one journal in order."""

    def read(self, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        """Return up to `count` next lines, waiting up to `wait_s` for one; else an empty list."""
        ...

    def is_at_end(self) -> bool:
        """Return whether nothing will come any more, after an empty `read`."""
        ...

    def position(self) -> bytes:
        """Return where the next line is found, for a reader that resumes."""
        ...

    def progress(self) -> tuple[int, int]:
        """Return work done, and work in all."""
        ...

    def close(self) -> None:
        """Close files or connections."""
        ...


#: Opens the reader at a position, or at the journal's start.
OpenReader = Callable[[bytes | None], Reader]


class JournalSource(FixedPartitionedSource[JournalLine, bytes | None]):
    """Source of one journal in order, batch by batch.

    With `checkpoints` it resumes where the last committed one was taken. It ends at the first error
    in `failure`. `turned` is called at each turn of the loop, `paused` with how long (s) an epoch's
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
        failure: Failure | None = None,
        turned: Callable[[], object] = lambda: None,
        paused: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.open_reader, self.batch = open_reader, batch
        self.turned, self.paused = turned, paused
        self.stop, self.progress = stop or Stop(), progress or (lambda seq, done, size: None)
        self.checkpoints, self.failure = checkpoints, failure or Failure()

    def list_parts(self) -> list[str]:
        """Return the one partition: a journal is one total order."""
        return ["journal"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Part":
        """Open the journal at its start, or where the last committed checkpoint was taken."""

        def opened() -> _Part:
            position = None
            if self.checkpoints is not None:
                if resume_state is None:
                    self.checkpoints.begin()
                else:
                    position = self.checkpoints.resume(resume_state)
            return _Partition(self, self.open_reader(position))

        return self.failure.guarded(opened, lambda: _Unopened(resume_state))()


_Part = StatefulSourcePartition[JournalLine, bytes | None]


class _Unopened(_Part):
    """A journal that could not be opened: it ends, and keeps what it would have resumed from."""

    def __init__(self, resume_state: bytes | None) -> None:
        self._resume_state = resume_state

    def next_batch(self) -> list[JournalLine]:
        raise StopIteration

    def snapshot(self) -> bytes | None:
        return self._resume_state


class _Partition(_Part):
    def __init__(self, source: JournalSource, reader: Reader) -> None:
        self._source, self._reader = source, reader
        self._points = source.checkpoints
        self._emitted = self._idle_turns = 0
        self._is_over = False
        self._epoch_ended_at: float | None = None
        self._guarded_next = source.failure.guarded(self._next_batch, _stop)

    def next_batch(self) -> list[JournalLine]:
        if self._epoch_ended_at is not None:
            self._source.paused(time.monotonic() - self._epoch_ended_at)
            self._epoch_ended_at = None
        return self._guarded_next()

    def _next_batch(self) -> list[JournalLine]:
        source, points = self._source, self._points
        source.turned()
        if source.stop.is_set or self._is_over:
            return self._end()
        if points is not None and points.is_due():
            if not points.is_settled(self._emitted):
                return []  # what was read is still on its way: let it pass, then take the point
            points.take(self._reader.position())
        lines = self._reader.read(source.batch, IDLE_WAIT_S if self._is_waiting() else 0.0)
        self._idle_turns = 0 if lines else self._idle_turns + 1
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

    def _is_waiting(self) -> bool:
        """Return whether nothing is on its way any more, so that the next read may wait."""
        return self._idle_turns >= IDLE_TURNS

    def next_awake(self) -> datetime | None:
        has_looked = 0 < self._idle_turns < IDLE_TURNS
        return datetime.now(UTC) + _POLL if has_looked else None

    def snapshot(self) -> bytes | None:
        self._epoch_ended_at = time.monotonic()
        return None if self._points is None else self._points.latest()

    def close(self) -> None:
        self._reader.close()


def _stop() -> list[JournalLine]:
    raise StopIteration
