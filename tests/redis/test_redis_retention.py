"""Redis keeps what is young, open or still to be read, and nothing else; losses are reported."""

from datetime import timedelta
from typing import Any

import msgspec
import orjson
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.codec import encode_action
from state.quantities import DAY_MS, HOUR_MS, from_ms, rfc3339, to_ms
from state.stores.redis_actions import StreamEntry, Written
from state.stores.redis_consumer import ActionConsumer, Missed
from state.stores.redis_keys import DECIDED, FIELD, KPIS, PROPOSALS, stream_key
from state.stores.redis_missed import Tally
from state.stores.redis_retention import Retention, Tended
from tests.redis.test_redis_actions import NOON, a_writer, an_action

START_MS = to_ms(NOON)
KEEP_MS, UNREAD_MS = 7 * DAY_MS, 14 * DAY_MS
#: Entries that Redis may leave in the node where it stops to trim.
A_NODE = 100


def an_entry_of(
    seq: int, made_ms: int, kind: str = "escalate", *, n: int = 1, expires_ms: int | None = None
) -> StreamEntry:
    action = an_action(seq, n, kind="escalate")
    data = msgspec.structs.replace(action.data, mode="propose" if kind == PROPOSALS else "act")
    action = msgspec.structs.replace(
        action,
        time=from_ms(made_ms),
        expirytime=None if expires_ms is None else from_ms(expires_ms),
        data=data,
    )
    return StreamEntry("eu", kind, f"{seq}-{n}", encode_action(action))


def a_decision(seq: int, made_ms: int, proposal: int) -> StreamEntry:
    body = {"time": rfc3339(made_ms), "proposal": f"eu:{proposal}-1", "outcome": "approved"}
    return StreamEntry("eu", DECIDED, f"{seq}-1", orjson.dumps(body))


def a_window(seq: int, end_ms: int) -> StreamEntry:
    return StreamEntry("eu", KPIS, f"{seq}-1", orjson.dumps({"end": rfc3339(end_ms)}))


def a_retention(client: redis.Redis, prefix: str, journal: str = "journal-1") -> Retention:
    return Retention(client, journal=journal, prefix=prefix, keep_ms=KEEP_MS, unread_ms=UNREAD_MS)


def seqs(client: redis.Redis, prefix: str, kind: str = "escalate") -> list[int]:
    entries: Any = client.xrange(stream_key(prefix, "eu", kind))
    return [int(entry_id.partition(b"-")[0]) for entry_id, _ in entries]


def hourly(count: int, kind: str = "escalate") -> list[StreamEntry]:
    """One entry an hour, `seq` its number."""
    return [an_entry_of(seq, START_MS + seq * HOUR_MS, kind) for seq in range(1, count + 1)]


def test_what_is_older_than_the_bound_goes_and_the_writer_goes_on(
    redis_client: redis.Redis, prefix: str
) -> None:
    entries = hourly(30 * 24)
    writer = a_writer(redis_client, prefix)
    writer.write(entries)
    now_ms = START_MS + 30 * DAY_MS
    tended = a_retention(redis_client, prefix).tend("eu", now_ms)
    left = seqs(redis_client, prefix)
    assert left == list(range(left[0], 721))
    assert 7 * 24 <= len(left) <= 7 * 24 + A_NODE
    assert (tended.removed, tended.entries, tended.lost) == (720 - len(left), len(left), {})
    assert tended.size > 0
    # A start that has to do the last days again finds all as it was.
    again = a_writer(redis_client, prefix)
    again.expect(writer.last_ids())
    assert again.write(entries) == Written(repeated=len(left), trimmed=720 - len(left))
    assert again.write([an_entry_of(721, now_ms)]) == Written(new=1)


def test_a_network_that_stands_still_keeps_what_it_has(
    redis_client: redis.Redis, prefix: str
) -> None:
    entries = hourly(48)
    a_writer(redis_client, prefix).write(entries)
    retention = a_retention(redis_client, prefix)
    for _ in range(3):
        assert retention.tend("eu", START_MS + 2 * DAY_MS).removed == 0
    assert len(seqs(redis_client, prefix)) == 48


def test_windows_and_decisions_are_bounded_like_actions(
    redis_client: redis.Redis, prefix: str
) -> None:
    a_writer(redis_client, prefix).write(
        [
            each
            for seq in range(1, 1_001)
            for each in (
                a_window(seq, START_MS + seq * HOUR_MS),
                a_decision(seq, START_MS + seq * HOUR_MS, seq),
            )
        ]
    )
    a_retention(redis_client, prefix).tend("eu", START_MS + 1_000 * HOUR_MS)
    for kind in (KPIS, DECIDED):
        assert 168 <= len(seqs(redis_client, prefix, kind)) <= 168 + A_NODE


def test_what_a_group_has_not_acknowledged_stays_until_the_hard_bound_and_is_then_told(
    redis_client: redis.Redis, prefix: str
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    writer, retention = a_writer(redis_client, prefix), a_retention(redis_client, prefix)
    entries = hourly(20 * 24)
    writer.write(entries[:10])
    redis_client.xgroup_create(key, "slow", "0")
    redis_client.xreadgroup("slow", "one", {key: ">"}, count=4)
    redis_client.xack(key, "slow", "1-1", "2-1")
    writer.write(entries[10:])

    tended = retention.tend("eu", START_MS + 10 * DAY_MS)
    assert seqs(redis_client, prefix)[:2] in ([1, 2], [3, 4])  # 3 and 4 are in hand, 5 is unread
    assert tended.lost == {}
    assert tended.lag_ms == {"slow": 10 * DAY_MS - 3 * HOUR_MS}

    tended = retention.tend("eu", START_MS + 20 * DAY_MS)
    left = seqs(redis_client, prefix)
    assert left[0] == 6 * 24 + 1  # 14 days are kept for whoever has not read them
    assert tended.lost == {"slow": 6 * 24 - 2}
    assert retention.tend("eu", START_MS + 20 * DAY_MS).lost == {}


def test_another_journals_streams_are_left_alone(redis_client: redis.Redis, prefix: str) -> None:
    a_writer(redis_client, prefix, journal="theirs").write(hourly(400))
    tended = a_retention(redis_client, prefix, "ours").tend("eu", START_MS + 100 * DAY_MS)
    assert (tended.removed, tended.entries) == (0, 400)


def test_an_open_proposal_stays_and_a_closed_one_never_looks_open_again(
    redis_client: redis.Redis, prefix: str
) -> None:
    from flows.explain.proposals import open_in_redis

    entries: list[StreamEntry] = []
    for seq in range(1, 2_001, 2):
        made_ms = START_MS + seq * HOUR_MS
        entries.append(an_entry_of(seq, made_ms, PROPOSALS, expires_ms=START_MS + 9_000 * HOUR_MS))
        if seq != 801:
            entries.append(a_decision(seq + 1, made_ms, seq))
    a_writer(redis_client, prefix).write(entries)
    retention = a_retention(redis_client, prefix)
    for days in (20, 40, 60, 83, 200):
        retention.tend("eu", START_MS + days * DAY_MS)
        still_open = open_in_redis(redis_client, prefix, ["eu"])
        assert [action.seq for action in still_open] == [801], days
    assert seqs(redis_client, prefix, PROPOSALS)[0] <= 801
    assert seqs(redis_client, prefix, PROPOSALS)[0] > 801 - 2 * A_NODE
    # Past its deadline it can no longer be approved, and holds nothing back.
    retention.tend("eu", START_MS + 9_001 * HOUR_MS)
    assert len(seqs(redis_client, prefix, PROPOSALS)) <= A_NODE
    assert open_in_redis(redis_client, prefix, ["eu"]) == []


def test_keeping_a_number_of_actions_keeps_all_proposals(
    redis_client: redis.Redis, prefix: str
) -> None:
    entries = [
        each
        for seq in range(1, 1_001, 2)
        for each in (
            an_entry_of(seq, START_MS, PROPOSALS),
            a_decision(seq + 1, START_MS, seq),
            an_entry_of(seq, START_MS, n=2),
        )
    ]
    a_writer(redis_client, prefix, maxlen=10).write(entries)
    assert len(seqs(redis_client, prefix)) <= 10 + A_NODE
    assert len(seqs(redis_client, prefix, PROPOSALS)) == len(seqs(redis_client, prefix, DECIDED))


def test_what_somebody_else_wrote_does_not_stop_it(redis_client: redis.Redis, prefix: str) -> None:
    key = stream_key(prefix, "eu", "escalate")
    redis_client.xadd(key, {"something": "else"}, "0-1")
    a_writer(redis_client, prefix)._client.hset(f"{prefix}:eu:journal", "identity", "journal-1")
    a_writer(redis_client, prefix).write(hourly(400))
    redis_client.xadd(key, {FIELD: b"no action"}, "401-1")
    a_retention(redis_client, prefix).tend("eu", START_MS + 400 * HOUR_MS)
    assert 168 <= len(seqs(redis_client, prefix)) <= 170 + A_NODE


# Acts on a stream, in any order: an entry is added some hours after the one before, a group reads
# or acknowledges some entries, or Redis is tended.
_DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40), st.integers(0, 30)),
        st.tuples(st.just("read"), st.sampled_from(["a", "b"]), st.integers(1, 60)),
        st.tuples(st.just("acknowledge"), st.sampled_from(["a", "b"]), st.integers(0, 2**30)),
        st.tuples(st.just("tend"), st.just(0), st.integers(0, 24 * 6)),
        st.tuples(st.just("look"), st.sampled_from(["a", "b"]), st.just(0)),
    ),
    min_size=5,
    max_size=60,
)


class _Model:
    """The truth about one stream: what was made when, and what each group got and has done."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client, self.prefix = client, prefix
        self.key = stream_key(prefix, "eu", "escalate")
        self.writer = a_writer(client, prefix, fresh=True)
        self.writer.claim("eu")
        self.retention = a_retention(client, prefix)
        self.tallies = {name: Tally(client, name, lambda ask: ask()) for name in ("a", "b")}
        for tally in self.tallies.values():
            tally.make_group(self.key, "0")
        self.now_ms, self.seq, self.removed = START_MS, 0, 0
        self.made: dict[int, int] = {}
        self.there: list[int] = []
        self.given: dict[str, list[int]] = {"a": [], "b": []}
        self.done: dict[str, set[int]] = {"a": set(), "b": set()}
        self.told = {"a": 0, "b": 0}

    def add(self, count: int, hours: int) -> None:
        entries = []
        for _ in range(count):
            self.seq += 3
            self.now_ms += hours * HOUR_MS
            self.made[self.seq] = self.now_ms
            entries.append(an_entry_of(self.seq, self.now_ms))
            self.there.append(self.seq)
        self.writer.write(entries)

    def read(self, group: str, count: int) -> None:
        reply: Any = self.client.xreadgroup(group, "one", {self.key: ">"}, count=count)
        for _, entries in reply:
            self.given[group] += [int(entry_id.partition(b"-")[0]) for entry_id, _ in entries]

    def acknowledge(self, group: str, choice: int) -> None:
        in_hand = [seq for seq in self.given[group] if seq not in self.done[group]]
        for index, seq in enumerate(in_hand):
            if choice >> (index % 30) & 1:
                self.tallies[group].acknowledge(self.key, f"{seq}-1")
                self.done[group].add(seq)

    def look(self, group: str, _: int = 0) -> None:
        missed = self.tallies[group].missed(self.key)
        self.told[group] += missed.count if missed else 0

    def tend(self, _: int, hours: int) -> None:
        self.now_ms += hours * HOUR_MS
        tended: Tended = self.retention.tend("eu", self.now_ms)
        there = seqs(self.client, self.prefix)
        gone = [seq for seq in self.there if seq not in set(there)]
        assert tended.removed == len(gone) and tended.entries == len(there)
        assert there == self.there[len(gone) :]
        for seq in gone:
            age_ms = self.now_ms - self.made[seq]
            needed = any(seq not in done for done in self.done.values())
            assert age_ms >= (UNREAD_MS if needed else KEEP_MS)
        for group, done in self.done.items():
            assert tended.lost.get(group, 0) == len([seq for seq in gone if seq not in done])
            waiting = [self.now_ms - self.made[seq] for seq in there if seq not in done]
            assert tended.lag_ms[group] == max(waiting, default=0)
        stay = [
            seq
            for seq in there
            if self.now_ms - self.made[seq] < KEEP_MS
            or any(seq not in done for done in self.done.values())
        ]
        assert len(there) <= len([seq for seq in there if seq >= min(stay, default=0)]) + A_NODE
        self.there, self.removed = there, self.removed + len(gone)
        assert self.removed == len(self.made) - len(self.there)

    def settle(self) -> None:
        """Let each group read all there is; require the entries it missed to be those reported."""
        for group in self.given:
            self.look(group)
            self.read(group, 10_000)
            self.look(group)
            assert self.told[group] == len(self.made) - len(self.given[group])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(deeds=_DEEDS)
def test_nothing_that_is_needed_goes_and_all_that_goes_is_counted(
    redis_client: redis.Redis, prefix: str, deeds: list[tuple[str, Any, Any]]
) -> None:
    model = _Model(redis_client, prefix)
    for name, first, second in deeds:
        getattr(model, name)(first, second)
    model.tend(0, 0)
    model.settle()


def test_a_consumer_says_how_many_actions_were_trimmed_before_it_came(
    redis_client: redis.Redis, redis_url: str, prefix: str
) -> None:
    writer = a_writer(redis_client, prefix)
    told: list[Missed] = []

    def a_consumer() -> ActionConsumer:
        return ActionConsumer(
            redis_url, group="wms", prefix=prefix, block_ms=20, on_missed=told.append
        )

    def seen(consumer: ActionConsumer, count: int) -> list[int]:
        found: list[int] = []
        for action in consumer:
            found.append(action.seq)
            if len(found) == count:
                consumer.stop()
        return found

    writer.write(hourly(5))
    with a_consumer() as before:
        assert seen(before, 5) == [1, 2, 3, 4, 5]
    writer.write(hourly(45)[5:])
    redis_client.xtrim(stream_key(prefix, "eu", "escalate"), maxlen=15, approximate=False)
    with a_consumer() as after:
        assert seen(after, 15) == list(range(31, 46))
        assert after.counts.missed == 25
    assert [(one.network, one.kind, one.count, one.oldest_kept) for one in told] == [
        ("eu", "escalate", 25, "31-1")
    ]
    assert "25 entries of escalate in eu were trimmed" in str(told[0])
    writer.write([an_entry_of(46, START_MS)])
    with a_consumer() as later:
        assert seen(later, 1) == [46]
    assert len(told) == 1  # once


def test_a_consumer_that_came_late_misses_nothing_of_what_was_before(
    redis_client: redis.Redis, redis_url: str, prefix: str
) -> None:
    a_writer(redis_client, prefix).write(hourly(40))
    redis_client.xtrim(stream_key(prefix, "eu", "escalate"), maxlen=15, approximate=False)
    told: list[Missed] = []
    with ActionConsumer(
        redis_url, group="new", prefix=prefix, block_ms=20, on_missed=told.append
    ) as consumer:
        assert next(iter(consumer)).seq == 26
    assert told == []


def test_a_group_that_was_made_by_hand_is_counted_from_the_first_look_on(
    redis_client: redis.Redis, prefix: str
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    a_writer(redis_client, prefix).write(hourly(10))
    redis_client.xgroup_create(key, "wms", "0")
    tally = Tally(redis_client, "wms", lambda ask: ask())
    assert tally.missed(key) is None
    redis_client.xtrim(key, maxlen=4, approximate=False)
    missed = tally.missed(key)
    assert missed is not None and (missed.count, missed.oldest_kept) == (6, "7-1")
    redis_client.xtrim(key, maxlen=0)
    missed = tally.missed(key)
    assert missed is not None and (missed.count, missed.oldest_kept) == (4, "")
    assert tally.missed(key) is None


def test_whoever_wants_to_look_first_is_stopped_before_the_next_action(
    redis_client: redis.Redis, redis_url: str, prefix: str
) -> None:
    key = stream_key(prefix, "eu", "escalate")
    a_writer(redis_client, prefix).write(hourly(3))

    class Halt(Exception):
        pass

    def halt(missed: Missed) -> None:
        raise Halt(str(missed))

    def a_consumer(name: str) -> ActionConsumer:
        return ActionConsumer(
            redis_url, group="wms", consumer=name, prefix=prefix, block_ms=20, on_missed=halt
        )

    with a_consumer("one") as consumer:
        next(iter(consumer))
        consumer.run(lambda _: consumer.stop())
    a_writer(redis_client, prefix).write(hourly(9)[3:])
    redis_client.xtrim(key, maxlen=2, approximate=False)
    with a_consumer("two") as consumer, pytest.raises(Halt, match=r"before 8-1"):
        consumer.run(lambda _: pytest.fail("nothing is carried out before"))
    with a_consumer("one") as consumer:  # a person has looked: it continues
        consumer.run(lambda action: consumer.stop() if action.seq == 9 else None)


def test_times_read_from_entries_are_exact(redis_client: redis.Redis, prefix: str) -> None:
    moments = [NOON + timedelta(milliseconds=each) for each in (0, 1, 999, 1_000, 1_001)]
    a_writer(redis_client, prefix).write(
        [an_entry_of(seq, to_ms(moment)) for seq, moment in enumerate(moments, 1)]
    )
    retention = a_retention(redis_client, prefix)
    key = stream_key(prefix, "eu", "escalate")
    for seq, moment in enumerate(moments, 1):
        assert retention._first_after(key, to_ms(moment)) == (min(seq + 1, 6), 0)
    assert retention._first_after(key, START_MS - 1) == (0, 0)
