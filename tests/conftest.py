"""Services that several test files share: a real Redis, a real Kafka, and names of their own."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from confluent_kafka.admin import AdminClient

from state.errors import StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from tests.services.kafka_broker import KafkaCluster, kafka_cluster


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    given = os.environ.get("REDIS_URL")
    if given:
        yield given
        return
    embedded = EmbeddedRedis()
    try:
        embedded.start()
    except StoreError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield embedded.url
    embedded.stop()


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
    left = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
    if left:
        for done in admin.delete_topics(left).values():
            done.result(10)
