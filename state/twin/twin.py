"""The twin as a whole: plain state that the orchestrator alone changes."""

from collections.abc import Hashable, Iterator
from typing import TypeVar

from msgspec import Struct, field

from state.errors import InvariantBroken
from state.events import SkuRegistered
from state.geography import Geography
from state.keys import Ref
from state.sums import int_sum
from state.twin.capacity import Capacity, Rooms
from state.twin.holds import Held
from state.twin.orders import OpenOrder, PlannedLeg
from state.twin.shipments import Shipment
from state.twin.stock import Holder, InboundKey, Position
from state.twin.transfer_requests import TransferRequest

K = TypeVar("K", bound=Hashable)


class Twin(Struct):
    """Knowledge of a network that decisions may need.

    `stock` is keyed by SKU, then node. `waiting` lists, by SKU, the orders that wait for it, the
    oldest first. Memory follows open work: finished orders and shipments are dropped.
    """

    geography: Geography = field(default_factory=Geography)
    skus: dict[str, SkuRegistered] = field(default_factory=dict)
    stock: dict[str, dict[str, Position]] = field(default_factory=dict)
    orders: dict[str, OpenOrder] = field(default_factory=dict)
    shipments: dict[str, Shipment] = field(default_factory=dict)
    waiting: dict[str, dict[str, None]] = field(default_factory=dict)
    capacity: Capacity = field(default_factory=Capacity)
    # Orders not reported yet -> shipments handed over for them.
    early_shipments: dict[str, list[str]] = field(default_factory=dict)
    # Transfers that were asked for and did not depart yet, by number, and how many ever were.
    transfer_requests: dict[int, TransferRequest] = field(default_factory=dict)
    moved: int = 0
    # Transfers under way -> (destination, SKU).
    transfers: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Inbound and transfers that are due -> (node, SKU).
    due_at: dict[InboundKey, tuple[str, str]] = field(default_factory=dict)
    # Inbound and transfers that ended -> now_ms, so that a late schedule does not revive them.
    ended_inbound: dict[InboundKey, int] = field(default_factory=dict)
    # Scopes on hold; an order only until it is closed.
    holds: dict[Ref, Held] = field(default_factory=dict)

    def position(self, node: str, sku: str) -> Position:
        """Return the position, made empty if there is none yet."""
        nodes = self.stock.get(sku)
        if nodes is None:
            nodes = self.stock[sku] = {}
        position = nodes.get(node)
        if position is None:
            position = nodes[node] = Position()
        return position

    def commit(self, order: OpenOrder, leg: PlannedLeg) -> None:
        """Reserve a leg's units for an order, and take its rooms."""
        order.plan(leg)
        order.handovers[leg.node] = leg.hand_over_ms
        for sku, quantity in leg.reserved.items():
            self.position(leg.node, sku).reserve(order.name, quantity)
            key = (leg.node, sku)
            order.reserved[key] = order.reserved.get(key, 0) + quantity
            order.lines[sku].reserved += quantity
        self.occupy(leg)

    def occupy(self, leg: PlannedLeg) -> None:
        """Take a leg's rooms at its node and its service."""
        self.capacity.nodes.plan(leg.node, leg.hand_over_ms)
        self.capacity.services.plan(leg.service, leg.hand_over_ms)

    def vacate(self, leg: PlannedLeg) -> None:
        """Free a leg's rooms; those of one that was begun are used and stay taken."""
        if not leg.is_begun:
            self.capacity.nodes.give_back(leg.node, leg.hand_over_ms)
            self.capacity.services.give_back(leg.service, leg.hand_over_ms)

    def release(self, order: OpenOrder, node: str, sku: str, quantity: int) -> int:
        """Release up to `quantity` reserved units, the oldest leg's first; return how many."""
        left = quantity
        for leg in [each for each in order.legs if each.node == node and sku in each.reserved]:
            left -= self.let_go(order, leg, sku, left)
        return quantity - left

    def pick(self, order: OpenOrder, node: str, sku: str, quantity: int, now_ms: int) -> None:
        """Take up to `quantity` reserved units from the shelf, the oldest leg's first."""
        for leg in [each for each in order.legs if each.node == node and sku in each.reserved]:
            if quantity:
                self._begin(leg, now_ms)
                quantity -= self.let_go(order, leg, sku, quantity)

    def hand_over(self, order: OpenOrder, node: str, now_ms: int) -> None:
        """Note that the oldest parcel planned at `node` left it; its pick may be reported later."""
        leg = next((each for each in order.legs if each.node == node and not each.is_gone), None)
        if leg is not None:
            self._begin(leg, now_ms)
            leg.is_gone = True
            self._end_if_empty(order, leg)

    def let_go(self, order: OpenOrder, leg: PlannedLeg, sku: str, quantity: int) -> int:
        """Release up to `quantity` units of a leg; return how many were reserved.

        A leg ends with its last unit, unless it was begun and is still to be handed over. Its rooms
        are free then, unless it was begun.
        """
        freed = min(quantity, leg.reserved.get(sku, 0))
        if not freed:
            return 0
        key = (leg.node, sku)
        self.position(*key).release(order.name, freed)
        order.lines[sku].reserved -= freed
        _subtract(leg.reserved, sku, freed)
        _subtract(order.reserved, key, freed)
        self._end_if_empty(order, leg)
        return freed

    def _begin(self, leg: PlannedLeg, now_ms: int) -> None:
        if not leg.is_begun:
            leg.is_begun = True
            self.capacity.nodes.use(leg.node, leg.hand_over_ms, now_ms)
            self.capacity.services.use(leg.service, leg.hand_over_ms, now_ms)

    def _end_if_empty(self, order: OpenOrder, leg: PlannedLeg) -> None:
        if leg.reserved or leg.is_begun != leg.is_gone:
            return
        self.vacate(leg)
        order.legs = [each for each in order.legs if each is not leg]
        if not any(each.node == leg.node for each in order.legs):
            order.handovers.pop(leg.node, None)

    def wait(self, order: OpenOrder) -> None:
        """Queue an order for stock of each of its SKUs."""
        for sku in order.lines:
            self.waiting.setdefault(sku, {})[order.name] = None

    def stop_waiting(self, order: OpenOrder) -> None:
        """Take an order out of all queues."""
        for sku in order.lines:
            queue = self.waiting.get(sku)
            if queue is not None:
                queue.pop(order.name, None)
                if not queue:
                    del self.waiting[sku]

    def positions(self) -> Iterator[tuple[str, str, Position]]:
        """Yield all (node, SKU, position), in the order they came up."""
        for sku, nodes in self.stock.items():
            for node, position in nodes.items():
                yield node, sku, position

    def check(self) -> None:
        """Raise InvariantBroken unless positions, orders, legs and rooms agree.

        What positions reserve is what orders and transfers have reserved; what an order has
        reserved is what its legs hold; the rooms planned are those of legs that were not begun.
        """
        held: dict[tuple[Holder, str, str], int] = {}
        for node, sku, position in self.positions():
            if (
                position.reserved != int_sum(position.reservations.values())
                or position.reserved < 0
            ):
                raise InvariantBroken(
                    f"expected {position.reserved} units held at {node} of {sku}, "
                    f"was {position.reservations}"
                )
            for holder, quantity in position.reservations.items():
                held[holder, node, sku] = quantity
        promised: dict[tuple[Holder, str, str], int] = {}
        by_legs: dict[tuple[Holder, str, str], int] = {}
        rooms = Capacity()
        for name, open_order in self.orders.items():
            for (node, sku), quantity in open_order.reserved.items():
                promised[name, node, sku] = quantity
            for leg in open_order.legs:
                for sku, quantity in leg.reserved.items():
                    key = (name, leg.node, sku)
                    by_legs[key] = by_legs.get(key, 0) + quantity
                if not leg.is_begun:
                    rooms.nodes.plan(leg.node, leg.hand_over_ms)
                    rooms.services.plan(leg.service, leg.hand_over_ms)
        _require_equal("reservations of legs", by_legs, promised)
        for number, request in self.transfer_requests.items():
            promised[number, request.origin, request.sku] = request.quantity
        _require_equal("reservations", held, promised)
        _require_equal("rooms of nodes", _taken(self.capacity.nodes), _taken(rooms.nodes))
        _require_equal("rooms of services", _taken(self.capacity.services), _taken(rooms.services))


def _taken(rooms: Rooms[K]) -> dict[tuple[K, int], int]:
    """Return the rooms planned, by name and day."""
    return {(of, day): n for of, days in rooms.planned.items() for day, n in days.items()}


def _subtract(kept: dict[K, int], key: K, units: int) -> None:
    if kept[key] > units:
        kept[key] -= units
    else:
        del kept[key]


def _require_equal(what: str, found: dict[K, int], expected: dict[K, int]) -> None:
    if found != expected:
        different = sorted(set(found.items()) ^ set(expected.items()), key=str)[:3]
        raise InvariantBroken(f"expected equal {what}, was different: {different}")
