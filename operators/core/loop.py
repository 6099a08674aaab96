"""A loop: operators in a line, the last of which has something to tell the first.

What a proposal held is known where it was decided, and that nobody wants it is known only behind
the gate. So the operators from one to the other are stepped together: what comes back from the last
goes through all of them once more, caused by the same journal record.
"""

from collections.abc import Sequence
from typing import Protocol

from operators.core.contract import Operator, Record, pack_all, restore_all, through


class Returning(Operator, Protocol):
    """An operator that has facts for the one at the beginning of its loop."""

    def returned(self) -> list[Record]:
        """What goes back now; it is handed out once."""
        ...


class Loop:
    """Steps `before` and `last` as one; they keep their own names and snapshots."""

    def __init__(self, before: Sequence[Operator], last: Returning) -> None:
        self.name = "loop"
        self.operators = (*before, last)
        self._last = last
        self._steps = tuple(operator.step for operator in self.operators)

    def step(self, record: Record) -> list[Record]:
        """Pass one record through all operators, then what the last one sends back."""
        out = through(self._steps, record)
        while back := self._last.returned():
            for each in back:
                out += through(self._steps, each)
        return out

    def snapshot(self) -> bytes:
        """All operators' snapshots, by name."""
        return pack_all(self.operators)

    def restore(self, data: bytes) -> None:
        """Restore every operator; raises SnapshotError if they are not the same operators."""
        restore_all(self.operators, data)
