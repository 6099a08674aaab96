"""Logs of live processes: repetitions are limited, and the error that ends one is logged once."""

import io
import logging
from pathlib import Path

import msgspec
import orjson
import pytest
import redis

import flows.wiring.dataflow
from flows.ingest.ingest import ingest
from flows.live.logs import SparingHandler
from flows.live.publish import publish
from flows.live.run import Live, run_partition
from flows.replay.replay import ReplayPlan, replay
from flows.simulation import WorldConfig, simulate
from operators.core.contract import Chain
from state.codec import JournalLine
from state.errors import Diverged, EntriesLost, InvariantBroken, JournalError, StoreError
from state.journal import JournalReader
from state.journal_writer import JournalWriter
from state.policies import find_policy
from state.policy import Policy
from state.settings import Settings
from state.stores.kafka_reader import committed
from tests.live import deployment, make_topics, messages_of, sent
from tests.services.kafka_broker import KafkaCluster


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sayer:
    """A logger of its own, and the lines that it wrote."""

    def __init__(self) -> None:
        self.clock, self.stream = Clock(), io.StringIO()
        self.handler = SparingHandler(self.stream, self.clock)
        self._logger = logging.Logger("a test")
        self._logger.addHandler(self.handler)

    def warn(self, event: str, **fields: object) -> None:
        self._logger.warning(event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={"fields": fields})

    def lines(self) -> list[dict[str, object]]:
        found = [orjson.loads(line) for line in self.stream.getvalue().splitlines()]
        for each in found:
            del each["time"], each["level"]
        return found


def test_a_warning_that_repeats_is_said_once_in_a_while_and_counted() -> None:
    sayer = Sayer()
    for number in range(5_000):
        sayer.clock.now = number / 5_000
        sayer.warn("kafka", message=f"connect to 127.0.0.1:9092 failed after {number} ms")
    assert len(sayer.lines()) == 1
    sayer.clock.now = 11.0
    sayer.warn("kafka", message="connect to 127.0.0.1:9092 failed after 7 ms")
    assert [line.get("left_out") for line in sayer.lines()] == [None, 4_999]


def test_what_was_left_out_is_told_with_what_is_said_next_and_at_the_end() -> None:
    sayer = Sayer()
    for _ in range(3):
        sayer.warn("kafka", message="down")
    sayer.clock.now = 30.0
    sayer.info("checkpoint", held_ms=1.5)
    assert sayer.lines()[1:] == [
        {"event": "kafka", "message": "down", "left_out": 2},
        {"event": "checkpoint", "held_ms": 1.5},
    ]
    sayer.warn("kafka", message="down")
    sayer.warn("kafka", message="down")
    sayer.handler.close()
    assert sayer.lines()[-1] == {"event": "kafka", "message": "down", "left_out": 1}


def test_only_warnings_that_say_the_same_are_left_out() -> None:
    sayer = Sayer()
    for partition in (0, 1):
        sayer.warn("worker died", partition=partition, code=1)
        sayer.info("checkpoint", held_ms=1.0)
        sayer.info("checkpoint", held_ms=1.0)
        sayer.warn("kafka", message=f"broker {'ab'[partition]} is down")
    assert len(sayer.lines()) == 8


def test_no_end_of_warnings_fills_the_memory() -> None:
    sayer = Sayer()
    for number in range(3_000):
        word = "".join("abcdefghij"[int(digit)] for digit in str(number))
        for _ in range(2):
            sayer.warn("kafka", message=word)
    assert len(sayer.handler._seen) <= 200
    sayer.handler.close()
    lines = sayer.lines()
    assert len(lines) + sum(int(str(line.get("left_out", 0))) for line in lines) == 9_000


# Ends of a flow: an error of ours, and no output of Rust's before it


@pytest.fixture
def small_log(tmp_path: Path) -> Path:
    path, world = tmp_path / "log.jsonl.zst", WorldConfig(nodes=6, regions=5, skus=40)
    with JournalWriter(path) as writer:
        for event in simulate(seed=3, events=1_500, config=world):
            writer.write(event)
    return path


def said(capfd: pytest.CaptureFixture[str]) -> str:
    captured = capfd.readouterr()
    return captured.out + captured.err


def test_an_error_in_a_sink_is_told_by_us_alone(
    small_log: Path, redis_url: str, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = ReplayPlan(logs=(small_log,), policy=Policy(), redis=redis_url, prefix=prefix)
    replay(plan)
    other = find_policy("cheapest")
    with pytest.raises(Diverged):
        replay(msgspec.structs.replace(plan, policy=other))
    assert said(capfd) == ""


def test_an_error_in_a_source_is_told_by_us_alone(
    small_log: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = JournalReader.read

    def cut(reader: JournalReader, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        if reader.lines > 500:
            raise JournalError("cut off here")
        return read(reader, count, wait_s)

    monkeypatch.setattr(JournalReader, "read", cut)
    with pytest.raises(JournalError, match="cut off here"):
        replay(ReplayPlan(logs=(small_log,), policy=Policy(), batch=100))
    assert said(capfd) == ""


@pytest.mark.parametrize("error", [InvariantBroken("minus one"), ZeroDivisionError("by us")])
def test_an_error_in_an_operator_is_told_by_us_alone(
    small_log: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def broken(network: str, policy: Policy) -> Chain:
        raise error

    monkeypatch.setattr(flows.wiring.dataflow, "build_chain", broken)
    with pytest.raises(type(error), match=str(error)):
        replay(ReplayPlan(logs=(small_log,), policy=Policy()))
    assert said(capfd) == ""


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, redis_url: str, tmp_path: Path) -> Settings:
    settings = deployment(kafka.bootstrap, redis_url, topics, tmp_path)
    make_topics(settings)
    return settings


def test_an_error_at_the_start_of_run_is_told_by_us_alone(
    live: Settings, small_log: Path, redis_client: redis.Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    publish(live, (small_log,), to_journal=True)
    run_partition(Live(live), 0, once=True)
    for key in redis_client.scan_iter(f"{live.redis.prefix}:*"):
        redis_client.unlink(key)
    with pytest.raises(EntriesLost):
        run_partition(Live(live), 0, once=True)
    assert said(capfd) == ""


@pytest.mark.parametrize("step", ["raw_message", "canonical", "send_dead_letter", "commit"])
def test_an_error_anywhere_in_ingest_is_told_by_us_alone_and_keeps_no_progress(
    live: Settings,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StoreError("broken here")

    sent(live, live.feeds[0].topic, b"{", b"not an event")
    with monkeypatch.context() as patch:
        owner = {
            "raw_message": "flows.ingest.raw_source.raw_message",
            "canonical": "flows.ingest.ingest.canonical",
            "send_dead_letter": "flows.ingest.journal_sink.send_dead_letter",
            "commit": "state.stores.kafka_reader.KafkaReader.commit",
        }[step]
        patch.setattr(owner, broken)
        with pytest.raises(StoreError, match="broken here"):
            ingest(live, once=True)
    assert said(capfd) == ""
    places = [(live.feeds[0].topic, 0)]
    assert committed(live.kafka, live.ingest.group, places) == {places[0]: None}
    ingest(live, once=True)
    letters = messages_of(live, live.topics.dead_letters)
    assert {letter.value() for letter in letters} == {b"{", b"not an event"}
