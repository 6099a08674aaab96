"""Actions that cannot be carried out, on a real Redis: tried again, put aside, handed over."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from state.actions import Action
from state.codec import encode_action
from state.errors import KeepsFailing
from state.stores.redis_actions import StreamEntry
from state.stores.redis_consumer import ActionConsumer, GiveUp
from state.stores.redis_failed import LONGEST_MESSAGE, Failed, Retried, failed, retry_failed
from state.stores.redis_handling import Patience
from state.stores.redis_keys import failed_key, stream_key
from tests.redis.test_redis_actions import NOON, a_writer, an_action, an_entry
from tests.redis.test_redis_consumer import pending, taken
from tests.waiting import LONG_S

Make = Callable[..., ActionConsumer]


@pytest.fixture
def consumer(redis_url: str, prefix: str) -> Iterator[Make]:
    made: list[ActionConsumer] = []

    def make(name: str = "one", **options: Any) -> ActionConsumer:
        options = {
            "group": "wms",
            "block_ms": 20,
            "prefix": prefix,
            "attempts": 2,
            "first_delay_s": 0.001,
            **options,
        }
        made.append(ActionConsumer(redis_url, consumer=name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Handler:
    """Fails at the actions in `bad`, notes all attempts, stops its consumer after `last`."""

    def __init__(self, consumer: ActionConsumer, bad: Any = (), *, last: int) -> None:
        self.consumer = consumer
        self.bad = bad
        self.last = last
        self.tried: list[int] = []

    def __call__(self, action: Action) -> None:
        self.tried.append(action.seq)
        if action.seq == self.last:
            self.consumer.stop()
        if action.seq in self.bad:
            raise ValueError(f"cannot do {action.id}")


def put_aside(client: redis.Redis, prefix: str, group: str = "wms") -> list[Failed]:
    return list(failed(client, group=group, prefix=prefix))


def deliveries(client: redis.Redis, prefix: str) -> list[int]:
    key = stream_key(prefix, "eu", "escalate")
    held: Any = client.xpending_range(key, "wms", "-", "+", 100)
    return [each["times_delivered"] for each in held]


def test_an_action_that_keeps_failing_is_put_aside_and_holds_nothing_up(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in (1, 2, 3)])
    times = iter(NOON + timedelta(seconds=second) for second in range(100))
    told: list[Failed] = []
    one = consumer(attempts=3, now=lambda: next(times), on_failed=told.append)
    handler = Handler(one, {2}, last=3)
    one.run(handler)
    assert handler.tried == [1, 2, 2, 2, 3]
    assert put_aside(redis_client, prefix) == told
    assert told == [
        Failed(
            network="eu",
            kind="escalate",
            entry_id="2-1",
            place=told[0].place,
            body=encode_action(an_action(2)),
            error="ValueError",
            message="cannot do eu:2-1",
            attempts=3,
            deliveries=1,
            first_at="2026-01-31T12:00:01.000Z",
            last_at="2026-01-31T12:00:02.000Z",
        )
    ]
    assert told[0].action() == an_action(2)
    assert pending(redis_client, prefix) == 0
    assert (one.counts.retried, one.counts.failed) == (2, 1)


def test_an_action_that_succeeds_in_the_end_is_not_put_aside(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    one = consumer(attempts=5)
    tried: list[int] = []

    def handle(action: Action) -> None:
        tried.append(action.seq)
        if len(tried) < 4:
            raise OSError("not yet")
        if action.seq == 2:
            one.stop()

    one.run(handle)
    assert tried == [1, 1, 1, 1, 2]
    assert put_aside(redis_client, prefix) == []
    assert pending(redis_client, prefix) == 0


def test_delays_double_up_to_a_cap() -> None:
    patience = Patience(
        attempts=5, first_delay_s=0.5, delay_cap_s=3.0, max_deliveries=5, most_failed=None
    )
    assert [patience.delay_s(attempt) for attempt in (1, 2, 3, 4, 5_000)] == [0.5, 1, 2, 3, 3]


def test_a_handler_may_give_up_at_once(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    one = consumer(attempts=100)

    def handle(action: Action) -> None:
        if action.seq == 1:
            raise GiveUp("no such address: " + "x" * 10_000)
        one.stop()

    one.run(handle)
    (aside,) = put_aside(redis_client, prefix)
    assert (aside.error, aside.attempts, aside.entry_id) == ("GiveUp", 1, "1-1")
    assert aside.message.startswith("no such address: xxx")
    assert len(aside.message) == LONGEST_MESSAGE


_DIES_AT_3 = """
import os, signal, sys
from state.stores.redis_consumer import ActionConsumer
url, prefix = sys.argv[1:]
one = ActionConsumer(
    url, group="wms", consumer="one", prefix=prefix, kinds=["escalate"], block_ms=20,
    max_deliveries=3,
)
def handle(action):
    print(action.seq, flush=True)
    if action.seq == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if action.seq == 5:
        one.stop()
one.run(handle)
"""


def test_an_action_that_kills_its_process_is_put_aside_and_no_other_one(
    redis_url: str, redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 6)])
    seen: list[int] = []
    codes: list[int] = []
    while (not codes or codes[-1]) and len(codes) < 9:
        done = subprocess.run(
            [sys.executable, "-c", _DIES_AT_3, redis_url, prefix],
            capture_output=True,
            check=False,
            timeout=LONG_S,
        )
        codes.append(done.returncode)
        seen += map(int, done.stdout.split())
    assert codes == [-9, -9, -9, 0]
    assert seen == [1, 2, 3, 3, 3, 4, 5]
    (aside,) = put_aside(redis_client, prefix)
    assert (aside.entry_id, aside.error, aside.attempts) == ("3-1", "DeliveredTooOften", 0)
    assert aside.deliveries == 4
    assert pending(redis_client, prefix) == 0


def test_a_loop_that_always_leaves_at_an_action_gets_past_it_in_the_end(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    firsts = [next(iter(consumer(max_deliveries=2))).seq for _ in range(3)]
    assert firsts == [1, 1, 2]
    assert [aside.entry_id for aside in put_aside(redis_client, prefix)] == ["1-1"]


def test_bad_code_cannot_put_everything_aside_not_even_over_restarts(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 21)])
    for _ in range(4):
        one = consumer(most_failed=3, max_deliveries=2)
        with pytest.raises(KeepsFailing, match=r"3 failures in a row.*eu:4-1, which stays pending"):
            one.run(Handler(one, range(100), last=0))
    assert [aside.entry_id for aside in put_aside(redis_client, prefix)] == ["1-1", "2-1", "3-1"]
    mended = consumer(most_failed=3)
    handler = Handler(mended, {6, 8, 9, 11, 12, 13}, last=14)
    mended.run(handler)  # never more than three in a row since
    assert sorted(set(handler.tried)) == list(range(4, 15))
    assert len(put_aside(redis_client, prefix)) == 9
    spoilt = consumer(most_failed=3)
    with pytest.raises(KeepsFailing, match="eu:18-1"):
        spoilt.run(Handler(spoilt, range(100), last=0))


def test_the_limit_may_be_lifted(redis_client: redis.Redis, prefix: str, consumer: Make) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 22)])
    one = consumer(most_failed=None, attempts=1)
    one.run(Handler(one, range(1, 21), last=21))
    assert len(put_aside(redis_client, prefix)) == 20


def test_failures_in_a_row_are_counted_by_network(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    entries = [an_entry(seq, network=network) for seq in (1, 2, 3) for network in ("eu", "us")]
    a_writer(redis_client, prefix).write(entries)
    one = consumer(most_failed=2, attempts=1, networks=["eu"])
    with pytest.raises(KeepsFailing, match="eu:3-1"):
        one.run(Handler(one, range(100), last=0))
    two = consumer(most_failed=2, attempts=1, networks=["us"])
    two.run(Handler(two, {1, 2}, last=3))
    by_network = [aside.network for aside in put_aside(redis_client, prefix)]
    assert by_network == ["eu", "eu", "us", "us"]


def test_being_taken_over_does_not_count_as_a_delivery(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in (1, 2, 3)])
    next(iter(consumer("died")))
    for name in ("a", "b", "c"):
        next(iter(consumer(name, claim_idle_ms=0)))
    assert deliveries(redis_client, prefix) == [4, 1, 1]


def test_at_the_limit_what_was_delivered_too_often_is_tried_all_the_same(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    one = consumer(most_failed=1)
    with pytest.raises(KeepsFailing):
        one.run(Handler(one, {1, 2}, last=0))
    for _ in range(3):
        assert next(iter(consumer(most_failed=1, max_deliveries=1))).seq == 2
    mended = consumer(most_failed=1, max_deliveries=1)
    assert taken(mended, 1) == ["eu:2-1"]
    assert [aside.entry_id for aside in put_aside(redis_client, prefix)] == ["1-1"]


def test_an_expired_action_is_skipped_if_that_is_wished(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    old = replace(an_action(1), expirytime=NOON)
    fresh = replace(an_action(2), expirytime=NOON + timedelta(hours=2))
    for action in (old, fresh, an_action(3)):
        entry = StreamEntry("eu", "escalate", action.entry_id, encode_action(action))
        a_writer(redis_client, prefix).write([entry])
    skipping = consumer(group="a", skip_expired=True, now=lambda: NOON + timedelta(hours=1))
    assert taken(skipping, 2) == ["eu:2-1", "eu:3-1"]
    assert skipping.counts.expired == 1
    assert taken(consumer(group="b"), 3) == ["eu:1-1", "eu:2-1", "eu:3-1"]


def test_an_action_may_expire_between_two_attempts(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    action = replace(an_action(1), expirytime=NOON)
    entry = StreamEntry("eu", "escalate", action.entry_id, encode_action(action))
    a_writer(redis_client, prefix).write([entry, an_entry(2)])
    clock = [NOON]
    one = consumer(skip_expired=True, now=lambda: clock[0])
    tried: list[int] = []

    def handle(action: Action) -> None:
        tried.append(action.seq)
        if action.seq == 2:
            one.stop()
            return
        clock[0] = NOON + timedelta(seconds=1)
        raise OSError("not yet")

    one.run(handle)
    assert tried == [1, 2]
    assert one.counts.expired == 1
    assert put_aside(redis_client, prefix) == []


def test_a_stop_between_two_attempts_leaves_the_action_as_if_not_delivered(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])
    for _ in range(4):
        one = consumer(max_deliveries=2, attempts=1)
        one.run(Handler(one, {1}, last=1))
        assert deliveries(redis_client, prefix) == [0]
    waiting = consumer(first_delay_s=3_600.0, delay_cap_s=3_600.0)
    failed_once = threading.Event()

    def fail(action: Action) -> None:
        failed_once.set()
        raise OSError("not yet")

    thread = threading.Thread(target=waiting.run, args=(fail,))
    thread.start()
    assert failed_once.wait(10)
    waiting.stop()
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert deliveries(redis_client, prefix) == [0]
    assert put_aside(redis_client, prefix) == []
    assert taken(consumer(), 1) == ["eu:1-1"]


def test_nobody_takes_over_while_a_consumer_waits_for_the_next_attempt(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    one = consumer(attempts=3, first_delay_s=0.6, claim_idle_ms=800)
    other = consumer("other", claim_idle_ms=800)
    robbed: list[int] = []
    thread = threading.Thread(target=other.run, args=(lambda action: robbed.append(action.seq),))
    tried: list[int] = []

    def handle(action: Action) -> None:
        tried.append(action.seq)
        if len(tried) == 1:
            thread.start()
        if len(tried) < 3:
            raise OSError("not yet")
        if action.seq == 2:
            one.stop()

    one.run(handle)
    other.stop()
    thread.join(LONG_S)
    assert tried == [1, 1, 1, 2]
    assert robbed == []


@pytest.mark.parametrize("outcome", [None, ValueError, GiveUp])
def test_what_another_consumer_has_taken_over_is_left_to_it(
    redis_client: redis.Redis, prefix: str, consumer: Make, outcome: type[Exception] | None
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2), an_entry(3)])
    one = consumer(claim_idle_ms=0, kinds=["escalate"])
    tried: list[int] = []

    def handle(action: Action) -> None:
        tried.append(action.seq)
        one._claim_at = float("inf")  # it does not take over itself
        if action.seq == 3:
            one.stop()
            return
        key = stream_key(prefix, "eu", "escalate")
        redis_client.xclaim(key, "wms", "other", 0, ["1-1", "2-1"])
        if outcome is not None:
            raise outcome("no")

    one.run(handle)
    assert tried == [1, 3]
    assert put_aside(redis_client, prefix) == []
    assert pending(redis_client, prefix) == (1 if outcome is None else 2)


@pytest.mark.parametrize("claim_idle_ms", [0, 60_000])
def test_a_fresh_start_of_the_writer_between_two_attempts_is_survived(
    redis_client: redis.Redis, prefix: str, consumer: Make, claim_idle_ms: int
) -> None:
    a_writer(redis_client, prefix).write([an_entry(9), an_entry(10)])
    one = consumer(claim_idle_ms=claim_idle_ms)
    tried: list[int] = []

    def handle(action: Action) -> None:
        tried.append(action.seq)
        if len(tried) == 1:
            a_writer(redis_client, prefix, journal="other", fresh=True).write([an_entry(1)])
        if action.seq == 1:
            one.stop()
            return
        raise OSError("not yet")

    one.run(handle)
    assert tried[-1] == 1
    assert put_aside(redis_client, prefix) == []
    assert pending(redis_client, prefix) == 0


def test_a_lost_connection_puts_nothing_aside_twice(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 8)])
    one = consumer(most_failed=None)

    def handle(action: Action) -> None:
        redis_client.client_kill_filter(_id=str(one._member.client.client_id()))
        if action.seq == 7:
            one.stop()
            return
        raise GiveUp("no")

    one.run(handle)
    aside = [aside.entry_id for aside in put_aside(redis_client, prefix)]
    assert sorted(aside) == sorted(set(aside)) == [f"{seq}-1" for seq in range(1, 7)]


def test_what_was_put_aside_is_handed_over_again_in_order(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    entries = [an_entry(seq, network=network) for network in ("eu", "us") for seq in (1, 2, 3)]
    a_writer(redis_client, prefix).write([*entries, an_entry(4, network="us")])
    one = consumer(most_failed=None, networks=["eu", "us"], attempts=1)
    one.run(Handler(one, {1, 2, 3}, last=4))
    assert len(put_aside(redis_client, prefix)) == 6

    got: list[str] = []
    problems: list[tuple[str, str]] = []

    def handle(action: Action) -> None:
        got.append(action.id)
        if action.seq == 2:
            raise OSError("still not")

    retried = retry_failed(
        redis_client,
        handle,
        group="wms",
        prefix=prefix,
        choose=lambda aside: (aside.network, aside.entry_id) != ("us", "3-1"),
        on_error=lambda aside, error: problems.append((aside.entry_id, str(error))),
    )
    assert retried == Retried(done=3, failed=2)
    assert got == ["eu:1-1", "eu:2-1", "eu:3-1", "us:1-1", "us:2-1"]
    assert problems == [("2-1", "still not")] * 2
    left = [(aside.network, aside.entry_id) for aside in put_aside(redis_client, prefix)]
    assert left == [("eu", "2-1"), ("us", "2-1"), ("us", "3-1")]
    only = retry_failed(redis_client, print, group="wms", networks=["us"], prefix=prefix)
    assert only == Retried(done=2, failed=0)


def test_dead_letters_are_read_in_pages_whatever_is_among_them(
    redis_client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.stores.redis_failed._PAGE", 2)
    key = failed_key(prefix, "eu", "wms")
    for number in range(5):
        redis_client.xadd(key, {"failed.attempts": "many", "other": number})
    found = list(failed(redis_client, group="wms", networks=["eu"], prefix=prefix))
    assert len({aside.place for aside in found}) == 5
    assert {(aside.attempts, aside.body) for aside in found} == {(0, b"")}
    nothing = retry_failed(redis_client, print, group="wms", networks=["eu"], prefix=prefix)
    assert nothing == Retried(done=0, failed=5)


def test_absurd_patience_is_refused() -> None:
    for attempts, max_deliveries in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            ActionConsumer(
                "redis://nowhere", group="g", attempts=attempts, max_deliveries=max_deliveries
            )


def test_keyboard_interrupts_go_through(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])

    def interrupt(action: Action) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consumer().run(interrupt)
    assert [action.seq for action in islice(consumer(), 1)] == [1]
    assert deliveries(redis_client, prefix) == [2]
