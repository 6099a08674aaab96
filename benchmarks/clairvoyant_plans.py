"""Plans: all that can be done about one order, and the cheapest of it under given prices.

A *way* is a node, a service and a day's pickup. A plan sends each line of an order some way, or
does without some. With a price on every unit of stock, turn and place on a truck, the cheapest plan
of an order no longer depends on other orders, and is found exactly: ways are sorted by lateness, a
sum over subsets of lines gives the best parcel for each subset among the ways that are no later
than each of them, and the best partition into parcels follows. So the lateness of the last arrival
counts, as in the ledger, at any number of parcels.

With linear prices a line is never better split by its pieces: all of them go where one is cheapest.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.clairvoyant_limits import Limits
from benchmarks.clairvoyant_truth import Truth
from flows.simulation.prices import Prices
from flows.simulation.work import Order
from state.quantities import DAY_MS, HOUR_MS

#: Pickups are looked at one by one until so many days after the promise; what is later is one way
#: that is as early as the next day's pickup.
_DAYS_LATE = 2
#: Rounding of a freight: at most half a cent is saved by it.
_ROUNDING_CENTS = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of an order: parcels as (subset of lines as bits, way); none = lost.

    `cents` is its least cost in the ledger, and `uses` the units it takes of each limit.
    """

    cents: float
    parcels: tuple[tuple[int, int], ...]
    uses: tuple[tuple[int, float], ...]


class Options:
    """All ways to serve one order. Arrays are by way, the first index of `_cents` by subset.

    `late_cents` is what the arrival costs if all of the order is in this one parcel, `_late_any` if
    there are several; until exact values are needed, both are lower bounds. An order's only
    parcel has the luck of the first one, unless another was handed over before it, which costs at
    least the fixed parts of the cheapest parcel there is.
    """

    def __init__(self, truth: Truth, limits: Limits, order: Order, prices: Prices) -> None:
        self._truth, self.order, self._prices = truth, order, prices
        world = truth.world
        self._lines, self._free = order.lines, limits.free
        self.subsets = 1 << len(order.lines)
        nodes = sorted({node for sku, _ in order.lines for node in world.assortment[sku]})
        picks_ms = np.array([truth.earliest_pick_ms(order, node) for node in nodes])
        packing_ms = np.array([truth.packing_ms(order, node) for node in nodes])
        first = int(picks_ms.min()) // DAY_MS - truth.first_day
        # The last of the days stands for all later ones.
        last = order.promised_ms // DAY_MS - truth.first_day + _DAYS_LATE + 1
        days = np.arange(first, min(max(last, first + 1), truth.days - 1) + 1)
        due_ms = np.broadcast_to(truth.due_ms[:, days], (len(nodes), *truth.due_ms[:, days].shape))
        truck_ms = truth.truck_ms[np.ix_(nodes, range(len(world.services)), days)]
        able = (due_ms >= picks_ms[:, None, None]) & (
            truck_ms >= (picks_ms + packing_ms)[:, None, None]
        )
        able[:, :, -1] = True
        at, service, on = able.nonzero()
        self.node, self.service, day = np.array(nodes)[at], service, days[on]
        self.is_later = on == len(days) - 1
        self.truck_ms = truck_ms[able]
        picked_ms = np.minimum(due_ms[able], self.truck_ms - packing_ms[at])
        self.turn = limits.turn_row(self.node, picks_ms[at], picked_ms, self.is_later)
        self.place = np.where(self.is_later, limits.free, limits.place_row(service, day))
        self.stock = np.array(
            [limits.stock_row(sku, self.node, picked_ms, self.is_later) for sku, _ in order.lines]
        )
        self._set_cents(limits, day)
        after_ms = truth.tour_ms[service, day] - order.promised_ms
        self.late_cents = np.where(
            after_ms > 0, prices.late_fixed_cents + prices.late_hour_cents * after_ms / HOUR_MS, 0.0
        )
        self._late_any = self.late_cents.copy()
        self._is_exact = self.is_later.copy()
        self._lost = self._lost_cents()
        self._forgone = self._partly_lost_cents()

    def cheapest(self, price: np.ndarray) -> tuple[float, Plan]:
        """Return the cheapest plan if each limit's unit costs `price` (cents), and its cost so."""
        ways = self._cents + price[self.turn] + price[self.place]
        for line, (_, units) in enumerate(self._lines):
            has = (np.arange(self.subsets) >> line & 1).astype(bool)
            ways[has] += units * price[self.stock[line]]
        while True:
            value, parcels, way = self._search(ways)
            unsure = [way for _, way in parcels if not self._is_exact[way]] if way >= 0 else []
            if not unsure:
                return value, self._plan(parcels, way)
            for way in unsure:
                self._find_out(way)

    def without(self) -> Plan:
        """Return the plan that sends nothing."""
        return Plan(self._lost[-1], (), ())

    def every_node(self) -> list[Plan]:
        """Return, for an order of one line, each node's cheapest plan if nothing is scarce."""
        if self.subsets > 2:
            return []
        plans = []
        for node in np.unique(self.node):
            mine = (self.node == node).nonzero()[0]
            while True:
                way = int(mine[np.argmin(self._cents[1, mine] + self.late_cents[mine])])
                if self._is_exact[way]:
                    break
                self._find_out(way)
            if np.isfinite(self._cents[1, way]):
                plans.append(self._plan([(1, way)], way))
        return plans

    def _set_cents(self, limits: Limits, day: np.ndarray) -> None:
        """Set freight, handling and carbon of each subset in one parcel, by way, as the ledger."""
        world, node, service, rates = self._truth.world, self.node, self.service, self._truth.rates
        fixed, unit = limits.handling_cents[:, node]
        km = limits.km[node, self.order.region]
        most_g, most_km, carbon = limits.services[:, service]
        base, per_kg, per_100km = (
            np.where(self.is_later, rates[name].min(axis=1)[service], rates[name][service, day])
            for name in ("base_cents", "per_kg_cents", "per_100km_cents")
        )
        is_near = (most_km == 0) | (km <= most_km)
        has_pieces = any(units > 1 for _, units in self._lines)
        self._again_cents = float(np.min(base + per_100km * km / 100 + fixed)) - _ROUNDING_CENTS
        self._cents = np.full((self.subsets, len(node)), np.inf)
        for subset in range(1, self.subsets):
            lines = [line for at, line in enumerate(self._lines) if subset >> at & 1]
            weight_g = world.weight_g(lines)
            freight = base + per_kg * weight_g / 1000 + per_100km * km / 100
            # Pieces of a line might go in two parcels, rounded in another way.
            freight = freight - _ROUNDING_CENTS if has_pieces else np.round(freight)
            grams = weight_g / 1e6 * km * carbon
            cents = freight + fixed + unit * sum(units for _, units in lines)
            cents += grams / 1000 * self._prices.carbon_kg_cents
            least_g = world.weight_g((sku, 1) for sku, _ in lines)
            able = is_near & (least_g <= most_g)
            for sku, _ in lines:
                able &= limits.stocks(sku)[node]
            self._cents[subset] = np.where(able, cents, np.inf)

    def _lost_cents(self) -> list[float]:
        """Return the cost of losing each subset of lines."""
        skus, prices = self._truth.world.skus, self._prices
        return [0.0] + [
            prices.lost_fixed_cents
            + prices.margin
            * sum(
                skus[sku].value_cents * units
                for at, (sku, units) in enumerate(self._lines)
                if subset >> at & 1
            )
            for subset in range(1, self.subsets)
        ]

    def _partly_lost_cents(self) -> float:
        """Return the least cost of an order of which a piece of some line is never sent.

        One parcel, the cheapest there is, goes out all the same, at the price of its fixed parts.
        """
        skus, prices = self._truth.world.skus, self._prices
        pieces = [skus[sku].value_cents for sku, units in self._lines if units > 1]
        if not pieces:
            return np.inf
        parcel = min(float(self._cents[1 << at].min()) for at in range(len(self._lines)))
        units = max(units for _, units in self._lines)
        return prices.lost_fixed_cents + prices.margin * min(pieces) + parcel / units

    def _search(self, ways: np.ndarray) -> tuple[float, list[tuple[int, int]], int]:
        """Return cost, parcels and latest way of the cheapest plan; -1 if no promise is kept.

        -2 stands for an order of which only pieces are missing.
        """
        full, extra = self.subsets - 1, self._prices.further_parcel_cents
        if self.subsets == 2:
            totals = ways[1] + self.late_cents
            latest = int(np.argmin(totals))
            value, parcels = float(totals[latest]), [(1, latest)]
            least = np.zeros((2, 1))
        else:
            alone = ways[full] + self.late_cents
            only = int(np.argmin(alone))
            order = np.argsort(self._late_any, kind="stable")
            ways = ways[:, order]
            best = np.minimum.accumulate(ways, axis=1) + extra
            best[full] = np.inf  # in one parcel is `alone`
            least = self._partition(best)
            totals = least[full] + self._late_any[order]
            end = int(np.argmin(totals))
            value, latest = float(totals[end]) - extra, int(order[end])
            parcels = []
            if alone[only] <= value:
                value, latest, parcels = float(alone[only]), only, [(full, only)]
            elif np.isfinite(value):
                parcels = [(s, int(order[w])) for s, w in _trace(least, best, ways, full, end)]
        for kept in range(full):
            sent = float(least[kept, -1]) - extra if kept else 0.0
            lost = self._lost[full ^ kept] + sent
            if lost < value:
                value, latest = lost, -1
                traced = _trace(least, best, ways, kept, ways.shape[1] - 1) if kept else []
                parcels = [(s, int(order[w])) for s, w in traced]
        if self._forgone < value:
            value, latest, parcels = self._forgone, -2, []
        return value, parcels, latest

    def _partition(self, best: np.ndarray) -> np.ndarray:
        """Return the least cost of each subset in any number of parcels, by its latest way."""
        least = best.copy()
        least[0] = 0.0
        for subset in range(1, self.subsets):
            first = subset & -subset
            part = (subset - 1) & subset
            while part:
                if part & first:
                    np.minimum(least[subset], best[part] + least[subset ^ part], out=least[subset])
                part = (part - 1) & subset
        return least

    def _find_out(self, way: int) -> None:
        """Replace lower bounds on lateness by what it is."""
        first, at_best = self._truth.late_cents(
            self.order,
            int(self.node[way]),
            int(self.service[way]),
            int(self.truck_ms[way]),
            self._prices,
        )
        self._late_any[way] = at_best
        self.late_cents[way] = min(first, at_best + self._again_cents)
        self._is_exact[way] = True

    def _plan(self, parcels: list[tuple[int, int]], way: int) -> Plan:
        """Return the plan of `parcels`, at the ledger's cost."""
        if way == -2:
            return Plan(self._forgone, (), ())
        sent = sum(subset for subset, _ in parcels)
        cents = self._lost[self.subsets - 1 ^ sent]
        cents += sum(float(self._cents[subset, way]) for subset, way in parcels)
        cents += self._prices.further_parcel_cents * max(0, len(parcels) - 1)
        if way >= 0:
            late_cents = self.late_cents if len(parcels) == 1 else self._late_any
            cents += max(float(late_cents[way]) for _, way in parcels)
        uses: dict[int, float] = {}
        for subset, way in parcels:
            rows = [(int(self.turn[way]), 1), (int(self.place[way]), 1)]
            rows += [
                (int(self.stock[line, way]), units)
                for line, (_, units) in enumerate(self._lines)
                if subset >> line & 1
            ]
            for row, units in rows:
                uses[row] = uses.get(row, 0.0) + units
        uses.pop(self._free, None)
        return Plan(cents, tuple(parcels), tuple(sorted(uses.items())))


def _trace(
    least: np.ndarray, best: np.ndarray, ways: np.ndarray, subset: int, end: int
) -> list[tuple[int, int]]:
    """Return the parcels, as (subset, rank by lateness), behind ``least[subset, end]``."""
    parcels = []
    while subset:
        first, part = subset & -subset, subset
        while not (
            part & first and least[subset, end] == best[part, end] + least[subset ^ part, end]
        ):
            part = (part - 1) & subset
        parcels.append((part, int(np.argmin(ways[part, : end + 1]))))
        subset ^= part
    return parcels
