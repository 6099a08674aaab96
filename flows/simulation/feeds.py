"""Feeds: facts become records. They lag, straggle, fall silent, and now and then repeat."""

import heapq
from dataclasses import dataclass

from msgspec.structs import replace

from flows.simulation.luck import Luck
from state.codec import make_event
from state.events import Event, Fact


@dataclass(frozen=True, slots=True)
class Feed:
    """A source of events: its lag is lognormal with this median and sigma, and bounded."""

    name: str
    lag_ms: int
    sigma: float = 0.6
    longest_ms: int = 300_000
    repeats: bool = True


REFERENCE = Feed("reference", 0, repeats=False)
SHOP = Feed("shop", 400, longest_ms=5_000)
WAREHOUSE = Feed("wms", 3_000, longest_ms=20_000)
TRANSPORT = Feed("tms", 20_000)
CARRIERS = Feed("carriers", 45_000)
WEATHER = Feed("weather", 120_000)
TRAFFIC = Feed("traffic", 40_000)
SIGNALS = Feed("signals", 180_000)
SYSTEMS = Feed("systems", 1_500, longest_ms=10_000)
PEOPLE = Feed("people", 0, repeats=False)
CLOCK = Feed("clock", 0, repeats=False)


class Outbox:
    """Outbox of facts in envelopes, handed out in the order they were recorded.

    Holds only what has happened and is not yet recorded. An event's lag depends on its source and
    id alone, so that other facts change nothing about it.
    """

    def __init__(self, seed: int, network: str, origin: str, duplicate_share: float) -> None:
        self._seed = seed
        self._network = network
        self._origin = origin
        self._duplicate_share = duplicate_share
        self._heap: list[tuple[int, int, Event]] = []
        self._entered = 0
        self._latest: dict[int, int] = {}
        # A silenced scope (a carrier, a node) -> until when its reports are kept back, ms.
        self._silent: dict[str, int] = {}

    def emit(
        self,
        feed: Feed,
        name: str,
        fact: Fact,
        now_ms: int,
        *,
        subject: str | None = None,
        correlation: str | None = None,
        queue: int | None = None,
        scope: str = "",
        further_lag_ms: int = 0,
    ) -> None:
        """Record `fact`, which happens at `now_ms`, under the id `name`, after the lag of `feed`.

        `name` is unique within the feed. Facts with the same `queue` (a node's warehouse system)
        are recorded in the order in which they happened; others may overtake each other. While its
        `scope` is silent, a fact waits for the silence to end. `further_lag_ms` is a straggler's.
        """
        recorded_ms = now_ms + further_lag_ms
        luck = Luck(self._seed, "feed", feed.name, name)
        if feed.lag_ms:
            lag_ms = feed.lag_ms * luck.lognormal("lag", 0, feed.sigma)
            recorded_ms += min(feed.longest_ms, round(lag_ms))
        if self._silent:
            recorded_ms = max(recorded_ms, self._silent.get(f"{feed.name} {scope}", 0))
        if queue is not None:
            recorded_ms = max(recorded_ms, self._latest.get(queue, 0))
            self._latest[queue] = recorded_ms
        event = self.record(feed, name, fact, now_ms, recorded_ms, subject, correlation)
        if feed.repeats and luck.share("repeats") < self._duplicate_share:
            again_ms = recorded_ms + round(luck.uniform("again", 500, 240_000))
            self._push(replace(event, recorded_ms=again_ms))

    def record(
        self,
        feed: Feed,
        name: str,
        fact: Fact,
        time_ms: int,
        recorded_ms: int,
        subject: str | None = None,
        correlation: str | None = None,
    ) -> Event:
        """Record a fact at a given time, exactly once."""
        event = make_event(
            fact,
            id=name,
            source=f"{self._origin}/{feed.name}",
            network=self._network,
            time_ms=time_ms,
            recorded_ms=recorded_ms,
            subject=subject,
            correlation=correlation,
        )
        self._push(event)
        return event

    def silence(self, feed: Feed, scope: str, until_ms: int) -> None:
        """Keep back reports of `feed` on `scope` until `until_ms`; then all of it comes at once."""
        self._silent[f"{feed.name} {scope}"] = until_ms

    def next_ms(self) -> int | None:
        """Return when the next event is recorded; None if none waits."""
        return self._heap[0][0] if self._heap else None

    def take(self) -> Event:
        """Take the next event out; recorded times never go back, as nothing is emitted ahead."""
        return heapq.heappop(self._heap)[2]

    def _push(self, event: Event) -> None:
        self._entered += 1
        heapq.heappush(self._heap, (event.recorded_ms, self._entered, event))
