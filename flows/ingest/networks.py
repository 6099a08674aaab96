"""Networks that the journal knows: introduced, bounded, and remembered in a topic of their own.

A slot is for a network that reference data introduced, one that `ingest.networks` names, or one
that a person made. A network that is quiet still has deadlines, so each is ticked from then on, and
also by an ingest that was started later. Every ingest follows the topic: what one lets in or a
person retires, all know a moment later.
"""

import re
from collections.abc import Iterable

from confluent_kafka import Message

from state.settings import IngestSettings, KafkaSettings
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_writer import KafkaWriter

_BATCH = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Networks:
    """Networks that have a slot, and when each was last recorded (ms since epoch)."""

    def __init__(self, rules: IngestSettings, known: Iterable[str]) -> None:
        self._allowed = frozenset(rules.networks)
        self._most = rules.most_networks
        self.last_ms: dict[str, int] = dict.fromkeys(known, 0)
        self.is_new: list[str] = []

    def __contains__(self, network: str) -> bool:
        return network in self.last_ms

    def refusal(self, network: str) -> str | None:
        """Return what was expected instead of an unknown network; None where it may come in."""
        if self._allowed and network not in self._allowed:
            return f"one of the networks {', '.join(sorted(self._allowed))} (ingest.networks)"
        if len(self.last_ms) >= self._most:
            return f"at most {self._most} networks (ingest.most_networks)"
        return None

    def is_named(self, network: str) -> bool:
        """Return whether the settings name it: then nothing has to introduce it."""
        return network in self._allowed

    def let_in(self, network: str) -> None:
        """Give it a slot, to be announced."""
        self.last_ms[network] = 0
        self.is_new.append(network)

    def quiet_since(self, instant_ms: int) -> list[str]:
        """Return networks of which nothing was recorded after `instant_ms`."""
        return [name for name, last_ms in self.last_ms.items() if last_ms <= instant_ms]

    def announce(self, writer: KafkaWriter, topic: str) -> None:
        """Remember the new ones in the topic. Raises StoreError."""
        for network in self.is_new:
            writer.send(topic, b"1", key=network.encode())
        self.is_new.clear()

    def learn(self, messages: Iterable[Message]) -> list[str]:
        """Take in what the topic says; return the networks that are known only since then."""
        found = []
        for network, is_there in map(announcement, messages):
            if not is_there:
                self.last_ms.pop(network, None)
            elif network not in self.last_ms and _NAME.fullmatch(network):
                self.last_ms[network] = 0
                found.append(network)
        return found


def announcement(message: Message) -> tuple[str, bool]:
    """Return the network of a topic's message, and whether it is there or retired."""
    key = message.key() or b""
    name = key if isinstance(key, str) else key.decode("utf-8", "replace")
    return name, message.value() is not None


class NetworksTopic:
    """Reader of the topic to its end, and then of what is added."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._reader = KafkaReader(settings, {(topic, 0): None})

    def known(self) -> list[str]:
        """Return networks remembered, in order of their first appearance. Raises StoreError."""
        found: dict[str, None] = {}
        for message in self._reader.read_to_end():
            network, is_there = announcement(message)
            if not is_there:
                found.pop(network, None)
            elif _NAME.fullmatch(network):
                found[network] = None
        return list(found)

    def added(self) -> list[Message]:
        """Return what was added since the last time, without waiting. Raises StoreError."""
        return self._reader.read(_BATCH)

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


def known_networks(settings: KafkaSettings, topic: str) -> list[str]:
    """Return the topic's networks, in order of their first appearance. Raises StoreError."""
    followed = NetworksTopic(settings, topic)
    try:
        return followed.known()
    finally:
        followed.close()
