"""Shipment desk: follows parcels, and acts when one is likely to be late or is lost."""

from operators.core.facts import (
    DelayRisk,
    Derived,
    ExceptionParty,
    NoAction,
    OrderMoved,
)
from operators.network.case_book import UNTIL_HANDOVER
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import Forget
from operators.orders.order_desk import OrderDesk
from operators.recovery.compensation import Compensation
from operators.recovery.remedies import EXCEPTION_OF, Remedies
from operators.stock.stock_desk import StockDesk
from state.events import (
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
)
from state.policy import is_reached
from state.twin import OpenOrder, Shipment
from state.twin.orders import LineProgress


class ShipmentDesk(Desk):
    """Desk that applies telemetry to the twin. Methods return derived facts, in order."""

    def __init__(
        self, context: Context, orders: OrderDesk, stock: StockDesk, making_good: Compensation
    ) -> None:
        self._context, self._orders, self._stock = context, orders, stock
        self._compensation = making_good
        self._remedies = Remedies(context)

    def facts(self) -> FactHandlers:
        """Return handlers of parcels under way."""
        return {
            ShipmentDispatched: lambda f, at, e: self.dispatched(f, at),
            ShipmentScanned: lambda f, at, e: self.scanned(f, at, e),
            ShipmentDelivered: lambda f, at, e: self.delivered(f, at, e),
            ShipmentFailed: lambda f, at, e: self.failed(f, at, e),
            DelayRisk: lambda f, at, e: self.at_risk(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of parcels that have ended."""
        return {
            Forget: lambda due: self.forget(due.shipment),
        }

    def dispatched(self, shipped: ShipmentDispatched, time_ms: int) -> list[Derived]:
        """Take in a parcel under way, and release stock that its order no longer needs."""
        twin, name = self._context.twin, shipped.shipment
        if name in twin.shipments:
            reason = "the shipment is already under way"
            return [NoAction(kind="dispatch", about=name, reason=reason)]
        twin.shipments[name] = Shipment.of(shipped, time_ms, self._context.seq)
        order = twin.orders.get(shipped.order)
        if order is None:
            twin.early_shipments.setdefault(shipped.order, []).append(name)
            return []
        order.shipments.append(name)
        order.open_shipments += 1
        if not self._context.suspect:
            rules = self._context.policy.nodes
            self._context.nodes.handed_over(order, shipped.node, time_ms, rules)
        twin.hand_over(order, shipped.node, self._context.now_ms)
        out: list[Derived] = []
        for line in shipped.lines:
            order.lines.setdefault(line.sku, LineProgress()).shipped += line.quantity
            out += self._stock.give_back(shipped.order, line.sku, keep_at=shipped.node)
        if order.is_shipped:
            self._context.cases.close_of(order.name, *UNTIL_HANDOVER)
            if order.is_waiting:
                twin.stop_waiting(order)
            out += self._orders.move(order, "shipped")
        return out

    def scanned(self, scan: ShipmentScanned, time_ms: int, event: str) -> list[Derived]:
        """Note that a carrier saw the parcel."""
        shipment = self._context.twin.shipments.get(scan.shipment)
        if shipment is not None:
            shipment.saw(scan.status, time_ms, event, terminal=False)
            if scan.status == "delivery_failed" and not shipment.is_terminal:
                name = scan.shipment  # the carrier tries again; the case ends with the parcel
                if shipment.order in self._context.twin.orders:
                    self._context.cases.open("failed_delivery", "consignee", name, shipment.order)
        return []

    def delivered(self, delivered: ShipmentDelivered, time_ms: int, event: str) -> list[Derived]:
        """Note that the parcel arrived; with the last one, the order is done."""
        shipment = self._context.twin.shipments.get(delivered.shipment)
        if shipment is None or not self._ended(
            delivered.shipment, shipment, "delivered", time_ms, event
        ):
            return []
        order = self._context.twin.orders.get(shipment.order)
        if order is None:
            return []
        order.delivered += 1
        out: list[Derived] = []
        if order.is_shipped and not order.open_shipments:
            out += self._compensation.late_arrival(order, time_ms)
        return out + self.close_if_done(order)

    def failed(self, failed: ShipmentFailed, time_ms: int, event: str) -> list[Derived]:
        """Send a parcel that will not arrive again, or pay it back, whichever costs less."""
        shipment = self._context.twin.shipments.get(failed.shipment)
        if shipment is None or not self._ended(failed.shipment, shipment, "failed", time_ms, event):
            return []
        order = self._context.twin.orders.get(shipment.order)
        if order is None or shipment.remedy == "reship":
            return self.close_if_done(order) if order is not None else []
        return self._make_good(order, failed.shipment, shipment, failed.reason, failed.party)

    def _make_good(
        self, order: OpenOrder, name: str, shipment: Shipment, reason: str, party: ExceptionParty
    ) -> list[Derived]:
        self._context.cases.open(EXCEPTION_OF[reason], party, name, order.name)
        out = self._remedies.make_good(order, name, shipment, reason)
        return out + self.close_if_done(order)

    def at_risk(self, risk: DelayRisk) -> list[Derived]:
        """Act on a parcel's P(late) if it is high and something pays."""
        shipment = self._context.twin.shipments.get(risk.shipment)
        if shipment is None or shipment.is_terminal:
            return []
        shipment.p_late = risk.p_late
        rules = self._context.policy.delays
        act_above = rules.act_above
        if not is_reached(risk.p_late, min(act_above, rules.notify_above)):
            self._context.cases.close("late", risk.shipment)
        elif shipment.order in self._context.twin.orders:
            self._context.cases.open("late", "carrier", risk.shipment, shipment.order)
        if not is_reached(risk.p_late, act_above) or shipment.remedy:
            return []
        step_ms = self._context.policy.delays.reprice_s * 1000
        if shipment.priced_ms and risk.expected_ms < shipment.priced_ms + step_ms:
            return []  # waiting was best, and the expected arrival has hardly changed
        order = self._context.twin.orders.get(shipment.order)
        if order is None:
            reason = "the order is not known"
            return [NoAction(kind="reroute", about=risk.shipment, reason=reason)]
        if order.is_withdrawn:
            reason = "the order is withdrawn"
            return [NoAction(kind="reroute", about=risk.shipment, reason=reason)]
        shipment.priced_ms = risk.expected_ms
        return self._remedies.for_delay(order, risk, shipment)

    def sweep(self) -> list[Derived]:
        """Presume parcels lost that have not arrived long after their promise."""
        context = self._context
        over_ms = context.now_ms - context.policy.delays.give_up_s * 1000
        out: list[Derived] = []
        for name, shipment in list(context.twin.shipments.items()):
            if not shipment.is_terminal and shipment.promised_ms <= over_ms:
                out += self._give_up(name, shipment)
        return out

    def _give_up(self, name: str, shipment: Shipment) -> list[Derived]:
        order = self._context.twin.orders.get(shipment.order)
        self._ended(name, shipment, "failed", self._context.now_ms, f"given up {name}")
        if order is None:
            return []
        if shipment.remedy == "reship":
            return self.close_if_done(order)
        return self._make_good(order, name, shipment, "lost", "carrier")

    def forget(self, name: str) -> list[Derived]:
        """Drop an ended shipment once no scan of it can come any more."""
        shipment = self._context.twin.shipments.pop(name, None)
        early = self._context.twin.early_shipments
        if shipment is not None and name in early.get(shipment.order, ()):
            early[shipment.order].remove(name)
            if not early[shipment.order]:
                del early[shipment.order]
        return []

    def _ended(self, name: str, shipment: Shipment, status: str, time_ms: int, event: str) -> bool:
        """Note the end of a parcel; False if it had ended already."""
        had_ended = shipment.is_terminal
        self._context.cases.close("late", name)
        self._context.cases.close("failed_delivery", name)
        shipment.saw(status, time_ms, event, terminal=True)
        if had_ended:
            return False
        order = self._context.twin.orders.get(shipment.order)
        if order is not None and name in order.shipments:  # not of an earlier order by its name
            order.open_shipments -= 1
        keep_ms = self._context.policy.hygiene.lateness_s * 1000
        self._context.deadlines.set(self._context.now_ms + keep_ms, Forget(name))
        return True

    def close_if_done(self, order: OpenOrder) -> list[Derived]:
        """Close an order that was handed over and has no parcel under way."""
        if order.open_shipments or not order.is_shipped:
            return []
        before = order.status
        self._orders.close(order)
        after = "delivered" if order.delivered else "lost"
        return [OrderMoved(order=order.name, before=before, after=after)]  # type: ignore[arg-type]
