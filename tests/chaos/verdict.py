"""The verdict: raw topics, journal, dead letters, Redis and actions topic, compared with a fold.

It reads what is there with nothing but the readers, and folds the journal plainly. So it holds for
whatever happened to the processes in between.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from confluent_kafka import Message

from flows.live.kafka_outlet import ACTION_ID
from flows.wiring.outcomes import DEAD_LETTERS, outcomes
from operators.chain import NO_NETWORK, build_chain, to_record
from operators.core.contract import Chain, Record, step_all
from operators.core.facts import Duplicate
from state.codec import DeadLetter, JournalLine, decode
from state.events import ClockTicked, Event
from state.policy import Policy
from state.settings import Settings
from state.stores.kafka_dead_letters import ORIGIN, StoredLetter, headers_of, origin_of
from state.stores.kafka_reader import KafkaReader, Place
from state.stores.kafka_topics import KafkaTopics
from state.stores.redis_keys import FIELD, stream_key

#: Header of messages that a test puts into the journal itself.
FOREIGN = "chaos-foreign"
_CLOCK = "crossdock/ingest"
_WAIT_S = 0.1

#: Network and kind of a stream; id and body of an entry.
Stream = tuple[str, str]
Entry = tuple[str, bytes]
#: An event's name: network, source, id.
Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Counts of a deployment in which nothing was lost and nothing came twice."""

    raw: int
    """Messages in the raw topics that are events."""
    events: int
    """Different events among them."""
    unusable: int
    """Messages in the raw topics that are none."""
    journal: int
    """Records in the journal."""
    ticks: int
    """Of these, clock ticks of ingest."""
    duplicates: int
    """Of these, left out as seen before."""
    refused: int
    """Events that hygiene refused for good: too late, or never introduced."""
    actions: int
    """Actions, each once in Redis and once in the actions topic."""

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(**{name: value + vars(other)[name] for name, value in vars(self).items()})

    def __str__(self) -> str:
        return ", ".join(f"{value:,} {name}" for name, value in vars(self).items())


def judge(settings: Settings, client: redis.Redis) -> Verdict:
    """Read everything and fold it; raise AssertionError that names what does not fit."""
    topics = settings.topics
    ours = {topics.journal, topics.dead_letters} | ({topics.actions} - {""})
    kept = read(settings, {feed.topic for feed in settings.feeds} | ours)
    raw = {
        origin_of(*place, _offset(message)): message.value()
        for place, messages in kept.items()
        for message in messages
        if place[0] not in ours
    }
    journal = [kept[topics.journal, partition] for partition in range(topics.partitions)]
    letters: dict[str, bytes] = {}
    for (topic, _), messages in kept.items():
        if topic == topics.dead_letters:
            for stored in map(StoredLetter, messages):
                letters.setdefault(stored.origin, stored.letter.line.raw)
    folded = _Fold()
    for partition, messages in enumerate(journal):
        folded.partition(topics.journal, partition, messages)

    good = {origin: event for origin, value in raw.items() if (event := _event(value or b""))}
    _require_ingested(settings, good, journal)
    _require_once(set(map(_key, good.values())), folded)
    _require_dead_letters(letters, {o: v for o, v in raw.items() if o not in good}, folded)
    _require_in_redis(settings, client, folded)
    if topics.actions:
        _require_in_topic(settings, kept, folded)
    return Verdict(
        raw=len(good),
        events=len(set(map(_key, good.values()))),
        unusable=len(raw) - len(good),
        journal=sum(map(len, journal)),
        ticks=folded.ticks,
        duplicates=folded.duplicates,
        refused=len(folded.refused - folded.inside),
        actions=sum(map(len, folded.actions.values())),
    )


def read(settings: Settings, topics: Collection[str]) -> dict[Place, list[Message]]:
    """Return all messages of these topics by partition, in order."""
    counts = KafkaTopics(settings.kafka).partitions()
    places = [(topic, partition) for topic in topics for partition in range(counts[topic])]
    reader = KafkaReader(settings.kafka, dict.fromkeys(places))
    found: dict[Place, list[Message]] = {place: [] for place in places}
    try:
        while True:
            messages = reader.read(500, _WAIT_S)
            for message in messages:
                found[str(message.topic()), message.partition() or 0].append(message)
            if not messages and reader.is_at_end():
                return found
    finally:
        reader.close()


def streams_of(client: redis.Redis, prefix: str) -> dict[str, list[Entry]]:
    """Return every stream under `prefix`, by its key."""
    found: dict[str, list[Entry]] = {}
    for key in client.scan_iter(f"{prefix}:*", count=1_000):
        if client.type(key) == b"stream":
            entries: Any = client.xrange(key)
            found[key.decode()] = [(name.decode(), fields[FIELD]) for name, fields in entries]
    return found


@dataclass
class _Fold:
    """A plain fold over the journal, and how each event fared at the gate."""

    chains: dict[str, Chain] = field(default_factory=dict)
    streams: dict[Stream, list[Entry]] = field(default_factory=dict)
    #: Actions in order, by network; and the partition of each network.
    actions: dict[str, list[Entry]] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    inside: set[Key] = field(default_factory=set)
    refused: set[Key] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)
    duplicates: int = 0
    ticks: int = 0

    def partition(self, topic: str, partition: int, messages: Iterable[Message]) -> None:
        """Fold a partition of the journal."""
        self._topic, self._number = topic, partition
        for message in messages:
            seq = _offset(message) + 1
            raw = _bytes(message)
            self._step(to_record(JournalLine(seq, f"{topic}[{partition}]", seq, raw, len(raw))))

    def _step(self, record: Record) -> None:
        network = record.network
        chain = self.chains.get(network)
        if chain is None:
            chain = self.chains[network] = build_chain(network, Policy())
        if network == NO_NETWORK:
            self._leaves(chain.step(record))
            return
        before = self.partitions.setdefault(network, self._number)
        assert before == self._number, f"{network} is in partitions {before} and {self._number}"
        hygiene, *others = chain.parts
        admitted = hygiene.step(record)
        self._gate(record, admitted)
        self._leaves(step_all(Chain(others), admitted))

    def _gate(self, record: Record, admitted: Sequence[Record]) -> None:
        assert record.event is not None
        key = _key(record.event)
        self.ticks += key[1] == _CLOCK
        was_let_in = True
        for each in admitted:
            if isinstance(each.fact, Duplicate):
                self.duplicates += 1
                was_let_in = False
            elif isinstance(each.fact, DeadLetter):
                given_up = _event(each.fact.line.raw)
                assert given_up is not None
                self.refused.add(_key(given_up))
                self.inside.discard(_key(given_up))
                was_let_in = was_let_in and each.fact.line.seq != record.seq
        if was_let_in:
            if key in self.inside:
                self.twice.append(f"{key} at {record.seq}")
            self.inside.add(key)

    def _leaves(self, records: Sequence[Record]) -> None:
        for outcome in outcomes(records):
            if outcome.stream == DEAD_LETTERS:
                continue
            entry = (outcome.entry_id, outcome.body)
            self.streams.setdefault((outcome.network, outcome.stream), []).append(entry)
            if outcome.is_action:
                self.actions.setdefault(outcome.network, []).append(entry)
        for record in records:
            if isinstance(record.fact, DeadLetter):
                offset = record.fact.line.line - 1
                self.dead.add(origin_of(self._topic, self._number, offset))


def _require_ingested(
    settings: Settings, good: Mapping[str, Event], journal: Sequence[Sequence[Message]]
) -> None:
    """Require every raw event in the journal as it came, and nothing else."""
    keeps = settings.ingest.stamp == "keep"
    came: set[str] = set()
    for messages in journal:
        for message in messages:
            headers = headers_of(message)
            if FOREIGN in headers:
                continue
            event = _event(_bytes(message))
            assert event is not None, f"ingest wrote what is no event: {message.value()!r:.200}"
            if ORIGIN not in headers:
                is_tick = isinstance(event.fact, ClockTicked) and event.source == _CLOCK
                assert is_tick, f"in the journal without an origin: {event}"
                continue
            origin = headers[ORIGIN].decode()
            source = good.get(origin)
            assert source is not None, f"in the journal, but not in the raw topics: {origin}"
            same = event == source if keeps else _key(event) == _key(source)
            assert same and event.fact == source.fact, f"{origin} was {source}, became {event}"
            came.add(origin)
    lost = [origin for origin in good if origin not in came]
    assert not lost, f"{len(lost)} raw events are not in the journal: {lost[:5]}"


def _require_once(keys: set[Key], folded: _Fold) -> None:
    assert not folded.twice, f"{len(folded.twice)} events let in twice: {folded.twice[:5]}"
    lost = keys - folded.inside - folded.refused
    assert not lost, f"{len(lost)} events took no effect: {sorted(lost)[:5]}"


def _require_dead_letters(
    letters: Mapping[str, bytes], bad: Mapping[str, bytes | None], folded: _Fold
) -> None:
    _require_same("dead letters", {*bad, *folded.dead}, letters)
    for origin, value in bad.items():
        assert letters[origin] == (value or b""), f"{origin} is kept as {letters[origin]!r:.100}"


def _require_in_redis(settings: Settings, client: redis.Redis, folded: _Fold) -> None:
    prefix = settings.redis.prefix
    expected = {stream_key(prefix, *of): entries for of, entries in folded.streams.items()}
    found = streams_of(client, prefix)
    _require_same("streams in Redis", expected, found)
    for key, entries in expected.items():
        _require_same(f"entries of {key}", entries, found[key])


def _require_in_topic(
    settings: Settings, kept: Mapping[Place, Sequence[Message]], folded: _Fold
) -> None:
    topic = settings.topics.actions
    for partition in range(settings.topics.partitions):
        found: dict[str, list[Entry]] = {}
        for message in kept[topic, partition]:
            name = headers_of(message)[ACTION_ID].decode()
            network, _, entry_id = name.rpartition(":")
            assert message.key() == network.encode(), f"{name} has the key {message.key()!r}"
            found.setdefault(network, []).append((entry_id, _bytes(message)))
        expected = {n: e for n, e in folded.actions.items() if folded.partitions[n] == partition}
        _require_same(f"networks in {topic}[{partition}]", expected, found)
        for network, entries in expected.items():
            _require_same(f"actions of {network} in {topic}", entries, found[network])


def _require_same(what: str, expected: Iterable[Hashable], found: Iterable[Hashable]) -> None:
    """Require the same items as often, and in the same order if both are lists."""
    wanted, there = Counter(list(expected)), Counter(list(found))
    lost, more = wanted - there, there - wanted
    if lost or more:
        raise AssertionError(
            f"{what}: {lost.total()} lost, {more.total()} too many of {wanted.total()}; "
            f"lost {_few(lost)}, too many {_few(more)}"
        )
    if isinstance(expected, list) and isinstance(found, list):
        assert expected == found, f"{what}: the same, in another order"


def _few(things: Iterable[Hashable]) -> str:
    return str([f"{each!r:.80}" for each in sorted(things, key=repr)[:4]])


def _event(raw: bytes) -> Event | None:
    found = decode(JournalLine(1, "verdict", 1, raw, len(raw)))
    return found if isinstance(found, Event) else None


def _key(event: Event) -> Key:
    return event.network, event.source, event.id


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset


def _bytes(message: Message) -> bytes:
    value = message.value() or b""
    return value if isinstance(value, bytes) else value.encode()
