"""Metrics by name. docs/operations.md explains how to read them."""

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

#: From 50 µs on: what happens within the process is a matter of fractions of a millisecond.
_FAST_S = (
    *(0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005),
    *(0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0),
)


disable_created_metrics()  # type: ignore[no-untyped-call]


class StreamMetrics:
    """Metrics of all live processes."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._ready = Gauge("crossdock_ready", "1 if /readyz says so.", registry=registry)
        build = Gauge("crossdock_build", "Always 1.", ["version"], registry=registry)
        build.labels(version("crossdock")).set(1)
        self.lag = Gauge(
            "crossdock_lag_messages",
            "Messages in a partition not yet read.",
            ["topic", "partition"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "crossdock_dead_letters", "Records refused.", ["reason"], registry=registry
        )
        self.waiting = Gauge(
            "crossdock_store_waiting",
            "1 while a store does not answer.",
            ["store"],
            registry=registry,
        )
        self.waits = Counter(
            "crossdock_store_waits",
            "Tries that a store did not answer.",
            ["store"],
            registry=registry,
        )

    def report_ready(self, obstacles: Callable[[], list[str]]) -> None:
        """Ask `obstacles` at each scrape whether the process is ready."""
        self._ready.set_function(lambda: float(not obstacles()))


class IngestMetrics(StreamMetrics):
    """Metrics of `crossdock ingest`."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        self.messages = Counter(
            "crossdock_ingest_messages", "Raw messages read.", ["topic"], registry=registry
        )
        self.ticks = Counter("crossdock_ingest_ticks", "Clock ticks written.", registry=registry)
        self.networks = Gauge("crossdock_ingest_networks", "Networks known.", registry=registry)
        self.quarantined = Gauge(
            "crossdock_ingest_quarantined_networks",
            "Networks without reference data, whose events wait for it.",
            registry=registry,
        )
        self.waiting_events = Gauge(
            "crossdock_ingest_quarantined_messages", "Messages of these.", registry=registry
        )
        self.commit = Histogram(
            "crossdock_ingest_commit_seconds",
            "From the last message written to all known to have arrived.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.leap = Gauge(
            "crossdock_clock_leap_seconds",
            "How far the wall clock was set away since the start.",
            registry=registry,
        )


class RunMetrics(StreamMetrics):
    """Metrics of `crossdock run`."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        self.records = Counter("crossdock_records", "Journal records read.", registry=registry)
        self.position = Gauge(
            "crossdock_position", "Last seq read.", ["partition"], registry=registry
        )
        self.actions = Counter(
            "crossdock_actions", "Actions made.", ["kind", "mode"], registry=registry
        )
        self.repeated = Counter(
            "crossdock_actions_repeated", "Actions that were there already.", registry=registry
        )
        self.latency = Histogram(
            "crossdock_event_to_action_seconds",
            "From a record read to its action acknowledged by Redis.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.journal_latency = Histogram(
            "crossdock_journal_to_action_seconds",
            "From the journal's timestamp (ms, another machine's clock) to the same.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.pause = Histogram(
            "crossdock_epoch_pause_seconds",
            "How long the source was not asked at an epoch's end.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.checkpoint_hold = Histogram(
            "crossdock_checkpoint_hold_seconds",
            "How long the stream stood while a checkpoint was begun.",
            buckets=_FAST_S,
            registry=registry,
        )
        self.checkpoint_failures = Counter(
            "crossdock_checkpoint_failures",
            "Checkpoints that could not be written.",
            registry=registry,
        )
        self.watermark = Gauge(
            "crossdock_watermark_timestamp_seconds",
            "Latest event time of a feed.",
            ["network", "family"],
            registry=registry,
        )
        self.feed_health = Gauge(
            "crossdock_feed_health",
            "1 good, 0 silent or unusable.",
            ["network", "family"],
            registry=registry,
        )
        self.now = Gauge(
            "crossdock_journal_now_timestamp_seconds",
            "The journal's now.",
            ["network"],
            registry=registry,
        )
        self.delay_log_loss = Gauge(
            "crossdock_delay_log_loss",
            "Log loss in nats of P(late) at handover, since the journal's start.",
            ["network"],
            registry=registry,
        )
        self.delay_auc = Gauge(
            "crossdock_delay_roc_auc", "ROC-AUC of the same.", ["network"], registry=registry
        )
        self.demand_wape = Gauge(
            "crossdock_demand_wape",
            "Sum of absolute errors over sum of demand.",
            ["network"],
            registry=registry,
        )
        self.orders = Gauge(
            "crossdock_orders",
            "Orders by where they stand.",
            ["network", "state"],
            registry=registry,
        )
        self.chores_late = Gauge(
            "crossdock_chores_late_seconds",
            "For how long the next review, look or queue has been due.",
            ["network"],
            registry=registry,
        )
        self._of_redis(registry)

    def _of_redis(self, registry: CollectorRegistry) -> None:
        self.redis_used = Gauge(
            "crossdock_redis_memory_bytes", "Memory that Redis uses.", registry=registry
        )
        self.redis_limit = Gauge(
            "crossdock_redis_memory_limit_bytes",
            "Memory that it may use: its maxmemory, or the machine's.",
            registry=registry,
        )
        self.kept_entries = Gauge(
            "crossdock_redis_kept_entries",
            "Entries in a network's streams.",
            ["network"],
            registry=registry,
        )
        self.kept_bytes = Gauge(
            "crossdock_redis_kept_bytes",
            "What they take, as Redis estimates it.",
            ["network"],
            registry=registry,
        )
        self.trimmed = Counter(
            "crossdock_redis_trimmed",
            "Entries removed because they were old.",
            ["network"],
            registry=registry,
        )
        self.trimmed_unread = Counter(
            "crossdock_redis_trimmed_unread",
            "Of these, not acknowledged by a consumer group: lost to it.",
            ["network", "group"],
            registry=registry,
        )
        self.group_lag = Gauge(
            "crossdock_redis_group_lag_seconds",
            "Age of the oldest entry that a consumer group has not acknowledged.",
            ["network", "group"],
            registry=registry,
        )
        self.retention_failures = Counter(
            "crossdock_redis_retention_failures",
            "Looks at Redis that failed: it keeps more than it should.",
            registry=registry,
        )
