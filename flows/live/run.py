"""`crossdock run`, one partition: the journal topic → the chain → Redis and Kafka, recoverable."""

import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

from flows.live import logs
from flows.live.gauges import Gauges
from flows.live.kafka_outlet import KafkaOutlet
from flows.live.keeper import Keeper
from flows.live.metered import MeteredOutlet
from flows.live.metrics import RunMetrics
from flows.live.monitor import Health, Monitor
from flows.live.patience import PatientOutlet
from flows.live.probes import ANSWER_S, Probes
from flows.live.state_folder import StateFolder
from flows.live.tenure import Tenure
from flows.wiring.checkpoints import Checkpoints
from flows.wiring.dataflow import Flow
from flows.wiring.failure import Failure
from flows.wiring.journal_source import JournalSource
from flows.wiring.outlets import Outlet, RedisOutlet
from flows.wiring.stop import Stop
from state.errors import TakenOver
from state.policy import Policy, load_policy
from state.settings import Settings
from state.stores.kafka_journal import Arrivals, KafkaJournal
from state.stores.kafka_topics import KafkaTopics, planned, require
from state.stores.kafka_transactions import TransactionalWriter
from state.stores.redis_connection import (
    GROUPS_SINCE,
    connect_with,
    is_passing,
    require_version,
)

#: Below a partition's recovery folder: the checkpoints that its store names.
_CHECKPOINTS = "checkpoints"
#: One command's patience with Redis; the stream's own is without end.
_REDIS_READ_S = 5.0
#: Removing what is old may take Redis longer.
_KEEPER_READ_S = 30.0
#: Interval at which gauges are set.
_LOOK_EVERY_S = 1.0
_BATCH = 500


class Live:
    """Results of the checks at the start, which hold for all partitions of a process."""

    def __init__(self, settings: Settings) -> None:
        topics = KafkaTopics(settings.kafka)
        plans = [p for p in planned(settings) if p.name not in {f.topic for f in settings.feeds}]
        for warning in require(topics, plans):
            logs.warn("topics", warning=warning)
        self.settings, self.topics = settings, topics
        self.identity = topics.identity(settings.topics.journal)
        self.policy = load_policy(Path(settings.run.policy)) if settings.run.policy else Policy()
        with connect_with(settings.redis, read_timeout_s=_REDIS_READ_S, retries=0) as client:
            require_version(client, GROUPS_SINCE)  # what trims by id came with it too


def run_partition(
    live: Live,
    partition_number: int,
    *,
    once: bool = False,
    rebuild: bool = False,
    take_over: bool = False,
    monitor_port: int | None = None,
    stop: Stop | None = None,
) -> int:
    """Run one partition until stopped, or with `once` to its end; return the last seq read.

    `rebuild` works the state out from the journal's start again. `take_over` takes the partition
    back from a process that took it. `monitor_port` is instead of the settings' port plus
    the partition's number. Raises a CrossdockError where something does not fit at the start, or a
    store fails in a way that waiting does not help; TakenOver once another process has taken over.
    """
    settings, topics = live.settings, live.settings.topics
    stop = stop or Stop()
    metrics, health, failure = RunMetrics(), Health(settings.monitor), Failure()

    def may_wait() -> bool:
        health.turned()
        return stop.allows(settings.run.stop_s / 2)

    def warn(text: str) -> None:
        logs.warn("kafka", message=text)

    def reached(is_up: bool) -> None:
        health.reached("kafka", is_up)
        metrics.waiting.labels("kafka").set(not is_up)

    with ExitStack() as stack:
        folder = StateFolder(
            Path(settings.run.state),
            f"{topics.journal}-{partition_number}",
            live.identity,
            live.policy,
        )
        stack.callback(folder.close)
        is_resumed = folder.open(rebuild=rebuild)
        tenure = stack.enter_context(
            Tenure(live.settings, live.identity, partition_number, folder, take_over, may_wait)
        )
        client = connect_with(settings.redis, read_timeout_s=_REDIS_READ_S, retries=0)
        stack.callback(client.close)
        redis_outlet = RedisOutlet(
            client,
            live.identity,
            settings.redis.prefix,
            fresh=False,
            maxlen=settings.redis.keep or None,
            lease=tenure.lease,
        )
        writer = TransactionalWriter(
            settings.kafka,
            f"{topics.journal}-{partition_number}",
            is_ours=tenure.require,
            may_wait=may_wait,
            failed=failure.keep,
            warn=warn,
        )
        stack.callback(writer.close)
        arrivals = Arrivals()
        patient = PatientOutlet(redis_outlet, "redis", is_passing, may_wait, metrics, health)
        outlets: dict[str, Outlet] = {
            "redis": MeteredOutlet(patient, metrics, arrivals),
            "kafka": KafkaOutlet(settings, partition_number, writer, health.turned),
        }
        checkpoints = Checkpoints(
            folder.recovery / _CHECKPOINTS,
            settings.run.epoch_s,
            failed=partial(_checkpoint_failed, metrics),
            taken=partial(_checkpoint_begun, metrics),
        )
        connect = partial(connect_with, settings.redis, read_timeout_s=_KEEPER_READ_S, retries=0)
        keeper = Keeper(connect, settings.redis, live.identity, metrics)
        gauges = Gauges(metrics, health, topics.journal, partition_number, redis_outlet, keeper)

        def open_reader(at: bytes | None) -> KafkaJournal:
            reader = KafkaJournal(
                settings.kafka,
                topics.journal,
                partition_number,
                at,
                once=once,
                arrivals=arrivals,
                warn=warn,
                reached=reached,
            )
            gauges.reads(reader)
            logs.info(
                "running",
                partition=partition_number,
                next_seq=reader.progress()[0] + 1,
                resumed=is_resumed,
                journal=live.identity,
                policy=live.policy.fingerprint(),
            )
            return reader

        look_at = 0.0

        def turned() -> None:
            nonlocal look_at
            health.turned()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK_EVERY_S
                gauges.look(flow)

        source = JournalSource(
            open_reader,
            batch=_BATCH,
            stop=stop,
            progress=gauges.progress,
            checkpoints=checkpoints,
            failure=failure,
            turned=turned,
            paused=metrics.pause.observe,
        )
        flow = Flow(source, outlets, live.policy, checkpoints=checkpoints)
        metrics.report_ready(health.obstacles)
        port = monitor_port
        if port is None:
            port = settings.monitor.port and settings.monitor.port + partition_number
        checks = {
            "redis": tenure.lease.require,
            "kafka": lambda: live.topics.require_answer(topics.journal, ANSWER_S),
        }

        def seen(error: Exception) -> None:
            if isinstance(error, TakenOver):
                failure.keep(error)

        stack.enter_context(Monitor(settings.monitor, port, metrics.registry, health))
        stack.enter_context(Probes(health, checks, seen))
        stack.enter_context(keeper)
        flow.run(folder.recovery, timedelta(seconds=settings.run.epoch_s))
        writer.flush()
        logs.info("run ended", partition=partition_number, seq=gauges.seq)
        return gauges.seq


def _checkpoint_begun(metrics: RunMetrics, held_s: float) -> None:
    metrics.checkpoint_hold.observe(held_s)
    logs.info("checkpoint", held_ms=round(held_s * 1_000, 3))


def _checkpoint_failed(metrics: RunMetrics, reason: str) -> None:
    metrics.checkpoint_failures.inc()
    logs.warn("checkpoint failed; the one before stays", reason=reason)
