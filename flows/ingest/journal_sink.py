"""The Bytewax sink of ingest: events into the journal, refusals into their topic, progress kept.

Progress is the offset after the last raw message of each partition, kept under the consumer group
once everything made of the messages before it is known to have arrived. After a crash the messages
since then are ingested again; they keep their ids, so the journal's readers leave them out.
"""

import time
from collections.abc import Callable, Mapping

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from msgspec import Struct

from flows.ingest.canonical import Entry, RawMessage
from flows.live.metrics import IngestMetrics
from flows.wiring.failure import Failure
from state.codec import DeadLetter
from state.settings import TopicSettings
from state.stores.kafka_dead_letters import ORIGIN, send_dead_letter
from state.stores.kafka_reader import KafkaReader, Place
from state.stores.kafka_writer import KafkaWriter

#: Kafka forgets the progress of a partition that is not committed for days, however quiet its feed
#: is; ingest would then begin it again, and old halts and policies would apply once more.
_ALL_EVERY_S = 600.0


class Ingested(Struct, frozen=True):
    """Result of a raw message; a tick is an entry without one."""

    message: RawMessage | None
    result: Entry | DeadLetter


class JournalSink(FixedPartitionedSink[Ingested, None]):
    """Sink that writes with `writer`, and keeps progress with `reader`, at each epoch's end.

    `starts` is where the reader began; `waiting` the first offset that waits, of each place. After
    a `failure` nothing is written, and no progress kept.
    """

    def __init__(
        self,
        writer: KafkaWriter,
        reader: KafkaReader,
        topics: TopicSettings,
        metrics: IngestMetrics,
        failure: Failure,
        starts: Mapping[Place, int],
        waiting: Callable[[], Mapping[Place, int]] = dict,
    ) -> None:
        self._writer, self._reader, self._topics = writer, reader, topics
        self._metrics, self._waiting = metrics, waiting
        self.write = failure.guarded(self._write, lambda: None)
        self.keep = failure.guarded(self._keep, lambda: None)
        #: After the last message written of each place, and what was last kept of it.
        self._nexts = dict(starts)
        self._kept = dict(starts)
        self._all_at = time.monotonic()

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return ["journal"]

    def part_fn(self, item_key: str) -> int:
        """Return 0: everything goes to the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_Partition":
        """Return the sink: there is nothing to open."""
        return _Partition(self)

    def _write(self, items: list[Ingested]) -> None:
        for item in items:
            self._send(item)
        self._writer.poll()

    def _send(self, item: Ingested) -> None:
        message, result = item.message, item.result
        if isinstance(result, Entry):
            headers = () if message is None else ((ORIGIN, message.place.encode()),)
            self._writer.send(
                self._topics.journal, result.value, key=result.network.encode(), headers=headers
            )
        else:
            assert message is not None
            self._metrics.dead_letters.labels(result.reason).inc()
            send_dead_letter(
                self._writer, self._topics.dead_letters, result, message.place, message.headers
            )
        if message is not None:
            place = (message.topic, message.partition)
            self._nexts[place] = max(self._nexts.get(place, 0), message.offset + 1)

    def _keep(self, *, wait: bool) -> None:
        """Wait until all has arrived, then keep the progress."""
        begun = time.monotonic()
        self._writer.flush()
        waiting = self._waiting()
        due = {at: min(next_, waiting.get(at, next_)) for at, next_ in self._nexts.items()}
        changed = {at: next_ for at, next_ in due.items() if next_ != self._kept.get(at)}
        is_time = wait or time.monotonic() >= self._all_at
        self._reader.commit(due if is_time else changed, wait=wait)
        self._kept = due
        if is_time:
            self._all_at = time.monotonic() + _ALL_EVERY_S
        self._metrics.commit.observe(time.monotonic() - begun)


class _Partition(StatefulSinkPartition[Ingested, None]):
    def __init__(self, sink: JournalSink) -> None:
        self._sink = sink

    def write_batch(self, values: list[Ingested]) -> None:
        self._sink.write(values)

    def snapshot(self) -> None:
        self._sink.keep(wait=False)
