"""The Bytewax source of raw messages and of ticks: one partition over all raw topics."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Message
from msgspec import Struct

from flows.ingest.canonical import RawMessage
from flows.wiring.failure import Failure
from flows.wiring.journal_source import IDLE_TURNS, IDLE_WAIT_S
from flows.wiring.stop import Stop
from state.stores.kafka_dead_letters import ORIGIN, origin_of, place_of, readable_headers
from state.stores.kafka_merge import OldestFirst
from state.stores.kafka_reader import KafkaReader, bytes_of

_POLL = timedelta(microseconds=500)
_HELD_BACK = timedelta(milliseconds=2)
_BATCH = 500
_LOOK_EVERY_S = 1.0


class Tick(Struct, frozen=True):
    """A signal that networks are due to note the passing of time."""


class Look(Struct, frozen=True):
    """A signal to look after what waits; once a second, whether messages come or not."""


class End(Struct, frozen=True):
    """The end: nothing comes after it."""


#: Items that the source gives.
Item = RawMessage | Tick | Look | End


class RawSource(FixedPartitionedSource[Item, None]):
    """Source that reads `reader`, oldest first, with a Tick every `tick_s` (0: none).

    It reads at most `rate` messages per s (0: any), until `stop` is set; with `once` also until all
    that is there has been read, and then gives an End; it ends at the first error in `failure`.
    `turned` is called with each batch. Where to go on after a crash is kept by the consumer group,
    see `flows.ingest.journal_sink`.
    """

    def __init__(
        self,
        reader: KafkaReader,
        *,
        tick_s: float,
        rate: int,
        once: bool,
        stop: Stop,
        turned: Callable[[int], object],
        failure: Failure,
    ) -> None:
        self.reader, self.tick_s, self.rate, self.once = reader, tick_s, rate, once
        self.stop, self.turned, self.failure = stop, turned, failure

    def list_parts(self) -> list[str]:
        """Return the one partition: one consumer reads them all."""
        return ["raw"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_Partition":
        """Open where the reader was placed."""
        return _Partition(self)


class _Partition(StatefulSourcePartition[Item, None]):
    def __init__(self, source: RawSource) -> None:
        self._source = source
        self._reader = OldestFirst(source.reader)
        self._tick_at = time.monotonic() + source.tick_s
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        self._may_read = 0.0
        self._counted_at = time.monotonic()
        self._idle_turns = 0
        self._has_waited = self._is_over = False
        self._guarded_next = source.failure.guarded(self._next_batch, _stop)

    def next_batch(self) -> list[Item]:
        return self._guarded_next()

    def _next_batch(self) -> list[Item]:
        source = self._source
        if source.stop.is_set or self._is_over:
            raise StopIteration
        allowance = self._allowance()
        wait_s = self._may_wait_s() if allowance and not self._reader.holds() else 0.0
        messages = self._reader.read(allowance, wait_s) if allowance else []
        self._has_waited = wait_s > 0.0
        found: list[Item] = [raw_message(message) for message in messages]
        self._may_read -= len(found)
        self._idle_turns = 0 if found else self._idle_turns + 1
        source.turned(len(found))
        now = time.monotonic()
        if source.tick_s and now >= self._tick_at:
            self._tick_at = now + source.tick_s
            found.append(Tick())
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            found.append(Look())
        if source.once and self._idle_turns and self._reader.is_at_end():
            self._is_over = True
            return [*found, End()]
        return found

    def _allowance(self) -> int:
        """Return messages that may be read now: up to a second's worth after a pause."""
        rate = self._source.rate
        if not rate:
            return _BATCH
        now = time.monotonic()
        self._may_read = min(float(rate), self._may_read + (now - self._counted_at) * rate)
        self._counted_at = now
        return max(0, min(_BATCH, int(self._may_read)))

    def _may_wait_s(self) -> float:
        """Return how long a read may hold the flow up: until a tick, if nothing is on its way."""
        if self._idle_turns < IDLE_TURNS:
            return 0.0
        if not self._source.tick_s:
            return IDLE_WAIT_S
        return min(IDLE_WAIT_S, max(0.0, self._tick_at - time.monotonic()))

    def next_awake(self) -> datetime | None:
        if not self._idle_turns or self._has_waited:
            return None
        # A message held back, by a bound or for another partition, cannot be waited for in a read.
        return datetime.now(UTC) + (_POLL if self._idle_turns < IDLE_TURNS else _HELD_BACK)

    def snapshot(self) -> None:
        return None


def _stop() -> list[Item]:
    raise StopIteration


def raw_message(message: Message) -> RawMessage:
    """Return a consumed Kafka message as ours; one that is requeued keeps its first origin.

    A header can claim any origin, so one of another topic is not believed.
    """
    topic, partition, offset = str(message.topic()), message.partition(), message.offset()
    assert partition is not None and offset is not None
    headers = readable_headers(message)
    claimed = (headers or {}).get(ORIGIN, b"").decode("utf-8", "replace")
    return RawMessage(
        topic=topic,
        partition=partition,
        offset=offset,
        value=bytes_of(message),
        headers=headers,
        origin=claimed if _is_of(claimed, topic) else origin_of(topic, partition, offset),
    )


def _is_of(origin: str, topic: str) -> bool:
    try:
        return place_of(origin)[0] == topic
    except ValueError:
        return False
