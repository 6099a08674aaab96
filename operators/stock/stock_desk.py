"""The stock desk: keeps the ledger, reconciles counts, and finds promises that no longer hold."""

from operators.core.facts import Derived, Draft, ExceptionKind, ExceptionParty, NoAction
from operators.core.wording import day, money
from operators.network.context import Context
from operators.network.desk import Desk, FactHandlers
from operators.network.legs import give_back, release
from operators.network.messages import Uncovered
from operators.orders.order_desk import OrderDesk
from operators.stock.transfer_desk import TransferDesk
from state.actions import Reconcile
from state.events import (
    Fact,
    InboundScheduled,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
)
from state.keys import ShelfKey
from state.quantities import DAY_MS, to_ms
from state.twin import OpenOrder
from state.twin.stock import Inbound, InboundKey

#: The kind of exception that an uncovered reservation is, and the party at fault.
Blame = tuple[ExceptionKind, ExceptionParty]
#: An inbound or transfer that ended is remembered this long, against schedules that come late.
_REMEMBERED_MS = 30 * DAY_MS


class StockDesk(Desk):
    """Applies inventory facts. Returns what it derives; new supply is posted."""

    def __init__(self, context: Context, orders: OrderDesk, transfers: TransferDesk) -> None:
        self._context, self._orders, self._transfers = context, orders, transfers

    def facts(self) -> FactHandlers:
        """Return handlers of inventory."""
        return {
            StockCounted: lambda f, at, e: self.handle(f, at, e),
            StockReceived: lambda f, at, e: self.handle(f, at, e),
            StockPicked: lambda f, at, e: self.handle(f, at, e),
            StockShortPicked: lambda f, at, e: self.handle(f, at, e),
            StockAdjusted: lambda f, at, e: self.handle(f, at, e),
            StockReturned: lambda f, at, e: self.handle(f, at, e),
            InboundScheduled: lambda f, at, e: self.handle(f, at, e),
            TransferDeparted: lambda f, at, e: self.handle(f, at, e),
            TransferArrived: lambda f, at, e: self.handle(f, at, e),
        }

    def handle(self, fact: Fact, time_ms: int, event: str) -> list[Derived]:
        """Apply one inventory fact that happened at `time_ms` and has the id `event`."""
        blame = _blame_of(fact)
        match fact:
            case StockCounted():
                return self._count(fact.node, fact.sku, fact.quantity, time_ms, event, blame)
            case StockReceived():
                return self._received(fact, time_ms, event, blame)
            case StockPicked():
                # Its own reservation goes first, or the pick would seem to uncover it.
                out = self._picked(fact.order, fact.node, fact.sku, fact.quantity)
                out += self._transfers.picked(fact.node, fact.sku, fact.quantity)
                return out + self._move(fact.node, fact.sku, -fact.quantity, time_ms, event, blame)
            case StockShortPicked():
                return self._short_picked(fact, time_ms, event, blame)
            case StockAdjusted():
                return self._move(fact.node, fact.sku, fact.delta, time_ms, event, blame)
            case StockReturned():
                if not fact.sellable:
                    return []
                return self._move(fact.node, fact.sku, fact.quantity, time_ms, event, blame)
            case InboundScheduled():
                due = Inbound(to_ms(fact.eta), fact.quantity)
                key = InboundKey("supplier", fact.inbound)
                return self._schedule(fact.node, fact.sku, key, due, blame)
            case TransferDeparted():
                self._transfers.departed(fact.origin, fact.destination, fact.sku, fact.quantity)
                out = self._move(fact.origin, fact.sku, -fact.quantity, time_ms, event, blame)
                due = Inbound(to_ms(fact.eta), fact.quantity)
                key = InboundKey("transfer", fact.transfer)
                self._context.twin.transfers[fact.transfer] = (fact.destination, fact.sku)
                return out + self._schedule(fact.destination, fact.sku, key, due, blame)
            case TransferArrived():
                return self._arrived(fact, time_ms, event, blame)
            case _:
                return []

    def _move(
        self, node: str, sku: str, delta: int, time_ms: int, event: str, blame: Blame
    ) -> list[Derived]:
        position = self._context.twin.position(node, sku)
        position.move(time_ms, event, delta, self._context.settled_ms)
        if delta > 0:
            self._context.free([sku])
            return []
        return self._uncover(node, sku, blame)

    def _count(
        self, node: str, sku: str, quantity: int, time_ms: int, event: str, blame: Blame
    ) -> list[Derived]:
        position = self._context.twin.position(node, sku)
        is_first = not position.counted_ms and not position.recent and not position.on_hand
        difference = position.count(time_ms, event, quantity)
        if difference is None:
            reason = "a later count stands"
            return [NoAction(kind="reconcile", about=f"{node}/{sku}", reason=reason)]
        if difference > 0:
            self._context.free([sku])
        if difference == 0 or is_first:
            return self._uncover(node, sku, blame) if difference < 0 else []
        draft = self._reconcile(node, sku, quantity - difference, quantity, time_ms)
        about, cases = ShelfKey(node, sku), self._context.cases
        is_asked = self._context.policy.governance.asks_a_person("reconcile", draft.value_cents)
        cases.open("count_mismatch", "retailer", about)
        cases.act("count_mismatch", about, needs_person=is_asked)
        cases.close("count_mismatch", about)  # the books follow the count at once
        return [draft, *self._uncover(node, sku, blame)]

    def _reconcile(self, node: str, sku: str, ledger: int, counted: int, time_ms: int) -> Draft:
        difference = counted - ledger
        value = difference * self._context.twin.skus[sku].value_cents
        amount = money(abs(value), self._context.policy.currency)
        side = "more" if difference > 0 else "fewer"
        return Draft(
            decision=Reconcile(
                node=node,
                sku=sku,
                ledger=ledger,
                counted=counted,
                difference=difference,
                value_cents=value,
            ),
            subject=f"{node}/{sku}",
            correlation=None,
            summary=f"{node} counted {counted} of {sku} at {day(time_ms)}, {abs(difference)} "
            f"{side} than the {ledger} on the books ({amount}). The books follow the count.",
            terms={"value of the difference": value},
            value_cents=abs(value),
            causes=(self._context.seq,),
            rests_on=("inventory",),
        )

    def _received(
        self, received: StockReceived, time_ms: int, event: str, blame: Blame
    ) -> list[Derived]:
        due_at = (received.node, received.sku)
        if received.inbound is not None:
            due_at = self._end(*due_at, InboundKey("supplier", received.inbound))
        out = self._move(received.node, received.sku, received.quantity, time_ms, event, blame)
        return out + self._uncover(*due_at, blame)

    def _arrived(
        self, arrived: TransferArrived, time_ms: int, event: str, blame: Blame
    ) -> list[Derived]:
        under_way = self._context.twin.transfers.pop(arrived.transfer, None)
        if under_way is None:
            reason = "the transfer is not under way"
            return [NoAction(kind="transfer", about=arrived.transfer, reason=reason)]
        destination, sku = under_way
        due_at = self._end(destination, sku, InboundKey("transfer", arrived.transfer))
        # It may have arrived elsewhere than it was bound for; the units are where they arrived.
        out: list[Derived] = []
        if arrived.quantity:
            self._transfers.arrived(arrived.transfer, arrived.node, sku, arrived.quantity)
            out += self._move(arrived.node, sku, arrived.quantity, time_ms, event, blame)
        return out + self._uncover(*due_at, blame)

    def _schedule(
        self, node: str, sku: str, key: InboundKey, due: Inbound, blame: Blame
    ) -> list[Derived]:
        if key in self._context.twin.ended_inbound:
            return []
        twin = self._context.twin
        before = twin.due_at.pop(key, (node, sku))
        twin.position(*before).inbound.pop(key, None)
        if due.quantity:
            twin.due_at[key] = (node, sku)
            twin.position(node, sku).inbound[key] = due
            self._context.free([sku])
        out = self._uncover(*before, blame)
        return out if before == (node, sku) else out + self._uncover(node, sku, blame)

    def _end(self, node: str, sku: str, key: InboundKey) -> tuple[str, str]:
        """End what was due under `key`; returns where it was, which may be elsewhere."""
        twin = self._context.twin
        due_at = twin.due_at.pop(key, (node, sku))
        twin.position(*due_at).inbound.pop(key, None)
        ended, now_ms = self._context.twin.ended_inbound, self._context.now_ms
        ended[key] = now_ms
        while ended and ended[next(iter(ended))] < now_ms - _REMEMBERED_MS:
            del ended[next(iter(ended))]
        return due_at

    def _picked(self, name: str, node: str, sku: str, quantity: int) -> list[Derived]:
        """Use up the order's reservation by a pick, and release what is then reserved in excess."""
        if not self._context.suspect:
            self._context.nodes.picked(node, False, self._context.policy.nodes)
        order = self._context.twin.orders.get(name)
        if order is None or sku not in order.lines:
            return []
        self._context.twin.pick(order, node, sku, quantity, self._context.now_ms)
        order.lines[sku].picked += quantity
        return self.give_back(name, sku)

    def give_back(self, name: str, sku: str, keep_at: str = "") -> list[Derived]:
        """Release what an order holds beyond what it still needs of `sku`.

        Not at node `keep_at`: its shelf is about to report the pick.
        """
        order = self._context.twin.orders[name]
        out: list[Derived] = []
        for at, held_sku in list(order.reserved):
            excess = -order.lines[sku].unsourced
            if held_sku != sku or excess <= 0 or at == keep_at:
                continue
            out += release(self._context, order, at, sku, excess, "shipped_elsewhere")
        return out

    def _short_picked(
        self, short: StockShortPicked, time_ms: int, event: str, blame: Blame
    ) -> list[Derived]:
        """Take a shelf that was found empty as a count of zero just after the pick."""
        if not self._context.suspect:
            self._context.nodes.picked(short.node, True, self._context.policy.nodes)
        order = self._context.twin.orders.get(short.order)
        known = order is not None and short.sku in order.lines
        if order is not None and known:
            self._short(order, short)
            order.lines[short.sku].picked += short.picked
        out = self._move(short.node, short.sku, -short.picked, time_ms, event, blame)
        out += self._count(short.node, short.sku, 0, time_ms, f"{event}~", blame)
        if order is not None and known and order.unsourced():
            self._context.cases.open("short_pick", "retailer", order.name, order.name)
            order.follows(self._context.seq)
            out += self._orders.source(order, (short.node,), f"short pick at {short.node}")
        return out

    def _short(self, order: OpenOrder, short: StockShortPicked) -> None:
        """Use up what was picked of a short pick, and release the rest, which is not there."""
        node, sku = short.node, short.sku
        reserved = order.reserved.get((node, sku), 0)
        self._context.twin.pick(order, node, sku, short.picked, self._context.now_ms)
        missing = min(short.expected, reserved) - min(short.picked, reserved)
        give_back(self._context, order, node, sku, missing, is_supply=False)

    def uncovered(self, shelf: Uncovered) -> list[Derived]:
        """Take back reservations on inbound that does not come, or not in full."""
        return self._uncover(shelf.node, shelf.sku, ("oversold", "retailer"))

    def _uncover(self, node: str, sku: str, blame: Blame) -> list[Derived]:
        """Take back reservations that shelf and inbound no longer cover, the newest first."""
        position = self._context.twin.position(node, sku)
        if not position.uncovered():
            return []
        out: list[Derived] = []
        for holder in list(reversed(position.reservations)):
            short = position.uncovered()
            if not short:
                break
            if isinstance(holder, int):
                self._transfers.give_back(holder, short)
                continue
            order = self._context.twin.orders[holder]
            out += release(self._context, order, node, sku, short, "uncovered")
            kind, party = blame
            self._context.cases.open(kind, party, order.name, order.name)
            order.follows(self._context.seq)
            out += self._orders.source(order, why=f"{sku} at {node} no longer covered")
        return out


def _blame_of(fact: Fact) -> Blame:
    """Return the exception kind and the party at fault when a fact uncovers reserved stock."""
    match fact:
        case StockAdjusted(reason="damage" | "expired" | "recalled"):
            return "damage", "retailer"
        case StockAdjusted():
            return "oversold", "channel"
        case InboundScheduled() | StockReceived():
            return "oversold", "supplier"
        case _:
            return "oversold", "retailer"
