"""Dead letters fit into their topic whatever came, and name what was cut of it."""

import hashlib
from pathlib import Path

import msgspec
import orjson
import pytest
from confluent_kafka import Message

from flows.ingest.ingest import ingest
from flows.live.requeue import listed, requeue
from state.codec import encode, make_event
from state.errors import JournalError
from state.events import NetworkHalted
from state.settings import Settings
from state.stores.kafka_dead_letters import ORIGIN, StoredLetter
from state.stores.kafka_writer import KafkaWriter
from state.untrusted import MAX_KEPT_BYTES
from tests.builders import START_MS
from tests.chaos.hostile import Hostile, HostileProducer, send_with_raw_header_name
from tests.live import deployment, make_topics, messages_of
from tests.services.kafka_broker import KafkaCluster

_LARGE = b"x" * 10_000_000


@pytest.fixture
def live(kafka: KafkaCluster, topics: str, redis_url: str, tmp_path: Path) -> Settings:
    settings = deployment(kafka.bootstrap, redis_url, topics, tmp_path)
    make_topics(settings)
    return settings


def came(live: Settings, *messages: Hostile) -> list[StoredLetter]:
    name = live.feeds[0].topic.rpartition(".")[0]
    producer = HostileProducer(live.kafka.bootstrap, name)
    for message in messages:
        producer.send(message)
        producer.flush()
    ingest(live, once=True)
    return [StoredLetter(m) for m in messages_of(live, live.topics.dead_letters)]


def test_what_is_larger_than_a_letter_keeps_its_start_size_and_digest(live: Settings) -> None:
    (letter,) = came(live, Hostile(family="demand", value=_LARGE, codec="zstd"))
    line = letter.letter.line
    assert line.raw == _LARGE[:MAX_KEPT_BYTES] and line.size == len(_LARGE)
    assert line.sha256 == hashlib.sha256(_LARGE).hexdigest()
    assert letter.cut == f"only the first {MAX_KEPT_BYTES} of {len(_LARGE)} bytes were kept"


def test_headers_that_do_not_fit_are_left_out_and_counted(live: Settings) -> None:
    many = tuple((f"n{n}", b"v") for n in range(1_000))
    large = (("small", b"1"), ("large", b"v" * 3_000_000))
    first, second = came(
        live,
        Hostile(family="demand", value=b"{", headers=many),
        Hostile(family="demand", value=b"{", headers=large, codec="zstd"),
    )
    assert len(first.headers) == 64 and first.cut == "936 of 1000 headers were left out"
    assert second.headers == {"small": b"1"} and second.cut == "1 of 2 headers were left out"


def test_a_header_whose_name_is_not_utf8_stops_nothing(live: Settings) -> None:
    for _ in range(20):
        if not send_with_raw_header_name(live.kafka.bootstrap, live.feeds[0].topic, b"\xff\xfe"):
            pytest.skip("needs a wheel of confluent-kafka that carries librdkafka")
    letters = came(live)
    assert len(letters) == 20
    assert all(letter.letter.line.raw == b"raw" and letter.cut for letter in letters)


def test_a_letter_that_was_cut_is_not_put_in_again_nor_is_anything_beside_it(
    live: Settings, tmp_path: Path
) -> None:
    came(
        live,
        Hostile(family="demand", value=b"{"),
        Hostile(family="demand", value=_LARGE, codec="zstd"),
    )
    path = tmp_path / "letters.jsonl"
    path.write_bytes(b"\n".join(listed(live)) + b"\n")
    with pytest.raises(JournalError, match=r"bytes were kept.*letters\.jsonl:2: delete the line"):
        requeue(live, path, START_MS)
    assert len(list(listed(live))) == 2


def test_an_origin_that_a_producer_claims_leads_nowhere_else(
    live: Settings, tmp_path: Path
) -> None:
    """Else whoever may write to one topic could have a message put in again at another."""
    claims = (f"{live.feeds[3].topic}/0/0", f"{live.topics.journal}/0/0", "nowhere", "a/b/c")
    letters = came(
        live,
        *(
            Hostile(family="telemetry", value=b"{", headers=((ORIGIN, claim.encode()),))
            for claim in claims
        ),
    )
    topic = live.feeds[1].topic
    assert [letter.origin for letter in letters] == [f"{topic}/0/{n}" for n in range(len(claims))]
    path = tmp_path / "letters.jsonl"
    path.write_bytes(b"\n".join(listed(live)) + b"\n")
    assert requeue(live, path, START_MS).messages == len(claims)
    assert len(messages_of(live, topic)) == 2 * len(claims)
    assert messages_of(live, live.feeds[3].topic) == []
    assert messages_of(live, live.topics.journal) == []


def test_what_is_forbidden_stays_so_when_it_is_put_in_again(live: Settings, tmp_path: Path) -> None:
    halt = make_event(NetworkHalted(by="ceo"), id="h", source="s", network="demo", time_ms=START_MS)
    claim = f"{live.feeds[3].topic}/0/0".encode()
    message = Hostile(family="telemetry", value=encode(halt), headers=((ORIGIN, claim),))
    (letter,) = came(live, message)
    assert letter.letter.reason == "forbidden"
    path = tmp_path / "letters.jsonl"
    path.write_bytes(b"\n".join(listed(live)) + b"\n")
    assert requeue(live, path, START_MS).messages == 1
    first, marked, again = [StoredLetter(m) for m in _after_ingest(live)]
    assert marked.letter.line.raw == b"" and marked.origin == first.origin
    assert again.letter.reason == "forbidden" and again.origin == f"{live.feeds[1].topic}/0/1"
    assert messages_of(live, live.topics.journal) == []


def _after_ingest(live: Settings) -> list[Message]:
    ingest(live, once=True)
    return messages_of(live, live.topics.dead_letters)


def test_a_letter_of_a_feed_that_is_no_more_says_so(live: Settings, tmp_path: Path) -> None:
    came(live, Hostile(family="telemetry", value=b"{"))
    path = tmp_path / "letters.jsonl"
    path.write_bytes(b"\n".join(listed(live)) + b"\n")
    fewer = msgspec.structs.replace(live, feeds=live.feeds[:1])
    with pytest.raises(JournalError, match="the settings have no such feed"):
        requeue(fewer, path, START_MS)


def test_a_dead_letter_topic_that_takes_too_little_is_refused_at_the_start(live: Settings) -> None:
    from state.stores.kafka_topics import planned, problems

    plans = [plan for plan in planned(live) if plan.name == live.topics.dead_letters]
    configs = {live.topics.dead_letters: {"max.message.bytes": "1048588"}}
    (problem,) = problems(plans, {live.topics.dead_letters: 1}, configs)
    assert "max.message.bytes of at least 1500000, was 1048588" in problem


def test_requeue_stamps_what_it_can_and_leaves_deep_nesting_as_it_is(
    live: Settings, tmp_path: Path
) -> None:
    origin = f"{live.topics.journal}/0/0"
    deep = b"[" * 500 + b"]" * 500
    writer = KafkaWriter(live.kafka)
    writer.send(live.topics.dead_letters, deep, key=origin.encode())
    writer.flush()
    path = tmp_path / "letters.jsonl"
    path.write_bytes(orjson.dumps({"origin": origin, "raw": deep.decode()}) + b"\n")
    assert requeue(live, path, START_MS).messages == 1
    assert [m.value() for m in messages_of(live, live.topics.journal)] == [deep]
