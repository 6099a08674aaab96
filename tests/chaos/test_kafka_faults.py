"""Kafka killed, paused, its leader moved away; messages that come twice, and poison."""

import random
import time
from collections.abc import Iterable, Iterator

import pytest
from confluent_kafka.admin import AdminClient

from flows.live.kafka_outlet import KafkaOutlet
from flows.wiring.outcomes import Outcome
from state.settings import Settings
from state.stores.kafka_transactions import TransactionalWriter
from state.stores.kafka_writer import KafkaWriter
from tests.chaos import KILLS, THOROUGH
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.loads import RawValue
from tests.chaos.rig import Rig
from tests.chaos.verdict import FOREIGN, read
from tests.services.kafka_broker import KafkaBroker

pytestmark = pytest.mark.slow

_RATE = 1_000.0


def poison(luck: random.Random) -> Iterator[bytes | None]:
    """Messages that are no events, each kind in turn."""
    name = b'{"specversion":"1.0","id":"x","source":"s","type":"crossdock.stock.counted",'
    times = b'"time":"2026-01-05T00:00:00Z","recordedtime":"2026-01-05T00:00:00Z",'
    while True:
        yield luck.randbytes(luck.randrange(1, 300))
        yield None
        yield b""
        yield b"[" * 100_000
        yield b'{"a":' * 50_000
        yield b"null"
        yield b'"' + b"x" * 900_000 + b'"'
        yield luck.randbytes(1_000_000)
        yield b'{"data":1' + b"0" * 5_000 + b"}"
        yield b'{"type":NaN}'
        yield b"\xff\xfe" + name
        yield name + times + b'"partitionkey":"a:b","data":{}}'
        yield name + times + b'"partitionkey":"demo","data":{"quantity":1e400}}'
        yield name + times + b'"partitionkey":"demo","data":{"node":"\\u0000"}}'
        yield name + times.replace(b"2026", b"0001") + b'"partitionkey":"demo","data":{}}'


def settle_and_verify(rig: Rig) -> None:
    rig.settle()
    assert rig.verify().actions > 300


def test_a_killed_broker_is_waited_for(
    make_rig: MakeRig, log_of: MakeLog, broker: KafkaBroker
) -> None:
    luck = random.Random(3)
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        for _ in range(max(1, KILLS // 20)):
            rig.until_more()
            time.sleep(luck.uniform(0, 1.0))
            broker.kill()
            time.sleep(luck.uniform(0, 1.0))
            broker.restart()
        assert all(engine.runs for engine in rig.engines.values()), rig.engines["run"].output()
        settle_and_verify(rig)


@pytest.mark.skipif(not THOROUGH, reason="takes a while: CROSSDOCK_KILLS=60")
def test_a_broker_killed_together_with_all_else_loses_nothing(
    make_rig: MakeRig, log_of: MakeLog, broker: KafkaBroker
) -> None:
    luck = random.Random(4)
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        for _ in range(max(1, KILLS // 20)):
            rig.until_more(alive=True)
            time.sleep(luck.uniform(0, 1.0))
            broker.kill()
            rig.kill("run")
            rig.kill("ingest")
            broker.restart()
            rig.start()
        rig.until("all to be published", lambda: rig.is_published, alive=True)
        settle_and_verify(rig)


def test_a_paused_broker_is_waited_for(
    make_rig: MakeRig, log_of: MakeLog, broker: KafkaBroker
) -> None:
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        for pause_s in (0.5, 4.0) if THOROUGH else (1.5,):
            rig.until_more()
            broker.pause()
            time.sleep(pause_s)
            broker.resume()
        rig.until_more()
        assert all(engine.runs for engine in rig.engines.values())
        settle_and_verify(rig)


@pytest.mark.skipif(not THOROUGH, reason="takes a while: CROSSDOCK_KILLS=60")
def test_what_a_killed_process_had_under_way_to_a_paused_broker_does_not_come_twice(
    make_rig: MakeRig, log_of: MakeLog, broker: KafkaBroker
) -> None:
    with make_rig() as rig:
        rig.publish([log_of(events=3_000)])
        rig.once("ingest")
        rig.start("run")
        rig.until_entries(0)
        broker.pause()
        time.sleep(0.5)
        rig.kill("run")
        rig.start("run")
        time.sleep(2.0)
        broker.resume()
        rig.until_logged("run", "running", alive=True)
        settle_and_verify(rig)


def test_messages_that_come_twice_count_once(make_rig: MakeRig, log_of: MakeLog) -> None:
    luck = random.Random(5)

    def again(message: RawValue) -> Iterable[RawValue]:
        return (message, message) if luck.random() < 0.2 else (message,)

    with make_rig() as rig:
        rig.publish([log_of(events=3_000)], mangle=again)
        rig.start()
        rig.until("the first copy", lambda: rig.is_published)
        rig.publish([log_of(events=3_000)])
        rig.settle()
        verdict = rig.verify()
        assert verdict.raw > 2 * verdict.events
        assert verdict.duplicates >= verdict.raw - verdict.events - 2 * verdict.refused


def test_poison_among_the_messages_is_kept_as_dead_letters(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    luck = random.Random(6)
    bad = poison(luck)

    def poisoned(message: RawValue) -> Iterable[RawValue]:
        return ((message[0], next(bad)), message) if luck.random() < 0.05 else (message,)

    with make_rig() as rig:
        rig.publish([log_of(events=3_000)], mangle=poisoned, rate=_RATE)
        rig.start()
        writer = KafkaWriter(rig.settings.kafka)
        straight = poison(luck)
        while not rig.is_published:
            # Messages from outside, in the journal itself.
            for key in (None, b"demo", b"\xff"):
                writer.send(
                    rig.settings.topics.journal,
                    next(straight),
                    key=key,
                    headers=((FOREIGN, b"1"),),
                )
            writer.flush()
            time.sleep(0.1)
        assert all(engine.runs for engine in rig.engines.values())
        rig.settle()
        verdict = rig.verify()
        assert verdict.unusable > 80
        assert verdict.actions > 500


def outcome(seq: int) -> Outcome:
    body = b'{"id":"net:%d-1"}' % seq
    return Outcome("net", "allocate", f"{seq}-1", body, "act", "allocate")


def written(settings: Settings) -> list[bytes | None]:
    ((_, messages),) = read(settings, [settings.topics.actions]).items()
    return [message.value() for message in messages]


def test_actions_of_two_crashes_in_a_row_are_in_their_topic_once(make_rig: MakeRig) -> None:
    """The second crash comes before the resumed process has got to where the first one was."""
    with make_rig() as rig:
        settings = rig.settings

        def opened(mark: dict[str, int | str]) -> KafkaOutlet:
            writer = TransactionalWriter(
                settings.kafka, "a test", is_ours=lambda: None, may_wait=lambda: True
            )
            outlet = KafkaOutlet(settings, 0, writer)
            outlet.rewind(mark)
            return outlet

        first = opened({})
        first.write([outcome(seq) for seq in range(1, 6)])
        first.mark()
        second = opened({})
        second.write([outcome(1)])
        mark = second.mark()  # the checkpoint that the third one resumes at
        second.write([outcome(2)])
        second.mark()
        third = opened(mark)
        third.write([outcome(seq) for seq in range(2, 8)])
        third.mark()
        assert written(settings) == [outcome(seq).body for seq in range(1, 8)]


@pytest.mark.skipif(not THOROUGH, reason="three brokers take a while: CROSSDOCK_KILLS=60")
def test_a_leader_killed_under_load_loses_nothing(make_rig: MakeRig, log_of: MakeLog) -> None:
    with (
        KafkaBroker(nodes=3, settings={"min.insync.replicas": "2"}) as cluster,
        make_rig(bootstrap=cluster.bootstrap, replication=3) as rig,
    ):
        rig.publish([log_of(events=15_000)], rate=500.0)
        rig.start()
        for _ in range(max(2, KILLS // 50)):
            rig.until_more(alive=True)
            leader = leader_of(cluster, rig.settings.topics.journal)
            cluster.kill(leader)
            time.sleep(4.0)
            rig.until_more(alive=True)
            cluster.restart(leader)
            time.sleep(3.0)
        settle_and_verify(rig)
        print(f"\nprocesses that ended by themselves: {rig.deaths}")  # noqa: T201


def leader_of(cluster: KafkaBroker, topic: str) -> int:
    """The node that leads partition 0 of `topic`."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    return int(admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader)
