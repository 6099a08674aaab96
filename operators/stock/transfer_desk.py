"""Transfer desk: reserves stock for transfers until they depart, and follows their result."""

from operators.core.facts import Derived, TransferYield
from operators.network.context import Floor
from operators.network.due import Unhold, Yield
from operators.network.messages import Uncovered
from state.actions import Transfer
from state.keys import ShelfKey
from state.sums import int_sum
from state.twin.moves import Landed, Move
from state.twin.stock import Inbound, InboundKey


class TransferDesk:
    """Desk of transfers asked for and arrived. Methods return derived facts, in order."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def hold(self, origin: str, destination: str, sku: str, quantity: int) -> None:
        """Reserve units until a truck has them; no stock of it goes back for a while."""
        floor = self._floor
        self._ask(Move(origin, destination, sku, quantity, 0, floor.seq))
        settle_ms = floor.now_ms + floor.policy.repositioning.settle_s * 1000
        floor.state.left[ShelfKey(origin, sku)] = settle_ms
        floor.state.come[ShelfKey(destination, sku)] = settle_ms

    def hold_for(
        self, order: str, origin: str, destination: str, sku: str, quantity: int, due_ms: int
    ) -> None:
        """Reserve units for an order that is promised them at the destination, as inbound."""
        number = self._ask(Move(origin, destination, sku, quantity, 0, self._floor.seq, order))
        position = self._floor.twin.position(destination, sku)
        position.inbound[InboundKey("asked", str(number))] = Inbound(due_ms, quantity)

    def _ask(self, move: Move) -> int:
        floor = self._floor
        floor.twin.moved += 1
        number = floor.twin.moved
        move.until_ms = floor.now_ms + floor.policy.repositioning.hold_s * 1000
        floor.twin.moves[number] = move
        floor.twin.position(move.origin, move.sku).reserve(number, move.quantity)
        floor.deadlines.set(move.until_ms, Unhold(number))
        return number

    def bound_for(self, node: str, sku: str) -> int:
        """Return units asked for ahead of demand that have not departed yet."""
        moves = self._floor.twin.moves.values()
        return int_sum(
            m.quantity for m in moves if m.destination == node and m.sku == sku and not m.order
        )

    def has_left(self, node: str, sku: str) -> bool:
        """Return whether stock left there not long ago: it must not come back."""
        return self._is_recent(self._floor.state.left, ShelfKey(node, sku))

    def has_come(self, node: str, sku: str) -> bool:
        """Return whether stock came there not long ago: it must not leave again."""
        return self._is_recent(self._floor.state.come, ShelfKey(node, sku))

    def unhold(self, number: int) -> list[Derived]:
        """Release units that no truck took, if they are still reserved."""
        move = self._floor.twin.moves.get(number)
        if move is None or move.until_ms > self._floor.now_ms:
            return []
        self.give_back(number, move.quantity)
        return []

    def failed(self, seq: int) -> bool:
        """Release the units of transfers that record `seq` decided; return whether any was."""
        numbers = [number for number, move in self._floor.twin.moves.items() if move.seq == seq]
        for number in numbers:
            self.give_back(number, self._floor.twin.moves[number].quantity)
        return bool(numbers)

    def approved(self, transfer: Transfer, seq: int) -> None:
        """Credit a transfer that record `seq` proposed to the record in hand, which acts on it."""
        for number in self._held_by(transfer, seq):
            self._floor.twin.moves[number].seq = self._floor.seq

    def give_up(self, transfer: Transfer, seq: int) -> None:
        """Release the units of a proposal of record `seq` that was not approved."""
        for number in self._held_by(transfer, seq):
            self.give_back(number, self._floor.twin.moves[number].quantity)

    def _held_by(self, transfer: Transfer, seq: int) -> list[int]:
        way = (transfer.origin, transfer.destination, transfer.sku)
        return [
            number
            for number, move in self._floor.twin.moves.items()
            if move.seq == seq and (move.origin, move.destination, move.sku) == way
        ]

    def give_back(self, number: int, quantity: int) -> None:
        """Release up to `quantity` units reserved for a transfer."""
        twin = self._floor.twin
        move = twin.moves[number]
        freed = twin.position(move.origin, move.sku).release(number, quantity)
        move.quantity -= freed
        if freed:
            self._floor.free([move.sku])
        if move.order:
            inbound = twin.position(move.destination, move.sku).inbound
            key = InboundKey("asked", str(number))
            inbound[key].quantity = move.quantity
            if move.quantity <= 0:
                del inbound[key]
            self._floor.messages.post(Uncovered(move.destination, move.sku))
        if move.quantity <= 0:
            del twin.moves[number]

    def departed(self, origin: str, destination: str, sku: str, quantity: int) -> None:
        """Release the units reserved for a transfer that departed, the oldest first."""
        for number, move in list(self._floor.twin.moves.items()):
            if quantity <= 0:
                return
            if (move.origin, move.destination, move.sku) == (origin, destination, sku):
                taken = min(quantity, move.quantity)
                quantity -= taken
                # The truck may have fewer than asked for: the rest will not follow.
                self.give_back(number, move.quantity)

    def arrived(self, transfer: str, node: str, sku: str, quantity: int) -> None:
        """Begin to follow the sales of a transfer that arrived."""
        floor = self._floor
        until_ms = floor.now_ms + floor.policy.repositioning.yield_s * 1000
        shelf = ShelfKey(node, sku)
        landed = floor.state.landed.setdefault(shelf, [])
        landed.append(Landed(transfer, quantity, 0, until_ms))
        floor.deadlines.set(until_ms, Yield(shelf))

    def picked(self, node: str, sku: str, quantity: int) -> list[Derived]:
        """Count units picked for customers: those that a transfer brought go first."""
        shelf = ShelfKey(node, sku)
        landed = self._floor.state.landed.get(shelf)
        if not landed:
            return []
        for each in landed:
            taken = min(quantity, each.units - each.picked)
            each.picked += taken
            quantity -= taken
        return self.close(shelf)

    def close(self, shelf: ShelfKey) -> list[Derived]:
        """Report transfers that are sold out, or whose time is over."""
        landed = self._floor.state.landed.get(shelf, [])
        over = [e for e in landed if e.picked >= e.units or e.until_ms <= self._floor.now_ms]
        kept = [each for each in landed if each not in over]
        if kept:
            self._floor.state.landed[shelf] = kept
        else:
            self._floor.state.landed.pop(shelf, None)
        return [
            TransferYield(
                transfer=each.transfer,
                node=shelf.node,
                sku=shelf.sku,
                units=each.units,
                sold=each.picked,
            )
            for each in over
        ]

    def sweep(self) -> None:
        """Forget shelves whose transfers are long ago."""
        state = self._floor.state
        for kept in (state.left, state.come):
            for key in [key for key, until_ms in kept.items() if until_ms <= self._floor.now_ms]:
                del kept[key]

    def _is_recent(self, kept: dict[ShelfKey, int], shelf: ShelfKey) -> bool:
        return kept.get(shelf, 0) > self._floor.now_ms
