"""Event-time deadlines: what falls due as the journal's now moves on.

The tie rule: deadlines due at or before a record's now fire before the record itself, the earliest
first, and those due at the same instant in the order they were set.
"""

from heapq import heappop, heappush

from msgspec import Struct


class Deadlines(Struct):
    """A heap of (due_ms, order set, what, key). Part of an operator's state.

    A deadline cannot be taken back: whoever fires it checks whether it still matters.
    """

    heap: list[tuple[int, int, str, str]] = []
    count: int = 0

    def set(self, due_ms: int, what: str, key: str) -> None:
        """Let (`what`, `key`) fall due at `due_ms`."""
        self.count += 1
        heappush(self.heap, (due_ms, self.count, what, key))

    def due(self, now_ms: int) -> list[tuple[str, str, int]]:
        """Take out what is due at `now_ms`: (what, key, due_ms), the earliest first."""
        fired = []
        heap = self.heap
        while heap and heap[0][0] <= now_ms:
            due_ms, _, what, key = heappop(heap)
            fired.append((what, key, due_ms))
        return fired
