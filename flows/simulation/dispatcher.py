"""The network's own dispatcher: the nearest node with stock, the cheapest service in time.

It is deliberately simple and knows nothing of the operators: the log is what happened before them.
"""

from collections.abc import Callable

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.conditions import weekday
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import SHOP, Outbox
from flows.simulation.luck import stream
from flows.simulation.warehouse import Stock
from flows.simulation.work import Line, Order, Parcel, ServiceLevel
from flows.simulation.world import Node, World
from state.events import OrderCancelled
from state.quantities import DAY_MS, HOUR_MS

_MINUTE_MS = 60_000
_PACKAGING_G = 180
#: Promises end in the evening (UTC); nobody promises a Sunday.
_PROMISE_HOUR = 20
_PADDING_MS = {"economy": 14 * HOUR_MS, "standard": 8 * HOUR_MS, "express": 2 * HOUR_MS}
_NOWHERE_IN_STOCK_MS = 3 * DAY_MS
#: The dispatcher wants the published arrival this long before the promise.
_MARGIN_MS = 6 * HOUR_MS
_STORE_HOURS = (8, 20)
_CANCEL_REASONS = ("changed_mind", "found_cheaper", "payment_failed", "ordered_twice")


class Dispatcher:
    """Owns open orders from placing to the hand-over; `hand_over` takes each packed parcel."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        stock: Stock,
        hand_over: Callable[[int, Parcel], None],
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._stock = stock
        self._hand_over = hand_over
        self._luck = stream(seed, "dispatcher")
        self._waiting: dict[int, list[tuple[Order, list[Line]]]] = {}
        stock.on_arrival = self._retry

    def promise(self, now_ms: int, lines: list[Line], region: int, level: ServiceLevel) -> int:
        """Delivery promise (ms) shown at checkout: published times, padded, by the evening."""
        weight_g = self._weight_g(lines)
        plan = self._stock.plan(lines, region, now_ms // DAY_MS)
        arrival_ms = 0
        if not plan:
            nearest = min(self._world.nodes, key=lambda node: self._world.km[node.index][region])
            plan = [(nearest.index, lines)]
            now_ms += _NOWHERE_IN_STOCK_MS
        for index, _ in plan:
            node = self._world.nodes[index]
            arrivals = sorted(
                self._due_ms(now_ms, node, service)
                + service.nominal_ms(self._world.km[index][region])
                for service in self._world.services
                if service.takes(self._world.km[index][region], weight_g)
            )
            at = {"economy": -1, "standard": (len(arrivals) - 1) // 2, "express": 0}[level]
            arrival_ms = max(arrival_ms, arrivals[at])
        day, past_ms = divmod(arrival_ms + _PADDING_MS[level], DAY_MS)
        if past_ms > _PROMISE_HOUR * HOUR_MS:
            day += 1
        if weekday(day * DAY_MS) == 6:
            day += 1
        return day * DAY_MS + _PROMISE_HOUR * HOUR_MS

    def accept(self, now_ms: int, order: Order) -> None:
        """Take an order that was just placed; some are withdrawn again."""
        luck = self._luck
        self._agenda.at(
            now_ms + round(luck.uniform(1, 6) * _MINUTE_MS), self._dispatch, order, order.lines
        )
        if luck.random() < self._config.cancelled_share:
            self._agenda.at(now_ms + round(luck.uniform(1, 20) * _MINUTE_MS), self._cancel, order)

    def _cancel(self, now_ms: int, order: Order) -> None:
        if order.picking:
            return
        order.cancelled = True
        cancelled = OrderCancelled(order=order.id, reason=self._luck.choice(_CANCEL_REASONS))
        self._outbox.emit(SHOP, cancelled, now_ms, subject=order.id, correlation=order.id)

    def _retry(self, now_ms: int, sku: int) -> None:
        for order, lines in self._waiting.pop(sku, ()):
            self._agenda.at(now_ms + 2 * _MINUTE_MS, self._dispatch, order, lines)

    def _dispatch(self, now_ms: int, order: Order, lines: list[Line]) -> None:
        if order.cancelled:
            return
        missing = self._stock.missing(lines)
        if missing is not None:
            self._wait(now_ms, order, lines, missing)
            return
        plan = self._stock.plan(lines, order.region, now_ms // DAY_MS)
        if not plan:  # whoever has the stock is closed
            self._agenda.at(now_ms + 3 * HOUR_MS, self._dispatch, order, lines)
            return
        for index, part in plan:
            node = self._world.nodes[index]
            service, due_ms = self._choose(now_ms, node, order, part)
            day = now_ms // DAY_MS
            _count_one(node.load, day)
            _count_one(service.load, due_ms // DAY_MS)
            self._stock.reserve(now_ms, index, part)
            parcel = Parcel(order, index, service, part, due_ms)
            self._agenda.at(self._pick_ms(now_ms, node), self._pick, parcel, 0)

    def _wait(self, now_ms: int, order: Order, lines: list[Line], sku: int) -> None:
        self._waiting.setdefault(sku, []).append((order, lines))
        wanted = max(quantity for line_sku, quantity in lines if line_sku == sku)
        shelves = self._stock.shelves[sku].values()
        nearest = min(shelves, key=lambda shelf: self._world.km[shelf.node][order.region])
        self._stock.replenish(now_ms, nearest, wanted)

    def _choose(
        self, now_ms: int, node: Node, order: Order, lines: list[Line]
    ) -> tuple[Service, int]:
        """Return the cheapest service with room that is to arrive in time, else the fastest one."""
        weight_g = self._weight_g(lines)
        km = self._world.km[node.index][order.region]
        best: tuple[tuple[bool, float, int], Service, int] | None = None
        for service in self._world.services:
            if not service.takes(km, weight_g):
                continue
            due_ms = self._due_ms(now_ms, node, service)
            arrival_ms = due_ms + service.nominal_ms(km)
            full = service.fullness(due_ms // DAY_MS) >= 1.0
            late = full or arrival_ms + _MARGIN_MS > order.promised_ms
            cost = arrival_ms + full * DAY_MS if late else service.freight_cents(km, weight_g)
            rank = (late, cost, service.index)
            if best is None or rank < best[0]:
                best = rank, service, due_ms
        if best is None:
            raise AssertionError(f"expected a service for {weight_g} g over {km:.0f} km, was none")
        return best[1], best[2]

    def _due_ms(self, now_ms: int, node: Node, service: Service) -> int:
        """Return the first daily pickup after the node's handling time."""
        ready_ms = self._opened_ms(now_ms, node) + node.handling_s * 1_000
        return _next_pickup_ms(ready_ms, service)

    def _opened_ms(self, now_ms: int, node: Node) -> int:
        """`now_ms`, or when the store next opens; warehouses and dark stores never close."""
        if node.site.kind != "store":
            return now_ms
        day, past_ms = divmod(now_ms, DAY_MS)
        opens, closes = _STORE_HOURS
        if past_ms < opens * HOUR_MS:
            return day * DAY_MS + opens * HOUR_MS
        return now_ms if past_ms < closes * HOUR_MS else (day + 1) * DAY_MS + opens * HOUR_MS

    def _pick_ms(self, now_ms: int, node: Node) -> int:
        """When picking starts: within the handling time, later the fuller the node is."""
        fullness = node.fullness(now_ms // DAY_MS)
        slowness = 0.55 * self._luck.lognormvariate(0, 0.45) * (1 + 1.5 * max(0, fullness - 0.6))
        return self._opened_ms(now_ms, node) + round(node.handling_s * 1_000 * slowness)

    def _pick(self, now_ms: int, parcel: Parcel, at: int) -> None:
        """Pick the parcel's line number `at`, then the next one, then pack."""
        order = parcel.order
        if order.cancelled:
            self._stock.release(now_ms, parcel.node, parcel.lines)
            return
        order.picking = True
        sku, quantity = parcel.lines[at]
        found = self._stock.pick(now_ms, parcel.node, (sku, quantity), order.id)
        if found:
            parcel.found.append((sku, found))
        if found < quantity:
            self._agenda.at(
                now_ms + 3 * _MINUTE_MS, self._dispatch, order, [(sku, quantity - found)]
            )
        if at + 1 < len(parcel.lines):
            self._agenda.at(
                now_ms + round(self._luck.uniform(20, 150) * 1_000), self._pick, parcel, at + 1
            )
        elif parcel.found:
            self._pack(now_ms, parcel)

    def _pack(self, now_ms: int, parcel: Parcel) -> None:
        """Have the parcel ready for its pickup, or for the next one if it took too long."""
        node = self._world.nodes[parcel.node]
        fullness = node.fullness(now_ms // DAY_MS)
        slowness = 0.35 * self._luck.lognormvariate(0, 0.45) * (1 + 1.5 * max(0, fullness - 0.6))
        ready_ms = now_ms + round(node.handling_s * 1_000 * slowness)
        pickup_ms = parcel.due_ms + round(self._luck.triangular(-5, 25, 2) * _MINUTE_MS)
        if ready_ms > pickup_ms:
            pickup_ms = _next_pickup_ms(ready_ms, parcel.service)
            pickup_ms += round(self._luck.triangular(0, 25, 2) * _MINUTE_MS)
        self._agenda.at(pickup_ms, self._hand_over, parcel)

    def _weight_g(self, lines: list[Line]) -> int:
        return packed_g(self._world, lines)


def packed_g(world: World, lines: list[Line]) -> int:
    """Weight of a parcel with `lines` in it, in g."""
    return _PACKAGING_G + sum(world.skus[sku].weight_g * quantity for sku, quantity in lines)


def _next_pickup_ms(ready_ms: int, service: Service) -> int:
    day, past_ms = divmod(ready_ms, DAY_MS)
    cutoff_ms = service.spec.cutoff_s * 1_000
    return (day + (past_ms > cutoff_ms)) * DAY_MS + cutoff_ms


def _count_one(load: dict[int, int], day: int) -> None:
    """Add one to the load of `day`, and forget days long gone."""
    load[day] = load.get(day, 0) + 1
    if len(load) > 16:
        del load[min(load)]
