"""One run of the live measurement: broker, Redis, ingest, run, publisher, reader."""

import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import orjson

from benchmarks.figures import Target, distribution
from benchmarks.live_parts import topic_of
from benchmarks.processes import ChildFailed, expect_alive, started
from state.actions import KINDS
from state.codec import encode, make_event
from state.events import NodeRegistered, RegionRegistered, SkuRegistered, StockCounted
from state.feed_settings import feed_for
from state.settings import Settings, load_settings
from state.stores.kafka_dead_letters import ORIGIN, headers_of, origin_of
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_topics import KafkaTopics, planned
from state.stores.kafka_writer import KafkaWriter
from state.stores.redis_connection import connect
from state.stores.redis_keys import PREFIX, stream_key
from tests.services import free_ports
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

_PYTHON = sys.executable
CROSSDOCK = (_PYTHON, "-c", "from flows.cli import main; main()")
_PART = (_PYTHON, "-m", "benchmarks.live_parts")
_READER = (_PYTHON, "-m", "benchmarks.latency_parts", "reader")
#: A broker as people run it: its own heap, the whole of its compiler.
_JVM = ("-Xms512m", "-Xmx512m", "-XX:+UseG1GC")
_NODES = 100
_CATCH_UP_S = 900.0
_LEAD_S = 2.0
_SETTLE_S = 2.0
_STOP_KEY = "bench:stop"
_FLOOR_KEY = "bench:floor"
_FLOOR_TOPIC = "bench.floor"

Tell = Callable[[str], object]


@dataclass(frozen=True)
class LiveLoad:
    """A log of `warm` events to begin with and `paced` ones to time, and the size of the twin."""

    log: Path
    warm: int
    paced: int
    rate: float
    positions: int


def measure_live(load: LiveLoad, folder: Path, tell: Tell) -> tuple[dict[str, Any], list[Target]]:
    """Run it; returns the figures and the issue's targets."""
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker(jvm=_JVM))
        server = stack.enter_context(RedisServer(appendonly="everysec"))
        config, port = settings_file(folder, broker.bootstrap, server.url)
        settings = load_settings(config)
        make_topics(settings)
        tell("the floor: topic to Redis without an engine")
        floor = _floor(load, settings, config, server.url, folder)
        ingest_log, run_log = folder / "ingest.log", folder / "run.log"
        command = (*CROSSDOCK, "ingest", "--config", config)
        ingest = stack.enter_context(started(command, ingest_log))
        command = (*CROSSDOCK, "run", "--config", config)
        run = stack.enter_context(started(command, run_log))
        engine = _Engine(settings, {ingest: ingest_log, run: run_log}, port)
        if load.positions:
            tell(f"filling the twin with {load.positions:,} stock positions")
            _fill(settings, load.positions)
            engine.wait_until_idle()
        tell(f"{load.warm:,} events at once")
        _publish(config, load.log, 0, load.warm, 0.0, 0.0, folder)
        engine.wait_until_idle()
        tell(f"{load.paced:,} events at {load.rate:,.0f}/s, {load.paced / load.rate:,.0f} s")
        begun = datetime.now(UTC)
        with _sampled({"run": run.pid, "ingest": ingest.pid}) as memory:
            timed = _paced(load, settings, config, server.url, folder)
        engine.expect_alive()
        pause_ms = engine.longest_pause_ms()
    holds = _holds(run_log, begun)
    document = {
        "events_per_s": load.rate,
        "seconds": load.paced / load.rate,
        "positions": load.positions,
        **timed,
        "floor_ms": floor,
        "memory_mb": {name: _quarters(found) for name, found in memory.items()},
        "checkpoints": {
            "count": len(holds),
            "median_ms": median(holds) if holds else 0.0,
            "max_ms": max(holds, default=0.0),
        },
        "longest_epoch_pause_ms": pause_ms,
    }
    return document, _targets(document)


def _targets(document: dict[str, Any]) -> list[Target]:
    journal, raw = document["journal_to_action_ms"], document["raw_to_action_ms"]
    memory = document["memory_mb"]["run"]

    def at_most(name: str, measured: float, bound: float, unit: str) -> Target:
        return Target(name=name, measured=measured, bound=bound, sense="at most", unit=unit)

    return [
        at_most("journal to action, p50", journal["p50"], 3.0, "ms"),
        at_most("journal to action, p99", journal["p99"], 20.0, "ms"),
        at_most("raw topic to action, p99", raw["p99"], 50.0, "ms"),
        at_most("longest pause at an epoch", document["longest_epoch_pause_ms"], 100.0, "ms"),
        at_most("longest hold for a checkpoint", document["checkpoints"]["max_ms"], 100.0, "ms"),
        at_most("memory, last quarter ÷ first", memory["last"] / memory["first"], 1.05, ""),
    ]


def settings_file(folder: Path, bootstrap: str, url: str) -> tuple[Path, int]:
    """Write settings of a deployment on this machine; returns the file and the monitor's port."""
    port = free_ports(1)[0]
    path = folder / "crossdock.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\n[redis]\nurl = "{url}"\n'
        f'[ingest]\nstamp = "keep"\n[run]\nstate = "{folder / "state"}"\n'
        f"[monitor]\nport = {port}\n"
    )
    return path, port


def make_topics(settings: Settings) -> None:
    """Make all topics, and that of the floor."""
    topics = KafkaTopics(settings.kafka)
    for plan in planned(settings):
        topics.create(plan, partitions=plan.partitions or 1, replication=1)
    floor = msgspec.structs.replace(planned(settings)[0], name=_FLOOR_TOPIC)
    topics.create(floor, partitions=1, replication=1)


class _Engine:
    """The two processes, as far as the measurement has to know how they are."""

    def __init__(self, settings: Settings, processes: dict[Any, Path], port: int) -> None:
        self._settings, self._processes, self._port = settings, processes, port

    def expect_alive(self) -> None:
        for process, log in self._processes.items():
            expect_alive(process, log)

    def wait_until_idle(self) -> None:
        """Wait until all raw messages are in the journal, and all of the journal is decided on."""
        until = time.monotonic() + _CATCH_UP_S
        places = {(f.topic, 0): 0 for f in self._settings.feeds}
        before = -1
        while time.monotonic() < until:
            self.expect_alive()
            raw = _ends(self._settings, dict(places))
            journal = _ends(self._settings, {(self._settings.topics.journal, 0): 0})
            if journal >= raw and journal == before and self._position() >= journal:
                time.sleep(_SETTLE_S)
                return
            before = journal
            time.sleep(0.5)
        raise ChildFailed(f"the engine did not catch up within {_CATCH_UP_S:g} s")

    def _position(self) -> int:
        for line in self._metrics():
            if line.startswith("crossdock_position{"):
                return int(float(line.split()[-1]))
        return 0

    def longest_pause_ms(self) -> float:
        """Return the upper bound of the fullest bucket of the epochs' pauses, in ms."""
        total, bound = 0.0, 0.0
        name = "crossdock_epoch_pause_seconds_bucket"
        for line in self._metrics():
            if line.startswith(name):
                count = float(line.split()[-1])
                if count > total:
                    total, bound = count, float(line.split('le="')[1].split('"')[0])
        return bound * 1_000

    def _metrics(self) -> list[str]:
        url = f"http://127.0.0.1:{self._port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text: str = answer.read().decode()
                return text.splitlines()
        except OSError:
            return []  # still starting


def _ends(settings: Settings, places: dict[tuple[str, int], int]) -> int:
    reader = KafkaReader(settings.kafka, dict.fromkeys(places), to_end=True)
    try:
        return sum(high for _, high in reader.ends().values())
    finally:
        reader.close()


def _fill(settings: Settings, positions: int) -> None:
    """Fill a network of its own, in the same partition, with so many stock positions."""
    writer = KafkaWriter(settings.kafka, linger_ms=5)
    start_ms, number = 1_735_689_600_000, 0

    def send(fact: Any) -> None:
        nonlocal number
        number += 1
        event = make_event(
            fact,
            id=f"f{number}",
            source="bench/fill",
            network="bulk",
            time_ms=start_ms + number,
        )
        topic = feed_for(settings.feeds, event.type, event.network).topic
        writer.send(topic, encode(event), key=b"bulk")

    skus = -(-positions // _NODES)
    send(RegionRegistered(region="R", latitude=50.0, longitude=10.0))
    for node in range(_NODES):
        send(
            NodeRegistered(
                node=f"N{node}",
                kind="fulfilment_centre",
                region="R",
                latitude=50.0,
                longitude=10.0,
                handling_fixed_cents=200,
                handling_unit_cents=20,
                handling_time_s=7_200,
                parcels_per_day=10_000,
            )
        )
    for sku in range(skus):
        send(SkuRegistered(sku=f"S{sku}", category="c", weight_g=500, value_cents=2_000))
    for count in range(positions):
        send(StockCounted(node=f"N{count % _NODES}", sku=f"S{count // _NODES}", quantity=50))
    writer.flush()


def _publish(
    config: Path, log: Path, skip: int, count: int, rate: float, at: float, folder: Path
) -> dict[str, Any]:
    errors, told = folder / "publisher.log", folder / "published.json"
    told.unlink(missing_ok=True)
    command = (*_PART, "publisher", config, log, skip, count, rate, at)
    with started(command, errors, told) as publisher:
        publisher.wait((count / rate if rate else 0) + _CATCH_UP_S)
        if publisher.returncode:
            raise ChildFailed(errors.read_text()[-2_000:])
    found: dict[str, Any] = orjson.loads(told.read_bytes())
    return found


def _paced(
    load: LiveLoad, settings: Settings, config: Path, url: str, folder: Path
) -> dict[str, Any]:
    places: dict[tuple[str, int], int | None] = {(f.topic, 0): None for f in settings.feeds}
    reader = KafkaReader(settings.kafka, places, to_end=True)
    next_offset = {topic: high for (topic, _), (_, high) in reader.ends().items()}
    reader.close()
    with load.log.open("rb") as file:
        lines = islice(file, load.warm, load.warm + load.paced)
        due_by_origin = {}
        for number, line in enumerate(lines):
            topic = topic_of(line.rstrip())
            due_by_origin[origin_of(topic, 0, next_offset[topic])] = number / load.rate
            next_offset[topic] += 1
    streams = [stream_key(PREFIX, "demo", kind) for kind in KINDS]
    until = time.monotonic() + load.paced / load.rate + _CATCH_UP_S
    errors, read = folder / "reader.log", folder / "read.jsonl"
    with (
        connect(url) as client,
        started((*_READER, url, _STOP_KEY, until, *streams), errors, read) as process,
    ):
        time.sleep(_LEAD_S)
        # The publisher first parses its lines, some 20 µs each.
        at = time.monotonic() + _LEAD_S + load.paced * 60e-6
        published = _publish(config, load.log, load.warm, load.paced, load.rate, at, folder)
        time.sleep(_SETTLE_S)
        client.xadd(_STOP_KEY, {b"stop": b"1"})
        process.wait(_CATCH_UP_S)
    wall = time.time() - time.monotonic()
    raw_ms, journal_ms = [], []
    journal = _journal(settings)
    for line in read.read_bytes().splitlines():
        _, entry_id, when = orjson.loads(line)
        origin, stamp_ms = journal[int(entry_id.partition("-")[0])]
        due = due_by_origin.get(origin)
        if due is not None:
            raw_ms.append((when - at - due) * 1_000)
            journal_ms.append((when + wall) * 1_000 - stamp_ms)
    return {
        "raw_to_action_ms": distribution(raw_ms),
        "journal_to_action_ms": distribution(journal_ms),
        "publisher_late_ms": published["late_ms"],
    }


def _journal(settings: Settings) -> dict[int, tuple[str, int]]:
    """Return origin and timestamp (ms) of each journal record, by seq."""
    reader = KafkaReader(settings.kafka, {(settings.topics.journal, 0): None}, to_end=True)
    found = {}
    for message in reader.read_to_end():
        origin = headers_of(message).get(ORIGIN, b"").decode()
        found[(message.offset() or 0) + 1] = (origin, message.timestamp()[1])
    reader.close()
    return found


def _floor(
    load: LiveLoad, settings: Settings, config: Path, url: str, folder: Path
) -> dict[str, float]:
    """Run the same load through one topic and a bare copier."""
    count = round(min(load.paced, 20 * load.rate))
    until = time.monotonic() + count / load.rate + 60.0
    errors, read = folder / "floor.log", folder / "floor.jsonl"
    with load.log.open("rb") as file:
        lines = [line.rstrip() for line in islice(file, load.warm, load.warm + count)]
    with (
        connect(url) as client,
        started((*_READER, url, _STOP_KEY, until, _FLOOR_KEY), errors, read) as reader,
        started((*_PART, "copier", config, _FLOOR_TOPIC, url, _FLOOR_KEY, until), errors),
    ):
        time.sleep(_LEAD_S)
        writer = KafkaWriter(settings.kafka, linger_ms=0)
        writer.send(_FLOOR_TOPIC, b"a producer's first message takes its time")
        writer.flush()
        at = time.monotonic()
        for number, line in enumerate(lines):
            while time.monotonic() < at + number / load.rate:
                writer.poll()
                time.sleep(0.000_2)
            writer.send(_FLOOR_TOPIC, line)
        writer.flush()
        time.sleep(_SETTLE_S)
        client.xadd(_STOP_KEY, {b"stop": b"1"})
        reader.wait(60.0)
        client.delete(_STOP_KEY, _FLOOR_KEY)
    found = []
    for line in read.read_bytes().splitlines():
        _, entry_id, when = orjson.loads(line)
        number = int(entry_id.partition("-")[0]) - 2
        if number >= 0:
            found.append((when - at - number / load.rate) * 1_000)
    return distribution(found)


@contextmanager
def _sampled(pids: dict[str, int]) -> Iterator[dict[str, list[float]]]:
    """Sample resident MB of processes, once a second while the block lasts."""
    found: dict[str, list[float]] = {name: [] for name in pids}
    over = threading.Event()

    def sample() -> None:
        while not over.wait(1.0):
            for name, pid in pids.items():
                status = Path(f"/proc/{pid}/status").read_text()
                found[name].append(int(status.partition("VmRSS:")[2].split()[0]) / 1_024)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _quarters(samples: list[float]) -> dict[str, float]:
    size = max(1, len(samples) // 4)
    return {
        "first": fmean(samples[:size]),
        "last": fmean(samples[-size:]),
        "peak": max(samples),
    }


def _holds(log: Path, since: datetime) -> list[float]:
    """Return the pause by each checkpoint from `since` on, in ms, by the engine's log."""
    documents = [orjson.loads(line) for line in log.read_bytes().splitlines() if line[:1] == b"{"]
    return [
        found["held_ms"]
        for found in documents
        if found["event"] == "checkpoint" and datetime.fromisoformat(found["time"]) >= since
    ]
