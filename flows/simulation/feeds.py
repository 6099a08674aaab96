"""Feeds: how facts become records. They lag, straggle, and now and then deliver twice."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from flows.simulation.luck import stream
from state.codec import make_event
from state.events import Event, Fact


@dataclass(frozen=True, slots=True)
class Feed:
    """A source of events: its lag is lognormal with this median and sigma, and bounded."""

    source: str
    lag_ms: int
    sigma: float = 0.6
    longest_ms: int = 300_000
    repeats: bool = True


SHOP = Feed("sim/shop", 400, longest_ms=5_000)
WAREHOUSE = Feed("sim/wms", 3_000, longest_ms=20_000)
TRANSPORT = Feed("sim/tms", 20_000)
CARRIERS = Feed("sim/carriers", 45_000)
WEATHER = Feed("sim/weather", 120_000)
TRAFFIC = Feed("sim/traffic", 40_000)
SIGNALS = Feed("sim/signals", 180_000)
CLOCK = Feed("crossdock/clock", 0, repeats=False)


class Outbox:
    """Puts facts into envelopes and hands them out in the order they were recorded.

    Holds only what has happened and is not yet recorded.
    """

    def __init__(self, seed: int, network: str, duplicate_share: float) -> None:
        self._network = network
        self._duplicate_share = duplicate_share
        self._luck = stream(seed, "feeds")
        self._heap: list[tuple[int, int, Event]] = []
        self._entered = 0
        self._numbered = 0
        self._latest: dict[int, int] = {}

    def emit(
        self,
        feed: Feed,
        fact: Fact,
        now_ms: int,
        *,
        subject: str | None = None,
        correlation: str | None = None,
        queue: int | None = None,
        further_lag_ms: int = 0,
    ) -> None:
        """Record `fact`, which happens at `now_ms`, after the lag of `feed`.

        Facts with the same `queue` (a node's warehouse system) are recorded in the order in which
        they happened; others may overtake each other. `further_lag_ms` is a straggler's.
        """
        luck = self._luck
        lag_ms = 0
        if feed.lag_ms:
            lag_ms = min(feed.longest_ms, round(feed.lag_ms * luck.lognormvariate(0, feed.sigma)))
        recorded_ms = now_ms + lag_ms + further_lag_ms
        if queue is not None:
            recorded_ms = max(recorded_ms, self._latest.get(queue, 0))
            self._latest[queue] = recorded_ms
        event = self._put(fact, feed.source, now_ms, recorded_ms, subject, correlation)
        if feed.repeats and luck.random() < self._duplicate_share:
            again = replace(event, recorded_ms=recorded_ms + round(luck.uniform(500, 240_000)))
            self._push(again)

    def emit_reference(self, source: str, fact: Fact, now_ms: int, recorded_ms: int) -> None:
        """Record a fact of the log's beginning at a given time, exactly once."""
        self._put(fact, source, now_ms, recorded_ms, None, None)

    def recorded_until(self, now_ms: int) -> Iterator[Event]:
        """Take out what was recorded up to and including `now_ms`, in nondecreasing order.

        The order holds over calls because nothing is recorded before it happens.
        """
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            yield heapq.heappop(heap)[2]

    def _put(
        self,
        fact: Fact,
        source: str,
        time_ms: int,
        recorded_ms: int,
        subject: str | None,
        correlation: str | None,
    ) -> Event:
        self._numbered += 1
        event = make_event(
            fact,
            id=f"e-{self._numbered}",
            source=source,
            network=self._network,
            time_ms=time_ms,
            recorded_ms=recorded_ms,
            subject=subject,
            correlation=correlation,
        )
        self._push(event)
        return event

    def _push(self, event: Event) -> None:
        self._entered += 1
        heapq.heappush(self._heap, (event.recorded_ms, self._entered, event))
