"""Event-time deadlines: what falls due as the journal's now moves on.

The tie rule: deadlines due at or before a record's now fire before the record itself, the earliest
first, and those due at the same instant in the order they were set.
"""

from heapq import heappop, heappush
from typing import Generic, TypeVar

from msgspec import Struct

W = TypeVar("W")


class Deadlines(Struct, Generic[W]):
    """A heap of (due_ms, order set, what). Part of an operator's state.

    What falls due is a value of the operator's own types, tagged where there are several. The heap
    never compares two of them: the order in which they were set is different for each. A deadline
    cannot be taken back: whoever fires it checks whether it still matters.
    """

    heap: list[tuple[int, int, W]] = []
    count: int = 0

    def set(self, due_ms: int, what: W) -> None:
        """Let `what` fall due at `due_ms`."""
        self.count += 1
        heappush(self.heap, (due_ms, self.count, what))

    def is_due(self, now_ms: int) -> bool:
        """Return whether anything is due at `now_ms`."""
        heap = self.heap
        return bool(heap) and heap[0][0] <= now_ms

    def due(self, now_ms: int) -> list[tuple[W, int]]:
        """Take out what is due at `now_ms`, and when it was, the earliest first."""
        fired = []
        heap = self.heap
        while heap and heap[0][0] <= now_ms:
            due_ms, _, what = heappop(heap)
            fired.append((what, due_ms))
        return fired
