"""Slots are for networks that were introduced; others wait, are counted, and crowd out none."""

import subprocess
import threading
import time
from pathlib import Path

import msgspec
import orjson
import pytest

from flows.ingest.canonical import RawMessage
from flows.ingest.ingest import ingest
from flows.ingest.networks import known_networks
from flows.ingest.quarantine import Quarantine
from flows.live.control import send_retired
from flows.wiring.journal_source import Stop
from state.codec import encode, make_event
from state.events import Fact, OrderCancelled
from state.settings import Settings
from state.stores.kafka_dead_letters import headers_of
from state.stores.kafka_reader import committed
from tests.builders import START_MS, region
from tests.chaos.rig import _COMMAND, Rig
from tests.live import deployment, make_topics, messages_of, sent
from tests.services.kafka_broker import KafkaCluster
from tests.waiting import LONG_S, eventually


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, redis_url: str, tmp_path: Path) -> Settings:
    settings = deployment(kafka.bootstrap, redis_url, topics, tmp_path)
    make_topics(settings)
    return settings


def ruled(live: Settings, **changes: object) -> Settings:
    return msgspec.structs.replace(live, ingest=msgspec.structs.replace(live.ingest, **changes))


def said(network: str, fact: Fact, name: str = "e") -> bytes:
    return encode(make_event(fact, id=name, source="s", network=network, time_ms=START_MS))


def introduced(live: Settings, network: str, name: str = "intro") -> None:
    sent(live, live.feeds[3].topic, said(network, region("NORTH"), name), key=network.encode())


def cancelled(live: Settings, *networks: str) -> None:
    values = [said(each, OrderCancelled(order="O-1"), f"c{n}") for n, each in enumerate(networks)]
    sent(live, live.feeds[2].topic, *values)


def journal(live: Settings) -> list[tuple[str, str]]:
    documents = [orjson.loads(m.value() or b"") for m in messages_of(live, live.topics.journal)]
    return [(each["partitionkey"], each["type"].removeprefix("crossdock.")) for each in documents]


def refused(live: Settings) -> list[str]:
    return [headers_of(m)["reason"].decode() for m in messages_of(live, live.topics.dead_letters)]


def test_invented_names_crowd_out_neither_a_known_network_nor_a_new_one(live: Settings) -> None:
    rules = ruled(live, most_networks=2)
    introduced(live, "demo")
    ingest(rules, once=True)
    cancelled(live, *(f"invented-{n}" for n in range(20_000)))
    ingest(rules, once=True)
    introduced(live, "shop")
    cancelled(live, "demo", "shop")
    ingest(rules, once=True)
    assert known_networks(live.kafka, live.topics.networks) == ["demo", "shop"]
    assert sorted(journal(live)) == [
        ("demo", "order.cancelled"),
        ("demo", "region.registered"),
        ("shop", "order.cancelled"),
        ("shop", "region.registered"),
    ]
    assert refused(live) == ["unknown_network"] * 20_000


def test_what_is_read_before_its_network_is_introduced_waits_for_that(live: Settings) -> None:
    cancelled(live, "shop", "shop")
    time.sleep(0.01)  # Kafka's timestamps are of milliseconds
    introduced(live, "shop")
    ingest(live, once=True)
    types = [type_ for _, type_ in journal(live)]
    assert types == ["region.registered", "order.cancelled", "order.cancelled"]
    assert refused(live) == []


def test_a_stop_loses_nothing_of_what_waits(live: Settings) -> None:
    rules = ruled(live, quarantine_s=3_600.0, commit_s=0.1)
    cancelled(live, "shop")
    introduced(live, "demo")
    stop = Stop()

    def stop_once_read() -> None:
        try:
            eventually(lambda: journal(live) != [], every_s=0.1)
            time.sleep(0.5)  # some commits
        finally:
            stop.set()

    watch = threading.Thread(target=stop_once_read)
    watch.start()
    ingest(rules, stop=stop)
    watch.join()
    places = [(live.feeds[n].topic, 0) for n in (2, 3)]
    assert list(committed(live.kafka, live.ingest.group, places).values()) == [0, 1]
    introduced(live, "shop")
    ingest(rules, once=True)
    assert sorted(journal(live))[-2:] == [
        ("shop", "order.cancelled"),
        ("shop", "region.registered"),
    ]


def test_a_network_is_retired_while_ingest_runs_and_comes_in_again_as_a_new_one(
    live: Settings,
) -> None:
    rules = ruled(live, stamp="now", tick_s=0.2, quarantine_s=0.2)
    introduced(live, "ghost")
    stop = Stop()

    def people() -> None:
        try:
            eventually(lambda: ("ghost", "clock.ticked") in journal(live), every_s=0.1)
            send_retired(live, "ghost")
            time.sleep(2.5)  # within a second ingest takes notice
            cancelled(live, "ghost")
            eventually(lambda: refused(live) == ["unknown_network"], every_s=0.1)
            before = journal(live)
            time.sleep(1.0)
            assert journal(live) == before
            introduced(live, "ghost", "again")
            eventually(lambda: len(journal(live)) > len(before) + 1, every_s=0.1)
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    failures: list[BaseException] = []
    watch = threading.Thread(target=people)
    watch.start()
    ingest(rules, stop=stop)
    watch.join()
    assert failures == []
    assert known_networks(live.kafka, live.topics.networks) == ["ghost"]


def test_what_is_no_networks_name_in_their_topic_is_passed_over(live: Settings) -> None:
    for key in (b"\xff", b"k" * 500_000, b"a:b", b"", b"demo\n"):
        sent(live, live.topics.networks, b"1", key=key)
    sent(live, live.topics.networks, b"1", key=b"demo")
    assert known_networks(live.kafka, live.topics.networks) == ["demo"]


def test_what_waits_is_bounded_and_the_eldest_is_given_up_first() -> None:
    now = [0.0]
    quarantine = Quarantine(10.0, lambda: now[0])

    def message(offset: int, size: int = 10) -> RawMessage:
        return RawMessage(
            topic="t", partition=0, offset=offset, value=b"x" * size, headers={}, origin="t/0/0"
        )

    for offset in range(10_005):
        quarantine.hold(f"n{offset % 3}", message(offset))
    assert [m.offset for _, m in quarantine.given_up()] == list(range(5))
    assert quarantine.networks == 3 and quarantine.first() == {("t", 0): 5}
    assert len(quarantine.released("n0")) == 3_333 and len(quarantine) == 6_667
    now[0] = 11.0
    assert len(quarantine.given_up()) == 6_667 and quarantine.first() == {}
    quarantine.hold("large", message(1, 10_000_000))
    quarantine.hold("large", message(2, 10_000_000))
    assert [m.offset for _, m in quarantine.given_up()] == [1]


def command(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments, "--config", str(rig.config)],
        capture_output=True,
        check=False,
        text=True,
        timeout=LONG_S,
    )


@pytest.mark.slow
def test_a_command_of_a_person_says_what_took_effect_where(
    kafka: KafkaCluster, redis_url: str, tmp_path: Path
) -> None:
    with Rig(tmp_path, bootstrap=kafka.bootstrap, redis_url=redis_url, stamp="now") as rig:
        introduced(rig.settings, "demo")
        rig.start()
        networks = rig.settings.topics.networks
        eventually(lambda: known_networks(rig.settings.kafka, networks) == ["demo"], every_s=0.1)

        mistaken = command(rig, "control", "halt", "demmo", "--by", "ops")
        assert mistaken.returncode == 2, mistaken
        assert "'demmo'" in mistaken.stderr and "--create" in mistaken.stderr
        assert "known: demo" in mistaken.stderr and mistaken.stdout == ""

        halted = command(rig, "control", "halt", "demo", "--by", "ops", "--wait", "60")
        assert halted.returncode == 0, halted
        assert halted.stdout.startswith("demo: halted since 20")
        assert "at journal position" in halted.stdout

        late = command(rig, "approve", "demo:1-99", "--by", "ceo", "--unseen", "--wait", "60")
        assert late.returncode == 1 and "no such proposal was open" in late.stdout, late

        made = command(rig, "control", "halt", "new", "--by", "ops", "--create", "--wait", "60")
        assert made.returncode == 0 and made.stdout.startswith("new: halted since"), made

        rig.stop("run")
        unheard = command(rig, "control", "resume", "demo", "--by", "ops", "--wait", "0.5")
        assert unheard.returncode == 1, unheard
        assert "sent to demo" in unheard.stdout and "not confirmed within 0.5 s" in unheard.stderr

        assert command(rig, "control", "retire", "new").returncode == 0
        assert known_networks(rig.settings.kafka, networks) == ["demo"]
        assert command(rig, "control", "retire", "new").returncode == 2
