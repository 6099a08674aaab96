"""A loop: operators in a line, the last of which derives facts that concern the first.

The operator that decides on a proposal knows what it reserved; only the gate, behind it, knows that
it came to nothing. So the operators from one to the other are stepped together: a fact of a kind
that returns goes through all of them once more, caused by the same journal record.
"""

from collections.abc import Sequence

from operators.core.contract import Operator, Record, pack_all, restore_all, through


class Loop:
    """Operators stepped as one; they keep their own names and snapshots.

    Facts of the classes `returning` that the last one derives are led back to the first, the oldest
    first, behind all else that the record gave.
    """

    def __init__(self, operators: Sequence[Operator], returning: tuple[type, ...]) -> None:
        self.name = "loop"
        self.operators = tuple(operators)
        self._returning = returning
        self._steps = tuple(operator.step for operator in self.operators)

    def step(self, record: Record) -> list[Record]:
        """Pass one record through all operators, then what returns of it."""
        out = through(self._steps, record)
        if len(out) == 1:
            return out  # the record itself, passed on
        passed: list[Record] = []
        returned = self._part(out, None, passed)
        for each in returned:  # grows while it is gone through
            returned += self._part(through(self._steps, each), each, passed)
        return passed

    def _part(
        self, records: list[Record], came_back: Record | None, passed: list[Record]
    ) -> list[Record]:
        """Add to `passed` what goes on down the chain; returns what goes back to the first."""
        back: list[Record] = []
        for each in records:
            is_new = each is not came_back and type(each.fact) in self._returning
            (back if is_new else passed).append(each)
        return back

    def snapshot(self) -> bytes:
        """Return all operators' snapshots, by name."""
        return pack_all(self.operators)

    def restore(self, data: bytes) -> None:
        """Restore every operator; raises SnapshotError if they are not the same operators."""
        restore_all(self.operators, data)
