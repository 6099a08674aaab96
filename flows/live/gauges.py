"""Gauges of a running partition, set once a second, between two batches."""

from flows.live.keeper import Keeper
from flows.live.metrics import RunMetrics
from flows.live.monitor import Health
from flows.wiring.dataflow import Flow
from flows.wiring.outlets import RedisOutlet
from operators.hygiene.hygiene import Hygiene
from operators.orchestrate import Orchestrate
from operators.reporting.rollups import Rollups
from state.stores.kafka_journal import KafkaJournal


class Gauges:
    """Lag, watermarks, health of the feeds, quality of the models; `seq` is the last one read."""

    def __init__(
        self,
        metrics: RunMetrics,
        health: Health,
        topic: str,
        partition: int,
        redis_outlet: RedisOutlet,
        keeper: Keeper,
    ) -> None:
        self._metrics, self._health = metrics, health
        self._topic, self._partition = topic, str(partition)
        self._redis, self._keeper = redis_outlet, keeper
        self._repeated = 0
        self._reader: KafkaJournal | None = None
        self._looks = 0
        self.seq = 0

    def reads(self, reader: KafkaJournal) -> None:
        """Set the reader whose lag is measured."""
        self._reader = reader
        self.seq = reader.progress()[0]

    def progress(self, seq: int, done: int, size: int) -> None:
        """Note that a batch was read up to `seq`."""
        self._metrics.records.inc(seq - self.seq)
        self.seq = seq

    def look(self, flow: Flow) -> None:
        """Set the gauges of the partition, and those of one network in turn."""
        metrics = self._metrics
        metrics.position.labels(self._partition).set(self.seq)
        if self._reader is not None:
            self._health.behind = self._reader.behind()
            metrics.lag.labels(self._topic, self._partition).set(self._health.behind)
        repeated = self._redis.written.repeated + self._redis.written.trimmed
        metrics.repeated.inc(repeated - self._repeated)
        self._repeated = repeated
        networks = flow.networks()
        if not networks:
            return
        # One network at a time: scores take a fraction of a millisecond each.
        self._looks += 1
        network = networks[self._looks % len(networks)]
        hygiene, rollups = flow.operator(network, "hygiene"), flow.operator(network, "rollups")
        orchestrate = flow.operator(network, "orchestrate")
        assert isinstance(hygiene, Hygiene) and isinstance(rollups, Rollups)
        assert isinstance(orchestrate, Orchestrate)
        metrics.chores_late.labels(network).set(orchestrate.late_ms / 1_000)
        self._feeds(network, hygiene)
        self._quality(network, rollups)

    def _feeds(self, network: str, hygiene: Hygiene) -> None:
        metrics = self._metrics
        metrics.now.labels(network).set(hygiene.now_ms / 1_000)
        self._keeper.now_is(network, hygiene.now_ms)
        latest: dict[str, int] = {}
        for feed in hygiene.feeds.feeds.values():
            latest[feed.family] = max(latest.get(feed.family, 0), feed.latest_time_ms)
        for family, time_ms in latest.items():
            metrics.watermark.labels(network, family).set(time_ms / 1_000)
            score = hygiene.feeds.published.get(family, 1.0)
            metrics.feed_health.labels(network, family).set(score)

    def _quality(self, network: str, rollups: Rollups) -> None:
        metrics, totals = self._metrics, rollups.totals
        for name in ("allocated", "backordered", "unfillable", "cancelled", "held"):
            metrics.orders.labels(network, name).set(getattr(totals.orders, name))
        score = totals.at_handover
        if score.seen:
            metrics.delay_log_loss.labels(network).set(score.log_loss() or 0.0)
            area = score.roc_auc()
            if area is not None:
                metrics.delay_auc.labels(network).set(area)
        if totals.demand_units:
            metrics.demand_wape.labels(network).set(totals.demand_error / totals.demand_units)
