"""Stock: what lies on the shelves, what the books say, and what is on its way in."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flows.simulation.agenda import Agenda
from flows.simulation.feeds import WAREHOUSE, Outbox
from flows.simulation.luck import stream
from flows.simulation.work import Line
from flows.simulation.world import Node, World
from state.events import (
    Fact,
    InboundScheduled,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
)
from state.events.inventory import AdjustReason
from state.quantities import DAY_MS, HOUR_MS, from_ms

_COVER_LOW_DAYS = 2.5
_COVER_LOT_DAYS = 12.0
_INBOUND_LATE_SHARE = 0.15
_INBOUND_SHORT_SHARE = 0.04
_INBOUND_CANCELLED_SHARE = 0.015
#: Of late inbounds, the share of which the supplier says so in time.
_INBOUND_WARNED_SHARE = 0.5
_RECOUNT_SHARE = 0.6
_FOUND_SHARE = 0.3


@dataclass(slots=True)
class Shelf:
    """One SKU at one node, in units.

    `physical` is what lies there, `book` what the warehouse system believes (never less), and
    `strayed` what got lost silently. `low` and `full` are the levels to reorder at and up to.
    """

    node: int
    sku: int
    physical: int
    book: int
    low: int
    full: int
    reserved: int = 0
    on_order: int = 0
    strayed: int = 0

    @property
    def available(self) -> int:
        """Units that may be promised."""
        return max(0, self.book - self.reserved)


class Stock:
    """All shelves. `on_arrival` is called with (now, sku) whenever units became available."""

    def __init__(self, seed: int, world: World, agenda: Agenda, outbox: Outbox) -> None:
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._luck = stream(seed, "stock")
        self._inbounds = 0
        self.on_arrival: Callable[[int, int], None] = lambda now_ms, sku: None
        #: Per SKU, its shelves by node.
        self.shelves: list[dict[int, Shelf]] = [
            {node: self._furnish(node, sku, daily) for node, daily in stocking.items()}
            for sku, stocking in enumerate(world.assortment)
        ]
        self.all_shelves: list[Shelf] = [
            shelf for stocking in self.shelves for shelf in stocking.values()
        ]

    def _furnish(self, node: int, sku: int, daily: float) -> Shelf:
        luck = self._luck
        if self._world.skus[sku].scarce:
            low, full = 0, 2 + math.ceil(4 * daily)
        else:
            low = 1 + math.ceil(_COVER_LOW_DAYS * daily)
            full = low + 3 + math.ceil(_COVER_LOT_DAYS * daily)
        units = luck.randint(low, full)
        return Shelf(node, sku, units, units, low, full)

    def initial_counts(self) -> Iterable[StockCounted]:
        """Counts of all shelves."""
        return (self._count(shelf) for shelf in self.all_shelves)

    def missing(self, lines: list[Line]) -> int | None:
        """The first SKU of `lines` that no single shelf can supply; None if there is none."""
        for sku, quantity in lines:
            if all(shelf.available < quantity for shelf in self.shelves[sku].values()):
                return sku
        return None

    def plan(self, lines: list[Line], region: int, day: int) -> list[tuple[int, list[Line]]]:
        """Nodes near `region` to serve `lines` from, one if any node has all of them.

        Nodes that are full for `day` are passed over as long as another one has the stock; closed
        ones always. Empty if a line can be served from nowhere.
        """
        whole = self._nearest(lines, region, day)
        if whole is not None:
            return [(whole.index, lines)]
        if len(lines) == 1:
            return []
        parts: dict[int, list[Line]] = {}
        for line in lines:
            node = self._nearest([line], region, day)
            if node is None:
                return []
            parts.setdefault(node.index, []).append(line)
        return list(parts.items())

    def _nearest(self, lines: list[Line], region: int, day: int) -> Node | None:
        """Return the nearest open node that has all `lines`, with room left if there is one."""
        best: Node | None = None
        best_rank = (True, math.inf)
        for index in self.shelves[lines[0][0]]:
            node = self._world.nodes[index]
            rank = (node.fullness(day) >= 1.0, self._world.km[index][region])
            if rank < best_rank and node.capacity > 0 and self._holds(index, lines):
                best, best_rank = node, rank
        return best

    def _holds(self, node: int, lines: list[Line]) -> bool:
        for sku, quantity in lines:
            shelf = self.shelves[sku].get(node)
            if shelf is None or shelf.available < quantity:
                return False
        return True

    def reserve(self, now_ms: int, node: int, lines: list[Line]) -> None:
        """Set `lines` aside at `node`."""
        for sku, quantity in lines:
            shelf = self.shelves[sku][node]
            shelf.reserved += quantity
            self.replenish(now_ms, shelf)

    def release(self, now_ms: int, node: int, lines: list[Line]) -> None:
        """Give back what was reserved."""
        for sku, quantity in lines:
            self.shelves[sku][node].reserved -= quantity
            self.on_arrival(now_ms, sku)

    def pick(self, now_ms: int, node: int, line: Line, order: str) -> int:
        """Take a reserved line off the shelf; returns the units that were found."""
        sku, quantity = line
        shelf = self.shelves[sku][node]
        shelf.reserved -= quantity
        found = min(quantity, shelf.physical)
        node_id, sku_id = self._ids(shelf)
        if found == quantity:
            self.put(shelf, -quantity)
            picked = StockPicked(node=node_id, sku=sku_id, quantity=quantity, order=order)
            self.record(now_ms, shelf, picked, order)
            return found
        shelf.physical = shelf.book = 0
        short = StockShortPicked(
            node=node_id, sku=sku_id, order=order, expected=quantity, picked=found
        )
        self.record(now_ms, shelf, short, order)
        luck = self._luck
        if luck.random() < _RECOUNT_SHARE:
            self._agenda.at(now_ms + round(luck.uniform(0.5, 5) * HOUR_MS), self.count, shelf)
        if luck.random() < _FOUND_SHARE:
            self._agenda.at(now_ms + round(luck.uniform(2, 30) * HOUR_MS), self._find, shelf)
        self.replenish(now_ms, shelf)
        return found

    def count(self, now_ms: int, shelf: Shelf) -> None:
        """Count a shelf; the books then say what is there."""
        shelf.book = shelf.physical
        self.record(now_ms, shelf, self._count(shelf))
        self.replenish(now_ms, shelf)

    def lose(self, shelf: Shelf, units: int) -> None:
        """Lose units silently: no event says so."""
        lost = min(units, shelf.physical)
        shelf.physical -= lost
        shelf.strayed += lost

    def adjust(self, now_ms: int, shelf: Shelf, delta: int, reason: AdjustReason) -> None:
        """Change a shelf by `delta` units and say why; a loss takes no more than there is."""
        delta = max(delta, -shelf.physical)
        if delta == 0:
            return
        shelf.physical += delta
        shelf.book += delta
        node_id, sku_id = self._ids(shelf)
        adjusted = StockAdjusted(node=node_id, sku=sku_id, delta=delta, reason=reason)
        self.record(now_ms, shelf, adjusted)
        self.replenish(now_ms, shelf)
        if delta > 0:
            self.on_arrival(now_ms, shelf.sku)

    def put(self, shelf: Shelf, units: int) -> None:
        """Put units on a shelf, or take them off (negative); the caller records why."""
        shelf.physical += units
        shelf.book += units
        if shelf.physical < 0 or shelf.physical > shelf.book:
            raise AssertionError(f"expected 0 <= physical <= book, was {shelf}")

    def give_back(self, now_ms: int, shelf: Shelf, units: int, sellable: bool, order: str) -> None:
        """Take a customer's return; sellable units go on the shelf."""
        node_id, sku_id = self._ids(shelf)
        returned = StockReturned(
            node=node_id, sku=sku_id, quantity=units, sellable=sellable, order=order
        )
        if sellable:
            self.put(shelf, units)
        self.record(now_ms, shelf, returned, order)
        if sellable:
            self.on_arrival(now_ms, shelf.sku)

    def replenish(self, now_ms: int, shelf: Shelf, wanted: int = 0) -> None:
        """Order more if what is there and due falls to the reorder level or below `wanted`."""
        position = shelf.available + shelf.on_order
        if position > shelf.low and position >= wanted:
            return
        luck = self._luck
        quantity = max(1, shelf.full + wanted - position)
        shelf.on_order += quantity
        self._inbounds += 1
        inbound = f"IN-{self._inbounds:06d}"
        days = luck.lognormvariate(1.0 if self._world.skus[shelf.sku].scarce else 0.5, 0.4)
        # Suppliers announce a half-hour slot.
        eta_ms = math.ceil((now_ms + days * DAY_MS) / (HOUR_MS // 2)) * (HOUR_MS // 2)
        self._schedule(now_ms, shelf, inbound, quantity, eta_ms)
        if luck.random() < _INBOUND_CANCELLED_SHARE:
            self._agenda.at(
                round(luck.uniform(now_ms, eta_ms)), self._call_off, shelf, inbound, quantity
            )
            return
        arrival_ms = eta_ms + round(luck.triangular(-2, 2, 0) * HOUR_MS)
        if luck.random() < _INBOUND_LATE_SHARE:
            late_ms = round(luck.lognormvariate(2.2, 0.7) * HOUR_MS)
            arrival_ms = eta_ms + late_ms
            if luck.random() < _INBOUND_WARNED_SHARE:
                new_eta_ms = eta_ms + round(late_ms * luck.uniform(0.7, 1.2))
                self._agenda.at(
                    round(luck.uniform(now_ms, eta_ms)),
                    self._schedule,
                    shelf,
                    inbound,
                    quantity,
                    new_eta_ms,
                )
        self._agenda.at(arrival_ms, self._receive, shelf, inbound, quantity)

    def record(self, now_ms: int, shelf: Shelf, fact: Fact, order: str | None = None) -> None:
        """Record a fact of the warehouse system of the shelf's node, in that system's order."""
        self._outbox.emit(
            WAREHOUSE,
            fact,
            now_ms,
            subject=self._world.skus[shelf.sku].id,
            correlation=order,
            queue=shelf.node,
        )

    def _schedule(
        self, now_ms: int, shelf: Shelf, inbound: str, quantity: int, eta_ms: int
    ) -> None:
        node_id, sku_id = self._ids(shelf)
        scheduled = InboundScheduled(
            inbound=inbound, node=node_id, sku=sku_id, quantity=quantity, eta=from_ms(eta_ms)
        )
        self.record(now_ms, shelf, scheduled)

    def _call_off(self, now_ms: int, shelf: Shelf, inbound: str, quantity: int) -> None:
        shelf.on_order -= quantity
        self._schedule(now_ms, shelf, inbound, 0, now_ms)
        self.replenish(now_ms, shelf)

    def _receive(self, now_ms: int, shelf: Shelf, inbound: str, quantity: int) -> None:
        shelf.on_order -= quantity
        if self._luck.random() < _INBOUND_SHORT_SHARE:
            quantity = max(1, round(quantity * self._luck.uniform(0.5, 0.95)))
        self.put(shelf, quantity)
        node_id, sku_id = self._ids(shelf)
        received = StockReceived(node=node_id, sku=sku_id, quantity=quantity, inbound=inbound)
        self.record(now_ms, shelf, received)
        self.on_arrival(now_ms, shelf.sku)

    def _find(self, now_ms: int, shelf: Shelf) -> None:
        units = shelf.strayed
        shelf.strayed = 0
        self.adjust(now_ms, shelf, units, "found")

    def _count(self, shelf: Shelf) -> StockCounted:
        node_id, sku_id = self._ids(shelf)
        return StockCounted(node=node_id, sku=sku_id, quantity=shelf.physical)

    def _ids(self, shelf: Shelf) -> tuple[str, str]:
        return self._world.nodes[shelf.node].site.id, self._world.skus[shelf.sku].id
