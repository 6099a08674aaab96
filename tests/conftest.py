"""Services that several test files share: a real Redis, and names in it that nobody else has."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from state.errors import StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect


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
