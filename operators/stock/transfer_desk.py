"""Transfer desk: reserves stock for transfers until they depart, and follows their result."""

from operators.core.facts import Derived, TransferYield
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers
from operators.network.due import TransferLapses, Yield
from operators.network.messages import Uncovered
from state.actions import Transfer
from state.keys import ShelfKey
from state.sums import int_sum
from state.twin.stock import Inbound, InboundKey
from state.twin.transfer_requests import Landed, TransferRequest


class TransferDesk(Desk):
    """Desk of transfers asked for and arrived. Methods return derived facts, in order."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def deadlines(self) -> DueHandlers:
        """Return handlers of transfers that are not loaded or that have had time to sell."""
        return {
            TransferLapses: lambda due: self.lapse(due.request),
            Yield: lambda due: self.close(due.shelf),
        }

    def reserve(self, origin: str, destination: str, sku: str, quantity: int) -> None:
        """Reserve units until a truck has them; no stock of it goes back for a while."""
        context = self._context
        self._ask(TransferRequest(origin, destination, sku, quantity, 0, context.seq))
        settle_ms = context.now_ms + context.policy.repositioning.settle_s * 1000
        context.state.moved_out[ShelfKey(origin, sku)] = settle_ms
        context.state.moved_in[ShelfKey(destination, sku)] = settle_ms

    def reserve_for(
        self, order: str, origin: str, destination: str, sku: str, quantity: int, due_ms: int
    ) -> None:
        """Reserve units for an order that is promised them at the destination, as inbound."""
        number = self._ask(
            TransferRequest(origin, destination, sku, quantity, 0, self._context.seq, order)
        )
        position = self._context.twin.position(destination, sku)
        position.inbound[InboundKey("asked", str(number))] = Inbound(due_ms, quantity)

    def _ask(self, request: TransferRequest) -> int:
        context = self._context
        context.twin.moved += 1
        number = context.twin.moved
        request.until_ms = context.now_ms + context.policy.repositioning.hold_s * 1000
        context.twin.transfer_requests[number] = request
        context.twin.position(request.origin, request.sku).reserve(number, request.quantity)
        context.deadlines.set(request.until_ms, TransferLapses(number))
        return number

    def bound_for(self, node: str, sku: str) -> int:
        """Return units asked for ahead of demand that have not departed yet."""
        requests = self._context.twin.transfer_requests.values()
        return int_sum(
            r.quantity for r in requests if r.destination == node and r.sku == sku and not r.order
        )

    def was_moved_out(self, node: str, sku: str) -> bool:
        """Return whether a transfer took stock of it there lately, so that none may come back."""
        return self._is_recent(self._context.state.moved_out, ShelfKey(node, sku))

    def was_moved_in(self, node: str, sku: str) -> bool:
        """Return whether a transfer brought stock of it there lately, so that none may leave."""
        return self._is_recent(self._context.state.moved_in, ShelfKey(node, sku))

    def lapse(self, number: int) -> list[Derived]:
        """Release units that no truck took, if they are still reserved."""
        request = self._context.twin.transfer_requests.get(number)
        if request is None or request.until_ms > self._context.now_ms:
            return []
        self.give_back(number, request.quantity)
        return []

    def failed(self, seq: int) -> bool:
        """Release the units of transfers that record `seq` decided; return whether any was."""
        numbers = [
            number
            for number, request in self._context.twin.transfer_requests.items()
            if request.seq == seq
        ]
        for number in numbers:
            self.give_back(number, self._context.twin.transfer_requests[number].quantity)
        return bool(numbers)

    def approved(self, transfer: Transfer, seq: int) -> None:
        """Credit a transfer that record `seq` proposed to the record in hand, which acts on it."""
        for number in self._numbers_of(transfer, seq):
            self._context.twin.transfer_requests[number].seq = self._context.seq

    def give_up(self, transfer: Transfer, seq: int) -> None:
        """Release the units of a proposal of record `seq` that was not approved."""
        for number in self._numbers_of(transfer, seq):
            self.give_back(number, self._context.twin.transfer_requests[number].quantity)

    def _numbers_of(self, transfer: Transfer, seq: int) -> list[int]:
        way = (transfer.origin, transfer.destination, transfer.sku)
        return [
            number
            for number, request in self._context.twin.transfer_requests.items()
            if request.seq == seq and (request.origin, request.destination, request.sku) == way
        ]

    def give_back(self, number: int, quantity: int) -> None:
        """Release up to `quantity` units reserved for a transfer."""
        twin = self._context.twin
        request = twin.transfer_requests[number]
        freed = twin.position(request.origin, request.sku).release(number, quantity)
        request.quantity -= freed
        if freed:
            self._context.free([request.sku])
        if request.order:
            inbound = twin.position(request.destination, request.sku).inbound
            key = InboundKey("asked", str(number))
            inbound[key].quantity = request.quantity
            if request.quantity <= 0:
                del inbound[key]
            self._context.messages.post(Uncovered(request.destination, request.sku))
        if request.quantity <= 0:
            del twin.transfer_requests[number]

    def departed(self, origin: str, destination: str, sku: str, quantity: int) -> None:
        """Release the units reserved for a transfer that departed, the oldest first."""
        for number, request in list(self._context.twin.transfer_requests.items()):
            if quantity <= 0:
                return
            if (request.origin, request.destination, request.sku) == (origin, destination, sku):
                taken = min(quantity, request.quantity)
                quantity -= taken
                # The truck may have fewer than asked for: the rest will not follow.
                self.give_back(number, request.quantity)

    def arrived(self, transfer: str, node: str, sku: str, quantity: int) -> None:
        """Begin to follow the sales of a transfer that arrived."""
        context = self._context
        until_ms = context.now_ms + context.policy.repositioning.yield_s * 1000
        shelf = ShelfKey(node, sku)
        landed = context.state.landed.setdefault(shelf, [])
        landed.append(Landed(transfer, quantity, 0, until_ms))
        context.deadlines.set(until_ms, Yield(shelf))

    def picked(self, node: str, sku: str, quantity: int) -> list[Derived]:
        """Count units picked for customers: those that a transfer brought go first."""
        shelf = ShelfKey(node, sku)
        landed = self._context.state.landed.get(shelf)
        if not landed:
            return []
        for each in landed:
            taken = min(quantity, each.units - each.picked)
            each.picked += taken
            quantity -= taken
        return self.close(shelf)

    def close(self, shelf: ShelfKey) -> list[Derived]:
        """Report transfers that are sold out, or whose time is over."""
        landed = self._context.state.landed.get(shelf, [])
        over = [e for e in landed if e.picked >= e.units or e.until_ms <= self._context.now_ms]
        kept = [each for each in landed if each not in over]
        if kept:
            self._context.state.landed[shelf] = kept
        else:
            self._context.state.landed.pop(shelf, None)
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
        state = self._context.state
        for kept in (state.moved_out, state.moved_in):
            for key in [key for key, until_ms in kept.items() if until_ms <= self._context.now_ms]:
                del kept[key]

    def _is_recent(self, kept: dict[ShelfKey, int], shelf: ShelfKey) -> bool:
        return kept.get(shelf, 0) > self._context.now_ms
