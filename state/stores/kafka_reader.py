"""Reader of partitions of Kafka topics from given places: one consumer, no group's assignment.

`consume(n, 0)` of one consumer over all its partitions hands out what has already been fetched, in
microseconds; waiting is the caller's own affair. What is fetched ahead is bounded.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from state.errors import JournalError
from state.settings import KafkaSettings
from state.stores.kafka_client import Troubles, Warn, client_config, is_hopeless, kafka_error

#: Fetched ahead and not yet handed out, at most, in kB; over all partitions.
_HELD_KB = 16 * 1024
_TIMEOUT_S = 5.0
#: Longest time that a broker holds back an answer that would be empty; it says where the end is.
_IDLE_MS, _END_MS = 500, 20
_WATCH_EVERY_MS = 2_000
_AGAIN_S = 0.1
_BATCH, _WAIT_S = 1_000, 0.1

Place = tuple[str, int]


def where(message: Message) -> Place:
    """Return topic and partition of a consumed message."""
    return str(message.topic()), int(message.partition() or 0)


def bytes_of(message: Message) -> bytes:
    """Return the value of a consumed message; empty where it has none."""
    value = message.value() or b""
    return value if isinstance(value, bytes) else value.encode()


class KafkaReader:
    """Reader of some partitions, in order within each; `starts` holds each beginning.

    A start is an offset, or None for the beginning. `group` is only the name that progress is
    kept under. A reader that is to stop at the end (`to_end`) learns of it sooner. `reached` learns
    every few seconds whether a broker can be reached. Raises StoreError where Kafka fails for good.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        starts: Mapping[Place, int | None],
        *,
        group: str = "crossdock-reader",
        to_end: bool = False,
        warn: Warn | None = None,
        reached: Callable[[bool], object] | None = None,
    ) -> None:
        self._bootstrap = settings.bootstrap
        self._troubles = Troubles(settings.bootstrap, warn)
        watching = {} if reached is None else _watching(reached)
        self._consumer = Consumer(
            client_config(
                settings,
                **watching,
                **{
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    # A missing place must be reported, not jumped over.
                    "auto.offset.reset": "error",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "fetch.min.bytes": 1,
                    "fetch.wait.max.ms": _END_MS if to_end else _IDLE_MS,
                    "fetch.error.backoff.ms": 50,
                    "queued.max.messages.kbytes": _HELD_KB,
                    "error_cb": self._troubles,
                },
            )
        )
        self._ended: dict[Place, bool] = dict.fromkeys(starts, False)
        first = [
            TopicPartition(topic, partition, 0 if start is None else start)
            for (topic, partition), start in starts.items()
        ]
        #: First offset kept, and the one after the last, of each partition at the start. Asking
        #: later takes longer: the answer waits behind a fetch that waits for messages.
        self.first_ends: dict[Place, tuple[int, int]] = {}
        for place in first:
            low, high = self._watermarks(place)
            self.first_ends[place.topic, place.partition] = (low, high)
            if starts[place.topic, place.partition] is None:
                place.offset = low
        self._starts = {(at.topic, at.partition): at for at in first}
        self._consumer.assign(first)

    def starts(self) -> dict[Place, int]:
        """Return the place where reading each partition began."""
        return {place: at.offset for place, at in self._starts.items()}

    def restart(self, place: Place, offset: int) -> None:
        """Read a place from `offset` on instead; before anything was read."""
        self._starts[place] = TopicPartition(*place, offset)
        self._consumer.assign(list(self._starts.values()))

    def read(self, count: int, timeout_s: float = 0.0) -> list[Message]:
        """Return up to `count` messages after waiting up to `timeout_s` for them.

        Raises JournalError where a place no longer exists, StoreError where Kafka fails for good.
        """
        return self._taken(self._consumer.consume(count, timeout_s))

    def read_at_once(self, count: int, wait_s: float) -> list[Message]:
        """Return up to `count` messages as soon as there is one, waiting up to `wait_s` for it.

        Raises as `read`. While it waits it costs nothing, and a message ends the waiting at once.
        """
        if not wait_s:
            return self.read(count)
        first = self._consumer.poll(wait_s)
        if first is None:
            return self._taken([])
        return self._taken([first, *self._consumer.consume(count, 0)])

    def _taken(self, messages: Sequence[Message]) -> list[Message]:
        self._troubles.raise_hopeless("read")
        found: list[Message] = []
        for message in messages:
            error = message.error()
            place = where(message)
            if error is None:
                self._ended[place] = False
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended[place] = True
            else:
                self._met(error, message)
        return found

    def read_to_end(self) -> Iterator[Message]:
        """Yield all messages up to each partition's end as of the start. Raises as `read`."""
        ends = {place: high for place, (_, high) in self.first_ends.items()}
        left = {place for place, start in self.starts().items() if start < ends[place]}
        while left:
            for message in self.read(_BATCH, _WAIT_S):
                place = where(message)
                if int(message.offset() or 0) + 1 >= ends[place]:
                    left.discard(place)
                yield message
            # The last record may be a transaction's mark instead of a message.
            left -= {place for place in left if self._ended[place]}

    def is_at_end(self) -> bool:
        """Return whether every partition's end was reached, and nothing came since."""
        return all(self._ended.values())

    def ends(self) -> dict[Place, tuple[int, int]]:
        """Return each partition's first kept offset and end offset; asks the brokers."""
        return {place: self._watermarks(TopicPartition(*place)) for place in self._ended}

    def behind(self) -> dict[Place, int]:
        """Return how many messages of each partition are not handed out, as far as is known."""
        lags = {}
        for at in self._consumer.position([TopicPartition(*place) for place in self._ended]):
            _, high = self._consumer.get_watermark_offsets(at, cached=True)
            lags[at.topic, at.partition] = max(0, high - at.offset) if at.offset >= 0 else 0
        return lags

    def known_end(self, place: Place) -> int:
        """Return the offset after the last message, by the last answer of a broker; 0 if none."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return max(0, int(high))

    def hold(self, pause: Iterable[Place], resume: Iterable[Place]) -> None:
        """Fetch no more of some places for now, and go on with others."""
        if held := [TopicPartition(*place) for place in pause]:
            self._consumer.pause(held)
        if again := [TopicPartition(*place) for place in resume]:
            self._consumer.resume(again)

    def commit(self, nexts: Mapping[Place, int], *, wait: bool) -> None:
        """Commit the next offsets under the group's name; raise StoreError if asked to `wait`."""
        offsets = [TopicPartition(*place, offset) for place, offset in nexts.items()]
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise kafka_error(self._bootstrap, "commit progress", error) from error

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _watermarks(self, place: TopicPartition) -> tuple[int, int]:
        doing = f"find {place.topic}[{place.partition}]"
        until = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                found: Any = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
            except KafkaException as error:
                self._troubles.raise_hopeless("read")
                # A topic just made, or one whose leader is moving, is found in a moment.
                if is_hopeless(error.args[0]) or time.monotonic() > until:
                    raise kafka_error(self._bootstrap, doing, error) from error
                time.sleep(_AGAIN_S)
                continue
            if found is None:
                raise kafka_error(self._bootstrap, doing, KafkaError(KafkaError._TIMED_OUT))
            return int(found[0]), int(found[1])

    def _met(self, error: KafkaError, message: Message) -> None:
        named = message.topic() is not None
        what = f"read {message.topic()}[{message.partition()}]" if named else "read"
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise JournalError(
                f"expected {message.topic()}[{message.partition()}] to hold offset "
                f"{message.offset()}, was gone ({error.str()}): it was deleted by the topic's "
                "retention, or the broker lost it"
            )
        if is_hopeless(error) or error.code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
        ):
            raise kafka_error(self._bootstrap, what, error)
        self._troubles(error)  # librdkafka goes on trying


def _watching(reached: Callable[[bool], object]) -> dict[str, Any]:
    """Return settings that make librdkafka report now and then whether a broker can be reached."""

    def on_statistics(statistics: str) -> None:
        brokers = orjson.loads(statistics)["brokers"].values()
        reached(any(broker["nodeid"] >= 0 and broker["state"] == "UP" for broker in brokers))

    return {"statistics.interval.ms": _WATCH_EVERY_MS, "stats_cb": on_statistics}


def committed(
    settings: KafkaSettings, group: str, places: Iterable[Place]
) -> dict[Place, int | None]:
    """Return the offset at which a group resumes in each place; None where it has never been.

    Raises StoreError.
    """
    troubles = Troubles(settings.bootstrap, None)
    consumer = Consumer(
        client_config(
            settings, **{"group.id": group, "enable.auto.commit": False, "error_cb": troubles}
        )
    )
    wanted = [TopicPartition(*place) for place in places]
    until = time.monotonic() + _TIMEOUT_S
    try:
        while True:
            try:
                found = consumer.committed(wanted, timeout=_TIMEOUT_S)
                break
            except KafkaException as error:
                troubles.raise_hopeless("read progress")
                # A broker that has just started looks for the group's coordinator first.
                if is_hopeless(error.args[0]) or time.monotonic() > until:
                    raise kafka_error(
                        settings.bootstrap, f"read the progress of {group}", error
                    ) from error
                time.sleep(_AGAIN_S)
    finally:
        consumer.close()
    return {(at.topic, at.partition): at.offset if at.offset >= 0 else None for at in found}
