"""One partition of the journal topic, read as a journal: a record's seq is its offset plus one."""

import time
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from state.codec import JournalLine, line_of
from state.errors import JournalError
from state.settings import KafkaSettings
from state.stores.kafka_client import Warn
from state.stores.kafka_reader import KafkaReader, bytes_of

#: Batches whose records may still be on their way; older ones are no longer timed.
_TIMED_BATCHES = 1_000


class KafkaPosition(Struct, frozen=True):
    """Place to resume at: the offset of the next record."""

    next: int


class Arrivals:
    """Read times of records, for as long as their actions are on their way."""

    def __init__(self) -> None:
        # (first seq, last seq, read at by the monotonic clock, timestamps in ms by seq)
        self._batches: deque[tuple[int, int, float, dict[int, int]]] = deque(maxlen=_TIMED_BATCHES)

    def note(self, stamps: dict[int, int]) -> None:
        """Note a batch as read: the journal's timestamp (ms) of each seq, in order."""
        seqs = list(stamps)
        self._batches.append((seqs[0], seqs[-1], time.monotonic(), stamps))

    def of(self, seq: int) -> tuple[float, int] | None:
        """Return when `seq` was read (monotonic), and its timestamp; None if no longer known."""
        for first, last, at, stamps in self._batches:
            if first <= seq <= last:
                return at, stamps.get(seq, 0)
        return None

    def forget_before(self, seq: int) -> None:
        """Drop everything before `seq`: it has been written."""
        while self._batches and self._batches[0][1] < seq:
            self._batches.popleft()


class KafkaJournal:
    """Reader of a partition in order, from its first record or from `at`, an earlier `position`.

    `reached` learns now and then whether a broker can be reached. With `once` it ends where the
    partition ended when everything had been read, else never. Raises JournalError if the place is
    gone, StoreError where Kafka fails for good.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        partition: int,
        at: bytes | None = None,
        *,
        once: bool = False,
        arrivals: Arrivals | None = None,
        warn: Warn | None = None,
        reached: Callable[[bool], object] | None = None,
    ) -> None:
        self._name, self._once = f"{topic}[{partition}]", once
        self._arrivals = arrivals
        self._next = 0 if at is None else _decoded(at)
        self._reader = KafkaReader(
            settings, {(topic, partition): self._next}, to_end=once, warn=warn, reached=reached
        )
        try:
            ((low, high),) = self._reader.first_ends.values()
            self._require(low, high, resumed=at is not None)
        except JournalError:
            self._reader.close()
            raise

    def _require(self, low: int, high: int, *, resumed: bool) -> None:
        if self._next < low:
            raise JournalError(
                f"expected {self._name} to hold record {self._next + 1}, was deleted up to {low}: "
                "the state cannot be worked out from what is left. Replay a recording of the "
                "journal, or begin a new journal topic; retention.ms of -1 keeps all"
            )
        if self._next > high:
            raise JournalError(
                f"expected {self._name} to hold {self._next} records, which have been decided on, "
                f"was {high}: the broker lost acknowledged records. Restore the topic, or begin a "
                "new journal: actions were taken that no journal explains any more"
            )

    def read(self, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        """Return up to `count` next records, waiting up to `wait_s` for one; else an empty list."""
        lines: list[JournalLine] = []
        stamps: dict[int, int] = {}
        for message in self._reader.read_at_once(count, wait_s):
            offset = message.offset()
            assert offset is not None
            seq = offset + 1
            lines.append(line_of(seq, self._name, bytes_of(message)))
            stamps[seq] = message.timestamp()[1]
        if lines:
            self._next = lines[-1].seq
            if self._arrivals is not None:
                self._arrivals.note(stamps)
        return lines

    def is_at_end(self) -> bool:
        """Return whether, with `once`, everything has been read."""
        return self._once and self._reader.is_at_end()

    def position(self) -> bytes:
        """Return the packed place of the next record."""
        return msgspec.msgpack.encode(KafkaPosition(self._next))

    def progress(self) -> tuple[int, int]:
        """Return records read, and records known to be there."""
        return self._next, self._next + self.behind()

    def behind(self) -> int:
        """Return records not yet read, as far as is known without asking."""
        return sum(self._reader.behind().values())

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()


def _decoded(at: bytes) -> int:
    try:
        return msgspec.msgpack.decode(at, type=KafkaPosition).next
    except msgspec.MsgspecError as error:
        raise JournalError(f"expected a place in a Kafka journal, was {error}") from error
