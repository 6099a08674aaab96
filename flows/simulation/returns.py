"""Returns: what customers send back, to the node that it came from."""

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.luck import stream
from flows.simulation.transport import Transport
from flows.simulation.warehouse import Shelf, Stock
from flows.simulation.work import Parcel
from state.quantities import DAY_MS

_SELLABLE_SHARE = 0.85


class Returns:
    """Sends a line of some delivered parcels back after one to six days."""

    def __init__(
        self, seed: int, config: WorldConfig, agenda: Agenda, stock: Stock, transport: Transport
    ) -> None:
        self._share = config.returned_share
        self._agenda = agenda
        self._stock = stock
        self._luck = stream(seed, "returns")
        transport.on_delivered = self._delivered

    def _delivered(self, now_ms: int, parcel: Parcel) -> None:
        luck = self._luck
        if luck.random() >= self._share:
            return
        sku, quantity = luck.choice(parcel.found)
        shelf = self._stock.shelves[sku][parcel.node]
        back_ms = now_ms + round(luck.triangular(1, 6, 2) * DAY_MS)
        units = luck.randint(1, quantity)
        self._agenda.at(back_ms, self._take_back, shelf, units, parcel.order.id)

    def _take_back(self, now_ms: int, shelf: Shelf, units: int, order: str) -> None:
        sellable = self._luck.random() < _SELLABLE_SHARE
        self._stock.give_back(now_ms, shelf, units, sellable, order)
