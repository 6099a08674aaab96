"""The services that other tests build on do what those tests rely on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from state.errors import StoreError
from state.stores.redis_connection import connect
from tests.services import HOST, Child, ServiceError, answers, free_ports
from tests.services.kafka_artifacts import KafkaMissing, find_java, kafka_jars
from tests.services.kafka_broker import KafkaBroker, KafkaCluster, kafka_cluster, mock_broker
from tests.services.redis_server import RedisLacksTls, RedisServer
from tests.waiting import LONG_S, eventually

Config = dict[str, str | int | float | bool]


@pytest.fixture(scope="module")
def real_kafka() -> None:
    try:
        find_java()
        kafka_jars()
    except KafkaMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def secured(real_kafka: None) -> Iterator[KafkaBroker]:
    with KafkaBroker(security="sasl_tls", acls=True) as broker:
        yield broker


def plain(bootstrap: str) -> Config:
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def create(bootstrap: str, topic: str, copies: int = 1) -> None:
    admin = AdminClient(plain(bootstrap))
    made = admin.create_topics([NewTopic(topic, 1, copies, config={"min.insync.replicas": "1"})])
    made[topic].result(LONG_S)


def send(config: Config, topic: str, *bodies: bytes) -> list[KafkaError | None]:
    told: list[KafkaError | None] = []
    producer = Producer({**config, "acks": "all", "message.timeout.ms": 180_000})
    for body in bodies:
        producer.produce(topic, body, on_delivery=lambda error, _: told.append(error))
    assert producer.flush(LONG_S) == 0
    return told


def read(config: Config, topic: str, count: int, group: str = "readers") -> list[bytes | None]:
    consumer = Consumer({**config, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        found: list[bytes | None] = []

        def is_read() -> bool:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message.value())
            return len(found) >= count

        eventually(is_read)
        return found
    finally:
        consumer.close()


def refusal(config: Config) -> int | None:
    """Return the code of the first error of a client with this config; None if it is let in."""
    told: list[KafkaError] = []
    # It tries again for ever, and tells of the reason on the side.
    told_to: dict[str, Any] = {"log_level": 0, "error_cb": told.append}
    admin = AdminClient({**config, **told_to})

    def is_let_in() -> bool:
        try:
            admin.list_topics(timeout=0.2)
        except KafkaException:
            admin.poll(0)
            return False
        return True

    return None if eventually(lambda: is_let_in() or told) is True else told[0].code()


def test_the_shared_kafka_gives_back_what_it_took(kafka: KafkaCluster, topics: str) -> None:
    topic = f"{topics}-a"
    if kafka.kind != "mock":
        create(kafka.bootstrap, topic)
    assert send(plain(kafka.bootstrap), topic, b"one") == [None]
    assert read(plain(kafka.bootstrap), topic, 1) == [b"one"]


@pytest.mark.slow
def test_a_killed_broker_comes_back_at_the_same_place_with_its_data(real_kafka: None) -> None:
    with KafkaBroker() as broker:
        place, pid = broker.bootstrap, broker.pid()
        create(place, "kept")
        send(plain(place), "kept", b"before")
        broker.kill()
        assert not answers(int(place.partition(":")[2]))
        broker.restart()
        assert (broker.bootstrap, broker.pid() != pid) == (place, True)
        assert send(plain(place), "kept", b"after") == [None]
        assert read(plain(place), "kept", 2) == [b"before", b"after"]
        broker.stop()
        broker.start()
        assert broker.bootstrap == place
        assert read(plain(place), "kept", 2, group="later") == [b"before", b"after"]


@pytest.mark.slow
def test_a_paused_broker_is_silent_until_it_is_resumed(secured: KafkaBroker) -> None:
    admin = AdminClient(plain(secured.bootstrap))
    secured.pause()
    try:
        assert answers(int(secured.bootstrap.partition(":")[2]))
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
    finally:
        secured.resume()
    assert admin.list_topics(timeout=LONG_S).brokers


@pytest.mark.slow
def test_of_three_brokers_any_one_may_be_killed(real_kafka: None) -> None:
    with KafkaBroker(nodes=3) as cluster:
        create(cluster.bootstrap, "kept", copies=3)
        config = plain(cluster.bootstrap)
        send(config, "kept", b"before")
        leader = AdminClient(config).list_topics("kept", LONG_S).topics["kept"].partitions[0].leader
        cluster.kill(leader)
        assert send(config, "kept", b"after") == [None]
        assert read(config, "kept", 2) == [b"before", b"after"]


@pytest.mark.slow
def test_a_topic_that_was_made_anew_has_another_id(secured: KafkaBroker) -> None:
    admin = AdminClient(plain(secured.bootstrap))
    ids = set()

    def topic_id() -> str:
        described = admin.describe_topics(TopicCollection(["anew"]))["anew"].result(LONG_S)
        return str(described.topic_id)

    # The broker answers before it has carried out what it was asked: its metadata comes later.
    for _ in range(2):
        create(secured.bootstrap, "anew")
        ids.add(eventually(topic_id, but=(KafkaException,)))
        admin.delete_topics(["anew"])["anew"].result(LONG_S)
        eventually(lambda: "anew" not in admin.list_topics(timeout=LONG_S).topics)
    assert len(ids) == 2


@pytest.mark.slow
def test_the_secured_listener_takes_the_right_password_over_the_right_ca_only(
    secured: KafkaBroker, tmp_path: Path
) -> None:
    create(secured.bootstrap, "secret")
    config = secured.secure_config()
    assert send({**config, "log_level": 0}, "secret", b"one") == [None]
    assert read({**config, "log_level": 0}, "secret", 1) == [b"one"]
    assert refusal(config) is None
    assert refusal(secured.secure_config(password="wrong")) == KafkaError._AUTHENTICATION
    assert refusal(secured.secure_config(user="nobody")) == KafkaError._AUTHENTICATION
    del config["ssl.ca.location"]
    assert refusal(config) == KafkaError._SSL


@pytest.mark.slow
def test_another_user_has_the_rights_that_were_given_and_no_more(secured: KafkaBroker) -> None:
    for topic in ("open", "closed"):
        create(secured.bootstrap, topic)
    secured.add_user("clerk", "clerk's")
    allowed = AclBinding(
        restype=ResourceType.TOPIC,
        name="open",
        resource_pattern_type=ResourcePatternType.LITERAL,
        principal="User:clerk",
        host="*",
        operation=AclOperation.WRITE,
        permission_type=AclPermissionType.ALLOW,
    )
    admin = AdminClient(plain(secured.bootstrap))
    admin.create_acls([allowed])[allowed].result(LONG_S)
    config = {**secured.secure_config("clerk", "clerk's"), "log_level": 0}
    assert send(config, "open", b"one") == [None]
    (refused,) = send(config, "closed", b"one")
    assert refused is not None
    assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_the_mock_gives_back_what_it_took() -> None:
    with mock_broker() as bootstrap:
        assert send(plain(bootstrap), "some", b"one") == [None]
        assert read(plain(bootstrap), "some", 1) == [b"one"]


def test_without_java_the_mock_stands_in_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(KafkaMissing, match="install a JRE"), kafka_cluster():
        pass
    monkeypatch.delenv("CI")
    with kafka_cluster() as cluster:
        assert cluster.kind == "mock"
    assert "no real Kafka, using librdkafka's mock: expected a `java`" in capfd.readouterr().err
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "there:9092")
    with kafka_cluster() as cluster:
        assert (cluster.bootstrap, cluster.kind) == ("there:9092", "given")


def test_a_fetch_that_fails_leaves_nothing_behind_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] no such host'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KafkaMissing, match=r"code 1 .* no such host"):
        kafka_jars()
    assert [path.suffix for path in (tmp_path / "crossdock").iterdir()] == [".lock"]


def test_a_service_that_was_not_started_says_so() -> None:
    with pytest.raises(ServiceError, match="never started"):
        KafkaBroker().bootstrap.strip()
    with pytest.raises(ServiceError, match="never started"):
        RedisServer().url.strip()


def test_redis_comes_back_at_the_same_place_empty_or_with_its_data() -> None:
    with RedisServer() as server:
        place = server.url
        with server.client() as client:
            client.set("a", "1")
            server.restart(empty=False)
            assert client.get("a") == b"1"
            client.set("b", "2")
            server.kill()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            server.start()
            assert client.keys() == [b"a"]  # what was written since the last stop is lost
            server.restart(empty=True)
            assert client.keys() == []
        assert server.url == place


def test_redis_that_appends_keeps_what_it_acknowledged_over_a_kill() -> None:
    with RedisServer(appendonly="always") as server, server.client() as client:
        client.set("a", "1")
        server.kill()
        server.start()
        assert client.get("a") == b"1"
        server.restart(empty=True)
        assert client.get("a") is None


def test_redis_paused_is_silent_until_it_is_resumed() -> None:
    with RedisServer() as server, server.client(timeout_s=1.0) as client:
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.set("a", "1")
        server.resume()
        assert eventually(client.ping, but=(redis.TimeoutError,))
        server.pause()  # and a paused one can be ended


def test_redis_refuses_what_is_beyond_its_memory() -> None:
    with RedisServer(maxmemory="3mb") as server, server.client() as client:
        fill = client.pipeline(transaction=False)
        for number in range(100):
            fill.set(str(number), b"x" * 100_000)
        with pytest.raises(redis.OutOfMemoryError):
            fill.execute()
        assert 0 < client.dbsize() < 100


@pytest.mark.parametrize("user", [None, "clerk"])
def test_redis_lets_in_who_has_the_password(user: str | None) -> None:
    with RedisServer(user=user, password="p/w@ #1") as server:
        with connect(server.url) as client:
            assert client.ping()
        with pytest.raises(StoreError, match="password"):
            connect(f"redis://{HOST}:{server.port}/0")


def test_redis_speaks_tls_to_who_trusts_its_ca() -> None:
    server = RedisServer(tls=True, password="secret")
    try:
        server.start()
    except RedisLacksTls as error:
        pytest.skip(str(error))
    with server:
        with connect(server.url) as client:
            assert client.ping()
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            connect(server.url.partition("?")[0])


def test_a_child_is_ended_by_the_death_of_its_parent(tmp_path: Path) -> None:
    if sys.platform != "linux" or shutil.which("setpriv") is None:
        pytest.skip("no setpriv here")
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys, tests.services.redis_server as r; s = r.RedisServer(); s.start();"
            "s.pause(); print(s.pid, s.port, flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # it cannot tidy up behind itself
    )
    assert parent.stdout is not None
    _, port = map(int, parent.stdout.readline().split())
    assert answers(port)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    eventually(lambda: not answers(port))  # else it outlived its parent


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    child = Child([sys.executable, "-c", f"{deaf}; time.sleep(600)"], tmp_path / "log")
    child.start()
    eventually(child.log.read_text)
    child.end(0.2)
    assert not child.runs
    child.kill()  # a second time does nothing


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(50))) == 50
