"""Transfers: stock that actions move between nodes."""

from flows.simulation.agenda import Agenda
from flows.simulation.ledger import Ledger
from flows.simulation.luck import Luck
from flows.simulation.opening import Move, OnTheRoad
from flows.simulation.stock import Stock
from flows.simulation.world import World
from state.events import TransferArrived, TransferDeparted
from state.quantities import HOUR_MS, from_ms

_SHORT_SHARE = 0.03
_TRUCK_KM_PER_H = 55.0
_LOADED_AFTER_MS = 3 * HOUR_MS
_DOCK_TO_SHELF_H = 6.0


class Transfers:
    """Transfers loaded, driven and unloaded."""

    def __init__(
        self, seed: int, world: World, agenda: Agenda, stock: Stock, ledger: Ledger
    ) -> None:
        self._seed = seed
        self._world = world
        self._agenda = agenda
        self._stock = stock
        self._ledger = ledger
        #: Units on the road between nodes.
        self.units_under_way = 0

    def send(
        self, now_ms: int, name: str, origin: int, destination: int, sku: int, units: int
    ) -> str:
        """Load a truck; return why not, empty if it will be."""
        if origin == destination:
            return "it is there already"
        if not self._stock.shelf(origin, sku).physical:
            return "there is nothing to send"
        self.load(now_ms, Move(f"T-{name}", origin, destination, sku, units))
        return ""

    def load(self, now_ms: int, move: Move) -> None:
        """Have a truck come for what was asked for."""
        self._agenda.at(now_ms + _LOADED_AFTER_MS, self._depart, move)

    def resume(self, now_ms: int, road: OnTheRoad) -> None:
        """Go on with a truck that left before the run began; it arrives when it was to, or now."""
        self._stock.depart_before(road.quantity)
        self.units_under_way += road.quantity
        lost = self._missing(Luck(self._seed, "transfer", road.transfer), road.quantity)
        at_ms = max(now_ms + 1, road.eta_ms)
        arrival = (road.transfer, road.node, road.sku, road.quantity, lost)
        self._agenda.at(at_ms, self._arrive, *arrival)

    def _depart(self, now_ms: int, move: Move) -> None:
        origin, destination, sku = move.origin, move.destination, move.sku
        shelf = self._stock.shelf(origin, sku)
        units = min(move.quantity, shelf.physical)
        if not units:
            return
        nodes = self._world.nodes
        km = self._world.km[origin][nodes[destination].region]
        hours = _DOCK_TO_SHELF_H + km / _TRUCK_KM_PER_H
        departed = TransferDeparted(
            transfer=move.transfer,
            origin=nodes[origin].id,
            destination=nodes[destination].id,
            sku=self._world.skus[sku].id,
            quantity=units,
            eta=from_ms(now_ms + round(hours * HOUR_MS)),
        )
        self._stock.depart(now_ms, shelf, units, departed)
        self._ledger.transferred(self._world.skus[sku].weight_g * units, units, km)
        self.units_under_way += units
        luck = Luck(self._seed, "transfer", origin, destination, sku, now_ms)
        arrives_ms = now_ms + round(hours * luck.lognormal("hours", 0, 0.2) * HOUR_MS)
        lost = self._missing(luck, units)
        self._agenda.at(arrives_ms, self._arrive, move.transfer, destination, sku, units, lost)

    def _missing(self, luck: Luck, units: int) -> int:
        """Return units of a truck's that do not arrive."""
        return luck.integer("missing", 1, units) if luck.share("short") < _SHORT_SHARE else 0

    def _arrive(
        self, now_ms: int, transfer: str, node: int, sku: int, sent: int, lost: int
    ) -> None:
        self.units_under_way -= sent
        units = sent - lost
        arrived = TransferArrived(
            transfer=transfer,
            node=self._world.nodes[node].id,
            sku=self._world.skus[sku].id,
            quantity=units,
        )
        self._stock.arrive(now_ms, self._stock.shelf(node, sku), sent, units, arrived)
        self._ledger.moved(node, sku, units)
