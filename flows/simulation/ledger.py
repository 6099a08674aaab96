"""The ledger: the cost of each order, its arrival, and the outcome of every promise.

It keeps open orders only; a closed one is added to its window, by the time it was placed.
"""

from dataclasses import dataclass, field

from flows.simulation.kpis import COST_TERMS
from flows.simulation.prices import Prices
from flows.simulation.work import Order, Parcel
from flows.simulation.world import World
from state.events import NodeRegistered
from state.geography import carbon_gco2e, freight_cents
from state.quantities import HOUR_MS
from state.sums import int_sum

#: Orders are added up by the window in which they were placed.
WINDOW_MS = 12 * HOUR_MS
_TERMS = tuple(term.name for term in COST_TERMS)


@dataclass(slots=True)
class Account:
    """One open order: its costs by term, and how it fares."""

    window: int
    costs: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TERMS, 0.0))
    carbon_g: float = 0.0
    parcels: int = 0
    is_local: bool = True
    arrived_ms: int = 0
    notified_ms: int | None = None
    warned: bool = False
    first_handed_ms: int | None = None
    is_withdrawn: bool = False


@dataclass(slots=True)
class Window:
    """Sums over the closed orders that were placed within one window.

    `orders` leaves out those that the customer took back at once; `withdrawn` counts these.
    """

    orders: int = 0
    withdrawn: int = 0
    filled: int = 0
    on_time: int = 0
    late: int = 0
    notified: int = 0
    warned: int = 0
    false_alarms: int = 0
    parcels: int = 0
    shipped: int = 0
    local: int = 0
    carbon_g: float = 0.0
    costs: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TERMS, 0.0))

    def add(self, other: "Window") -> None:
        """Add another window's sums."""
        for name in self.__slots__:
            if name != "costs":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        for term, cents in other.costs.items():
            self.costs[term] += cents


class Ledger:
    """Account of everything that costs money or keeps a promise. Money in cents, unrounded."""

    def __init__(self, world: World, prices: Prices, start_ms: int) -> None:
        self._world = world
        self._prices = prices
        self._start_ms = start_ms
        self.windows: list[Window] = []
        self._open: dict[str, Account] = {}
        #: Orders placed of which nothing was handed over yet.
        self.backlog = 0
        self.touches = 0
        #: Units in parcels that reached a customer, that were lost, and that came back.
        self.units_delivered = self.units_lost = self.units_back = 0
        self.units_under_way = self.units_resumed = 0
        self._moved: dict[tuple[int, int], int] = {}
        self.units_moved = self.units_moved_sold = 0
        #: Payments by term over the whole run; the windows of closed orders must agree.
        self.paid = dict.fromkeys(_TERMS, 0.0)
        self.general = dict.fromkeys(_TERMS, 0.0)

    def placed(self, now_ms: int, order: Order) -> None:
        """Open an account."""
        window = (now_ms - self._start_ms) // WINDOW_MS
        while len(self.windows) <= window:
            self.windows.append(Window())
        self._open[order.id] = Account(window)
        self.backlog += 1

    def withdrawn(self, now_ms: int, order: Order) -> None:
        """Note an order withdrawn: at once, or because it was not served in time."""
        account = self._open[order.id]
        if now_ms <= order.placed_ms + HOUR_MS:
            account.is_withdrawn = True
        else:
            self._lose_sale(account, order)

    def given_up(self, now_ms: int, order: Order) -> None:
        """Note that a person gave an order up, and the money back."""
        self._lose_sale(self._open[order.id], order)

    def paid_back(self, order: Order, owed: dict[int, int]) -> None:
        """Pay units of an order back: their sale is lost, and so is goodwill, once."""
        account, prices = self._open[order.id], self._prices
        value = int_sum(self._world.skus[sku].value_cents * units for sku, units in owed.items())
        fixed = 0.0 if order.is_short else prices.lost_fixed_cents
        self._pay(account, "lost_sale", prices.margin * value + fixed)

    def packed(self, parcel: Parcel, node: NodeRegistered) -> None:
        """Note a parcel that a node picked and packed."""
        units = int_sum(quantity for _, quantity in parcel.found)
        cents = node.handling_fixed_cents + node.handling_unit_cents * units
        term = "handling" if not parcel.is_again else "expedite"
        self._pay(self._open[parcel.order.id], term, cents)
        for sku, quantity in parcel.found:
            moved = self._moved.pop((parcel.node, sku), 0)
            sold = min(moved, quantity)
            self.units_moved_sold += sold
            if moved > sold:
                self._moved[parcel.node, sku] = moved - sold

    def handed_over(self, now_ms: int, parcel: Parcel, km: float) -> None:
        """Note a parcel that a carrier took, over `km` of road."""
        account, spec = self._open[parcel.order.id], parcel.service.spec
        if account.first_handed_ms is None:
            account.first_handed_ms = now_ms
            self.backlog -= 1
        term = "freight" if not parcel.is_again else "expedite"
        self._pay(account, term, freight_cents(spec, km, parcel.weight_g))
        grams = carbon_gco2e(spec, km, parcel.weight_g)
        account.carbon_g += grams
        self._pay(account, "carbon", grams / 1000 * self._prices.carbon_kg_cents)
        if not parcel.is_again:
            account.parcels += 1
            if account.parcels > 1:
                self._pay(account, "split", self._prices.further_parcel_cents)
        home, region = self._world.home, parcel.order.region
        nearest = all(home(sku, region) == parcel.node for sku, _ in parcel.found)
        account.is_local = account.is_local and nearest
        self.units_under_way += int_sum(quantity for _, quantity in parcel.found)

    def resumed(self, parcel: Parcel) -> None:
        """Note a parcel under way when the run began; what it cost was paid before."""
        account = self._open[parcel.order.id]
        account.parcels += 1
        if account.first_handed_ms is None:
            account.first_handed_ms = self._start_ms
            self.backlog -= 1
        units = int_sum(quantity for _, quantity in parcel.found)
        self.units_under_way += units
        self.units_resumed += units

    def resumed_packed(self, parcel: Parcel) -> None:
        """Note a parcel packed when the run began; its handling was paid before."""
        self.units_resumed += int_sum(quantity for _, quantity in parcel.found)

    def expedited(self, order: str, cents: float) -> None:
        """Note a parcel under way moved to another service, or called back."""
        account = self._open.get(order)
        if account is not None:
            self._pay(account, "expedite", cents)

    def refunded(self, order: str, cents: float) -> None:
        """Note a compensation of a customer."""
        account = self._open.get(order)
        if account is None:
            self.paid["compensation"] += cents
            self.general["compensation"] += cents
        else:
            self._pay(account, "compensation", cents)

    def moved(self, node: int, sku: int, units: int) -> None:
        """Note units of a transfer that arrived at `node`."""
        self._moved[node, sku] = self._moved.get((node, sku), 0) + units
        self.units_moved += units

    def transferred(self, weight_g: int, units: int, km: float) -> None:
        """Note units that left for another node; what that costs is no single order's."""
        prices = self._prices
        cents = prices.transfer_unit_cents * units
        cents += prices.transfer_kg_100km_cents * weight_g / 1000 * km / 100
        self.paid["transfer"] += cents
        self.general["transfer"] += cents

    def notified(self, now_ms: int, order: str, topic: str) -> None:
        """Note a notice to a customer."""
        account = self._open.get(order)
        if account is None:
            return
        account.warned = account.warned or topic == "delayed"
        if account.notified_ms is None:
            account.notified_ms = now_ms

    def ended(self, now_ms: int, parcel: Parcel, how: str) -> None:
        """Note the end of a parcel's journey."""
        units = int_sum(quantity for _, quantity in parcel.found)
        self.units_under_way -= units
        if how == "delivered":
            self.units_delivered += units
            account = self._open[parcel.order.id]
            account.arrived_ms = max(account.arrived_ms, now_ms)
        elif how in ("recalled", "refused"):
            self.units_back += units
        else:
            self.units_lost += units

    def closed(self, now_ms: int, order: Order) -> None:
        """Add an order up: nothing more comes of it."""
        account = self._open.pop(order.id)
        window = self.windows[account.window]
        if account.first_handed_ms is None:
            self.backlog -= 1
        filled = order.is_complete and not order.cancelled and not order.is_short
        late_ms = account.arrived_ms - order.promised_ms
        if filled and not account.is_withdrawn:
            self._pay(account, "lateness", self._prices.lateness_cents(late_ms))
        window.withdrawn += account.is_withdrawn
        for term, cents in account.costs.items():
            window.costs[term] += cents
        if account.is_withdrawn:
            return
        window.orders += 1
        window.filled += filled
        on_time = filled and late_ms <= 0
        window.on_time += on_time
        if not on_time and not order.cancelled and not order.is_short:
            window.late += 1
            notified_ms = account.notified_ms
            window.notified += notified_ms is not None and notified_ms <= order.promised_ms
        window.warned += account.warned
        window.false_alarms += account.warned and on_time
        window.parcels += account.parcels
        window.shipped += account.parcels > 0
        window.local += filled and account.is_local
        window.carbon_g += account.carbon_g

    def total(self) -> Window:
        """Return all windows' sums, with costs of no single order."""
        total = Window()
        for window in self.windows:
            total.add(window)
        for term, cents in self.general.items():
            total.costs[term] += cents
        return total

    def check(self) -> None:
        """Raise AssertionError unless what was paid is what orders and the network cost."""
        booked = self.total().costs
        for account in self._open.values():
            for term, cents in account.costs.items():
                booked[term] += cents
        for term, cents in self.paid.items():
            if abs(cents - booked[term]) > 0.01:
                raise AssertionError(f"expected {cents} cents of {term}, was {booked[term]}")

    def open_orders(self) -> int:
        """Return orders that are not closed."""
        return len(self._open)

    def _lose_sale(self, account: Account, order: Order) -> None:
        value = int_sum(
            self._world.skus[sku].value_cents * units for sku, units in order.owed.items()
        )
        lost = self._prices.margin * value + self._prices.lost_fixed_cents
        self._pay(account, "lost_sale", lost)

    def _pay(self, account: Account, term: str, cents: float) -> None:
        account.costs[term] += cents
        self.paid[term] += cents
