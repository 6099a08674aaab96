"""Loads of a deployment under test: simulated logs, published at a pace, in the background."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from flows.simulation import WorldConfig, simulate
from state.codec import DeadLetter, decode, encode, shifted
from state.events import FAMILY_OF, ClockTicked, Event
from state.journal import JournalReader
from state.journal_writer import JournalWriter
from state.settings import Settings
from state.stores.kafka_writer import KafkaWriter

#: Family of the topic for events whose own family has none.
_ELSEWHERE = "control"
_STEP_S = 0.01

#: A raw message: its topic, and its value.
RawValue = tuple[str, bytes | None]
#: Makes the messages to publish of one event's message; by default that one.
Mangle = Callable[[RawValue], Iterable[RawValue]]


def make_log(path: Path, *, seed: int, events: int, network: str = "demo", skus: int = 120) -> Path:
    """Simulate a small network into a log, unless it is there already; returns `path`."""
    if not path.exists():
        world = WorldConfig(network=network, nodes=10, regions=8, skus=skus)
        with JournalWriter(path) as writer:
            for event in simulate(seed=seed, events=events, config=world):
                writer.write(event)
    return path


class Publisher:
    """Publisher of logs, merged by recorded time, from a thread; `rate` events per s, 0 for any.

    An event goes to the topic ``{name}.{family}``, as `crossdock publish` does it without a name.
    `as_now` moves its instants to now and leaves clock ticks out. It waits for brokers.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        logs: Sequence[Path],
        *,
        rate: float = 0.0,
        as_now: bool = False,
        mangle: Mangle = lambda message: (message,),
    ) -> None:
        self._topics = {feed.topic for feed in settings.feeds}
        self._name, self._rate, self._as_now, self._mangle = name, rate, as_now, mangle
        self._reader = JournalReader(logs)
        self._writer = KafkaWriter(settings.kafka, may_wait=lambda: not self._abandoned)
        self._abandoned = False
        self._failure: Exception | None = None
        self.sent = 0
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Return whether all has been published."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait until all has been published; raises the error that prevented it."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Stop publishing at once."""
        self._abandoned = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._publish()
        except Exception as error:
            self._failure = error

    def _publish(self) -> None:
        begun, read = time.monotonic(), 0
        while not self._abandoned:
            due = int((time.monotonic() - begun) * self._rate) - read if self._rate else 500
            if due < 1:
                time.sleep(_STEP_S)
                continue
            lines = self._reader.read(min(due, 500))
            if not lines:
                break
            read += len(lines)
            for line in lines:
                event = decode(line)
                assert not isinstance(event, DeadLetter), event
                if not (self._as_now and isinstance(event.fact, ClockTicked)):
                    self._send(event)
            self._writer.poll()
        self._reader.close()
        self._writer.flush()

    def _send(self, event: Event) -> None:
        if self._as_now:
            event = shifted(event, time.time_ns() // 1_000_000 - event.recorded_ms)
        topic = f"{self._name}.{FAMILY_OF[type(event.fact)]}"
        if topic not in self._topics:
            topic = f"{self._name}.{_ELSEWHERE}"
        for target, value in self._mangle((topic, encode(event))):
            self._writer.send(target, value, key=event.network.encode())
            self.sent += 1
