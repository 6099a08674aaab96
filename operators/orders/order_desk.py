"""Order desk: allocates orders, queues those that cannot be served, releases stock."""

from collections.abc import Callable, Collection

from operators.core.facts import Derived, Draft, NoAction, OrderMoved
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers
from operators.network.due import Lapse, Retry, Serve
from operators.network.legs import commit, give_up
from operators.orders.allocation import RESTS_ON, allocation
from operators.sourcing.eliminations import TOO_MANY_PARCELS
from operators.sourcing.explanation import eliminated, shortages
from operators.sourcing.exploration import explore
from operators.sourcing.plan import Choice, Plan
from operators.sourcing.switches import switches
from state.actions import Allocate, Backorder, Cancel, Draw
from state.events import OrderCancelled, OrderPlaced
from state.keys import Ref
from state.quantities import DAY_S, HOUR_S
from state.sums import int_sum
from state.twin import OpenOrder
from state.twin.orders import LineProgress, OrderStatus

#: Waiting orders tried at once: bounds the work of one record.
_MOST_SERVED = 8

#: Returns facts that send an order's committed legs together; None to leave them split.
Unite = Callable[[OpenOrder], list[Derived] | None]


class OrderDesk(Desk):
    """Desk that takes orders from placement to handover. Methods return derived facts, in order."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def deadlines(self) -> DueHandlers:
        """Return handlers of reservations that lapse, and of orders that wait."""
        return {
            Lapse: lambda due: self.lapse(due.order),
            Retry: lambda due: self.retry(due.order),
            Serve: lambda due: self.serve(due.sku, due.after),
        }

    def place(self, placed: OrderPlaced, unite: Unite | None = None) -> list[Derived]:
        """Take an order in and decide on it at once; `unite` may avoid a split."""
        twin = self._context.twin
        if placed.order in twin.orders:
            return [
                NoAction(kind="allocate", about=placed.order, reason="the order is already open")
            ]
        order = OpenOrder.of(placed, self._context.seq)
        twin.orders[placed.order] = order
        early = twin.early_shipments.pop(placed.order, None)
        if early:
            order.shipments = [name for name in early if name in twin.shipments]
        if order.shipments:
            return self._already_shipped(order, unite)
        return self.source(order, unite=unite)

    def cancel(self, cancelled: OrderCancelled) -> list[Derived]:
        """Cancel an order that has not been handed over."""
        order = self._context.twin.orders.get(cancelled.order)
        if order is None:
            reason = "the order is not open"
            return [NoAction(kind="cancel", about=cancelled.order, reason=reason)]
        freed = int_sum(order.reserved.values())
        self._context.free(sku for _, sku in order.reserved)
        before = order.status
        self.close(order)
        draft = Draft(
            decision=Cancel(order=cancelled.order, reason=cancelled.reason),
            subject=cancelled.order,
            correlation=cancelled.order,
            summary=f"{cancelled.order} was withdrawn"
            + (f" ({cancelled.reason})" if cancelled.reason else "")
            + f" before handover; freed {freed} reserved unit{'s' * (freed != 1)}.",
            terms={},
            value_cents=0,
            causes=(order.seq, self._context.seq),
        )
        return [OrderMoved(order=cancelled.order, before=before, after="cancelled"), draft]

    def source(
        self,
        order: OpenOrder,
        excluded: Collection[str] = (),
        why: str = "",
        unite: Unite | None = None,
    ) -> list[Derived]:
        """Find a plan for the unsourced lines of `order`, and reserve their stock.

        `why` tells how an earlier allocation failed; `unite` may avoid a split, but for one that
        was drawn to learn from. Returns an allocation, or a backorder unless the order was waiting
        for the same reason before.
        """
        lines = order.unsourced()
        if not lines:
            return []
        if self._is_held(order):
            return self._stay_held(order)
        if self._context.policy.governance.is_off(Allocate.verb):
            return self._switched_off(order)
        unknown = self._unknown(order)
        if unknown:
            return self._keep_waiting(order, "unknown_reference", unknown, None)
        choice = self._context.sourcing.decide(
            order.placed, lines, self._context.now_ms, (*order.excluded, *excluded)
        )
        draw = None
        if order.status == "new" and self._context.policy.sourcing.rule == "least_cost":
            choice, draw = explore(choice, order.name, self._context.policy.exploration)
        if choice.plan is None:
            reason = "no_stock" if choice.missing else "no_route"
            return self._keep_waiting(order, reason, why, choice)
        moved = self._commit(order, choice.plan, draw)
        together = unite(order) if unite is not None and draw is None else None
        if together is None:
            together = [self._allocation(order, lines, choice, choice.plan, why, draw)]
        return moved + together

    def serve_waiting(self, skus: dict[str, None]) -> list[Derived]:
        """Try orders that wait for any of `skus`, the oldest first.

        Once some have been tried, the next record continues with the other SKUs.
        """
        out: list[Derived] = []
        for sku in skus:
            if len(out) < _MOST_SERVED:
                out += self.serve(sku, "")
            elif sku in self._context.twin.waiting:
                self._context.deadlines.set(self._context.now_ms, Serve(sku, ""))
        return out

    def serve(self, sku: str, after: str) -> list[Derived]:
        """Try orders that wait for `sku`, the oldest first, from behind the order `after`.

        Orders that need more of it than there is are skipped. The work of one record is bounded:
        the next record continues where this one stopped.
        """
        context = self._context
        safety = context.policy.sourcing.safety_stock
        positions = list(context.twin.stock.get(sku, {}).values())
        queue = list(context.twin.waiting.get(sku, ()))
        out: list[Derived] = []
        tried = 0
        for name in queue[queue.index(after) + 1 if after in queue else 0 :]:
            left = int_sum(position.promisable(safety) for position in positions)
            if not left:
                break
            if tried == _MOST_SERVED:
                context.deadlines.set(context.now_ms, Serve(sku, after))
                break
            after = name
            order = context.twin.orders[name]
            if order.lines[sku].unsourced > left:
                continue
            tried += 1
            order.follows(context.seq)
            out += self.source(order)
        return out

    def retry(self, name: str) -> list[Derived]:
        """Try an order again that lacked a route, or had an unknown reference."""
        order = self._context.twin.orders.get(name)
        if order is None or order.status != "unfillable":
            return []
        return self.source(order)

    def let_go(self, name: str) -> list[Derived]:
        """Resume an order after its hold: source its unsourced lines."""
        context = self._context
        order = context.twin.orders.get(name)
        if order is None:
            return []
        order.handovers.clear()  # the time on hold is no delay of a node
        if order.reserved:
            lapses_ms = context.now_ms + context.policy.sourcing.reservation_s * 1000
            order.lapses_ms = max(order.lapses_ms, lapses_ms)
            context.deadlines.set(order.lapses_ms, Lapse(name))
        order.follows(context.seq)
        if order.status == "held" and not order.unsourced():
            return self.move(order, "allocated")
        return self.source(order)

    def lapse(self, name: str) -> list[Derived]:
        """Release stock that is still reserved well after an order's planned handover."""
        order = self._context.twin.orders.get(name)
        if order is None or not order.reserved or self._context.now_ms < order.lapses_ms:
            return []
        if self._is_held(order):
            return []  # the end of the hold sets a new deadline
        out = give_up(self._context, order, order.legs, "expired")
        # An order with a missing rest keeps waiting: it is served, or paid back.
        return out if order.is_waiting else [*out, *self.move(order, "released")]

    def sweep(self) -> list[Derived]:
        """Drop orders long after their promise, if none of their parcels is under way."""
        context = self._context
        over_ms = context.now_ms - context.policy.delays.give_up_s * 1000
        out: list[Derived] = []
        for name, order in list(context.twin.orders.items()):
            is_open = order.open_shipments or order.is_waiting or self._is_held(order)
            if is_open or order.promised_ms > over_ms:
                continue
            out += give_up(context, order, order.legs, "expired")
            before = order.status
            self.close(order)
            out.append(OrderMoved(order=name, before=before, after="abandoned"))
        return out

    def close(self, order: OpenOrder) -> None:
        """Drop a finished order and its reservations."""
        twin = self._context.twin
        # Its reserved units are about to be reported as picked: they are no supply.
        give_up(self._context, order, order.legs, is_supply=False)
        twin.stop_waiting(order)
        for seq in order.decided:
            self._context.forget_decision(order.name, seq)
        self._context.cases.close_of(order.name)
        twin.holds.pop(Ref("order", order.name), None)
        del twin.orders[order.name]

    def move(self, order: OpenOrder, after: OrderStatus) -> list[Derived]:
        """Change an order's status; return the change, if there is one."""
        before = order.status
        if before == after:
            return []
        order.status = after
        return [
            OrderMoved(
                order=order.name,
                before="" if before == "new" else before,
                after=after,  # type: ignore[arg-type] # nothing moves back to new
            )
        ]

    def wait(self, order: OpenOrder) -> list[Derived]:
        """Queue an order behind those that wait already."""
        self._wait(order)
        return self.move(order, "unfillable")

    def _switched_off(self, order: OpenOrder) -> list[Derived]:
        """Queue an order while allocation is off, since the policy may change."""
        inert = NoAction(kind="allocate", about=order.name, reason="switched off by the policy")
        return [*self.wait(order), inert]

    def _already_shipped(self, order: OpenOrder, unite: Unite | None) -> list[Derived]:
        for name in order.shipments:
            shipment = self._context.twin.shipments[name]
            order.open_shipments += not shipment.is_terminal
            for line in shipment.dispatched.lines:
                order.lines.setdefault(line.sku, LineProgress()).shipped += line.quantity
        if not order.is_shipped:
            return self.source(order, unite=unite)
        reason = "it was handed over before it was heard of"
        out = self.move(order, "shipped")
        out.append(NoAction(kind="allocate", about=order.name, reason=reason))
        return out

    def _is_held(self, order: OpenOrder) -> bool:
        holds = self._context.twin.holds
        return bool(holds) and Ref("order", order.name) in holds

    def _stay_held(self, order: OpenOrder) -> list[Derived]:
        """Leave an order on hold unsourced; a waiting order keeps its place in the queue."""
        moved = [] if order.is_waiting else self.move(order, "held")
        return [*moved, NoAction(kind="allocate", about=order.name, reason="the order is on hold")]

    def _unknown(self, order: OpenOrder) -> str:
        twin = self._context.twin
        region = order.placed.region
        if region not in twin.geography.regions:
            return f"region {region} is not registered"
        unknown = [sku for sku in order.lines if sku not in twin.skus]
        return f"SKU {', '.join(unknown[:3])} is not registered" if unknown else ""

    def _commit(self, order: OpenOrder, plan: Plan, draw: Draw | None) -> list[Derived]:
        """Reserve what `plan` takes, and end the order's waiting; return its change of status."""
        context = self._context
        commit(context, order, plan)
        order.retries = 0
        order.is_drawn |= draw is not None and draw.is_explored
        context.twin.stop_waiting(order)
        context.cases.close("unfillable", order.name)
        return self.move(order, "shipped" if order.is_shipped else "allocated")

    def _allocation(
        self,
        order: OpenOrder,
        lines: tuple[tuple[str, int], ...],
        choice: Choice,
        plan: Plan,
        why: str,
        draw: Draw | None,
    ) -> Draft:
        """Return the draft for `plan`, which is committed already."""
        more = []
        explored = draw is not None and draw.is_explored
        if explored:
            more.append("It was drawn to learn from, among options that cost little more.")
        if why:
            more.append(f"Sourced again: {why}.")
        flips_if = () if explored else switches(choice, self._context.policy)
        return allocation(
            self._context, order, lines, plan, choice, tuple(more), why or None, flips_if, draw
        )

    def _keep_waiting(
        self, order: OpenOrder, reason: str, detail: str, choice: Choice | None
    ) -> list[Derived]:
        context = self._context
        name = order.name
        after: OrderStatus = "backordered" if reason == "no_stock" else "unfillable"
        if after == "unfillable":
            self._wait(order)
        else:
            context.twin.wait(order)
            order.retries += 1
        # An order that `wait` queued has no backorder yet: publish one.
        if order.status == after and context.cases.is_open("unfillable", name):
            return [NoAction(kind="allocate", about=name, reason=f"still {reason}")]
        context.cases.open("unfillable", "retailer", name, name)
        context.weigh_paying_back(order)
        missing = choice.missing if choice is not None else {}
        short = ", ".join(f"{units} of {sku}" for sku, units in missing.items())
        most = context.policy.sourcing.max_legs
        is_spread = choice is not None and TOO_MANY_PARCELS in choice.eliminated
        text = {
            "no_stock": f"{name} waits: no node can promise {short}",
            "no_route": f"{name} waits: stock is there, but "
            + (f"only in more than {most} parcels" if is_spread else "no service can take it"),
            "unknown_reference": f"{name} cannot be served",
        }[reason]
        decision = Backorder(
            order=name,
            shortages=shortages(missing),
            reason=reason,  # type: ignore[arg-type] # checked by the table above
        )
        draft = Draft(
            decision=decision,
            subject=name,
            correlation=name,
            summary=f"{text}{f': {detail}' if detail else ''}.",
            terms={},
            value_cents=0,
            causes=context.causes(order),
            eliminated=eliminated(choice) if choice is not None else (),
            rests_on=RESTS_ON,
        )
        return [*self.move(order, after), draft]

    def _wait(self, order: OpenOrder) -> None:
        """Queue an order and retry it, less and less often: no fact announces a new route."""
        context = self._context
        context.twin.wait(order)
        pause_s = min(HOUR_S << min(order.retries, 5), DAY_S)
        if order.retry_ms <= context.now_ms:
            order.retry_ms = context.now_ms + pause_s * 1000
            context.deadlines.set(order.retry_ms, Retry(order.name))
        order.retries += 1
