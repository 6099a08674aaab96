"""Upkeep of warehouses besides orders: losses, counts, corrections, loss of capacity."""

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import WAREHOUSE, Outbox
from flows.simulation.luck import Weighted, gap_ms, stream
from flows.simulation.stock import Stock
from flows.simulation.world import World
from state.events import NodeCapacityChanged
from state.events.inventory import AdjustReason
from state.quantities import DAY_MS

_REASONS: tuple[AdjustReason, ...] = ("damage", "expired", "stolen", "correction")
_REASON_SHARES = (0.55, 0.15, 0.10, 0.20)
_CLOSURE_SHARE = 0.12


class Upkeep:
    """Driver of silent losses, cycle counts, corrections and node capacity."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        stock: Stock,
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._stock = stock
        self._luck = stream(seed, "upkeep")
        shelves = list(stock.all_shelves())
        # A shelf that is often touched often loses and is counted more often.
        self._busy_shelves = Weighted(shelves, [0.3 + shelf.lot for shelf in shelves])
        # Node -> shares that its capacity is cut to at present; the smallest holds.
        self._cuts: dict[int, list[float]] = {}

    def start(self, now_ms: int) -> None:
        """Enter the first happening of each kind."""
        config = self._config
        counts_per_day = config.counts_per_node_day * len(self._world.nodes)
        for happening, per_day in (
            (self._lose, config.shrinkages_per_day),
            (self._count, counts_per_day),
            (self._throw_away, config.adjustments_per_day),
            (self._squeeze, config.node_squeezes_per_day),
        ):
            if per_day > 0:
                self._agenda.at(now_ms + gap_ms(self._luck, per_day), happening, per_day)

    def cut(self, now_ms: int, node: int, share: float, until_ms: int, why: str) -> None:
        """Cut a node's capacity to `share` of the usual until `until_ms`."""
        self._cuts.setdefault(node, []).append(share)
        self._set_capacity(now_ms, node, why)
        self._agenda.at(until_ms, self._relax, node, share, why)

    def _again(self, now_ms: int, per_day: float) -> int:
        return now_ms + gap_ms(self._luck, per_day)

    def _lose(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._lose, per_day)
        shelf = self._busy_shelves.draw(self._luck)
        self._stock.lose(shelf, 1 + int(self._luck.expovariate(1.0)))

    def _count(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._count, per_day)
        self._stock.count(now_ms, self._busy_shelves.draw(self._luck))

    def _throw_away(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._throw_away, per_day)
        shelf = self._busy_shelves.draw(self._luck)
        reason = Weighted(_REASONS, _REASON_SHARES).draw(self._luck)
        units = 1 + int(self._luck.expovariate(1.0))
        self._stock.write_off(now_ms, shelf, units, reason)

    def _squeeze(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._squeeze, per_day)
        luck = self._luck
        node = luck.randrange(len(self._world.nodes))
        closed = luck.random() < _CLOSURE_SHARE
        share = 0.0 if closed else luck.uniform(0.25, 0.75)
        days = luck.uniform(0.15, 0.5 if closed else 2.0)
        if not self._cuts.get(node):
            self.cut(now_ms, node, share, now_ms + round(days * DAY_MS), "squeeze")

    def _relax(self, now_ms: int, node: int, share: float, why: str) -> None:
        self._cuts[node].remove(share)
        self._set_capacity(now_ms, node, why)

    def _set_capacity(self, now_ms: int, index: int, why: str) -> None:
        node = self._world.nodes[index]
        share = min(self._cuts[index], default=1.0)
        node.capacity.set(now_ms, round(node.usual * share))
        changed = NodeCapacityChanged(node=node.id, parcels_per_day=node.capacity.now)
        name = f"{node.id} capacity {why}@{now_ms}"
        self._outbox.emit(WAREHOUSE, name, changed, now_ms, subject=node.id, queue=index)
