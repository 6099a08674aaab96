"""Several partitions read as one stream, oldest message first, even when all of them are behind.

Raw topics have no order among each other but the time their messages were written. A reader that
catches up after an outage would take a thousand messages of one topic and then a thousand of
another, and the world would seem to jump back and forth. So a partition's next message is held
back while another partition is known to have messages that are not here yet, and may be older.
A partition that has none is not waited for.
"""

from collections import deque

from confluent_kafka import Message

from state.stores.kafka_reader import KafkaReader, Place, where

#: Messages held of one partition; no more of it are fetched until the others have caught up.
_HELD = 2_000


class OldestFirst:
    """Reader of messages in order of their timestamps, as far as is known."""

    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader
        self._ends = {place: high for place, (_, high) in reader.first_ends.items()}
        self._nexts = reader.starts()
        self._held: dict[Place, deque[Message]] = {place: deque() for place in self._nexts}
        self._paused: set[Place] = set()

    def read(self, count: int, wait_s: float = 0.0) -> list[Message]:
        """Return up to `count` messages, waiting up to `wait_s`. Raises as `KafkaReader.read`."""
        for message in self._reader.read_at_once(count, wait_s):
            place = where(message)
            self._held[place].append(message)
            self._nexts[place] = int(message.offset() or 0) + 1
        self._bound()
        found: list[Message] = []
        while len(found) < count and (oldest := self._oldest()) is not None:
            found.append(self._held[oldest].popleft())
        return found

    def holds(self) -> bool:
        """Return whether messages in hand wait for those of other partitions."""
        return any(self._held.values())

    def is_at_end(self) -> bool:
        """Return whether every partition's end was reached, and all was handed out."""
        return self._reader.is_at_end() and not any(self._held.values())

    def _oldest(self) -> Place | None:
        """Return the partition to hand out its next message; None while one has to be awaited."""
        best: tuple[int, Place] | None = None
        for place, held in self._held.items():
            if held:
                candidate = (held[0].timestamp()[1], place)
                best = candidate if best is None else min(best, candidate)
            elif self._has_more(place):
                return None
        return None if best is None else best[1]

    def _has_more(self, place: Place) -> bool:
        """Return whether messages are known to be on their way."""
        if self._nexts[place] >= self._ends[place]:
            self._ends[place] = max(self._ends[place], self._reader.known_end(place))
        return self._nexts[place] < self._ends[place]

    def _bound(self) -> None:
        full = {place for place, held in self._held.items() if len(held) >= _HELD}
        pause = full - self._paused
        resume = {p for p in self._paused if len(self._held[p]) < _HELD // 2}
        if pause or resume:
            self._reader.hold(pause, resume)
            self._paused = (self._paused | pause) - resume
