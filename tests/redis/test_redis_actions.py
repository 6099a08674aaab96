"""The contract of the Redis action writer, against a real Redis."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.actions import Action, ActionData, Because, Decision, Escalate, Hold
from state.codec import decode_action, encode_action
from state.errors import Diverged, EntriesLost, JournalMismatch, StoreError
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_actions import RedisActionWriter, StreamEntry, Written
from state.stores.redis_connection import connect, redacted
from state.stores.redis_keys import journal_key, networks_key, poison_key, stream_key

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def an_action(
    seq: int, n: int = 1, *, network: str = "eu", kind: str = "escalate", reason: str = "look"
) -> Action:
    decision: Decision = (
        Hold(scope="o1", reason=reason) if kind == "hold" else Escalate(about="o1", reason=reason)
    )
    return Action(
        id=f"{network}:{seq}-{n}",
        source="crossdock",
        type=f"crossdock.action.{decision.verb}",
        time=NOON,
        subject="o1",
        partitionkey=network,
        data=ActionData(
            mode="act",
            value_cents=100,
            decision=decision,
            because=Because(summary="why", score_cents=5, terms={"freight": 5}),
        ),
    )


def an_entry(
    seq: int, n: int = 1, *, network: str = "eu", kind: str = "escalate", reason: str = "look"
) -> StreamEntry:
    action = an_action(seq, n, network=network, kind=kind, reason=reason)
    return StreamEntry(network, kind, action.entry_id, encode_action(action))


def a_writer(
    client: redis.Redis,
    prefix: str,
    *,
    journal: str = "journal-1",
    fresh: bool = False,
    maxlen: int | None = None,
) -> RedisActionWriter:
    return RedisActionWriter(client, journal=journal, prefix=prefix, fresh=fresh, maxlen=maxlen)


def held(client: redis.Redis, key: str) -> list[tuple[str, bytes]]:
    entries: Any = client.xrange(key)
    return [(entry_id.decode(), fields[b"action"]) for entry_id, fields in entries]


def test_actions_are_readable_under_their_own_ids(redis_client: redis.Redis, prefix: str) -> None:
    entries = [an_entry(9), an_entry(10), an_entry(10, 2), an_entry(10, 3, kind="hold")]
    assert a_writer(redis_client, prefix).write(entries) == Written(new=4)
    key = stream_key(prefix, "eu", "escalate")
    assert [entry_id for entry_id, _ in held(redis_client, key)] == ["9-1", "10-1", "10-2"]
    assert decode_action(held(redis_client, key)[1][1]) == an_action(10)
    assert held(redis_client, stream_key(prefix, "eu", "hold")) == [("10-3", entries[3].body)]


def test_one_batch_may_span_networks_and_round_trips(
    redis_client: redis.Redis, prefix: str
) -> None:
    entries = [an_entry(seq, network=name) for seq in range(1, 701) for name in ("eu", "us")]
    assert a_writer(redis_client, prefix).write(entries).new == 1_400
    assert redis_client.xlen(stream_key(prefix, "us", "escalate")) == 700
    assert redis_client.smembers(networks_key(prefix)) == {b"eu", b"us"}


def test_writing_nothing_is_nothing(redis_client: redis.Redis, prefix: str) -> None:
    assert a_writer(redis_client, prefix).write([]) == Written()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 3), st.sampled_from(["escalate", "hold"])),
        min_size=1,
        max_size=30,
        unique_by=lambda place: place[:2],
    ).map(sorted),
    cut=st.integers(0, 30),
    crash=st.integers(0, 30),
)
def test_redelivery_of_any_suffix_changes_nothing(
    redis_client: redis.Redis,
    prefix: str,
    places: Sequence[tuple[int, int, str]],
    cut: int,
    crash: int,
) -> None:
    entries = [an_entry(seq, n, kind=kind) for seq, n, kind in places]
    written_before = entries[:crash]
    first = a_writer(redis_client, prefix, fresh=True)
    first.claim("eu")
    first.write(written_before)
    start = min(cut, len(written_before))
    again = a_writer(redis_client, prefix).write(entries[start:])
    assert again == Written(
        new=len(entries) - len(written_before), repeated=len(written_before) - start
    )
    for kind in ("escalate", "hold"):
        expected = [(entry.entry_id, entry.body) for entry in entries if entry.kind == kind]
        assert held(redis_client, stream_key(prefix, "eu", kind)) == expected


def test_another_journal_is_refused_and_told_the_way_out(
    redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix, journal="log-a").write([an_entry(1)])
    with pytest.raises(JournalMismatch, match=r"log-b, was log-a.*--prefix.*--fresh"):
        a_writer(redis_client, prefix, journal="log-b").write([an_entry(2)])
    assert redis_client.xlen(stream_key(prefix, "eu", "escalate")) == 1


def test_actions_of_no_known_journal_are_not_written_to(
    redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix).write([an_entry(1)])
    redis_client.delete(journal_key(prefix, "eu"))
    with pytest.raises(JournalMismatch, match="was absent"):
        a_writer(redis_client, prefix).write([an_entry(2)])


def test_a_consumer_that_came_first_does_not_keep_the_writer_out(
    redis_client: redis.Redis, prefix: str
) -> None:
    redis_client.xgroup_create(stream_key(prefix, "eu", "escalate"), "wms", mkstream=True)
    assert a_writer(redis_client, prefix).write([an_entry(1)]).new == 1


def test_fresh_clears_its_own_network_only(redis_client: redis.Redis, prefix: str) -> None:
    entries = [an_entry(5), an_entry(5, network="eu-2"), an_entry(5, network="us")]
    a_writer(redis_client, prefix, journal="log-a").write(entries)
    redis_client.xadd(poison_key(prefix, "eu", "wms"), {"poison.reason": "old"})
    redis_client.set(f"{prefix}:eu:note", "not a stream: not ours to delete")

    fresh = a_writer(redis_client, prefix, journal="log-b", fresh=True)
    assert fresh.write([an_entry(1)]) == Written(new=1)
    assert fresh.write([an_entry(2)]) == Written(new=1)

    assert len(held(redis_client, stream_key(prefix, "eu", "escalate"))) == 2
    assert redis_client.hget(journal_key(prefix, "eu"), "identity") == b"log-b"
    assert not redis_client.exists(poison_key(prefix, "eu", "wms"))
    assert redis_client.exists(f"{prefix}:eu:note")
    for network in ("eu-2", "us"):
        assert redis_client.xlen(stream_key(prefix, network, "escalate")) == 1
        assert redis_client.hget(journal_key(prefix, network), "identity") == b"log-a"


def test_other_bytes_under_the_same_id_stop_the_writer(
    redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix).write([an_entry(7, reason="one"), an_entry(9)])
    with pytest.raises(Diverged, match=r"eu:7-1.*other bytes.*policy.*--fresh"):
        a_writer(redis_client, prefix).write([an_entry(7, reason="two")])


def test_an_id_that_the_stream_went_past_stops_the_writer(
    redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix).write([an_entry(7), an_entry(9)])
    with pytest.raises(Diverged, match=r"eu:8-1.*went past"):
        a_writer(redis_client, prefix).write([an_entry(8)])


def test_what_was_trimmed_is_counted_and_not_written_again(
    redis_client: redis.Redis, prefix: str
) -> None:
    entries = [an_entry(seq) for seq in range(1, 1_001)]
    writer = a_writer(redis_client, prefix, maxlen=100)
    writer.write(entries)
    kept = redis_client.xlen(stream_key(prefix, "eu", "escalate"))
    assert 100 <= kept <= 300
    assert writer.write(entries) == Written(repeated=kept, trimmed=1_000 - kept)
    redis_client.xtrim(stream_key(prefix, "eu", "escalate"), maxlen=0, approximate=False)
    assert writer.write(entries[-1:]) == Written(trimmed=1)


def test_a_redis_without_memory_takes_all_of_a_batch_or_nothing(prefix: str) -> None:
    with EmbeddedRedis() as server, connect(server.url) as client:
        writer = a_writer(client, prefix)
        writer.write([an_entry(1)])
        client.config_set("maxmemory", "1")
        for batch in ([an_entry(2)], [an_entry(2), an_entry(3)]):
            with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+: .*maxmemory"):
                writer.write(batch)
        client.config_set("maxmemory", "0")
        assert writer.write([an_entry(1), an_entry(2), an_entry(3)]) == Written(new=2, repeated=1)


def test_a_redis_that_lost_its_end_is_named_before_a_hole_is_written(
    redis_client: redis.Redis, prefix: str
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    writer = a_writer(redis_client, prefix)
    writer.write([an_entry(1), an_entry(2)])
    redis_client.delete(key)
    with pytest.raises(EntriesLost, match=r"end at 2-1, where it was written to, was 0-0"):
        writer.write([an_entry(3)])
    assert redis_client.xlen(key) == 0


def test_a_later_run_notices_what_redis_has_lost_since_the_recovery_point(
    redis_client: redis.Redis, prefix: str
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    first = a_writer(redis_client, prefix)
    first.write([an_entry(1), an_entry(2), an_entry(3)])
    redis_client.delete(key)
    a_writer(redis_client, prefix).write([an_entry(1), an_entry(2)])

    after_the_point = a_writer(redis_client, prefix)
    after_the_point.expect({key: "2-1"})
    assert after_the_point.write([an_entry(3)]) == Written(new=1)

    before_the_point = a_writer(redis_client, prefix)
    before_the_point.expect({key: "4-1"})
    with pytest.raises(EntriesLost, match=r"end at 4-1.*was 3-1.*--rebuild"):
        before_the_point.claim("eu")


def test_two_writers_of_one_journal_write_one_history(
    redis_client: redis.Redis, prefix: str
) -> None:
    one, other = a_writer(redis_client, prefix), a_writer(redis_client, prefix)
    entries = [an_entry(seq) for seq in range(1, 7)]
    for start in range(0, 6, 2):
        one.write(entries[start : start + 2])
        other.write(entries[start : start + 2])
    assert other.write(entries) == Written(repeated=6)
    assert redis_client.xlen(stream_key(prefix, "eu", "escalate")) == 6


def test_a_redis_that_went_away_is_named(prefix: str) -> None:
    with EmbeddedRedis() as server:
        client = connect(server.url)
        writer = a_writer(client, prefix)
        writer.write([an_entry(1)])
    with pytest.raises(StoreError, match=r"write actions at Redis 127\.0\.0\.1:\d+.*running"):
        writer.write([an_entry(2)])
    client.close()


def test_a_key_that_is_no_stream_is_told(redis_client: redis.Redis, prefix: str) -> None:
    redis_client.set(stream_key(prefix, "eu", "escalate"), "something else")
    with pytest.raises(StoreError, match=r"WRONGTYPE.*another prefix"):
        a_writer(redis_client, prefix).write([an_entry(1)])


@pytest.mark.parametrize("name", ["", "a:b", "a*", "a b", "[x]"])
def test_a_prefix_that_could_reach_other_keys_is_refused(
    redis_client: redis.Redis, name: str
) -> None:
    with pytest.raises(ValueError, match="expected a prefix"):
        a_writer(redis_client, name)


def test_a_client_that_replies_in_text_is_refused(redis_url: str) -> None:
    with (
        redis.Redis.from_url(redis_url, decode_responses=True) as client,
        pytest.raises(ValueError, match="bytes"),
    ):
        RedisActionWriter(client, journal="j")


def test_a_wrong_password_is_refused_and_never_shown() -> None:
    with EmbeddedRedis() as server, connect(server.url) as client:
        client.config_set("requirepass", "right-one")
        for wrong in (server.url, server.url.replace("//", "//:hunter2@")):
            with pytest.raises(StoreError, match="check the user and password") as caught:
                connect(wrong)
            assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"
        connect(server.url.replace("//", "//:right-one@")).close()
        client.config_set("requirepass", "")


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hun#ter2@localhost:6379",
        "redis://user:hunter2@localhost:port",
        "redis://localhost:port?password=hunter2",
        "redis://user:a?hunter2@localhost:x",
        "redis://localhost:x?password=a@hunter2",
        "user:hunter2@localhost",
        "http://user:hunter2@localhost",
        "redis://user:hunter2@localhost:1/0",
    ],
)
def test_a_url_that_does_not_work_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        connect(url)
    assert "ter2" not in f"{caught.value} {caught.value.__cause__!r}"
    assert "ter2" not in redacted(url)


@pytest.mark.parametrize("end", ["/", "/x", "?", "#", "?x=", "/@"])
def test_a_password_whose_end_looks_like_a_host_is_shown_in_no_part(end: str) -> None:
    with pytest.raises(StoreError, match="written as %23, %2F, %3F, %40") as caught:
        connect(f"redis://:hun@ter2{end}word@127.0.0.1:1/0")
    assert not any(part in f"{caught.value}" for part in ("hun", "ter2", "word@"))
    with pytest.raises(StoreError, match=r"connect at Redis 127\.0\.0\.1:1:") as caught:
        connect("redis://:hun@ter2@127.0.0.1:1/0", retries=0)
    assert "ter2" not in f"{caught.value}"


def test_an_older_redis_is_refused(redis_url: str) -> None:
    with pytest.raises(StoreError, match=r"expected Redis 99\.0 or later, was \d"):
        connect(redis_url, since=(99, 0))
