"""Agenda: what falls due, and how much of it one record carries out.

Deadlines fire with the first record from their time on: all of them, since other decisions rest on
them. Chores (reviews, looks, queues) are worth as much a few records later: a record carries out
the few that were due first, the next one goes on. So no record is slow because much falls due at
once, and what is done when depends on the journal alone.
"""

from collections.abc import Iterator

from msgspec import Struct, field

from operators.core.deadlines import Deadlines
from operators.network.due import (
    Due,
    Look,
    LookSplit,
    PlanRestocks,
    Restock,
    Serve,
    Sweep,
    WeighOn,
)

#: Chores; each bounds its own work, and sets another for the rest.
CHORES = (Look, LookSplit, PlanRestocks, Restock, Serve, Sweep, WeighOn)
#: Chores of one record, at most.
MOST_CHORES = 2


class Agenda(Struct):
    """Deadlines and chores of the orchestrator."""

    deadlines: Deadlines[Due] = field(default_factory=Deadlines[Due])
    chores: Deadlines[Due] = field(default_factory=Deadlines[Due])

    def set(self, due_ms: int, what: Due) -> None:
        """Let `what` fall due at `due_ms`."""
        (self.chores if isinstance(what, CHORES) else self.deadlines).set(due_ms, what)

    def is_due(self, now_ms: int, most_chores: int = MOST_CHORES) -> bool:
        """Return whether anything is due that `due` would take out."""
        return self.deadlines.is_due(now_ms) or (most_chores > 0 and self.chores.is_due(now_ms))

    def due(self, now_ms: int, most_chores: int = MOST_CHORES) -> Iterator[Due]:
        """Take out what one record carries out, the earliest first: deadlines, then chores.

        What a chore sets waits for the next record.
        """
        for due, _ in self.deadlines.due(now_ms):
            yield due
        for due, _ in self.chores.due(now_ms, most_chores):
            yield due

    def late_ms(self, now_ms: int) -> int:
        """Return for how long the chore that is due next has been due, ms; 0 if none is."""
        return max(0, now_ms - self.chores.heap[0][0]) if self.chores.heap else 0

    def reviews(self) -> frozenset[str]:
        """Return the SKUs whose review is set."""
        return frozenset(due.sku for _, _, due in self.chores.heap if isinstance(due, Restock))
