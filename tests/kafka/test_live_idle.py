"""An idle flow stands still: its reads wait for the next record, and nothing is looked at twice."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Message

import state.journal
from flows.ingest.raw_source import RawSource
from flows.wiring.dataflow import Flow
from flows.wiring.failure import Failure
from flows.wiring.journal_source import IDLE_TURNS, IDLE_WAIT_S, JournalSource, Stop
from flows.wiring.outlets import LogOutlet
from state.codec import JournalLine
from state.journal import JournalReader
from state.policy import Policy
from state.settings import Settings
from state.stores.kafka_reader import KafkaReader
from tests.builders import Log
from tests.live import deployment, make_topics, sent
from tests.services.kafka_broker import KafkaCluster


class Quiet:
    """A journal of `lines`, then nothing for so many seconds of its own clock, then its end.

    Only a read that waits lets that clock go on; so it counts what a quiet second costs.
    """

    def __init__(self, lines: list[JournalLine], seconds: float) -> None:
        self._lines, self._left = lines, seconds
        self.waited, self.looked = 0, 0

    def read(self, count: int, wait_s: float = 0.0) -> list[JournalLine]:
        lines, self._lines = self._lines, []
        if not lines:
            self.waited += wait_s > 0
            self.looked += wait_s == 0
            self._left -= wait_s
        return lines

    def is_at_end(self) -> bool:
        return self._left <= 0

    def position(self) -> bytes:
        return b""

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        pass


def test_a_quiet_minute_costs_a_few_turns_a_second(tmp_path: Path) -> None:
    quiet = Quiet(Log().network_of({("N-NORTH", "BOOK"): 1}).lines(), 60.0)
    turns = Counter[str]()
    source = JournalSource(lambda at: quiet, turned=lambda: turns.update(["turns"]))
    outlet = LogOutlet(tmp_path)
    Flow(source, {"log": outlet}, Policy()).run()
    outlet.close()
    assert quiet.looked <= IDLE_TURNS
    assert quiet.waited == pytest.approx(60 / IDLE_WAIT_S, abs=2)
    assert turns["turns"] <= IDLE_TURNS + 60 / IDLE_WAIT_S + 3


def test_a_followed_file_is_looked_at_the_less_the_longer_it_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"")
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
        if now[0] >= 10.0 and not path.stat().st_size:
            path.write_bytes(b"{}\n")

    monkeypatch.setattr(state.journal.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(state.journal.time, "sleep", sleep)
    with JournalReader([path], follow=True) as reader:
        assert reader.read(10, 2.0) == [] and len(slept) <= 200
        assert slept[0] < 0.001 and slept[-1] == pytest.approx(0.02, rel=0.1)
        looked = len(slept)
        assert [line.raw for line in reader.read(10, 60.0)] == [b"{}"]
        assert now[0] < 10.1 and len(slept) - looked <= 8.1 / 0.02
        looked = len(slept)
        assert reader.read(10) == [] and len(slept) == looked
        assert reader.read(10, 0.01) == [] and slept[looked] < 0.001


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, tmp_path: Path) -> Settings:
    settings = deployment(kafka.bootstrap, "redis://127.0.0.1:1/0", topics, tmp_path)
    make_topics(settings)
    return settings


def test_a_message_ends_the_waiting_at_once(live: Settings) -> None:
    """Not when as many have come as were asked for, nor when the time is over."""
    reader = KafkaReader(live.kafka, {(live.topics.journal, 0): None})
    threading.Timer(1.0, lambda: sent(live, live.topics.journal, b"one")).start()
    found: list[Message] = []
    while not found:  # the end of the partition is news as well
        found = reader.read_at_once(500, 3_600.0)
    assert [message.value() for message in found] == [b"one"]
    reader.close()


def test_an_idle_ingest_waits_but_never_beyond_a_tick(live: Settings) -> None:
    waits: list[float] = []

    class Watched(KafkaReader):
        def read_at_once(self, count: int, wait_s: float) -> list[object]:  # type: ignore[override]
            waits.append(wait_s)
            if len(waits) == 100:
                stop.set()
            return super().read_at_once(count, wait_s)

    stop = Stop()
    reader = Watched(live.kafka, {(feed.topic, 0): None for feed in live.feeds})
    source = RawSource(
        reader,
        tick_s=0.25,
        rate=0,
        once=False,
        stop=stop,
        turned=lambda count: None,
        failure=Failure(),
    )
    part = source.build_part("", "raw", None)
    ticks = 0
    with pytest.raises(StopIteration):
        while True:
            ticks += len(part.next_batch())
    assert sum(wait == 0 for wait in waits) <= IDLE_TURNS * (ticks + 1) + ticks
    assert max(waits) <= IDLE_WAIT_S
    assert ticks >= 1
    reader.close()
