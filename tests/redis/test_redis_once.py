"""The promises of `Once`, on a real Redis, and their limits."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from typing import Any

import pytest
import redis

from state.errors import StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from state.stores.redis_consumer import ActionConsumer
from state.stores.redis_once import Once
from tests.redis.test_redis_actions import a_writer, an_action, an_entry

Make = Callable[..., Once]


@pytest.fixture
def once(redis_client: redis.Redis, prefix: str) -> Make:
    def make(**options: Any) -> Once:
        return Once(redis_client, **{"group": "wms", "prefix": prefix, **options})

    return make


def never(seconds: float) -> None:
    raise AssertionError("nobody had to wait")


def is_new(once: Once, seq: int = 1, **of: Any) -> bool:
    with once.claim(an_action(seq, **of)) as new:
        return new


def keys(client: redis.Redis, prefix: str) -> list[bytes]:
    return list(client.scan_iter(f"{prefix}:*:once:*"))


def test_what_is_done_is_not_new_to_anybody_of_the_group(once: Make) -> None:
    assert is_new(once())
    assert not is_new(once(sleep=never))
    assert is_new(once(), 2)
    assert is_new(once(group="other"))


def test_a_block_that_raises_gives_the_claim_up(once: Make, redis_client: redis.Redis) -> None:
    one = once(sleep=never)
    for _ in range(2):
        with pytest.raises(OSError, match="no mail today"), one.claim(an_action(1)) as new:
            assert new
            raise OSError("no mail today")
    assert is_new(once(sleep=never))


def test_a_claim_of_somebody_else_is_waited_for(once: Make) -> None:
    with ExitStack() as first:
        assert first.enter_context(once().claim(an_action(1)))
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                first.close()

        assert not is_new(once(sleep=nap))
        assert len(naps) == 3


def test_a_claim_lapses_when_its_consumer_has_died(
    once: Make, redis_client: redis.Redis, prefix: str
) -> None:
    once(lease_s=0.05).claim(an_action(1)).__enter__()  # and never leaves
    assert is_new(once(sleep=lambda _: None, lease_s=3_600.0))
    assert not is_new(once(sleep=never))


def test_waiting_in_vain_ends_with_an_error_that_names_the_action(once: Make) -> None:
    with once(owner="first").claim(an_action(1)):
        for _ in range(2):
            with pytest.raises(StoreError, match=r"eu:1-1 to be free.*was started first"):
                is_new(once(sleep=lambda _: None))
        assert is_new(once(sleep=never), 2)


def test_a_consumer_that_is_back_under_its_name_goes_on_at_once(once: Make) -> None:
    once(owner="mailer-1").claim(an_action(1)).__enter__()
    assert is_new(once(owner="mailer-1", sleep=never))


def test_a_late_end_marks_as_done_whoever_has_begun_since(
    once: Make, redis_client: redis.Redis, prefix: str
) -> None:
    with once().claim(an_action(1)) as slow:
        assert slow
        redis_client.delete(*keys(redis_client, prefix))  # as if the lease had lapsed
        second = ExitStack()
        assert second.enter_context(once().claim(an_action(1)))
    with pytest.raises(OSError, match="failed"), second:
        raise OSError("failed")
    assert not is_new(once(sleep=never))


def test_a_late_failure_does_not_give_up_the_claim_of_another(
    once: Make, redis_client: redis.Redis, prefix: str
) -> None:
    second = ExitStack()
    with pytest.raises(OSError, match="failed"), once().claim(an_action(1)):
        redis_client.delete(*keys(redis_client, prefix))
        second.enter_context(once().claim(an_action(1)))
        raise OSError("failed")
    with pytest.raises(StoreError, match="was started"):
        is_new(once(sleep=lambda _: None))
    second.close()


def test_another_action_under_the_same_id_is_new(once: Make) -> None:
    assert is_new(once(), reason="look")
    assert is_new(once(), reason="look again")
    assert is_new(once(), kind="hold", reason="look")
    assert not is_new(once(), reason="look")


def test_marks_expire(once: Make, redis_client: redis.Redis, prefix: str) -> None:
    with once(keep_s=3_600.0, lease_s=20.0).claim(an_action(1)):
        (key,) = keys(redis_client, prefix)
        begun: Any = redis_client.pttl(key)
    done: Any = redis_client.pttl(key)
    assert 0 < begun <= 20_000 < done <= 3_600_000


def test_a_redis_that_fails_is_told_before_and_after_the_block() -> None:
    with EmbeddedRedis() as server, connect(server.url, retries=0) as client:
        one = Once(client, group="g")
        with pytest.raises(StoreError, match="mark eu:1-1 as done"), one.claim(an_action(1)):
            server.stop()
        with pytest.raises(StoreError, match="claim eu:2-1"):
            is_new(one, 2)


def test_an_action_that_was_done_and_not_acknowledged_is_not_done_again(
    redis_url: str, redis_client: redis.Redis, prefix: str, once: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    effects: list[str] = []
    for name in ("died", "other"):
        with ActionConsumer(
            redis_url, group="wms", consumer=name, prefix=prefix, claim_idle_ms=0, block_ms=20
        ) as consumer:
            marks = once(owner=name, sleep=consumer.pause)
            for action in islice(consumer, 1 if name == "died" else 2):
                with marks.claim(action) as new:
                    if new:
                        effects.append(action.id)
    assert sorted(effects) == ["eu:1-1", "eu:2-1"]
