"""`crossdock record`: the journal topic → segments on disk, each record once, with its seq."""

import time
from pathlib import Path

from msgspec import Struct

from flows.live import logs
from flows.wiring.stop import Stop
from state.errors import JournalError, JournalMismatch, StoreError
from state.recording import Header, Segment, SegmentWriter, segments_of, unfinished
from state.settings import Settings
from state.stores.kafka_reader import KafkaReader, Place, bytes_of, where
from state.stores.kafka_topics import KafkaTopics, planned, require

_WAIT_S = 0.5
_BATCH = 1_000
#: A crash loses a part of a segment, which is read again; flushing bounds it.
_FLUSH_EVERY_S = 1.0


class Recorded(Struct):
    """Totals of one run of recording."""

    records: int = 0
    segments: int = 0


def record(settings: Settings, *, once: bool = False, stop: Stop | None = None) -> Recorded:
    """Record all partitions until stopped, or with `once` until all there is has been read.

    Goes on after the last record in the folder. Raises JournalMismatch if that is of another
    journal, JournalError if Kafka no longer holds what comes next, StoreError.
    """
    stop = stop or Stop()
    topics = KafkaTopics(settings.kafka)
    plans = [plan for plan in planned(settings) if plan.name == settings.topics.journal]
    for warning in require(topics, plans):
        logs.warn("topics", warning=warning)
    identity = topics.identity(settings.topics.journal)
    try:
        return _Recorder(settings, identity).run(once, stop)
    except OSError as error:
        raise StoreError(f"expected a writable recording folder, was {error}") from error


class _Recorder:
    def __init__(self, settings: Settings, identity: str) -> None:
        self._settings, self._identity = settings, identity
        self._rules, self._topic = settings.record, settings.topics.journal
        self._folder = Path(settings.record.folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[Place, tuple[SegmentWriter, float]] = {}
        self._done = Recorded()
        for path in unfinished(self._folder):
            self._rescue(path)
        self._last = self._resumed()

    def _rescue(self, path: Path) -> None:
        """Keep the whole lines of a segment whose writer was killed."""
        try:
            with Segment(path, may_be_cut=True) as segment:
                first = segment.next()
                if first is not None:
                    rescued = SegmentWriter(self._folder / "", segment.header, first[0])
                    rescued.write(*first)
                    while (found := segment.next()) is not None:
                        rescued.write(*found)
                    rescued.close()
        except JournalError:
            pass  # nothing whole in it: Kafka still has it all
        path.unlink(missing_ok=True)

    def _resumed(self) -> dict[Place, int]:
        """Return the last seq on disk, of each partition."""
        last = {(self._topic, p): 0 for p in range(self._settings.topics.partitions)}
        for place, paths in segments_of([self._folder]).items():
            with Segment(paths[-1]) as segment:
                if segment.header.journal != self._identity:
                    raise JournalMismatch(
                        f"expected {self._folder} to hold a recording of journal {self._identity}, "
                        f"was of {segment.header.journal}: choose another folder"
                    )
                while segment.next() is not None:
                    pass
                last[place] = segment.last
        return last

    def run(self, once: bool, stop: Stop) -> Recorded:
        reader = KafkaReader(
            self._settings.kafka,
            {place: seq or None for place, seq in self._last.items()},
            to_end=once,
        )
        for place, (low, _) in reader.first_ends.items():
            self._last[place] = self._last[place] or low
        flush_at = time.monotonic() + _FLUSH_EVERY_S
        logs.info("recording", folder=str(self._folder), journal=self._identity)
        try:
            while not stop.is_set:
                messages = reader.read(_BATCH, _WAIT_S)
                for message in messages:
                    seq = int(message.offset() or 0) + 1
                    self._take(where(message), seq, bytes_of(message))
                if time.monotonic() >= flush_at:
                    flush_at = time.monotonic() + _FLUSH_EVERY_S
                    self._rotate()
                if once and not messages and reader.is_at_end():
                    break
        finally:
            for writer, _ in self._open.values():
                writer.close()
                self._done.segments += 1
            reader.close()
        logs.info("record ended", records=self._done.records, segments=self._done.segments)
        return self._done

    def _take(self, place: Place, seq: int, raw: bytes) -> None:
        if place not in self._open:
            header = Header(
                journal=self._identity,
                topic=place[0],
                partition=place[1],
                after=self._last[place],
            )
            self._open[place] = (SegmentWriter(self._folder, header, seq), time.monotonic())
        self._open[place][0].write(seq, raw)
        self._last[place] = seq
        self._done.records += 1

    def _rotate(self) -> None:
        for place, (writer, begun) in list(self._open.items()):
            is_old = time.monotonic() - begun > self._rules.rotate_s
            if is_old or writer.size > self._rules.rotate_mb * 1_000_000:
                writer.close()
                self._done.segments += 1
                del self._open[place]
            else:
                writer.flush()
