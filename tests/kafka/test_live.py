"""The engine on a real Kafka and a real Redis: raw topics in, the fold's own actions out."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import redis

from flows.ingest.ingest import ingest
from flows.live.control import send_control, send_decision
from flows.live.publish import publish
from flows.live.record import record
from flows.live.requeue import listed, requeue
from flows.live.run import Live, run_partition
from flows.replay.replay import ReplayPlan, replay
from flows.simulation import WorldConfig, simulate
from flows.wiring.outcomes import DEAD_LETTERS, Outcome, outcomes
from flows.wiring.outlets import RedisOutlet
from flows.wiring.stop import Stop
from operators.chain import build_chain, to_record
from operators.core.contract import Chain
from state.codec import JournalLine
from state.errors import (
    JournalError,
    JournalMismatch,
    PolicyError,
    SettingsError,
    StoreError,
)
from state.events import ActionApproved, NetworkHalted
from state.journal_writer import JournalWriter
from state.policy import Governance, Policy
from state.roles import ROLES
from state.settings import Settings
from state.stores.kafka_dead_letters import headers_of
from state.stores.kafka_reader import committed
from state.stores.kafka_topics import KafkaTopics
from tests.builders import START_MS, Log, fold, order
from tests.live import deployment, make_topics, messages_of, sent
from tests.services.kafka_broker import KafkaCluster
from tests.waiting import LONG_S, eventually

_WORLD = WorldConfig(nodes=6, regions=5, skus=40)
EVENTS = 4_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with JournalWriter(path) as writer:
        for event in simulate(seed=21, events=EVENTS, config=_WORLD):
            writer.write(event)
    return path


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, redis_url: str, prefix: str, tmp_path: Path) -> Settings:
    settings = deployment(kafka.bootstrap, redis_url, topics, tmp_path)
    settings = msgspec.structs.replace(
        settings, redis=msgspec.structs.replace(settings.redis, prefix=prefix)
    )
    make_topics(settings)
    return settings


def with_(settings: Settings, section: str, **changes: Any) -> Settings:
    changed = msgspec.structs.replace(getattr(settings, section), **changes)
    return msgspec.structs.replace(settings, **{section: changed})


def journal_of(settings: Settings) -> list[JournalLine]:
    return [
        JournalLine(
            message.offset() + 1,
            f"{message.topic()}[{message.partition()}]",
            message.offset() + 1,
            message.value() or b"",
            len(message.value() or b""),
        )
        for message in messages_of(settings, settings.topics.journal)
    ]


def folded(lines: Sequence[JournalLine]) -> list[Outcome]:
    chains: dict[str, Chain] = {}
    found: list[Outcome] = []
    for line in lines:
        event = to_record(line)
        chain = chains.setdefault(event.network, build_chain(event.network, Policy()))
        found += outcomes(chain.step(event))
    return found


def in_redis(client: redis.Redis, prefix: str) -> dict[str, list[tuple[str, bytes]]]:
    found: dict[str, list[tuple[str, bytes]]] = {}
    for key in sorted(client.scan_iter(f"{prefix}:*", _type="stream")):
        entries: Any = client.xrange(key)
        found[key.decode()] = [(i.decode(), fields[b"action"]) for i, fields in entries]
    return found


def expected_in_redis(found: Sequence[Outcome], prefix: str) -> dict[str, list[tuple[str, bytes]]]:
    streams: dict[str, list[tuple[str, bytes]]] = {}
    for outcome in found:
        if outcome.stream != DEAD_LETTERS:
            key = f"{prefix}:{outcome.network}:{outcome.stream}"
            streams.setdefault(key, []).append((outcome.entry_id, outcome.body))
    return streams


def actions_of(found: Sequence[Outcome]) -> list[bytes]:
    return [o.body for o in found if o.is_action]


def test_what_comes_out_is_what_a_fold_of_the_journal_gives(
    live: Settings, log: Path, redis_client: redis.Redis
) -> None:
    assert publish(live, (log,)).unusable == 0
    ingest(live, once=True)
    lines = journal_of(live)
    assert sorted(line.raw for line in lines) == sorted(
        orjson.dumps(orjson.loads(raw)) for raw in log.read_bytes().splitlines()
    )
    assert messages_of(live, live.topics.dead_letters) == []
    checked = Live(live)
    assert run_partition(checked, 0, once=True) == len(lines)
    found = folded(lines)
    assert len(actions_of(found)) > 50
    assert in_redis(redis_client, live.redis.prefix) == expected_in_redis(found, live.redis.prefix)
    assert [m.value() for m in messages_of(live, live.topics.actions)] == actions_of(found)

    ingest(live, once=True)
    assert len(journal_of(live)) == len(lines)
    assert run_partition(checked, 0, once=True) == len(lines)
    assert run_partition(checked, 0, once=True, rebuild=True) == len(lines)
    assert [m.value() for m in messages_of(live, live.topics.actions)] == actions_of(found)
    assert in_redis(redis_client, live.redis.prefix) == expected_in_redis(found, live.redis.prefix)


def test_a_backlog_is_taken_oldest_first_however_uneven_its_topics_are(
    live: Settings, log: Path
) -> None:
    raw = log.read_bytes().splitlines()
    feeds = tuple(msgspec.structs.replace(feed, brings=tuple(ROLES)) for feed in live.feeds)
    live = msgspec.structs.replace(live, feeds=feeds)
    many, few = live.feeds[1].topic, live.feeds[2].topic
    sent(live, many, *raw[:2_900])
    time.sleep(0.01)
    sent(live, few, *raw[2_900:2_950])
    time.sleep(0.01)
    sent(live, many, *raw[2_950:4_000])
    ingest(live, once=True)
    assert [line.raw for line in journal_of(live)] == [orjson.dumps(orjson.loads(r)) for r in raw]


def test_bad_messages_become_dead_letters_and_go_in_again_once_repaired(
    live: Settings, log: Path, tmp_path: Path
) -> None:
    good = log.read_bytes().splitlines()[0]
    named = good.replace(b'"specversion"', b'"specversoin"')
    poison = (b"\xff\xfe", b"{", b"[" * 2_000, None, named)
    sent(live, live.feeds[3].topic, *poison, good)
    ingest(live, once=True)
    assert [line.raw for line in journal_of(live)] == [orjson.dumps(orjson.loads(good))]
    letters = messages_of(live, live.topics.dead_letters)
    assert [m.value() for m in letters] == [b"\xff\xfe", b"{", b"[" * 2_000, None or b"", named]
    reasons = [headers_of(m)["reason"].decode() for m in letters]
    assert reasons == ["not_json"] * 4 + ["not_an_event"]
    assert letters[-1].key() == f"{live.feeds[3].topic}/0/4".encode()

    (line,) = [line for line in listed(live) if b"specversoin" in line]
    repaired = tmp_path / "repaired.jsonl"
    fixed = line.replace(b"specversoin", b"specversion").replace(
        b'\\"id\\":\\"', b'\\"id\\":\\"again-'
    )
    repaired.write_bytes(fixed + b"\n" + fixed + b"\n")
    done = requeue(live, repaired, START_MS)
    assert done.messages == 2
    ingest(live, once=True)
    again = [line.raw for line in journal_of(live)][1:]
    assert len(again) == 2 and again[0] == again[1] and b"again-" in again[0]
    assert len(list(listed(live))) == 4
    assert requeue(live, repaired, START_MS).skipped == 2


def test_a_journal_that_others_write_into_is_read_as_it_is(
    live: Settings, log: Path, redis_client: redis.Redis
) -> None:
    raw = log.read_bytes().splitlines()
    sent(live, live.topics.journal, *raw[:700], b"not an event", None, *raw[700:1_500])
    run_partition(Live(live), 0, once=True)
    found = folded(journal_of(live))
    assert in_redis(redis_client, live.redis.prefix) == expected_in_redis(found, live.redis.prefix)
    letters = messages_of(live, live.topics.dead_letters)
    refused = [o for o in found if o.stream == DEAD_LETTERS]
    assert len(letters) == len(refused) >= 2
    assert {headers_of(m)["reason"] for m in letters[:2]} == {b"not_json"}
    assert letters[0].key() == f"{live.topics.journal}/0/700".encode()


@pytest.mark.slow
def test_a_recording_replays_to_the_live_runs_actions_under_the_same_ids(
    live: Settings, log: Path, tmp_path: Path, redis_client: redis.Redis, redis_url: str
) -> None:
    small = with_(live, "record", rotate_mb=0.2)
    sent(live, live.topics.journal, *log.read_bytes().splitlines()[:2_000], b"a\nb", None)
    assert record(small, once=True).records == 2_002
    sent(live, live.topics.journal, *log.read_bytes().splitlines()[2_000:])
    assert record(small, once=True).records == EVENTS - 2_000
    run_partition(Live(live), 0, once=True)
    before = in_redis(redis_client, live.redis.prefix)

    folder = Path(live.record.folder)
    plan = ReplayPlan(
        logs=(folder,),
        policy=Policy(),
        redis=redis_url,
        prefix=live.redis.prefix,
        out=tmp_path / "out",
    )
    summary = replay(plan)
    assert summary.redis is not None and summary.redis["new"] == 0
    assert summary.redis["repeated"] == sum(map(len, before.values()))
    assert in_redis(redis_client, live.redis.prefix) == before
    written = (tmp_path / "out" / "actions.jsonl").read_bytes().splitlines()
    assert written == actions_of(folded(journal_of(live)))


def stop_when(live: Settings, count: int, stop: Stop) -> None:
    """Set `stop` once there are so many records in the journal."""
    try:
        eventually(lambda: len(journal_of(live)) >= count)
    finally:
        stop.set()


def test_ticks_reach_quiet_networks_also_those_known_from_before(live: Settings, log: Path) -> None:
    ticking = with_(live, "ingest", stamp="now", tick_s=0.1, commit_s=0.2)
    sent(live, live.feeds[3].topic, log.read_bytes().splitlines()[0])
    for count in (4, 8):
        stop = Stop()
        watch = threading.Thread(target=stop_when, args=(live, count, stop))
        watch.start()
        ingest(ticking, stop=stop)
        watch.join()
    types = Counter(orjson.loads(line.raw)["type"] for line in journal_of(live))
    ticks = types.pop("crossdock.clock.ticked")
    assert ticks >= 7 and types.total() == 1
    stamps = [orjson.loads(line.raw)["recordedtime"] for line in journal_of(live)]
    assert stamps == sorted(stamps) and len(set(stamps)) == len(stamps)


def test_networks_that_are_not_let_in_are_dead_letters(live: Settings, log: Path) -> None:
    first = log.read_bytes().splitlines()[0]
    others = [first.replace(b'"demo"', f'"n{i}"'.encode()) for i in range(3)]
    sent(live, live.feeds[3].topic, first, *others)
    ingest(with_(live, "ingest", most_networks=2), once=True)
    ingest(with_(live, "ingest", most_networks=2), once=True)
    assert len(journal_of(live)) == 2
    refused = [headers_of(m)["reason"] for m in messages_of(live, live.topics.dead_letters)]
    assert refused == [b"unknown_network"] * 2


def test_the_kill_switch_arrives_in_the_journal(live: Settings) -> None:
    send_control(live, "demo", NetworkHalted(by="ops", reason="storm"), START_MS, create=True)
    ingest(live, once=True)
    (line,) = journal_of(live)
    assert orjson.loads(line.raw)["data"] == {"by": "ops", "reason": "storm"}


def test_what_a_person_decides_arrives_in_the_journal_once_it_is_known_to_be_open(
    live: Settings, redis_client: redis.Redis
) -> None:
    sent(live, live.topics.networks, b"1", key=b"net")
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    log.add(order("O-1"))
    asking = Policy(governance=Governance(autonomy={"allocate": "propose"}))
    run = fold(log, asking)
    outlet = RedisOutlet(redis_client, "j", live.redis.prefix, fresh=False)
    outlet.write(outcomes(run.records))
    (proposed,) = run.of("allocate")
    send_decision(live, ActionApproved(action=proposed.id, by="ann", reason="fine"), START_MS)
    with pytest.raises(JournalError, match="expected an open proposal net:1-1"):
        send_decision(live, ActionApproved(action="net:1-1", by="ann"), START_MS)
    ingest(live, once=True)
    (line,) = journal_of(live)
    assert orjson.loads(line.raw)["partitionkey"] == "net"
    assert orjson.loads(line.raw)["data"] == {
        "action": proposed.id,
        "by": "ann",
        "reason": "fine",
    }


def test_a_start_without_topics_says_how_to_make_them(
    kafka: KafkaCluster, topics: str, redis_url: str, tmp_path: Path
) -> None:
    settings = deployment(kafka.bootstrap, redis_url, topics, tmp_path)
    for start in (lambda: Live(settings), lambda: ingest(settings, once=True)):
        with pytest.raises(StoreError, match=r"was absent: `crossdock topics --create`"):
            start()


def test_a_start_with_another_number_of_partitions_is_refused(live: Settings) -> None:
    with pytest.raises(StoreError, match="to have 2 partitions, was 1"):
        Live(with_(live, "topics", partitions=2))


def test_a_start_without_kafka_or_redis_names_the_place(live: Settings) -> None:
    with pytest.raises(StoreError, match=r"Kafka 127\.0\.0\.1:1.*reachable"):
        KafkaTopics(msgspec.structs.replace(live.kafka, bootstrap="127.0.0.1:1")).partitions()
    with pytest.raises(StoreError, match=r"Redis 127\.0\.0\.1:1.*reachable"):
        Live(with_(live, "redis", url="redis://127.0.0.1:1/0"))


def test_a_secret_that_is_missing_is_named_and_one_that_is_there_is_not(
    live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = {"kafka": {"security": "sasl_plaintext", "password": {"env": "NO_SUCH_SECRET"}}}
    from state.settings import parse_settings

    with pytest.raises(SettingsError, match="NO_SUCH_SECRET"):
        KafkaTopics(parse_settings(document, "a test").kafka)
    monkeypatch.setenv("NO_SUCH_SECRET", "hunter2")
    wrong = parse_settings(
        {"kafka": {**document["kafka"], "user": "u", "bootstrap": live.kafka.bootstrap}}, "a test"
    )
    with pytest.raises(StoreError) as caught:
        KafkaTopics(wrong.kafka).partitions()
    assert "hunter2" not in str(caught.value)


def test_a_policy_changes_through_the_journal_only(
    live: Settings, log: Path, tmp_path: Path
) -> None:
    sent(live, live.topics.journal, *log.read_bytes().splitlines()[:100])
    run_partition(Live(live), 0, once=True)
    other = tmp_path / "policy.toml"
    other.write_text("[weights]\nlate_hour_cents = 1.0\n")
    with pytest.raises(PolicyError, match="crossdock control policy"):
        run_partition(Live(with_(live, "run", policy=str(other))), 0, once=True)


def test_a_journal_that_was_made_anew_is_refused(
    live: Settings, log: Path, kafka: KafkaCluster
) -> None:
    if kafka.kind == "mock":
        pytest.skip("needs a broker that can delete topics")
    from confluent_kafka.admin import AdminClient

    raw = log.read_bytes().splitlines()[:100]
    sent(live, live.topics.journal, *raw)
    run_partition(Live(live), 0, once=True)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.delete_topics([live.topics.journal])[live.topics.journal].result(LONG_S)
    eventually(lambda: live.topics.journal not in KafkaTopics(live.kafka).partitions())
    make_topics(live)
    sent(live, live.topics.journal, *raw)
    with pytest.raises(JournalMismatch, match="made again"):
        run_partition(Live(live), 0, once=True)


def test_a_journal_whose_beginning_is_gone_cannot_be_worked_out(
    live: Settings, log: Path, kafka: KafkaCluster
) -> None:
    if kafka.kind == "mock":
        pytest.skip("needs a broker that can delete records")
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    sent(live, live.topics.journal, *log.read_bytes().splitlines()[:100])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for done in admin.delete_records([TopicPartition(live.topics.journal, 0, 50)]).values():
        done.result(LONG_S)
    with pytest.raises(JournalError, match="was deleted up to 50"):
        run_partition(Live(live), 0, once=True)


def test_two_processes_do_not_run_one_partition(live: Settings) -> None:
    from flows.live.state_folder import StateFolder

    name = f"{live.topics.journal}-0"
    held = StateFolder(Path(live.run.state), name, "other", Policy())
    with pytest.raises(StoreError, match="another process runs this partition"):
        run_partition(Live(live), 0, once=True)
    held.close()


def test_a_past_is_filled_into_the_journal_in_its_own_order(live: Settings, log: Path) -> None:
    publish(live, (log,), to_journal=True)
    assert [line.raw for line in journal_of(live)] == log.read_bytes().splitlines()


def test_the_progress_of_a_quiet_feed_is_committed_too(live: Settings, log: Path) -> None:
    sent(live, live.feeds[3].topic, log.read_bytes().splitlines()[0])
    ingest(live, once=True)
    places = [(feed.topic, 0) for feed in live.feeds]
    assert list(committed(live.kafka, live.ingest.group, places).values()) == [0, 0, 0, 1]


def test_an_event_is_published_to_the_topic_of_its_family(live: Settings, log: Path) -> None:
    publish(live, (log,), as_now=True)
    counts = {
        feed.topic.rpartition(".")[2]: len(messages_of(live, feed.topic)) for feed in live.feeds
    }
    assert all(counts.values()) and counts["telemetry"] > counts["control"]
