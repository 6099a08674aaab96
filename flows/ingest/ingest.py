"""`crossdock ingest`: raw topics → canonical events → the journal, as a Bytewax flow."""

import time
from datetime import timedelta

import bytewax.operators as op
from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow

from flows.ingest.canonical import Entry, RawMessage, canonical
from flows.ingest.clock import SteadyClock
from flows.ingest.journal_sink import Ingested, JournalSink
from flows.ingest.networks import Networks, NetworksTopic
from flows.ingest.quarantine import Quarantine
from flows.ingest.raw_source import End, Item, RawSource, Tick
from flows.live import logs
from flows.live.metrics import IngestMetrics
from flows.live.monitor import Health, Monitor
from flows.live.probes import ANSWER_S, Probes
from flows.live.share import Share
from flows.wiring.failure import Failure
from flows.wiring.stop import Stop
from state.codec import DeadLetter, encode, make_event
from state.errors import StoreError
from state.events import ClockTicked
from state.settings import Settings
from state.stores.kafka_reader import KafkaReader, Place, committed
from state.stores.kafka_topics import KafkaTopics, planned, require
from state.stores.kafka_writer import KafkaWriter

#: Interval at which lag and clock are looked at.
_LOOK_EVERY_S = 1.0
_LEAP_MS = 1_000
_CLOCK = "crossdock/ingest"
_INTRODUCED = "a network that reference data introduced (node, region, SKU or carrier)"


def ingest(
    settings: Settings,
    *,
    share: Share = Share(),  # noqa: B008 - frozen
    once: bool = False,
    accept_loss: bool = False,
    monitor_port: int | None = None,
    stop: Stop | None = None,
) -> None:
    """Run until stopped, or with `once` until all raw messages there are have been read.

    `accept_loss` goes on where raw messages were deleted before they could be read. `monitor_port`
    is instead of the one after those of the journal's partitions. Raises a CrossdockError where
    something is missing at the start, or Kafka fails for good.
    """
    stop = stop or Stop()
    topics = KafkaTopics(settings.kafka)
    plans = [plan for plan in planned(settings) if plan.name != settings.topics.actions]
    for warning in require(topics, plans):
        logs.warn("topics", warning=warning)
    counts = topics.partitions()
    places = [
        (feed.topic, partition)
        for feed in settings.feeds
        for partition in share.of(counts[feed.topic])
    ]
    if not places:
        raise StoreError(f"expected a raw partition for share {share}, was none: start fewer")
    starts = committed(settings.kafka, settings.ingest.group, places)
    metrics, health = IngestMetrics(), Health(settings.monitor)

    def may_wait() -> bool:
        health.turned()
        return stop.allows(settings.run.stop_s / 2)

    def warn(text: str) -> None:
        logs.warn("kafka", message=text)

    def reached(is_up: bool) -> None:
        health.reached("kafka", is_up)
        metrics.waiting.labels("kafka").set(not is_up)

    reader = KafkaReader(
        settings.kafka,
        starts,
        group=settings.ingest.group,
        to_end=once,
        warn=warn,
        reached=reached,
    )
    followed = NetworksTopic(settings.kafka, settings.topics.networks)
    try:
        _require_kept(reader, starts, accept_loss)
        networks = Networks(settings.ingest, followed.known())
        writer = KafkaWriter(settings.kafka, linger_ms=0, warn=warn, may_wait=may_wait)
        flow = _Ingest(settings, reader, writer, networks, followed, metrics, health, once, stop)
        logs.info(
            "ingesting",
            partitions=[f"{topic}[{partition}]" for topic, partition in places],
            networks=len(networks.last_ms),
            journal=settings.topics.journal,
        )
        metrics.report_ready(health.obstacles)
        port = monitor_port
        if port is None:  # after those of the journal's partitions
            port = settings.monitor.port and settings.monitor.port + settings.topics.partitions
        journal = settings.topics.journal
        checks = {"kafka": lambda: topics.require_answer(journal, ANSWER_S)}
        with Monitor(settings.monitor, port, metrics.registry, health), Probes(health, checks):
            flow.run()
        logs.info("ingest ended")
    finally:
        followed.close()
        reader.close()


def _require_kept(reader: KafkaReader, starts: dict[Place, int | None], accept_loss: bool) -> None:
    """Raise StoreError if raw messages were deleted that had not been read."""
    for (topic, partition), (low, high) in reader.first_ends.items():
        start = starts[topic, partition]
        if start is None or low <= start <= high:
            continue
        lost = (
            f"messages {start} to {low - 1} of {topic}[{partition}] were deleted before they were "
            "ingested"
            if start < low
            else f"{topic}[{partition}] ends at {high}, but was read up to {start} before: it was "
            "made again, or the broker lost its end"
        )
        if not accept_loss:
            raise StoreError(f"{lost}; --accept-loss goes on with what is there")
        logs.warn("raw messages lost", what=lost)
        reader.restart((topic, partition), low)


class _Ingest:
    """The flow, and the needs of its one stateful step."""

    def __init__(
        self,
        settings: Settings,
        reader: KafkaReader,
        writer: KafkaWriter,
        networks: Networks,
        followed: NetworksTopic,
        metrics: IngestMetrics,
        health: Health,
        once: bool,
        stop: Stop,
    ) -> None:
        self._settings, self._reader, self._writer = settings, reader, writer
        self._networks, self._metrics, self._health = networks, metrics, health
        self._followed, self._quarantine = followed, Quarantine(settings.ingest.quarantine_s)
        self._learnt: list[str] = []
        self._feeds = {feed.topic: feed for feed in settings.feeds}
        self._clock = SteadyClock()
        self._look_at = 0.0
        self._failure = Failure()
        self._sink = JournalSink(
            writer,
            reader,
            settings.topics,
            metrics,
            self._failure,
            reader.starts(),
            self._quarantine.first,
        )
        rules = settings.ingest
        source = RawSource(
            reader,
            tick_s=rules.tick_s if rules.stamp == "now" else 0.0,
            rate=rules.rate,
            once=once,
            stop=stop,
            turned=self._turned,
            failure=self._failure,
        )
        self._dataflow = Dataflow("crossdock_ingest")
        raw = op.input("raw", self._dataflow, source)
        canonised = self._failure.guarded(self._canonical, list[tuple[str, Ingested]])
        made = op.flat_map_batch("canonical", raw, canonised)
        op.output("journal", made, self._sink)

    def run(self) -> None:
        cli_main(  # type: ignore[no-untyped-call]
            self._dataflow,
            workers_per_process=1,
            epoch_interval=timedelta(seconds=self._settings.ingest.commit_s),
        )
        self._sink.keep(wait=True)
        self._failure.raise_kept()

    def _canonical(self, batch: list[Item]) -> list[tuple[str, Ingested]]:
        now_ms = self._clock.now_ms()
        found: list[Ingested] = []
        for network in self._learnt:
            found += self._released(network, now_ms)
        self._learnt = []
        for item in batch:
            if isinstance(item, Tick):
                found += self._ticks(now_ms)
            elif isinstance(item, End):
                found += self._given_up(everything=True)
            elif isinstance(item, RawMessage):
                self._metrics.messages.labels(item.topic).inc()
                found += self._made_of(item, now_ms)
        found += self._given_up()
        if self._networks.is_new:
            self._networks.announce(self._writer, self._settings.topics.networks)
        return [("", each) for each in found]

    def _made_of(self, message: RawMessage, now_ms: int) -> list[Ingested]:
        """Return what becomes of a message and of those that waited for it; nothing if it waits."""
        feed = self._feeds[message.topic]
        result = canonical(message, feed, now_ms, self._settings.ingest.stamp)
        if isinstance(result, DeadLetter):
            return [Ingested(message, result)]
        network, networks = result.network, self._networks
        if network in networks:
            networks.last_ms[network] = now_ms
            return [Ingested(message, result)]
        refusal = networks.refusal(network)
        if refusal is not None:
            return [Ingested(message, _unknown(network, message, refusal))]
        if not (result.introduces or networks.is_named(network)):
            self._quarantine.hold(network, message)
            return []
        networks.let_in(network)
        networks.last_ms[network] = now_ms
        return [Ingested(message, result), *self._released(network, now_ms)]

    def _released(self, network: str, now_ms: int) -> list[Ingested]:
        """Return what waited for a network that is known now, stamped as it enters the journal."""
        return [
            made
            for message in self._quarantine.released(network)
            for made in self._made_of(message, now_ms)
        ]

    def _given_up(self, *, everything: bool = False) -> list[Ingested]:
        return [
            Ingested(message, _unknown(network, message, _INTRODUCED))
            for network, message in self._quarantine.given_up(everything=everything)
        ]

    def _ticks(self, now_ms: int) -> list[Ingested]:
        """Return a tick for each network of which nothing was recorded since the last one."""
        since_ms = now_ms - round(self._settings.ingest.tick_s * 1_000)
        quiet = self._networks.quiet_since(since_ms)
        for network in quiet:
            self._networks.last_ms[network] = now_ms
        self._metrics.ticks.inc(len(quiet))
        return [Ingested(None, _tick(network, now_ms)) for network in quiet]

    def _turned(self, count: int) -> None:
        self._health.turned()
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        behind = self._reader.behind()
        for (topic, partition), lag in behind.items():
            self._metrics.lag.labels(topic, str(partition)).set(lag)
        self._health.behind = sum(behind.values())
        self._learnt += self._networks.learn(self._followed.added())
        self._metrics.networks.set(len(self._networks.last_ms))
        self._metrics.quarantined.set(self._quarantine.networks)
        self._metrics.waiting_events.set(len(self._quarantine))
        leap_ms = self._clock.leap_ms()
        self._metrics.leap.set(leap_ms / 1_000)
        if abs(leap_ms) > _LEAP_MS:
            logs.warn(
                "the wall clock was set; it is followed at the next start", leap_s=leap_ms / 1_000
            )


def _unknown(network: str, message: RawMessage, expected: str) -> DeadLetter:
    return DeadLetter(
        reason="unknown_network",
        expected=expected,
        was=network,
        line=message.line,
        network=network,
    )


def _tick(network: str, now_ms: int) -> Entry:
    event = make_event(
        ClockTicked(), id=f"tick-{network}-{now_ms}", source=_CLOCK, network=network, time_ms=now_ms
    )
    return Entry(network=network, value=encode(event))
