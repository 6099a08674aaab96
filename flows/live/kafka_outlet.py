"""Actions and dead letters as Kafka messages.

Actions of journal partition p go to partition p of their topic, in transactions under p's name,
which one process has at a time. Their ids grow per network, so once the name is taken it is enough
to look up the last id of each network to know what has been written: none is lost, none is written
twice. Dead letters are keyed by their origin and may come twice after a crash.
"""

from collections.abc import Callable, Sequence

from flows.wiring.outcomes import DEAD_LETTERS, Outcome
from flows.wiring.outlets import Mark
from state.dead_letters import decode_dead_letter
from state.errors import EntriesLost
from state.settings import Settings
from state.stores.kafka_dead_letters import dead_letter_message, headers_of
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_transactions import TransactionalWriter
from state.stores.kafka_writer import Outgoing
from state.stores.redis_append import EntryId
from state.stores.redis_keys import entry_order

_NEXT = "next"
#: Before the names of networks whose actions up to some id were there before this process.
_LAST = "last:"
#: Header with an action's id, so that readers skip known ones without parsing the body.
ACTION_ID = "crossdock-id"
#: Longest time that a checkpoint may wait for acknowledgements.
_MARK_S = 2.0


class KafkaOutlet:
    """Outlet for what journal partition `partition` led to; its `writer` is under that name.

    Without an actions topic, only the dead letters. `turned` is called while it looks up what has
    been written, which may take long.
    """

    def __init__(
        self,
        settings: Settings,
        partition: int,
        writer: TransactionalWriter,
        turned: Callable[[], object] = lambda: None,
    ) -> None:
        self._settings, self._partition, self._writer = settings, partition, writer
        self._place = (settings.topics.actions, partition)
        self._topics, self._turned = settings.topics, turned
        self._last: dict[str, EntryId] = {}
        self._end: int | None = None

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Send what is new, soon. Raises StoreError."""
        messages: list[Outgoing] = []
        for outcome in outcomes:
            if outcome.stream == DEAD_LETTERS:
                messages.append(self._refused(outcome))
            elif outcome.is_action and self._topics.actions:
                messages.append(self._action(outcome))
        self._writer.send(messages)

    def _action(self, outcome: Outcome) -> Outgoing:
        return Outgoing(
            topic=self._topics.actions,
            value=outcome.body,
            key=outcome.network.encode(),
            partition=self._partition,
            headers=((ACTION_ID, f"{outcome.network}:{outcome.entry_id}".encode()),),
            of=outcome.network,
            place=entry_order(outcome.entry_id),
        )

    def _refused(self, outcome: Outcome) -> Outgoing:
        letter = decode_dead_letter(outcome.body)
        origin = f"{self._topics.journal}/{self._partition}/{letter.line.line - 1}"
        return dead_letter_message(self._topics.dead_letters, letter, origin)

    def _is_new(self, message: Outgoing) -> bool:
        """Return whether it was not there when the name was taken: transactions may be retried."""
        last = self._last.get(message.of)
        if message.place is None or last is None:
            return True
        if message.place <= last:
            return False
        del self._last[message.of]
        return True

    def mark(self) -> Mark:
        """Return the end of the actions' partition, once all has arrived. Raises StoreError.

        What an earlier process wrote may lie before it and still be ahead of the state; so its
        last ids go along until they are passed.
        """
        self._writer.flush(_MARK_S)
        if not self._topics.actions:
            return {}
        end = self._writer.ends.get(self._place, self._end or 0)
        ahead = {f"{_LAST}{network}": f"{seq}-{n}" for network, (seq, n) in self._last.items()}
        return {_NEXT: end, **ahead}

    def rewind(self, mark: Mark) -> None:
        """Take the name, and learn what has been written since `mark`.

        Raises EntriesLost if there is less.
        """
        self._last = {
            name.removeprefix(_LAST): entry_order(str(last))
            for name, last in mark.items()
            if name.startswith(_LAST)
        }
        self._end = int(mark[_NEXT]) if _NEXT in mark else None
        self._writer.open(self._look_up, self._is_new)

    def _look_up(self) -> None:
        """Look up what is there beyond what is known. No other process writes any more."""
        if not self._topics.actions:
            return
        start = self._writer.ends.get(self._place, self._end)
        reader = self._reader(start)
        try:
            ((low, high),) = reader.first_ends.values()
            if start is not None and high < start:
                raise EntriesLost(
                    f"expected {self._topics.actions}[{self._partition}] to hold {start} actions, "
                    f"where it was written to, was {high}: the topic was made again, or the broker "
                    "lost its end. `--rebuild` writes all actions again from the journal"
                )
            self._end = high
            if start is not None and start < low:
                reader.restart(self._place, low)
            self._learn(reader)
        finally:
            reader.close()

    def _learn(self, reader: KafkaReader) -> None:
        for message in reader.read_to_end():
            self._turned()
            name = headers_of(message).get(ACTION_ID, b"").decode("utf-8", "replace")
            network, _, entry_id = name.rpartition(":")
            if network:
                self._last[network] = entry_order(entry_id)

    def _reader(self, start: int | None) -> KafkaReader:
        return KafkaReader(self._settings.kafka, {self._place: start}, to_end=True)
