"""Services that several test files share: a real Redis, a real Kafka, and names of their own."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar
from uuid import uuid4

import pytest
import redis
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck, settings

from state.errors import StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from tests.in_process import logger_as_it_was
from tests.services import ServiceError
from tests.services.kafka_broker import KafkaCluster, kafka_cluster
from tests.services.redis_server import RedisServer

#: An example takes as long as a busy machine makes it take.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

Server = TypeVar("Server", EmbeddedRedis, RedisServer)


#: The Redis contract is tried on the one that our wheel carries and on the machine's own.
_SERVERS = ("carried", pytest.param("installed", marks=pytest.mark.slow))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_contract = metafunc.module.__name__.rpartition(".")[2].startswith("test_redis_")
    if is_contract and "redis_url" in metafunc.fixturenames and not os.environ.get("REDIS_URL"):
        metafunc.parametrize("redis_url", _SERVERS, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests of the broker come last: idle, it takes a tenth of a core until the run ends."""
    items.sort(key=lambda item: "kafka" in getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def our_logger_as_it_was() -> Iterator[None]:
    """Take a test's log handler away after it: the stream that it writes to ends with the test."""
    with logger_as_it_was():
        yield


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("REDIS_URL")
    if given:
        yield given
    elif getattr(request, "param", "carried") == "carried":
        with _or_skip(EmbeddedRedis) as embedded:
            yield embedded.url
    else:
        if shutil.which("redis-server") is None:
            _missing("expected a redis-server on the PATH: Debian's package redis-server")
        with _or_skip(RedisServer) as server:
            yield server.url


@contextmanager
def _or_skip(start: Callable[[], Server]) -> Iterator[Server]:
    """The server; where it cannot be had, the test is skipped, but never in CI."""
    server = start()
    try:
        server.start()
    except (StoreError, ServiceError) as error:
        _missing(str(error))
    try:
        yield server
    finally:
        server.stop()


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def prefix(redis_client: redis.Redis) -> Iterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    for key in redis_client.scan_iter(f"{name}:*"):
        redis_client.unlink(key)


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One broker for the session, not to be killed: a test that kills makes its own."""
    with kafka_cluster() as cluster:
        yield cluster


@pytest.fixture
def topics(kafka: KafkaCluster) -> Iterator[str]:
    """Begins the name of every topic of one test; what it leaves is deleted."""
    name = f"test-{uuid4().hex}"
    yield name
    if kafka.kind == "mock":  # it cannot delete
        return
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    left = [topic for topic in admin.list_topics(timeout=60).topics if topic.startswith(name)]
    if left:
        for done in admin.delete_topics(left).values():
            done.result(60)
