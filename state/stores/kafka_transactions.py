"""Write messages to Kafka in transactions under one name, which only one process has at a time.

Opening a name fences whoever had it before: what that one has not committed never shows, and it can
commit nothing any more, however long it was paused. So whoever looks up, after opening, what is
there, knows all there will ever be of the others, and writes each message once. Readers see what is
committed, where their isolation level is `read_committed`.

A transaction takes 10 to 30 ms, which the stream does not wait for: a thread commits what has come
together meanwhile.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from state.errors import StoreError
from state.settings import KafkaSettings
from state.stores.kafka_client import Troubles, Warn, client_config, is_hopeless, kafka_error
from state.stores.kafka_writer import Outgoing

#: Held and not yet committed, at most; and in one transaction.
_HELD_MESSAGES, _HELD_BYTES = 50_000, 32 * 1024 * 1024
_BATCH_MESSAGES, _BATCH_BYTES = 2_000, 8 * 1024 * 1024
_LARGEST_BYTES = 1_500_000
#: After this the brokers give up a transaction whose process is gone, so that readers go on.
_TRANSACTION_MS = 10_000
_ANSWER_S, _AGAIN_S, _WAIT_S = 2.0, 0.1, 0.05
#: Interval at which the client's reports on its connections are polled while nothing is written.
_LISTEN_S = 1.0
#: For a first start: the brokers may have to make the topic that transactions are kept in.
_OPEN_S = 60.0


class TransactionalWriter:
    """Writer of messages under `name`, in order, each once. `open` comes first, `close` last.

    Where the name is lost, `is_ours` raises if another process is to have it; else it is taken
    again. `may_wait` says whether to go on while brokers do not answer, and `failed` gets what
    ends the writing. All of them are called from the writer's own thread.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        *,
        is_ours: Callable[[], object],
        may_wait: Callable[[], bool],
        failed: Callable[[Exception], object] = lambda error: None,
        warn: Warn | None = None,
    ) -> None:
        self._settings, self._name = settings, name
        self._is_ours, self._may_wait, self._failed = is_ours, may_wait, failed
        self._troubles = Troubles(settings.bootstrap, warn)
        self._opened: Callable[[], object] = lambda: None
        self._is_wanted: Callable[[Outgoing], bool] = lambda message: True
        self._producer: Producer | None = None
        self._changed = threading.Condition()
        self._queue: deque[Outgoing] = deque()
        self._held = self._held_bytes = 0
        self._is_closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="kafka", daemon=True)
        #: The offset after the last message known to be committed, of each partition.
        self.ends: dict[tuple[str, int], int] = {}
        self._delivered: dict[tuple[str, int], int] = {}

    def open(self, opened: Callable[[], object], is_wanted: Callable[[Outgoing], bool]) -> None:
        """Take the name, fencing whoever has it. Raises StoreError if that takes too long.

        `opened` is called each time the name has been taken, before anything is written, and
        `is_wanted` before each message is.
        """
        self._opened, self._is_wanted = opened, is_wanted
        self._take(time.monotonic() + _OPEN_S)
        self._thread.start()

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages over; waits while too many are under way. Raises StoreError."""
        size = sum(len(message.value) for message in messages)
        with self._changed:
            while self._held >= _HELD_MESSAGES or self._held_bytes >= _HELD_BYTES:
                self._raise_error()
                if not self._may_wait():
                    raise self._gave_up()
                self._changed.wait(_WAIT_S)
            self._raise_error()
            if messages:
                self._queue.extend(messages)
                self._held += len(messages)
                self._held_bytes += size
                self._changed.notify_all()

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all is committed; raises StoreError if it cannot be, or not in `timeout_s`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while self._held:
                self._raise_error()
                if (until is not None and time.monotonic() > until) or not self._may_wait():
                    raise self._gave_up()
                self._changed.wait(_WAIT_S)
            self._raise_error()

    def close(self) -> None:
        """Stop writing; what is not committed never shows."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(2 * _ANSWER_S)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                self._write(batch)
                with self._changed:
                    self._held -= len(batch)
                    self._held_bytes -= sum(len(message.value) for message in batch)
                    self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
            if not self._is_closing:
                self._failed(error)

    def _next_batch(self) -> list[Outgoing]:
        """Return what has come together, at least one message; nothing at the end."""
        batch: list[Outgoing] = []
        size = 0
        with self._changed:
            while not self._queue and not self._is_closing:
                self._changed.wait(_LISTEN_S)
                if self._producer is not None:
                    self._producer.poll(0)
            while self._queue and not self._is_closing:
                if len(batch) >= _BATCH_MESSAGES or size >= _BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
                size += len(batch[-1].value)
        return batch

    def _write(self, batch: Sequence[Outgoing]) -> None:
        """Commit a batch, however many transactions that takes."""
        while True:
            try:
                self._transact([message for message in batch if self._is_wanted(message)])
            except KafkaException as error:
                self._recover(error.args[0])
            else:
                self.ends |= self._delivered
                return

    def _transact(self, batch: Sequence[Outgoing]) -> None:
        self._delivered = {}
        if not batch:
            return
        producer = self._producer
        assert producer is not None
        producer.begin_transaction()
        for message in batch:
            producer.produce(
                message.topic,
                message.value,
                message.key,
                message.partition,
                on_delivery=self._reported,
                headers=list(message.headers) or None,
            )
        self._insist(producer.commit_transaction)

    def _insist(self, call: Callable[[float], object]) -> None:
        """Call until Kafka has answered. Raises KafkaException, StoreError if no longer allowed."""
        while True:
            try:
                call(_ANSWER_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                self._pause(error.args[0])

    def _pause(self, error: KafkaError) -> None:
        self._troubles.raise_hopeless("write")
        if self._is_closing or not self._may_wait():
            raise kafka_error(self._settings.bootstrap, "write", error)
        time.sleep(_AGAIN_S)

    def _on_error(self, error: KafkaError) -> None:
        """Note an error in the background; fatal ones are met in the next transaction."""
        if not error.fatal():
            self._troubles(error)

    def _recover(self, error: KafkaError) -> None:
        """Recover from a failed transaction, to be ready for another one. Raises StoreError."""
        if is_hopeless(error) and not error.fatal():
            raise kafka_error(self._settings.bootstrap, "write", error)
        if error.txn_requires_abort():
            assert self._producer is not None
            try:
                self._insist(self._producer.abort_transaction)
                return
            except KafkaException as failure:
                error = failure.args[0]
        if not error.fatal():
            raise kafka_error(self._settings.bootstrap, "write", error)
        # Another process has taken the name; or the brokers have given the transaction up while
        # this one was paused, or they were away. Kafka does not say which.
        self._is_ours()
        self._pause(error)
        self._take(None)

    def _take(self, until: float | None) -> None:
        """Take the name, and let what is there be looked up."""
        producer = self._producer = Producer(
            client_config(
                self._settings,
                **{
                    "transactional.id": self._name,
                    "transaction.timeout.ms": _TRANSACTION_MS,
                    "linger.ms": 0,
                    "compression.type": "lz4",
                    "message.max.bytes": _LARGEST_BYTES,
                    "partitioner": "murmur2_random",
                    "error_cb": self._on_error,
                },
            )
        )
        while True:
            try:
                producer.init_transactions(_ANSWER_S)
                break
            except KafkaException as failure:
                error = failure.args[0]
                if not error.retriable() or (until is not None and time.monotonic() > until):
                    raise kafka_error(
                        self._settings.bootstrap, f"open transactions as {self._name}", error
                    ) from failure
                self._pause(error)
        self._opened()

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is None:  # else the transaction cannot be committed, and says why
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            self._delivered[str(message.topic()), partition] = offset + 1

    def _gave_up(self) -> StoreError:
        return StoreError(
            f"expected Kafka {self._settings.bootstrap} to take {self._held} messages, it did not: "
            "is it running and reachable from here?"
        )
