"""Cancellations: orders withdrawn before work began, after picking, or under way."""

from operators.core.facts import Derived, Draft, NoAction
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import Settled
from operators.network.legs import give_up
from operators.orders.order_desk import OrderDesk
from operators.recovery.shipment_desk import ShipmentDesk
from state.actions import Cancel
from state.events import OrderCancelled, StockReturned
from state.sums import int_sum


class Cancellations(Desk):
    """Stops all that was not handed over; parcels under way are paid back if they come back."""

    def __init__(self, context: Context, orders: OrderDesk, shipments: ShipmentDesk) -> None:
        self._context, self._orders, self._shipments = context, orders, shipments

    def facts(self) -> FactHandlers:
        """Return handlers of cancelled orders and of what comes back."""
        return {
            OrderCancelled: lambda f, at, e: self.withdraw(f),
            StockReturned: lambda f, at, e: self.returned(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of orders cancelled after their pick."""
        return {
            Settled: lambda due: self.settle(due.order),
        }

    def withdraw(self, cancelled: OrderCancelled) -> list[Derived]:
        """Cancel an order as far as it was not handed over."""
        context = self._context
        order = context.twin.orders.get(cancelled.order)
        if order is not None and order.shipments:
            return self._under_way(cancelled)
        picked = 0 if order is None else int_sum(line.picked for line in order.lines.values())
        out = self._orders.cancel(cancelled)
        if picked:
            context.cases.open("cancelled_after_pick", "consignee", cancelled.order)
            context.cases.act("cancelled_after_pick", cancelled.order)
            settles_ms = context.now_ms + context.policy.exceptions.settle_s * 1000
            context.deadlines.set(settles_ms, Settled(cancelled.order))
        return out

    def settle(self, order: str) -> list[Derived]:
        """Close the case of an order cancelled after its pick: its goods count as put back."""
        self._context.cases.close("cancelled_after_pick", order)
        return []

    def returned(self, returned: StockReturned) -> list[Derived]:
        """Close the case of a cancelled order whose goods are on their shelf again."""
        if returned.order is not None and returned.order not in self._context.twin.orders:
            self._context.cases.close("cancelled_after_pick", returned.order)
        return []

    def _under_way(self, cancelled: OrderCancelled) -> list[Derived]:
        context = self._context
        order = context.twin.orders[cancelled.order]
        name = order.name
        if order.is_withdrawn:
            return [NoAction(kind="cancel", about=name, reason="the order is withdrawn already")]
        order.is_withdrawn = True
        context.cases.open("cancelled_after_pick", "consignee", name, name)
        freed = int_sum(order.reserved.values())
        give_up(context, order, order.legs)
        context.twin.stop_waiting(order)
        for line in order.lines.values():
            line.ordered = min(line.ordered, line.shipped)
        draft = Draft(
            decision=Cancel(order=name, reason=cancelled.reason),
            subject=name,
            correlation=name,
            summary=f"{name} was withdrawn with {order.open_shipments} parcels under way. What has "
            f"not left is stopped ({freed} units freed); what comes back is paid back.",
            terms={},
            value_cents=0,
            causes=tuple(sorted({order.seq, context.seq})),
        )
        return [draft, *self._orders.move(order, "shipped"), *self._shipments.close_if_done(order)]
