"""Fulfilment: carries allocations out, from the pick to the handover, and brings orders to an end.

A node begins a parcel some hours ahead of its pickup, one after the other, as fast as it can pack.
What is picked is packed for some time, then waits for the carrier's truck; a truck that is full, or
was missed, is followed by another one the next day.
"""

from collections import deque
from collections.abc import Callable

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.ledger import Ledger
from flows.simulation.luck import Luck
from flows.simulation.opening import Moving
from flows.simulation.stock import Stock
from flows.simulation.transport import Transport
from flows.simulation.work import Line, Order, Parcel
from flows.simulation.world import World
from state.quantities import DAY_MS, HOUR_MS

_MINUTE_MS = 60_000
#: Picking begins so long before the latest start that should still meet the pickup.
_AHEAD_MS = 8 * HOUR_MS
#: Packing takes this part of the handling time (median), with this sigma.
_PACKING_SHARE = 0.75
_PACKING_SIGMA = 0.22
#: A customer with a parcel under way asks again after so long.
_PATIENT_MS = 2 * DAY_MS
_PATIENCE_SIGMA = 0.5


class Fulfilment:
    """Owner of open orders. `withdraw` takes an order back when its customer's patience ends."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        stock: Stock,
        transport: Transport,
        ledger: Ledger,
        withdraw: Callable[[int, Order, str], None],
    ) -> None:
        self._seed = seed
        self._config = config
        self._world = world
        self._agenda = agenda
        self._stock = stock
        self._transport = transport
        self._ledger = ledger
        self._withdraw = withdraw
        # By node, parcels that wait for its packing tables, in the order in which they get there.
        self._waiting: list[deque[Parcel]] = [deque() for _ in world.nodes]
        self.orders: dict[str, Order] = {}
        self.on_delivered: Callable[[int, Parcel], None] = lambda now_ms, parcel: None
        transport.on_ended = self._ended

    def placed(self, now_ms: int, order: Order) -> None:
        """Take note of an order; no work on it begins until it is allocated."""
        self.orders[order.id] = order
        self._ledger.placed(now_ms, order)
        days = order.luck.lognormal("patience", 0, _PATIENCE_SIGMA) * self._config.patience_days
        # An order that was taken over may be late beyond patience: its customer asks now.
        asks_ms = max(order.promised_ms + round(days * DAY_MS), now_ms + _PATIENT_MS)
        self._agenda.at(asks_ms, self._lose_patience, order)

    def resume(self, moving: Moving) -> None:
        """Take note of a parcel that was handed over before the run began."""
        parcel = moving.parcel
        parcel.order.parcels.append(parcel)
        parcel.order.numbered = max(parcel.order.numbered, parcel.number + 1)
        self._ledger.resumed(parcel)

    def resume_packed(self, now_ms: int, parcel: Parcel) -> None:
        """Have a parcel that was packed before the run began wait for its truck."""
        parcel.order.parcels.append(parcel)
        parcel.stage, parcel.found, parcel.ready_ms = "packed", parcel.lines, now_ms
        parcel.weight_g = self._world.weight_g(parcel.lines)
        self._ledger.resumed_packed(parcel)
        self._wait_for_truck(max(parcel.due_ms, now_ms), parcel)

    def withdrawn(self, now_ms: int, order: Order) -> None:
        """Take note that the customer does not want the order any more."""
        self._ledger.withdrawn(now_ms, order)
        self._finish(now_ms, order)

    def plan(self, now_ms: int, parcel: Parcel) -> None:
        """Have a parcel's node pick, pack and send it for the pickup that it is planned for."""
        parcel.order.parcels.append(parcel)
        handling_ms = self._world.nodes[parcel.node].registration.handling_time_s * 1_000
        begin_ms = max(now_ms + _MINUTE_MS, parcel.due_ms - handling_ms - _AHEAD_MS)
        self._agenda.at(begin_ms, self._begin, parcel)

    def release(self, now_ms: int, order: Order, node: int, lines: list[Line]) -> str:
        """Take lines out of parcels not begun at `node`; returns why not, empty if done."""
        for sku, quantity in lines:
            for parcel in order.parcels:
                if parcel.node == node and parcel.stage == "planned":
                    quantity = _take_out(parcel, sku, quantity)
            if quantity:
                return "it is picked already"
        self._finish(now_ms, order)
        return ""

    def cancel(self, now_ms: int, order: Order) -> None:
        """Stop working on an order; what is packed goes back to its shelf."""
        for parcel in order.parcels:
            if parcel.stage == "packed":
                for sku, quantity in parcel.found:
                    shelf = self._stock.shelf(parcel.node, sku)
                    self._stock.take_back(now_ms, shelf, quantity, True, order.id)
            if parcel.stage in ("planned", "packed"):
                parcel.stage = "void"
        self._finish(now_ms, order)

    def give_up(self, now_ms: int, order: Order) -> None:
        """Have a person end an order that cannot be served: the customer gets the money back."""
        if not order.cancelled:
            order.cancelled = True
            self._ledger.given_up(now_ms, order)
        self.cancel(now_ms, order)

    def pay_back(self, now_ms: int, order: Order, lines: list[Line]) -> None:
        """Refund the customer for lines that are not sent any more."""
        if order.cancelled:
            return
        owed = {sku: min(units, order.owed.get(sku, 0)) for sku, units in lines}
        self._ledger.paid_back(order, owed)
        for sku, units in owed.items():
            order.owed[sku] = order.owed.get(sku, 0) - units
        order.is_short = True
        self._finish(now_ms, order)

    def end(self, now_ms: int) -> None:
        """Book open orders as lost when a run ends: they will not be served any more."""
        for order in self.orders.values():
            if not order.cancelled:
                self._ledger.given_up(now_ms, order)

    def _lose_patience(self, now_ms: int, order: Order) -> None:
        if order.id not in self.orders or order.cancelled:
            return
        if any(parcel.stage == "under_way" for parcel in order.parcels):
            self._agenda.at(now_ms + _PATIENT_MS, self._lose_patience, order)
            return
        self._withdraw(now_ms, order, "waited_too_long")

    def _begin(self, now_ms: int, parcel: Parcel) -> None:
        """Line a parcel up for the packing tables."""
        if parcel.stage != "planned":
            return
        waiting = self._waiting[parcel.node]
        waiting.append(parcel)
        if len(waiting) == 1:
            self._take_turn(now_ms, parcel.node)

    def _take_turn(self, now_ms: int, index: int) -> None:
        """Pick the first parcel in a node's line, or come back when the node can."""
        node, waiting = self._world.nodes[index], self._waiting[index]
        while waiting and waiting[0].stage != "planned":
            waiting.popleft()
        if waiting and node.turn_ms(now_ms) == now_ms:
            node.begin(now_ms)
            self._pick(now_ms, waiting.popleft())
        if waiting:
            self._agenda.at(node.turn_ms(now_ms), self._take_turn, index)

    def _pick(self, now_ms: int, parcel: Parcel) -> None:
        for line in parcel.lines:
            found = self._stock.pick(now_ms, parcel, line)
            if found:
                parcel.found.append((line[0], found))
        if not parcel.found:
            parcel.stage = "void"
            self._finish(now_ms, parcel.order)
            return
        parcel.stage = "packed"
        parcel.weight_g = self._world.weight_g(parcel.found)
        registration = self._world.nodes[parcel.node].registration
        self._ledger.packed(parcel, registration)
        share = parcel.order.luck.lognormal(f"pack {registration.node}", 0, _PACKING_SIGMA)
        handling_ms = registration.handling_time_s * 1_000
        parcel.ready_ms = now_ms + round(handling_ms * _PACKING_SHARE * share)
        self._wait_for_truck(max(parcel.due_ms, now_ms), parcel)

    def _wait_for_truck(self, due_ms: int, parcel: Parcel) -> None:
        """Schedule the loading of a parcel on the first truck that comes once it is ready."""
        truck_ms = 0
        while truck_ms < parcel.ready_ms:
            due_ms = parcel.service.pickup_ms(due_ms)
            luck = Luck(self._seed, "truck", parcel.service.name, parcel.node, due_ms)
            truck_ms = due_ms + round(luck.triangular("comes", 0, 25, 3) * _MINUTE_MS)
            due_ms += 1
        self._agenda.at(truck_ms, self._load, parcel)

    def _load(self, now_ms: int, parcel: Parcel) -> None:
        if parcel.stage != "packed":
            return
        if not parcel.service.accept(now_ms):
            self._wait_for_truck(now_ms, parcel)
            return
        km = self._world.km[parcel.node][parcel.order.region]
        self._ledger.handed_over(now_ms, parcel, km)
        # Numbered here, so that plans that came to nothing do not change a parcel's luck.
        parcel.number = parcel.order.numbered
        parcel.order.numbered += 1
        self._transport.hand_over(now_ms, parcel)

    def _ended(self, now_ms: int, parcel: Parcel, how: str) -> None:
        """Settle a parcel whose journey is over: with the customer, back at the node or lost."""
        order = parcel.order
        parcel.outcome = how
        self._ledger.ended(now_ms, parcel, how)
        if how == "delivered":
            for sku, quantity in parcel.found:
                order.owed[sku] = max(0, order.owed.get(sku, 0) - quantity)
            self.on_delivered(now_ms, parcel)
        elif how in ("recalled", "refused"):
            for sku, quantity in parcel.found:
                shelf = self._stock.shelf(parcel.node, sku)
                self._stock.take_back(now_ms, shelf, quantity, True, order.id)
        self._finish(now_ms, order)

    def _finish(self, now_ms: int, order: Order) -> None:
        """Close an order once nothing more can come of it."""
        over = order.is_complete or order.cancelled
        if over and order.id in self.orders and not order.open_parcels():
            del self.orders[order.id]
            self._ledger.closed(now_ms, order)


def _take_out(parcel: Parcel, sku: int, quantity: int) -> int:
    """Take up to `quantity` units of a SKU out of a parcel; returns what is still to be taken."""
    kept: list[Line] = []
    for line_sku, units in parcel.lines:
        if line_sku == sku:
            taken = min(units, quantity)
            quantity, units = quantity - taken, units - taken
        if units:
            kept.append((line_sku, units))
    parcel.lines = kept
    if not kept:
        parcel.stage = "void"
    return quantity
