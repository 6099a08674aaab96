"""The twin as a whole: plain state that the orchestrator alone changes."""

from collections.abc import Iterator

from msgspec import Struct, field

from state.errors import InvariantBroken
from state.events import SkuRegistered
from state.geography import Geography
from state.keys import Ref
from state.twin.capacity import Capacity
from state.twin.holds import Held
from state.twin.moves import Move
from state.twin.orders import OpenOrder
from state.twin.shipments import Shipment
from state.twin.stock import Holder, Position


class Twin(Struct):
    """Everything known of a network that a decision may need.

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
    # Orders not heard of yet -> shipments handed over for them.
    early_shipments: dict[str, list[str]] = field(default_factory=dict)
    # Transfers that were asked for and did not depart yet, by number, and how many ever were.
    moves: dict[int, Move] = field(default_factory=dict)
    moved: int = 0
    # Transfers under way -> (destination, SKU).
    transfers: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Inbound and transfers that are due -> (node, SKU).
    due_at: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Inbound and transfer ids that ended -> now_ms, so that a late schedule does not revive them.
    ended_inbound: dict[str, int] = field(default_factory=dict)
    # What is on hold; an order only until it is closed.
    holds: dict[Ref, Held] = field(default_factory=dict)

    def position(self, node: str, sku: str) -> Position:
        """The position, made empty if there is none yet."""
        nodes = self.stock.get(sku)
        if nodes is None:
            nodes = self.stock[sku] = {}
        position = nodes.get(node)
        if position is None:
            position = nodes[node] = Position()
        return position

    def reserve(self, order: OpenOrder, node: str, sku: str, quantity: int) -> None:
        """Hold units at a node for an order."""
        self.position(node, sku).reserve(order.name, quantity)
        key = (node, sku)
        order.reserved[key] = order.reserved.get(key, 0) + quantity
        order.lines[sku].reserved += quantity

    def release(self, order: OpenOrder, node: str, sku: str, quantity: int) -> int:
        """Stop holding up to `quantity` units; returns how many were held."""
        key = (node, sku)
        if key not in order.reserved:
            return 0
        freed = self.position(node, sku).release(order.name, quantity)
        order.lines[sku].reserved -= freed
        left = order.reserved[key] - freed
        if left > 0:
            order.reserved[key] = left
        else:
            del order.reserved[key]
        return freed

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
        """All (node, SKU, position), in the order they came up."""
        for sku, nodes in self.stock.items():
            for node, position in nodes.items():
                yield node, sku, position

    def check(self) -> None:
        """Raise InvariantBroken unless reservations of orders, transfers and positions agree."""
        held: dict[tuple[Holder, str, str], int] = {}
        for node, sku, position in self.positions():
            if position.reserved != sum(position.held.values()) or position.reserved < 0:
                raise InvariantBroken(
                    f"expected {position.reserved} units held at {node} of {sku}, "
                    f"was {position.held}"
                )
            for holder, quantity in position.held.items():
                held[holder, node, sku] = quantity
        promised: dict[tuple[Holder, str, str], int] = {
            (name, node, sku): quantity
            for name, order in self.orders.items()
            for (node, sku), quantity in order.reserved.items()
        }
        for number, move in self.moves.items():
            promised[number, move.origin, move.sku] = move.quantity
        if held != promised:
            different = sorted(set(held.items()) ^ set(promised.items()), key=str)[:3]
            raise InvariantBroken(f"expected equal reservations, was different: {different}")
