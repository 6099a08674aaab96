"""Stock: units on the shelves, units in the books, and losses between the two."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import WAREHOUSE, Outbox
from flows.simulation.luck import Luck, stream
from flows.simulation.work import Line, Parcel
from flows.simulation.world import World
from state.events import (
    Fact,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReturned,
    StockShortPicked,
)
from state.events.inventory import AdjustReason
from state.quantities import HOUR_MS
from state.sums import int_sum

_RECOUNT_SHARE = 0.6
_FOUND_SHARE = 0.3
#: Units that a shelf's first fill has at least, besides its cover, from a lot of so many days.
_LOT_DAYS = 6.0


@dataclass(slots=True)
class Shelf:
    """One SKU at one node, in units.

    `physical` is what lies there, `book` what the warehouse system believes, and `strayed` what got
    lost silently. `lot` is what is bought at a time. `written` numbers what was written of it.
    """

    node: int
    sku: int
    physical: int
    book: int
    lot: int
    strayed: int = 0
    written: int = 0


@dataclass(slots=True)
class Units:
    """Units by origin and end; the shelves' own sums must agree.

    `begun` + `received` + `returned` + `found` = on the shelves + `picked` + `written_off` +
    `strayed` + `departed` - `arrived`.
    """

    begun: int = 0
    received: int = 0
    picked: int = 0
    returned: int = 0
    written_off: int = 0
    strayed: int = 0
    found: int = 0
    departed: int = 0
    arrived: int = 0


class Stock:
    """All shelves; every change of one is written to its warehouse system, silent losses aside.

    `opening` gives the units of each (node, SKU) to begin with; without it, luck does.
    """

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        opening: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        self._seed = seed
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self.units = Units()
        luck = stream(seed, "shelves")
        #: Per SKU, its shelves by node.
        self.shelves: list[dict[int, Shelf]] = []
        for sku, stocking in enumerate(world.assortment):
            shelves = {}
            for node, daily in stocking.items():
                # A scarce SKU is bought late: nothing covers it but its lot.
                scarce = world.skus[sku].scarce
                cover = 0 if scarce else 1 + math.ceil(config.cover_days * daily)
                lot = 1 + math.ceil((2.0 if scarce else _LOT_DAYS) * daily)
                units = cover + luck.randint(0, lot)
                if opening is not None:
                    units = opening.get((node, sku), 0)
                shelves[node] = Shelf(node, sku, units, units, lot)
                self.units.begun += units
            self.shelves.append(shelves)

    def all_shelves(self) -> Iterable[Shelf]:
        """Return every shelf, SKU by SKU."""
        return (shelf for shelves in self.shelves for shelf in shelves.values())

    def shelf(self, node: int, sku: int) -> Shelf:
        """Return the shelf of a SKU at a node; an empty one if it has never had any."""
        shelf = self.shelves[sku].get(node)
        if shelf is None:
            shelf = self.shelves[sku][node] = Shelf(node, sku, 0, 0, 1)
        return shelf

    def first_counts(self) -> Iterable[tuple[str, StockCounted]]:
        """Return counts of all shelves, with their names."""
        return ((self._name(shelf), self._count(shelf)) for shelf in self.all_shelves())

    def pick(self, now_ms: int, parcel: Parcel, line: Line) -> int:
        """Take a line of a parcel off its shelf; return the units that were found."""
        sku, quantity = line
        shelf = self.shelf(parcel.node, sku)
        found = min(quantity, shelf.physical)
        self.units.picked += found
        node_id, sku_id = self._ids(shelf)
        order = parcel.order.id
        if found == quantity:
            self._put(shelf, -quantity)
            picked = StockPicked(node=node_id, sku=sku_id, quantity=quantity, order=order)
            self.write(now_ms, shelf, picked, order)
            return found
        shelf.physical = shelf.book = 0
        short = StockShortPicked(
            node=node_id, sku=sku_id, order=order, expected=quantity, picked=found
        )
        self.write(now_ms, shelf, short, order)
        luck = Luck(self._seed, "short", node_id, sku_id, order)
        if luck.share("recounted") < _RECOUNT_SHARE:
            after_ms = round(luck.uniform("recounted after", 0.5, 5) * HOUR_MS)
            self._agenda.at(now_ms + after_ms, self.count, shelf)
        if luck.share("found") < _FOUND_SHARE:
            after_ms = round(luck.uniform("found after", 2, 30) * HOUR_MS)
            self._agenda.at(now_ms + after_ms, self._find, shelf)
        return found

    def receive(self, now_ms: int, shelf: Shelf, units: int, fact: Fact) -> None:
        """Put units that a supplier brought on their shelf."""
        self.units.received += units
        self._put(shelf, units)
        self.write(now_ms, shelf, fact)

    def take_back(self, now_ms: int, shelf: Shelf, units: int, sellable: bool, order: str) -> None:
        """Take units back from a customer or a carrier; sellable ones go on the shelf."""
        node_id, sku_id = self._ids(shelf)
        self.units.returned += units
        if sellable:
            self._put(shelf, units)
        else:
            self.units.written_off += units
        returned = StockReturned(
            node=node_id, sku=sku_id, quantity=units, sellable=sellable, order=order
        )
        self.write(now_ms, shelf, returned, order)

    def depart_before(self, units: int) -> None:
        """Take note of units that were on the road when the run began."""
        self.units.begun += units
        self.units.departed += units

    def depart(self, now_ms: int, shelf: Shelf, units: int, fact: Fact) -> None:
        """Load units for another node."""
        self.units.departed += units
        self._put(shelf, -units)
        self.write(now_ms, shelf, fact)

    def arrive(self, now_ms: int, shelf: Shelf, sent: int, units: int, fact: Fact) -> None:
        """Put `units` of the `sent` ones on their shelf; the rest is gone."""
        self.units.arrived += sent
        self.units.written_off += sent - units
        self._put(shelf, units)
        self.write(now_ms, shelf, fact)

    def count(self, now_ms: int, shelf: Shelf) -> None:
        """Count a shelf; the books then hold what is there."""
        shelf.book = shelf.physical
        self.write(now_ms, shelf, self._count(shelf))

    def miscount(self, now_ms: int, shelf: Shelf, book: int) -> None:
        """Set the books to `book` units, and report it as a count."""
        shelf.book = book
        node_id, sku_id = self._ids(shelf)
        self.write(now_ms, shelf, StockCounted(node=node_id, sku=sku_id, quantity=book))

    def lose(self, shelf: Shelf, units: int) -> None:
        """Lose units silently: no event reports it."""
        lost = min(units, shelf.physical)
        shelf.physical -= lost
        shelf.strayed += lost
        self.units.strayed += lost

    def write_off(self, now_ms: int, shelf: Shelf, units: int, reason: AdjustReason) -> None:
        """Throw up to `units` away and report why."""
        units = min(units, shelf.physical)
        if not units:
            return
        self.units.written_off += units
        shelf.physical -= units
        shelf.book -= min(units, shelf.book)
        self._adjusted(now_ms, shelf, -units, reason)

    def write(self, now_ms: int, shelf: Shelf, fact: Fact, order: str | None = None) -> None:
        """Write a fact of a shelf to its node's warehouse system, in that system's order."""
        self._outbox.emit(
            WAREHOUSE,
            self._name(shelf),
            fact,
            now_ms,
            subject=self._world.skus[shelf.sku].id,
            correlation=order,
            queue=shelf.node,
            scope=self._world.nodes[shelf.node].id,
        )

    def check(self) -> None:
        """Raise AssertionError unless every unit is accounted for."""
        u = self.units
        there = int_sum(shelf.physical for shelf in self.all_shelves())
        came = u.begun + u.received + u.returned + u.found
        went = u.picked + u.written_off + u.strayed + u.departed - u.arrived
        if came != there + went:
            raise AssertionError(f"expected {came} units, was {there} on shelves and {went} gone")

    def _put(self, shelf: Shelf, units: int) -> None:
        shelf.physical += units
        shelf.book = max(0, shelf.book + units)
        if shelf.physical < 0:
            raise AssertionError(f"expected units on the shelf, was {shelf}")

    def _find(self, now_ms: int, shelf: Shelf) -> None:
        units, shelf.strayed = shelf.strayed, 0
        if not units:
            return
        self.units.found += units
        self._put(shelf, units)
        self._adjusted(now_ms, shelf, units, "found")

    def _adjusted(self, now_ms: int, shelf: Shelf, delta: int, reason: AdjustReason) -> None:
        node_id, sku_id = self._ids(shelf)
        adjusted = StockAdjusted(node=node_id, sku=sku_id, delta=delta, reason=reason)
        self.write(now_ms, shelf, adjusted)

    def _count(self, shelf: Shelf) -> StockCounted:
        node_id, sku_id = self._ids(shelf)
        return StockCounted(node=node_id, sku=sku_id, quantity=shelf.physical)

    def _ids(self, shelf: Shelf) -> tuple[str, str]:
        return self._world.nodes[shelf.node].id, self._world.skus[shelf.sku].id

    def _name(self, shelf: Shelf) -> str:
        shelf.written += 1
        node_id, sku_id = self._ids(shelf)
        return f"{node_id}/{sku_id} {shelf.written}"
