"""Write messages to Kafka: in order, each once per producer, and known to have arrived.

The producer is idempotent: what it sends again over a lost connection does not arrive twice. It
waits for brokers without end; what it holds meanwhile is bounded, and then so is the caller.
"""

import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from state.errors import StoreError
from state.settings import KafkaSettings
from state.stores.kafka_client import Troubles, Warn, client_config, kafka_error

#: Held and not yet acknowledged, at most.
_HELD_MESSAGES = 50_000
_HELD_KB = 32 * 1024
_WAIT_S = 0.05

Headers = Sequence[tuple[str, bytes]]


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """A message on its way. `of` and `place` let its sender know whether it is there already."""

    topic: str
    value: bytes
    key: bytes
    partition: int = -1
    headers: Headers = ()
    of: str = ""
    place: tuple[int, int] | None = None


class KafkaWriter:
    """Sender of messages; `flush` returns when all have arrived.

    `linger_ms` is how long a message may wait for company. `may_wait` is asked while the brokers
    do not answer; False gives up. With `reports`, `ends` knows where each partition ends.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        linger_ms: float = 1.0,
        largest_bytes: int = 1_500_000,
        warn: Warn | None = None,
        may_wait: Callable[[], bool] = lambda: True,
        reports: bool = False,
    ) -> None:
        self._bootstrap, self._may_wait = settings.bootstrap, may_wait
        #: The offset after the last message known to have arrived, of each partition.
        self.ends: dict[tuple[str, int], int] = {}
        self._troubles = Troubles(settings.bootstrap, warn)
        self._failed: list[tuple[str, KafkaError]] = []
        self._producer = Producer(
            client_config(
                settings,
                **{
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": linger_ms,
                    "compression.type": "lz4",
                    "message.timeout.ms": 0,
                    "message.max.bytes": largest_bytes,
                    "queue.buffering.max.messages": _HELD_MESSAGES,
                    "queue.buffering.max.kbytes": _HELD_KB,
                    # The one that Java producers have, so that all agree on a network's partition.
                    "partitioner": "murmur2_random",
                    "delivery.report.only.error": not reports,
                    "error_cb": self._troubles,
                },
            )
        )

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = -1,
        headers: Headers = (),
    ) -> None:
        """Hand over one message; waits while too many are under way. Raises StoreError."""
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition,
                    on_delivery=self._reported,
                    headers=list(headers) or None,
                )
                return
            except BufferError:
                self._producer.poll(_WAIT_S)
                self.check()
                if not self._may_wait():
                    raise self._gave_up() from None
            except KafkaException as error:
                raise kafka_error(self._bootstrap, f"write to {topic}", error) from error

    def poll(self) -> None:
        """Take reports in, now and then. Raises StoreError as `check`."""
        self._producer.poll(0)
        self.check()

    def check(self) -> None:
        """Raise StoreError if a message could not be delivered, or never will be."""
        if self._failed:
            topic, error = self._failed[0]
            raise kafka_error(self._bootstrap, f"write to {topic}", error)
        self._troubles.raise_hopeless("write")

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all have arrived; raises StoreError if one did not, or not in `timeout_s`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self._producer.flush(_WAIT_S):
            self.check()
            if (until is not None and time.monotonic() > until) or not self._may_wait():
                raise self._gave_up()
        self.check()

    def _gave_up(self) -> StoreError:
        return StoreError(
            f"expected Kafka {self._bootstrap} to take {len(self._producer)} messages, it did not: "
            "is it running and reachable from here?"
        )

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((str(message.topic()), error))
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        self.ends[str(message.topic()), partition] = offset + 1
