"""The networks that the journal knows: let in, bounded, and remembered in a topic of their own.

A network that is quiet still has deadlines, so each is ticked from the first event on, and also by
an ingest that was started after that event.
"""

from state.settings import IngestSettings, KafkaSettings
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_writer import KafkaWriter


class Networks:
    """Networks seen so far, and when something was last recorded of each (ms since epoch)."""

    def __init__(self, rules: IngestSettings, known: list[str]) -> None:
        self._allowed = frozenset(rules.networks)
        self._most = rules.most_networks
        self.last_ms: dict[str, int] = dict.fromkeys(known, 0)
        self.is_new: list[str] = []

    def refusal(self, network: str) -> str | None:
        """What was expected instead of `network`; None where it is let in, and known from now."""
        if network in self.last_ms:
            return None
        if self._allowed and network not in self._allowed:
            return f"one of the networks {', '.join(sorted(self._allowed))} (ingest.networks)"
        if len(self.last_ms) >= self._most:
            return f"at most {self._most} networks (ingest.most_networks)"
        self.last_ms[network] = 0
        self.is_new.append(network)
        return None

    def quiet_since(self, instant_ms: int) -> list[str]:
        """Networks of which nothing was recorded after `instant_ms`."""
        return [name for name, last_ms in self.last_ms.items() if last_ms <= instant_ms]

    def announce(self, writer: KafkaWriter, topic: str) -> None:
        """Remember the new ones in the topic. Raises StoreError."""
        for network in self.is_new:
            writer.send(topic, b"1", key=network.encode())
        self.is_new.clear()


def known_networks(settings: KafkaSettings, topic: str) -> list[str]:
    """Networks remembered in the topic, in order of their first appearance. Raises StoreError."""
    reader = KafkaReader(settings, {(topic, 0): None}, to_end=True)
    found: dict[str, None] = {}
    try:
        for message in reader.read_to_end():
            if key := message.key():
                found[key.decode("utf-8", "replace")] = None
        return list(found)
    finally:
        reader.close()
