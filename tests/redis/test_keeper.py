"""Redis is kept within bounds beside the stream, and says when it cannot be."""

from collections.abc import Iterator
from functools import partial

import pytest
import redis

from flows.live.keeper import Keeper, Memory, memory_of
from flows.live.metrics import RunMetrics
from state.errors import SettingsError
from state.quantities import DAY_MS, HOUR_MS
from state.settings import RedisSettings, parse_settings
from state.stores.redis_connection import connect_with
from state.stores.redis_keys import stream_key
from tests.redis.test_redis_actions import a_writer
from tests.redis.test_redis_retention import A_NODE, START_MS, hourly
from tests.waiting import eventually


def value(metrics: RunMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def metrics() -> RunMetrics:
    return RunMetrics()


@pytest.fixture
def keeper(redis_url: str, prefix: str, metrics: RunMetrics) -> Iterator[Keeper]:
    rules = RedisSettings(url=redis_url, prefix=prefix)
    connect = partial(connect_with, rules, read_timeout_s=5.0, retries=0)
    with Keeper(connect, rules, "journal-1", metrics, every_s=0.01) as one:
        yield one


def test_by_default_a_week_is_kept_and_measured(
    redis_client: redis.Redis, prefix: str, keeper: Keeper, metrics: RunMetrics
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    a_writer(redis_client, prefix).write(hourly(12 * 24))
    redis_client.xgroup_create(key, "slow", f"{11 * 24}-1")
    keeper.now_is("eu", START_MS + 12 * DAY_MS)
    eventually(lambda: value(metrics, "crossdock_redis_trimmed_total", network="eu") > 0)
    eventually(lambda: value(metrics, "crossdock_redis_kept_bytes", network="eu") > 0)
    left = int(redis_client.xlen(key))
    assert 7 * 24 <= left <= 7 * 24 + A_NODE
    assert value(metrics, "crossdock_redis_trimmed_total", network="eu") == 12 * 24 - left
    eventually(lambda: value(metrics, "crossdock_redis_kept_entries", network="eu") == left)
    lag_s = value(metrics, "crossdock_redis_group_lag_seconds", network="eu", group="slow")
    assert lag_s == 23 * HOUR_MS / 1_000
    assert value(metrics, "crossdock_redis_memory_bytes") > 0
    assert value(metrics, "crossdock_redis_memory_limit_bytes") > 0


def test_what_a_group_loses_is_counted_by_its_name(
    redis_client: redis.Redis, prefix: str, keeper: Keeper, metrics: RunMetrics
) -> None:
    a_writer(redis_client, prefix).write(hourly(20 * 24))
    redis_client.xgroup_create(stream_key(prefix, "eu", "escalate"), "gone", "0")
    keeper.now_is("eu", START_MS + 20 * DAY_MS)
    name = "crossdock_redis_trimmed_unread_total"
    eventually(lambda: value(metrics, name, network="eu", group="gone") > 0)
    assert value(metrics, name, network="eu", group="gone") == 6 * 24


def test_a_redis_that_cannot_be_tended_is_counted_and_tried_again(
    redis_client: redis.Redis, prefix: str, keeper: Keeper, metrics: RunMetrics
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    redis_client.set(key, "something else")
    keeper.now_is("eu", START_MS)
    eventually(lambda: value(metrics, "crossdock_redis_retention_failures_total") >= 2)
    redis_client.delete(key)
    a_writer(redis_client, prefix).write(hourly(3))
    eventually(lambda: value(metrics, "crossdock_redis_kept_entries", network="eu") == 3)


def test_memory_is_measured_against_what_redis_may_use(redis_client: redis.Redis) -> None:
    memory = memory_of(redis_client)
    assert 0 < memory.share < 0.8  # of the machine: nothing else is set
    assert memory.eviction == "noeviction"
    assert Memory(used=9, limit=10).share == pytest.approx(0.9)
    assert Memory(used=9, limit=0).share == 0.0


def test_days_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"unread_days of at least redis.keep_days \(30\)"):
        parse_settings({"redis": {"keep_days": 30}}, "x.toml")
    kept = parse_settings({"redis": {"keep_days": 0}}, "x.toml").redis
    assert kept.keep_ms == kept.unread_ms > 1_000 * 365 * DAY_MS
