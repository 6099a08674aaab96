"""Publication of a log to the raw topics, at a chosen pace: load tests, rehearsals, back-fills."""

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from flows.wiring.stop import Stop
from state.codec import DeadLetter, decode, encode, shifted
from state.events import ClockTicked, Event
from state.feed_settings import feed_for
from state.journals import open_journal
from state.settings import Settings
from state.stores.kafka_writer import KafkaWriter

#: Messages are handed over in groups this long, in seconds.
_STEP_S = 0.002
_BATCH = 500


class Published(Struct):
    """Totals of a publication, and how long (s) it took; `unusable` lines are left out."""

    events: int = 0
    unusable: int = 0
    seconds: float = 0.0


def publish(
    settings: Settings,
    logs: tuple[Path, ...],
    *,
    rate: float = 0.0,
    as_now: bool = False,
    to_journal: bool = False,
    stop: Stop | None = None,
    progress: Callable[[int, int, int], object] = lambda events, done, size: None,
) -> Published:
    """Publish all events of `logs` in their order, `rate` per second (0: as fast as it goes).

    An event goes to the raw topic of a feed that may bring it: the one whose name, after its last
    dot, is that of the event's role, or else ``control``.
    `as_now` moves each event's instants as if it were recorded now, and leaves clock ticks to
    ingest. `to_journal` puts them into the journal itself: raw topics have no order among each
    other, so a past that is to be filled in goes there, or is published at a pace. Raises
    StoreError, JournalError, SettingsError.
    """
    stop = stop or Stop()
    writer = KafkaWriter(settings.kafka, may_wait=lambda: not stop.is_set)
    reader = open_journal(logs)
    done = Published()
    begun = time.monotonic()
    while not stop.is_set:
        due = (time.monotonic() - begun) * rate - done.events if rate else _BATCH
        if due < 1:
            time.sleep(_STEP_S)
            continue
        lines = reader.read(min(int(due), _BATCH))
        if not lines:
            break
        for line in lines:
            event = decode(line)
            if isinstance(event, DeadLetter):
                done.unusable += 1
            elif not (as_now and isinstance(event.fact, ClockTicked)):
                if as_now:
                    event = shifted(event, time.time_ns() // 1_000_000 - event.recorded_ms)
                topic = settings.topics.journal if to_journal else _topic_of(event, settings)
                writer.send(topic, encode(event), key=event.network.encode())
            done.events += 1
        writer.poll()
        progress(done.events, *reader.progress())
    reader.close()
    writer.flush()
    done.seconds = time.monotonic() - begun
    return done


def _topic_of(event: Event, settings: Settings) -> str:
    return feed_for(settings.feeds, event.type, event.network).topic
