"""Limits: what orders compete for, as rows of a linear programme with a price each.

Three kinds. *Stock*: of each (SKU, node), what came until an arrival (the first fill, a supplier's
lot, a return) is all that can be picked before the next one. *Turns* at a node's packing tables,
per day; a parcel takes one on any day from its order to its pickup. *Places* on the trucks of a
service's daily pickup.
"""

from collections import Counter

import numpy as np

from benchmarks.clairvoyant_truth import Truth
from state.quantities import DAY_MS


class Limits:
    """Numbering of the rows: stock first, then places, then one that is never short, then turns.

    `room` is how much there is of each row but turns, in units or parcels; stock is what the
    row adds, and what is left of it goes on to the `following` row (-1 after the last).
    `stock` and `capacity` scale what there is, to see what each is worth.
    """

    def __init__(self, truth: Truth, *, stock: float = 1.0, capacity: float = 1.0) -> None:
        self._truth = truth
        asked: Counter[int] = Counter()
        for order in truth.orders:
            for sku, units in order.lines:
                asked[sku] += units
        self._first_row: dict[tuple[int, int], int] = {}
        room: list[float] = []
        following: list[int] = []
        for (sku, node), shelves in truth.shelves.items():
            # A shelf whose first fill outlasts all that is ever ordered limits nothing.
            if stock * shelves.units[0] >= asked[sku]:
                continue
            self._first_row[sku, node] = len(room)
            room += (stock * units for units in shelves.units)
            following += range(len(following) + 1, len(following) + len(shelves.units))
            following.append(-1)
        self.stock_rows = len(room)
        self.following = np.array(following, int)
        self.free = self.stock_rows + truth.taken.size
        self.room = np.array([*room, *(capacity * truth.taken.ravel())], float)
        #: Most turns, by node and day.
        self.turns = capacity * truth.begun
        self._stocked: dict[int, np.ndarray] = {}
        world = truth.world
        self.km = np.array(world.km)
        kept = [node.registration for node in world.nodes]
        self.handling_cents = np.array(
            [[n.handling_fixed_cents for n in kept], [n.handling_unit_cents for n in kept]]
        )
        #: Limits of services (g, km; 0 km = any) and their emissions (gCO2e per tonne and km).
        specs = [service.spec for service in world.services]
        self.services = np.array(
            [
                [spec.max_weight_g for spec in specs],
                [spec.max_distance_km for spec in specs],
                [spec.gco2e_per_tonne_km for spec in specs],
            ]
        )

    def stocks(self, sku: int) -> np.ndarray:
        """Return, per node, whether it ever has any of the SKU."""
        known = self._stocked.get(sku)
        if known is None:
            known = np.zeros(len(self._truth.world.nodes), bool)
            known[list(self._truth.world.assortment[sku])] = True
            self._stocked[sku] = known
        return known

    def stock_row(
        self, sku: int, nodes: np.ndarray, picked_ms: np.ndarray, is_later: np.ndarray
    ) -> np.ndarray:
        """Return the rows of picks of a SKU, each at a node and at an instant, or ever later."""
        rows = np.full(len(nodes), self.free)
        for node in np.unique(nodes):
            first = self._first_row.get((sku, int(node)))
            if first is None:
                continue
            mine = nodes == node
            since_ms = self._truth.shelves[sku, int(node)].since_ms
            epoch = np.searchsorted(since_ms, picked_ms[mine], side="right") - 1
            rows[mine] = first + np.where(is_later[mine], len(since_ms) - 1, epoch)
        return rows

    def place_row(self, service: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Return the rows of places with a service on a day."""
        return self.stock_rows + service * self._truth.days + day

    def turn_row(
        self, node: np.ndarray, from_ms: np.ndarray, until_ms: np.ndarray, is_later: np.ndarray
    ) -> np.ndarray:
        """Return the rows of turns at a node between two instants; later ones are free."""
        days = self._truth.days
        first = from_ms // DAY_MS - self._truth.first_day
        more = until_ms // DAY_MS - from_ms // DAY_MS
        rows = self.free + 1 + (node * days + first) * days + more
        return np.where(is_later, self.free, rows)

    def prices(self, rows: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the price of every row, and, for rows of turns, the cheapest day.

        `rows` are prices of all rows before turns, `turns` those of turns by node and day.
        """
        days = self._truth.days
        least = np.repeat(turns[:, :, None], days, axis=2)
        cheapest = np.repeat(np.arange(days)[None, :], len(turns), axis=0)[:, :, None]
        cheapest = np.repeat(cheapest, days, axis=2)
        for more in range(1, days):
            least[:, :, more], cheapest[:, :, more] = (
                least[:, :, more - 1],
                cheapest[:, :, more - 1],
            )
            later = turns[:, more:]
            is_less = later < least[:, : days - more, more]
            least[:, : days - more, more][is_less] = later[is_less]
            at = np.broadcast_to(np.arange(more, days), later.shape)
            cheapest[:, : days - more, more][is_less] = at[is_less]
        return np.concatenate([rows, [0.0], least.ravel()]), cheapest.ravel()

    def mend(self, rows: np.ndarray) -> np.ndarray:
        """Return the nearest valid prices from above: not below 0, stock never dearer later."""
        rows = np.maximum(rows, 0.0)
        for row in range(self.stock_rows - 1, -1, -1):
            after = self.following[row]
            if after >= 0 and rows[after] > rows[row]:
                rows[row] = rows[after]
        return rows
