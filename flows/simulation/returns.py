"""Returns of customers, to the node that is nearest to them."""

from flows.simulation.agenda import Agenda
from flows.simulation.config import WorldConfig
from flows.simulation.stock import Stock
from flows.simulation.work import Order, Parcel
from flows.simulation.world import World
from state.quantities import DAY_MS
from state.sums import int_sum

_SELLABLE_SHARE = 0.85


class Returns:
    """Returns of a line of some orders, one to six days after it arrived."""

    def __init__(self, config: WorldConfig, world: World, agenda: Agenda, stock: Stock) -> None:
        self._share = config.returned_share
        self._world = world
        self._agenda = agenda
        self._stock = stock
        #: Units that customers returned so far.
        self.units = 0

    def delivered(self, now_ms: int, parcel: Parcel) -> None:
        """Have the customer send a line back later, if luck has it and it is in this parcel."""
        order = parcel.order
        if order.luck.share("returns") >= self._share:
            return
        sku = order.lines[order.luck.integer("returns line", 0, len(order.lines) - 1)][0]
        found = int_sum(units for line_sku, units in parcel.found if line_sku == sku)
        if not found:
            return
        units = order.luck.integer(f"returns units {found}", 1, found)
        days = order.luck.triangular("returns after", 1, 6, 2)
        self._agenda.at(now_ms + round(days * DAY_MS), self._take_back, order, sku, units)

    def _take_back(self, now_ms: int, order: Order, sku: int, units: int) -> None:
        self.units += units
        sellable = order.luck.share("returns sellable") < _SELLABLE_SHARE
        shelf = self._stock.shelf(self._world.home(sku, order.region), sku)
        self._stock.take_back(now_ms, shelf, units, sellable, order.id)
