"""Supply: deliveries of suppliers, and their times.

Buyers replace what the customers of a node's own regions order, a lot at a time. So supply follows
demand and not decisions: two policies in the same world get the same deliveries, and a policy that
ships from far away runs its shelves empty.
"""

import math

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.luck import Luck, stream
from flows.simulation.opening import Due
from flows.simulation.stock import Shelf, Stock
from flows.simulation.work import Order
from flows.simulation.world import World
from state.events import InboundScheduled, StockReceived
from state.quantities import DAY_MS, HOUR_MS, from_ms

_LATE_SHARE = 0.15
_SHORT_SHARE = 0.04
_CALLED_OFF_SHARE = 0.015
#: Share of late inbounds that the supplier reports in time.
_WARNED_SHARE = 0.5
#: Suppliers announce a half-hour slot.
_SLOT_MS = HOUR_MS // 2


class Supply:
    """Buyer of lots that are delivered. `prefix` begins the names of what is due."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        stock: Stock,
        prefix: str = "IN",
    ) -> None:
        self._seed = seed
        self._config = config
        self._world = world
        self._agenda = agenda
        self._stock = stock
        self._prefix = prefix
        luck = stream(seed, "supply")
        # Units ordered by customers since the last lot; somewhere within a lot at the beginning.
        self._asked = {
            (shelf.node, shelf.sku): luck.uniform(0, shelf.lot) for shelf in stock.all_shelves()
        }
        self._lots: dict[tuple[int, int], int] = {}
        # A node -> until when what is bound for it is held up, ms (a closed port).
        self._held_up: dict[int, int] = {}

    def ordered(self, now_ms: int, order: Order) -> None:
        """Take note of an order: its units are bought again for the nodes nearest to it."""
        for sku, quantity in order.lines:
            node = self._world.home(sku, order.region)
            key = node, sku
            self._asked[key] = self._asked.get(key, 0.0) + quantity * self._config.supply_share
            self._buy(now_ms, self._stock.shelf(node, sku))

    def expect(self, now_ms: int, due: Due) -> None:
        """Receive what was on its way already when the run began."""
        self._agenda.at(max(now_ms + 1, due.eta_ms), self._receive_due, due)

    def hold_up(self, node: int, until_ms: int) -> None:
        """Let nothing reach `node` before `until_ms`; what is due comes then."""
        self._held_up[node] = max(until_ms, self._held_up.get(node, 0))

    def _buy(self, now_ms: int, shelf: Shelf) -> None:
        key = shelf.node, shelf.sku
        if self._asked[key] < shelf.lot:
            return
        quantity = int(self._asked[key])
        self._asked[key] -= quantity
        number = self._lots[key] = self._lots.get(key, 0) + 1
        node, sku = self._world.nodes[shelf.node], self._world.skus[shelf.sku]
        inbound = f"{self._prefix}-{node.id}-{sku.id}-{number}"
        luck = Luck(self._seed, inbound)
        days = luck.lognormal("lead", 1.0 if sku.scarce else 0.5, 0.4)
        eta_ms = math.ceil((now_ms + days * DAY_MS) / _SLOT_MS) * _SLOT_MS
        self._schedule(now_ms, shelf, inbound, quantity, eta_ms)
        if luck.share("called off") < _CALLED_OFF_SHARE:
            off_ms = round(luck.uniform("called off at", now_ms, eta_ms))
            self._agenda.at(off_ms, self._call_off, shelf, inbound, quantity)
            return
        arrival_ms = eta_ms + round(luck.triangular("slip", -2, 2, 0) * HOUR_MS)
        if luck.share("late") < _LATE_SHARE:
            late_ms = round(luck.lognormal("late by", 2.2, 0.7) * HOUR_MS)
            arrival_ms = eta_ms + late_ms
            if luck.share("warned") < _WARNED_SHARE:
                new_eta_ms = eta_ms + round(late_ms * luck.uniform("new eta", 0.7, 1.2))
                warned_ms = round(luck.uniform("warned at", now_ms, eta_ms))
                self._agenda.at(warned_ms, self._schedule, shelf, inbound, quantity, new_eta_ms)
        self._agenda.at(max(now_ms + 1, arrival_ms), self._receive, shelf, inbound, quantity)

    def _schedule(
        self, now_ms: int, shelf: Shelf, inbound: str, quantity: int, eta_ms: int
    ) -> None:
        scheduled = InboundScheduled(
            inbound=inbound,
            node=self._world.nodes[shelf.node].id,
            sku=self._world.skus[shelf.sku].id,
            quantity=quantity,
            eta=from_ms(eta_ms),
        )
        self._stock.write(now_ms, shelf, scheduled)

    def _call_off(self, now_ms: int, shelf: Shelf, inbound: str, quantity: int) -> None:
        self._schedule(now_ms, shelf, inbound, 0, now_ms)
        self._asked[shelf.node, shelf.sku] += quantity
        self._buy(now_ms, shelf)

    def _receive_due(self, now_ms: int, due: Due) -> None:
        self._receive(now_ms, self._stock.shelf(due.node, due.sku), due.inbound, due.quantity)

    def _receive(self, now_ms: int, shelf: Shelf, inbound: str, quantity: int) -> None:
        held_ms = self._held_up.get(shelf.node, 0)
        if held_ms > now_ms:
            self._schedule(now_ms, shelf, inbound, quantity, held_ms)
            self._agenda.at(held_ms, self._receive, shelf, inbound, quantity)
            return
        luck = Luck(self._seed, inbound)
        if luck.share("short") < _SHORT_SHARE:
            short = quantity - max(1, round(quantity * luck.uniform("short to", 0.5, 0.95)))
            quantity -= short
            self._asked[shelf.node, shelf.sku] += short
        received = StockReceived(
            node=self._world.nodes[shelf.node].id,
            sku=self._world.skus[shelf.sku].id,
            quantity=quantity,
            inbound=inbound,
        )
        self._stock.receive(now_ms, shelf, quantity, received)
