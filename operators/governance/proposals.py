"""Proposals: drafts that wait for a person, until they are decided, overtaken or expire."""

from typing import Literal

from msgspec import Struct, field

from operators.core.deadlines import Deadlines
from state.actions import Action, Decision
from state.codec import decode_action, encode_action
from state.keys import ActionId
from state.quantities import to_ms

Ended = Literal["expired", "withdrawn"]


class Proposals(Struct):
    """Open proposals in the gate's state, kept as wire bytes since few are read."""

    # Action id -> (wire bytes, expiry in ms, the order it is about or empty)
    open: dict[str, tuple[bytes, int, str]] = field(default_factory=dict)
    # Ids of actions, when they expire.
    deadlines: Deadlines[str] = field(default_factory=Deadlines[str])

    def add(self, action: Action) -> None:
        """Keep a proposal until its expiry."""
        assert action.expirytime is not None
        expires_ms = to_ms(action.expirytime)
        # Money owed to a customer stays owed when the order ends.
        outlives = action.data.decision.outlives_order
        about = "" if outlives else action.correlationid or ""
        self.open[action.id] = (encode_action(action), expires_ms, about)
        self.deadlines.set(expires_ms, action.id)

    def all(self) -> list[Action]:
        """Return the open proposals, the oldest first."""
        return [decode_action(raw) for raw, _, _ in self.open.values()]

    def take(self, action_id: str) -> Action | None:
        """Take an open proposal out; None if there is none under this id."""
        found = self.open.pop(action_id, None)
        return None if found is None else decode_action(found[0])

    def take_expired(self, now_ms: int) -> list[Action]:
        """Take out the proposals whose expiry has passed."""
        heap = self.deadlines.heap
        # At the very instant of its expiry a proposal can still be approved.
        if not heap or heap[0][0] >= now_ms:
            return []
        due = self.deadlines.due(now_ms - 1)
        return [action for name, _ in due if (action := self.take(name)) is not None]

    def take_about(self, order: str) -> list[Action]:
        """Take out the proposals about an order."""
        return [each for each in self._about(order) if self.open.pop(each.id)]

    def take_sending(self, order: str) -> list[Action]:
        """Take out the proposals that would send goods of an order, or move its parcels."""
        return [
            each
            for each in self._about(order)
            if each.data.decision.moves_goods and self.open.pop(each.id)
        ]

    def take_overtaken(self, order: str, by: Decision) -> list[tuple[Action, Ended]]:
        """Take out the proposals that a decision on the order overtakes, each with its outcome."""
        if type(by).overtakes is Decision.overtakes:  # spares decoding for what overtakes nothing
            return []
        found: list[tuple[Action, Ended]] = []
        for each in self._about(order):
            outcome = by.overtakes(each.data.decision)
            if outcome:
                found.append((each, outcome))
                del self.open[each.id]
        return found

    def of_record(self, seq: int) -> tuple[tuple[str, str], ...]:
        """Return (order, kind) of the open proposals of the record at `seq`."""
        ids = ((ActionId.parse(name), raw) for name, (raw, _, _) in self.open.items())
        found = [decode_action(raw) for of, raw in ids if of is not None and of.seq == seq]
        return tuple((action.correlationid or "", action.kind) for action in found)

    def _about(self, order: str) -> list[Action]:
        return [decode_action(raw) for raw, _, about in self.open.values() if about == order]
