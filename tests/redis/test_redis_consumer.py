"""Consumers of actions, in a group and without one, against a real Redis."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import redis

from state.actions import KINDS, Action
from state.codec import encode_action
from state.errors import StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from state.stores.redis_consumer import ActionConsumer
from state.stores.redis_follow import follow
from state.stores.redis_keys import Poison, poison_key, stream_key
from tests.redis.test_redis_actions import a_writer, an_action, an_entry
from tests.waiting import LONG_S, eventually

Make = Callable[..., ActionConsumer]


@pytest.fixture
def consumer(redis_url: str, prefix: str) -> Iterator[Make]:
    made: list[ActionConsumer] = []

    def make(name: str = "one", **options: Any) -> ActionConsumer:
        options = {"group": "wms", "block_ms": 20, "prefix": prefix, **options}
        made.append(ActionConsumer(redis_url, consumer=name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def taken(consumer: ActionConsumer, count: int) -> list[str]:
    """Ids of the next `count` actions, all acknowledged."""
    ids: list[str] = []

    def take(action: Action) -> None:
        ids.append(action.id)
        if len(ids) == count:
            consumer.stop()

    consumer.run(take)
    return ids


def pending(client: redis.Redis, prefix: str, kind: str = "escalate") -> int:
    return int(client.xpending(stream_key(prefix, "eu", kind), "wms")["pending"])


def test_a_group_gets_each_action_typed_and_once(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2), an_entry(3)])
    got: list[Action] = []
    first = consumer()
    for action in first:
        got.append(action)
        if len(got) == 3:
            first.stop()
    assert got == [an_action(1), an_action(2), an_action(3)]
    assert pending(redis_client, prefix) == 0
    a_writer(redis_client, prefix).write([an_entry(4)])
    assert taken(consumer(), 1) == ["eu:4-1"]


def test_kinds_and_networks_are_chosen_and_groups_are_independent(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    entries = [an_entry(1), an_entry(1, 2, kind="hold"), an_entry(1, network="us")]
    a_writer(redis_client, prefix).write(entries)
    assert taken(consumer(group="a", networks=["us"]), 1) == ["us:1-1"]
    assert taken(consumer(group="b", kinds=["hold"]), 1) == ["eu:1-2"]
    assert sorted(taken(consumer(group="c"), 3)) == ["eu:1-1", "eu:1-2", "us:1-1"]


def test_an_action_that_a_loop_fails_at_comes_again_to_the_same_consumer(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])

    first = consumer()
    for again in (first, first, consumer()):
        with pytest.raises(RuntimeError, match="eu:1-1"):
            for action in again:
                raise RuntimeError(action.id)
    assert taken(consumer(), 2) == ["eu:1-1", "eu:2-1"]


def test_what_a_dead_consumer_left_goes_to_another(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 41)])
    died = iter(consumer("died"))
    assert [action.seq for action in islice(died, 3)] == [1, 2, 3]  # acknowledged: 1 and 2
    other = consumer("other", claim_idle_ms=30)
    assert sorted(taken(other, 38)) == sorted(f"eu:{seq}-1" for seq in range(3, 41))
    assert pending(redis_client, prefix) == 0


def test_a_live_consumer_is_not_robbed(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])
    busy = iter(consumer("busy"))
    next(busy)
    a_writer(redis_client, prefix).write([an_entry(2)])
    assert taken(consumer("other"), 1) == ["eu:2-1"]


def test_two_consumers_share_the_work(
    redis_client: redis.Redis, prefix: str, consumer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.stores.redis_consumer.DISCOVER_EVERY_S", 0.01)
    total = 60
    got: dict[str, list[int]] = {"one": [], "two": []}
    both = threading.Barrier(2)
    consumers = {name: consumer(name, batch=2) for name in got}

    def work(name: str) -> None:
        def handle(action: Action) -> None:
            got[name].append(action.seq)
            if len(got[name]) == 1:
                both.wait(LONG_S)  # neither takes all before the other has begun
            if sum(map(len, got.values())) >= total:
                for each in consumers.values():
                    each.stop()

        consumers[name].run(handle)

    threads = [threading.Thread(target=work, args=(name,)) for name in got]
    for thread in threads:
        thread.start()
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, total + 1)])
    for thread in threads:
        thread.join(LONG_S)
    assert sorted(got["one"] + got["two"]) == list(range(1, total + 1))
    assert min(map(len, got.values())) > 0
    for seqs in got.values():
        assert seqs == sorted(seqs)


def test_stop_is_prompt(redis_client: redis.Redis, prefix: str, consumer: Make) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])
    idle = consumer(block_ms=100, group="idle")
    seen: list[Action] = []
    thread = threading.Thread(target=idle.run, args=(seen.append,))
    thread.start()
    eventually(lambda: len(seen) == 2)
    idle.stop()
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert taken(consumer(), 1) == ["eu:1-1"]  # stops after the one in hand, mid-batch
    assert pending(redis_client, prefix) == 1


def test_a_group_may_begin_with_what_comes_from_now_on(
    redis_client: redis.Redis, prefix: str, consumer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.stores.redis_consumer.DISCOVER_EVERY_S", 0.01)
    writer = a_writer(redis_client, prefix)
    writer.write([an_entry(1)])
    late = consumer(start="$")
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.extend(taken(late, 2)))
    thread.start()
    streams = [stream_key(prefix, "eu", kind) for kind in KINDS]
    eventually(lambda: all(redis_client.exists(key) for key in streams))
    eventually(lambda: all(redis_client.xinfo_groups(key) for key in streams))
    writer.write([an_entry(2)])
    writer.write([an_entry(3, network="us")])  # appears later: from its beginning
    thread.join(LONG_S)
    assert sorted(got) == ["eu:2-1", "us:3-1"]


def test_what_is_no_action_goes_to_its_own_stream_and_holds_nothing_up(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(5)])
    key = stream_key(prefix, "eu", "escalate")
    redis_client.xadd(key, {"action": b"\xff{"}, "6-1")
    redis_client.xadd(key, {"other": "field"}, "6-2")
    redis_client.xadd(key, {"action": encode_action(an_action(5))}, "6-3")
    a_writer(redis_client, prefix).write([an_entry(7)])
    assert taken(consumer(), 2) == ["eu:5-1", "eu:7-1"]
    assert pending(redis_client, prefix) == 0
    aside: Any = redis_client.xrange(poison_key(prefix, "eu", "wms"))
    assert [fields[b"poison.entry"] for _, fields in aside] == [b"6-1", b"6-2", b"6-3"]
    assert aside[0][1][b"action"] == b"\xff{"
    assert aside[1][1][b"other"] == b"field"
    assert b"eu:5-1" in aside[2][1][b"poison.reason"]


def test_poison_may_be_handled_by_the_service(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])
    redis_client.xadd(stream_key(prefix, "eu", "escalate"), {"action": "[]"}, "2-1")
    a_writer(redis_client, prefix).write([an_entry(3)])
    seen: list[Poison] = []
    assert taken(consumer(on_poison=seen.append), 2) == ["eu:1-1", "eu:3-1"]
    assert [(poison.entry_id, poison.fields) for poison in seen] == [("2-1", {b"action": b"[]"})]
    assert not redis_client.exists(poison_key(prefix, "eu", "wms"))


def test_pending_actions_that_were_trimmed_are_counted(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2), an_entry(3)])
    next(iter(consumer("died")))
    redis_client.xtrim(stream_key(prefix, "eu", "escalate"), maxlen=1, approximate=False)
    other = consumer("other", claim_idle_ms=0)
    assert taken(other, 1) == ["eu:3-1"]
    assert (other.counts.trimmed, other.counts.missed) == (2, 0)
    assert pending(redis_client, prefix) == 0


def test_a_group_outlives_a_fresh_start_of_the_writer(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(9)])
    one = consumer()
    got: list[str] = []
    for action in one:
        got.append(action.id)
        if len(got) == 1:
            a_writer(redis_client, prefix, journal="other", fresh=True).write([an_entry(1)])
        else:
            one.stop()
    assert got == ["eu:9-1", "eu:1-1"]
    assert one.counts.missed == 0


def test_a_lost_connection_is_made_again(
    redis_client: redis.Redis, prefix: str, consumer: Make
) -> None:
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 31)])
    one = consumer(batch=4)
    got: list[int] = []
    for action in one:
        got.append(action.seq)
        if len(got) % 10 == 5:
            redis_client.client_kill_filter(_id=str(one._member.client.client_id()))
        if action.seq == 30:
            one.stop()
    assert sorted(set(got)) == list(range(1, 31))
    assert pending(redis_client, prefix) == 0


def test_a_redis_that_stays_away_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.stores.redis_group.RECONNECTS", 2)
    with EmbeddedRedis() as server:
        one = ActionConsumer(server.url, group="g", block_ms=10)
    with pytest.raises(StoreError, match=r"consume as group g at Redis 127\.0\.0\.1"):
        next(iter(one))
    one.close()


def test_the_backlog_is_read_in_entry_order(redis_client: redis.Redis, prefix: str) -> None:
    entries = [
        an_entry(seq, n, network=network, kind=kind)
        for seq in range(1, 12)
        for n, kind in ((1, "hold"), (2, "escalate"))
        for network in ("eu", "us")
    ]
    a_writer(redis_client, prefix).write(entries)
    found = [
        (one.network, one.kind, one.action.entry_id) for one in follow(redis_client, prefix=prefix)
    ]
    assert found == [(entry.network, entry.kind, entry.entry_id) for entry in entries]
    chosen = follow(redis_client, ["us"], ["hold"], "9-1", prefix=prefix)
    assert [one.action.id for one in chosen] == ["us:10-1", "us:11-1"]


def test_the_backlog_is_read_in_pages(
    redis_client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.stores.redis_follow._HELD", 1)
    a_writer(redis_client, prefix).write([an_entry(seq) for seq in range(1, 6)])
    assert [one.action.seq for one in follow(redis_client, prefix=prefix)] == [1, 2, 3, 4, 5]


def test_following_goes_on_with_what_comes(
    redis_client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.stores.redis_follow.DISCOVER_EVERY_S", 0.05)
    monkeypatch.setattr("state.stores.redis_follow._BLOCK_MS", 10)
    writer = a_writer(redis_client, prefix)
    writer.write([an_entry(1)])
    following = follow(redis_client, prefix=prefix, live=True)
    assert next(following).action.id == "eu:1-1"
    writer.write([an_entry(2)])
    assert next(following).action.id == "eu:2-1"
    writer.write([an_entry(2, network="us")])  # a network that was not there before
    assert next(following).action.id == "us:2-1"
    only_new = follow(redis_client, prefix=prefix, live=True, from_id="$")
    timer = threading.Timer(0.1, lambda: writer.write([an_entry(3)]))
    timer.start()
    assert next(only_new).action.id == "eu:3-1"
    timer.join()


def test_a_reader_that_meets_no_action_says_where(redis_client: redis.Redis, prefix: str) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])
    redis_client.xadd(stream_key(prefix, "eu", "escalate"), {"action": "{}"}, "2-1")
    with pytest.raises(StoreError, match=rf"{prefix}:eu:escalate 2-1"):
        list(follow(redis_client, prefix=prefix))
    seen: list[Poison] = []
    assert len(list(follow(redis_client, prefix=prefix, on_poison=seen.append))) == 1
    assert [poison.entry_id for poison in seen] == ["2-1"]


def test_a_restarted_redis_is_read_on(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedRedis(persist=tmp_path)
    server.start()
    port = server._port
    with connect(server.url) as client:
        a_writer(client, "p").write([an_entry(1), an_entry(2)])
    one = ActionConsumer(server.url, group="wms", prefix="p", block_ms=20, batch=1)
    got: list[str] = []
    for action in one:
        got.append(action.id)
        if len(got) == 1:
            server.stop()
            monkeypatch.setattr("state.stores.embedded_redis._free_port", lambda: port)
            threading.Timer(0.3, server.start).start()
        else:
            one.stop()
    one.close()
    server.stop()
    assert got == ["eu:1-1", "eu:2-1"]


def test_a_password_need_not_be_in_the_url() -> None:
    with EmbeddedRedis() as server, connect(server.url) as client:
        client.config_set("requirepass", "s3cret")
        with ActionConsumer(
            server.url, group="wms", networks=["eu"], connection={"password": "s3cret"}
        ) as consumer:
            consumer.stop()
            assert list(consumer) == []
        client.config_set("requirepass", "")
