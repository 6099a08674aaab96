"""Quarantine: events of networks without reference data wait here, a while and within bounds.

Raw topics have no order among each other, so the first events of a new network may be read before
the region or node that introduces it. They wait for that; what waited in vain is a dead letter.
Progress is not kept past what waits, so a crash loses none of it.
"""

import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from flows.ingest.canonical import RawMessage
from state.stores.kafka_reader import Place

#: Most messages that may wait, and most bytes of them.
_MOST_MESSAGES, _MOST_BYTES = 10_000, 16 * 1024 * 1024


class _Waiting(Struct, frozen=True):
    network: str
    message: RawMessage
    until: float


class Quarantine:
    """Messages that wait, the eldest first; each for `wait_s` at most."""

    def __init__(self, wait_s: float, steady: Callable[[], float] = time.monotonic) -> None:
        self._wait_s, self._steady = wait_s, steady
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def networks(self) -> int:
        """Return different names that wait."""
        return len({each.network for each in self._waiting})

    def hold(self, network: str, message: RawMessage) -> None:
        """Let a message wait for its network."""
        self._waiting.append(_Waiting(network, message, self._steady() + self._wait_s))
        self._bytes += len(message.value)

    def released(self, network: str) -> list[RawMessage]:
        """Take out what waits for a network, in the order in which it came."""
        found = [each.message for each in self._waiting if each.network == network]
        if found:
            self._waiting = deque(each for each in self._waiting if each.network != network)
            self._bytes -= sum(len(message.value) for message in found)
        return found

    def given_up(self, *, everything: bool = False) -> list[tuple[str, RawMessage]]:
        """Take out what has waited in vain, or is too much; or all there is."""
        now, found = self._steady(), []
        while self._waiting and (everything or self._waiting[0].until <= now or self._is_full()):
            eldest = self._waiting.popleft()
            self._bytes -= len(eldest.message.value)
            found.append((eldest.network, eldest.message))
        return found

    def _is_full(self) -> bool:
        return len(self._waiting) > _MOST_MESSAGES or self._bytes > _MOST_BYTES

    def first(self) -> dict[Place, int]:
        """Return the first offset that waits, of each place: progress stays before it."""
        found: dict[Place, int] = {}
        for each in self._waiting:
            place = (each.message.topic, each.message.partition)
            found[place] = min(found.get(place, each.message.offset), each.message.offset)
        return found
