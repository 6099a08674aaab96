"""Kafka over TLS with a password, Redis over TLS with a user, and secrets that stay secret."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.ingest.ingest import ingest
from flows.live.logs import start_logging
from flows.live.run import Live, run_partition
from state.errors import StoreError
from state.settings import RedisSettings, Secret, parse_settings
from state.stores.kafka_topics import KafkaTopics
from state.stores.redis_connection import connect_with
from tests.live import deployment, make_topics, messages_of, sent
from tests.services import ServiceError
from tests.services.kafka_artifacts import KafkaMissing
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    try:
        with KafkaBroker(security="sasl_tls") as started:
            yield started
    except KafkaMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def secure_redis() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("expected a redis-server with TLS on the PATH")
    try:
        with RedisServer(user="engine", password="s3cret-of-redis", tls=True) as server:
            yield server
    except ServiceError as error:
        pytest.skip(str(error))


def redis_settings(server: RedisServer, password: str) -> RedisSettings:
    Path(password).parent.mkdir(exist_ok=True)
    return RedisSettings(
        url=f"rediss://127.0.0.1:{server.port}/0",
        user="engine",
        password=Secret(file=password),
        ca=str(server.ca),
    )


def kafka_section(broker: KafkaBroker, **changes: Any) -> dict[str, Any]:
    return {
        "bootstrap": broker.secure_bootstrap,
        "security": "sasl_tls",
        "mechanism": str(broker.secure_config()["sasl.mechanism"]),
        "user": broker.user,
        "password": {"env": "KAFKA_SECRET"},
        "ca": str(broker.ca),
        **changes,
    }


def test_the_engine_runs_over_tls_with_passwords_and_logs_none_of_them(
    broker: KafkaBroker,
    secure_redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KAFKA_SECRET", str(broker.password))
    (tmp_path / "password").write_text("s3cret-of-redis\n")
    settings = deployment("", "", "secure", tmp_path, kafka=kafka_section(broker))
    secure = redis_settings(secure_redis, str(tmp_path / "password"))
    settings = msgspec.structs.replace(settings, redis=secure)
    make_topics(settings)
    sent(settings, settings.feeds[0].topic, b"{}")
    start_logging("debug")
    ingest(settings, once=True)
    assert run_partition(Live(settings), 0, once=True) == 0
    assert len(messages_of(settings, settings.topics.dead_letters)) == 1
    said = "".join(capfd.readouterr())
    assert '"event":"running"' in said
    assert str(broker.password) not in said and "s3cret" not in said


def test_a_wrong_password_ends_with_what_to_check(
    broker: KafkaBroker,
    secure_redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_SECRET", "not-the-password")
    settings = parse_settings({"kafka": kafka_section(broker)}, "a test")
    with pytest.raises(StoreError, match="check user, password and mechanism") as caught:
        KafkaTopics(settings.kafka).partitions()
    assert "not-the-password" not in str(caught.value)
    (tmp_path / "password").write_text("not-the-password")
    wrong = redis_settings(secure_redis, str(tmp_path / "password"))
    with pytest.raises(StoreError, match="check the user and password") as refused:
        connect_with(wrong, read_timeout_s=5, retries=0)
    assert "not-the-password" not in str(refused.value)


def test_a_listener_whose_certificate_is_not_ours_is_refused(
    broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECRET", str(broker.password))
    settings = parse_settings({"kafka": kafka_section(broker, ca=None)}, "a test")
    with pytest.raises(StoreError, match="ca"):
        KafkaTopics(settings.kafka).partitions()
