"""Two `run`s of one partition: the elder is fenced, and everything is there once, in order.

No clock takes part. A lease in Redis and a name of transactions in Kafka are taken by counting up,
and neither lapses; so a pause of a second stands for one of any length, and whatever the clocks of
two hosts say is not asked. The last tests here hold the sources to that.
"""

import ast
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka import Producer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.live.kafka_outlet import KafkaOutlet
from flows.simulation import WorldConfig, simulate
from flows.wiring.outcomes import Outcome
from state.actions import KINDS
from state.errors import EntriesLost, TakenOver
from state.journal_writer import JournalWriter
from state.settings import Settings
from state.stores import redis_append, redis_lease
from state.stores.kafka_transactions import TransactionalWriter
from state.stores.redis_actions import RedisActionWriter, StreamEntry
from state.stores.redis_keys import stream_key
from state.stores.redis_lease import Lease
from tests.chaos.rig import Rig
from tests.chaos.take_overs import elsewhere, expect_taken_over
from tests.live import deployment, make_topics, messages_of
from tests.services.kafka_broker import KafkaCluster

_EVENTS, _RATE = 3_000, 500.0


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with JournalWriter(path) as writer:
        world = WorldConfig(nodes=6, regions=5, skus=40)
        for event in simulate(seed=31, events=_EVENTS, config=world):
            writer.write(event)
    return path


@pytest.fixture
def rig(kafka: KafkaCluster, redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    if kafka.kind == "mock":
        pytest.skip("needs a broker with transactions that hold")
    with Rig(tmp_path, kafka.bootstrap, redis_url) as rig:
        yield rig


@pytest.mark.slow
def test_the_younger_takes_over_and_the_elder_ends(rig: Rig, log: Path) -> None:
    rig.publish([log], rate=_RATE)
    rig.start()
    rig.until_more()
    elder, younger = rig.engines["run"], elsewhere(rig)
    younger.start()
    rig.until_logged("elsewhere", "took over")
    expect_taken_over(elder)
    rig.until_logged("elsewhere", "running")

    elder.start()  # by a supervisor that starts again whatever ends: no fight comes of it
    assert elder.ended() == TakenOver.exit_code
    assert "--take-over" in elder.output()
    assert younger.runs

    back = rig.engine("back", "run", "--take-over")
    back.start()
    expect_taken_over(younger)
    rig.until_logged("back", "took over")
    rig.settle()
    assert rig.verify().actions > 100


@pytest.mark.slow
def test_an_elder_that_was_paused_writes_nothing_when_it_wakes(rig: Rig, log: Path) -> None:
    rig.publish([log], rate=_RATE)
    rig.start()
    rig.until_more()
    elder, younger = rig.engines["run"], elsewhere(rig)
    os.kill(elder.pid, signal.SIGSTOP)  # in the midst of writing
    younger.start()
    rig.until_logged("elsewhere", "running")
    rig.until_more()
    os.kill(elder.pid, signal.SIGCONT)
    expect_taken_over(elder)
    assert younger.runs
    rig.settle()
    assert rig.verify().actions > 100


@pytest.mark.slow
def test_one_that_ended_well_leaves_the_partition_to_any_other(rig: Rig, log: Path) -> None:
    rig.publish([log])
    rig.join()
    rig.once("ingest")
    rig.once("run")
    other = elsewhere(rig)
    other.start()
    rig.until_logged("elsewhere", "running")
    assert not other.logged("took over")
    rig.stop("elsewhere")
    assert not rig.once("run").logged("took over")
    assert rig.verify().actions > 100


# The lease


def a_lease(client: redis.Redis, prefix: str, home: str = "here") -> Lease:
    return Lease(client, journal="j", partition=0, home=home, prefix=prefix)


def an_entry(seq: int) -> StreamEntry:
    return StreamEntry("eu", KINDS[0], f"{seq}-1", b"%d" % seq)


@given(turns=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=25))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_only_the_last_to_take_the_lease_writes(
    redis_url: str, redis_client: redis.Redis, prefix: str, turns: list[tuple[int, bool]]
) -> None:
    """Three writers of the same journal take the lease and write, in any order."""
    for key in redis_client.scan_iter(f"{prefix}:*"):
        redis_client.unlink(key)
    writers: dict[int, RedisActionWriter] = {}
    nexts, written, holder = {0: 1, 1: 1, 2: 1}, 0, None
    for who, takes in turns:
        if takes:
            lease = a_lease(redis_client, prefix, f"home {who}")
            lease.take()
            writers[who] = RedisActionWriter(redis_client, journal="j", prefix=prefix, lease=lease)
            holder = who
        elif who == holder:
            writers[who].write([an_entry(nexts[who])])
            written = max(written, nexts[who])
            nexts[who] += 1
        elif who in writers:
            with pytest.raises(TakenOver):
                writers[who].write([an_entry(written + 1)])
    stream: list[tuple[bytes, object]] = redis_client.xrange(stream_key(prefix, "eu", KINDS[0]))
    assert [name.decode() for name, _ in stream] == [f"{n}-1" for n in range(1, written + 1)]


def test_a_lease_that_redis_lost_is_no_take_over(redis_client: redis.Redis, prefix: str) -> None:
    lease = a_lease(redis_client, prefix)
    lease.take()
    lease.require()
    redis_client.unlink(lease.key)
    with pytest.raises(EntriesLost, match="lost what it had acknowledged"):
        lease.require()


def test_whoever_was_ousted_comes_back_only_when_told_or_when_it_is_free(
    redis_client: redis.Redis, prefix: str
) -> None:
    elder, younger = a_lease(redis_client, prefix, "a"), a_lease(redis_client, prefix, "b")
    assert elder.take().before is None
    taken = younger.take()
    assert taken.before == "a"
    with pytest.raises(TakenOver, match=r"taken over by b \(token 2\).*--take-over"):
        a_lease(redis_client, prefix, "a").take(unless_since=taken.token)
    younger.require()
    younger.release()
    assert a_lease(redis_client, prefix, "a").take(unless_since=taken.token).before is None


# The topic of actions


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, tmp_path: Path) -> Settings:
    if kafka.kind == "mock":
        pytest.skip("needs a broker with transactions that hold")
    settings = deployment(kafka.bootstrap, "redis://127.0.0.1:1/0", topics, tmp_path)
    make_topics(settings)
    return settings


def outcome(seq: int) -> Outcome:
    return Outcome("net", "allocate", f"{seq}-1", b"%d" % seq, "act", "allocate")


def taken_over() -> None:
    raise TakenOver("was taken over")


def an_outlet(live: Settings, *, is_ours: bool) -> tuple[KafkaOutlet, TransactionalWriter]:
    writer = TransactionalWriter(
        live.kafka,
        f"{live.topics.journal}-0",
        is_ours=(lambda: None) if is_ours else taken_over,
        may_wait=lambda: True,
    )
    outlet = KafkaOutlet(live, 0, writer)
    outlet.rewind({})
    return outlet, writer


def in_topic(live: Settings) -> list[bytes | None]:
    return [message.value() for message in messages_of(live, live.topics.actions)]


def test_what_an_elder_sends_after_it_was_fenced_is_never_there(live: Settings) -> None:
    elder, writer = an_outlet(live, is_ours=False)
    elder.write([outcome(seq) for seq in (1, 2, 3)])
    elder.mark()
    younger, _ = an_outlet(live, is_ours=True)
    elder.write([outcome(4)])
    with pytest.raises(TakenOver):
        writer.flush(60)
    with pytest.raises(TakenOver):
        elder.write([outcome(5)])
    younger.write([outcome(seq) for seq in range(1, 6)])
    younger.mark()
    assert in_topic(live) == [outcome(seq).body for seq in range(1, 6)]


def test_a_name_lost_to_nobody_is_taken_again_and_nothing_comes_twice(live: Settings) -> None:
    """As when brokers give up the transaction of a process that was paused."""
    outlet, writer = an_outlet(live, is_ours=True)
    outlet.write([outcome(1)])
    outlet.mark()
    other = Producer(
        {
            "bootstrap.servers": live.kafka.bootstrap,
            "transactional.id": f"{live.topics.journal}-0",
            "log_level": 0,
        }
    )
    other.init_transactions(60)
    other.begin_transaction()
    headers = [("crossdock-id", b"net:2-1")]
    other.produce(live.topics.actions, outcome(2).body, b"net", 0, headers=headers)
    other.commit_transaction(60)
    outlet.write([outcome(2), outcome(3)])
    writer.flush(60)
    outlet.write([outcome(4)])
    writer.flush(60)
    assert in_topic(live) == [outcome(seq).body for seq in range(1, 5)]


# Clocks


@pytest.mark.parametrize("module", [redis_lease, redis_append])
def test_no_clock_decides_who_has_a_partition(module: object) -> None:
    source = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    imported = {
        name.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for name in node.names
    } | {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"time", "datetime"}
    assert not re.search(r"'(TIME|P?EXPIRE\w*|SETEX|PSETEX)'", source)


def test_a_lease_does_not_lapse(redis_client: redis.Redis, prefix: str) -> None:
    lease = a_lease(redis_client, prefix)
    lease.take()
    assert redis_client.ttl(lease.key) == -1
