"""What happens in warehouses besides orders: losses, counts, corrections, transfers, capacity."""

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import WAREHOUSE, Outbox
from flows.simulation.luck import Weighted, gap_ms, stream
from flows.simulation.warehouse import Shelf, Stock
from flows.simulation.world import World
from state.events import NodeCapacityChanged, TransferArrived, TransferDeparted
from state.events.inventory import AdjustReason
from state.quantities import DAY_MS, HOUR_MS, from_ms

_REASONS: tuple[AdjustReason, ...] = ("damage", "expired", "stolen", "correction")
_REASON_SHARES = (0.55, 0.15, 0.10, 0.20)
#: A taker is looked for at so many shelves before an attempt to transfer is given up.
_TRANSFER_TRIES = 25
_TRANSFER_SHORT_SHARE = 0.03
_TRUCK_KM_PER_H = 55.0
_DOCK_TO_SHELF_H = 6.0
_CLOSURE_SHARE = 0.12


class Upkeep:
    """Drives silent losses, cycle counts, adjustments, transfers and node capacity."""

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
        self._transfers = 0
        # Who touches a shelf often loses and counts there more often.
        touched = [0.3 + shelf.full for shelf in stock.all_shelves]
        self._busy_shelves = Weighted(stock.all_shelves, touched)
        self._squeezed = [False] * len(world.nodes)

    def start(self, now_ms: int) -> None:
        """Enter the first happening of each kind."""
        config = self._config
        counts_per_day = config.counts_per_node_day * len(self._world.nodes)
        for happening, per_day in (
            (self._lose, config.shrinkages_per_day),
            (self._count, counts_per_day),
            (self._adjust, config.adjustments_per_day),
            (self._transfer, config.transfers_per_day),
            (self._squeeze, config.node_squeezes_per_day),
        ):
            if per_day > 0:
                self._agenda.at(now_ms + gap_ms(self._luck, per_day), happening, per_day)

    def _again(self, now_ms: int, per_day: float) -> int:
        return now_ms + gap_ms(self._luck, per_day)

    def _lose(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._lose, per_day)
        shelf = self._busy_shelves.draw(self._luck)
        self._stock.lose(shelf, 1 + int(self._luck.expovariate(0.6)))

    def _count(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._count, per_day)
        self._stock.count(now_ms, self._busy_shelves.draw(self._luck))

    def _adjust(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._adjust, per_day)
        shelf = self._busy_shelves.draw(self._luck)
        reason = Weighted(_REASONS, _REASON_SHARES).draw(self._luck)
        units = 1 + int(self._luck.expovariate(1.0))
        self._stock.adjust(now_ms, shelf, -units, reason)

    def _transfer(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._transfer, per_day)
        for _ in range(_TRANSFER_TRIES):
            taker = self._busy_shelves.draw(self._luck)
            if taker.available + taker.on_order > taker.full or taker.available > taker.low:
                continue
            donors = self._stock.shelves[taker.sku].values()
            donor = max(donors, key=lambda shelf: min(shelf.available, shelf.physical))
            spare = min(donor.available, donor.physical) - donor.low - 2
            if donor is not taker and spare > 0:
                self._depart(now_ms, donor, taker, min(spare, max(1, taker.full // 2)))
                return

    def _depart(self, now_ms: int, donor: Shelf, taker: Shelf, units: int) -> None:
        nodes = self._world.nodes
        origin, destination = nodes[donor.node].site, nodes[taker.node].site
        hours = _DOCK_TO_SHELF_H + self._world.km[donor.node][destination.region] / _TRUCK_KM_PER_H
        self._transfers += 1
        transfer = f"T-{self._transfers:05d}"
        self._stock.put(donor, -units)
        taker.on_order += units
        departed = TransferDeparted(
            transfer=transfer,
            origin=origin.id,
            destination=destination.id,
            sku=self._world.skus[donor.sku].id,
            quantity=units,
            eta=from_ms(now_ms + round(hours * HOUR_MS)),
        )
        self._stock.record(now_ms, donor, departed)
        arrival_ms = now_ms + round(hours * self._luck.lognormvariate(0, 0.2) * HOUR_MS)
        self._agenda.at(arrival_ms, self._arrive, taker, transfer, units)

    def _arrive(self, now_ms: int, taker: Shelf, transfer: str, units: int) -> None:
        taker.on_order -= units
        if self._luck.random() < _TRANSFER_SHORT_SHARE:
            units -= self._luck.randint(1, units)
        self._stock.put(taker, units)
        arrived = TransferArrived(
            transfer=transfer,
            node=self._world.nodes[taker.node].site.id,
            sku=self._world.skus[taker.sku].id,
            quantity=units,
        )
        self._stock.record(now_ms, taker, arrived)
        self._stock.replenish(now_ms, taker)
        if units:
            self._stock.on_arrival(now_ms, taker.sku)

    def _squeeze(self, now_ms: int, per_day: float) -> None:
        self._agenda.at(self._again(now_ms, per_day), self._squeeze, per_day)
        luck = self._luck
        index = luck.randrange(len(self._world.nodes))
        if self._squeezed[index]:
            return
        self._squeezed[index] = True
        closed = luck.random() < _CLOSURE_SHARE
        share = 0.0 if closed else luck.uniform(0.25, 0.75)
        lasts_ms = round(luck.uniform(0.15, 0.5 if closed else 2.0) * DAY_MS)
        self._set_capacity(now_ms, index, share)
        self._agenda.at(now_ms + lasts_ms, self._relax, index)

    def _relax(self, now_ms: int, index: int) -> None:
        self._squeezed[index] = False
        self._set_capacity(now_ms, index, 1.0)

    def _set_capacity(self, now_ms: int, index: int, share: float) -> None:
        node = self._world.nodes[index]
        node.capacity = round(node.usual * share)
        changed = NodeCapacityChanged(node=node.site.id, parcels_per_day=node.capacity)
        self._outbox.emit(WAREHOUSE, changed, now_ms, subject=node.site.id, queue=index)
