"""Compensation of customers whose order cannot be served, or arrives very late."""

from operators.core.facts import Derived, NoAction, OrderMoved
from operators.core.wording import money, span
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers
from operators.network.due import Unfillable
from operators.orders.order_desk import OrderDesk
from operators.recovery.refunds import MoneyBack, money_back, refund
from operators.sourcing.pricer import Lines
from operators.sourcing.rates import lateness_cents
from state.actions import Alternative
from state.sums import int_sum
from state.twin import OpenOrder


class Compensation(Desk):
    """Ends unfillable orders, and compensates for very late ones."""

    def __init__(self, context: Context, orders: OrderDesk) -> None:
        self._context, self._orders = context, orders

    def deadlines(self) -> DueHandlers:
        """Return handlers of orders that nothing can serve."""
        return {
            Unfillable: lambda due: self.unfillable(due.order),
        }

    def unfillable(self, name: str) -> list[Derived]:
        """Weigh waiting on against paying back, for an order that waits long past its promise.

        It is expected to wait as long again as it has waited since the promise.
        """
        context = self._context
        order = context.twin.orders.get(name)
        if order is None or not order.is_waiting:
            return []
        rules = context.policy.exceptions
        past_s = max((context.now_ms - order.promised_ms) / 1000, 0.0)
        if past_s < rules.unfillable_after_s:
            self._again(order, order.promised_ms + rules.unfillable_after_s * 1000)
            return []
        missing = order.unsourced()
        if not missing:  # it was picked after all: nothing to pay back
            context.twin.stop_waiting(order)
            context.cases.close("unfillable", name)
            return self._orders.move(order, "allocated")
        back = money_back(order.placed, missing, context.policy)
        waiting = lateness_cents(1.0, max(2 * past_s, 1.0), context.policy.weights)
        if waiting <= back.score:
            self._again(order, context.now_ms + max(round(past_s * 1000), 1))
            reason = "waiting on is cheaper than paying it back"
            return [NoAction(kind="refund", about=name, reason=reason)]
        currency = context.policy.currency
        summary = (
            f"{name} has waited for {span(past_s)} since its promise and nothing can serve "
            f"{int_sum(quantity for _, quantity in missing)} units of it. Giving them up costs "
            f"{money(back.score, currency)}, waiting as long again {money(waiting, currency)}."
        )
        waits = Alternative(
            option="waiting on", score_cents=waiting, terms={"expected lateness": waiting}
        )
        return self._end(order, missing, back, summary, waits)

    def _again(self, order: OpenOrder, at_ms: int) -> None:
        self._context.deadlines.set(at_ms, Unfillable(order.name))

    def _end(
        self, order: OpenOrder, missing: Lines, back: MoneyBack, summary: str, waits: Alternative
    ) -> list[Derived]:
        context = self._context
        is_asked = context.policy.governance.asks_a_person("refund", back.cents)
        context.cases.act("unfillable", order.name, needs_person=is_asked)
        out: list[Derived] = [refund(context, order, back, "unfillable", summary, (waits,))]
        for sku, quantity in missing:
            order.drop(sku, quantity)
        context.twin.stop_waiting(order)
        if not any(line.ordered for line in order.lines.values()):
            before = order.status
            self._orders.close(order)
            return [*out, OrderMoved(order=order.name, before=before, after="cancelled")]
        context.cases.close("unfillable", order.name)
        if order.is_shipped and not order.open_shipments:
            before = order.status
            self._orders.close(order)
            after = "delivered" if order.delivered else "lost"
            moved = OrderMoved(order=order.name, before=before, after=after)  # type: ignore[arg-type]
            return [*out, moved]
        return [*out, *self._orders.move(order, "shipped" if order.is_shipped else "allocated")]

    def late_arrival(self, order: OpenOrder, arrived_ms: int) -> list[Derived]:
        """Give goodwill for an order that arrived very late, if the policy gives any."""
        rules = self._context.policy.exceptions
        late_s = (arrived_ms - order.promised_ms) / 1000
        if late_s < max(rules.goodwill_after_s, 1) or order.is_withdrawn:
            return []
        most = round(order.placed.price_cents * rules.goodwill_share)
        cents = min(rules.goodwill_cents, most)
        if not cents:
            return []
        back = MoneyBack((), cents, {"goodwill": cents})
        summary = f"{order.name} arrived {span(late_s)} after its promise."
        return [refund(self._context, order, back, "goodwill", summary)]
