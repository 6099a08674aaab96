"""The linear programme: which mix of plans serves all orders at the least cost within the limits.

There are far too many plans to write down. So columns are generated: HiGHS solves the programme
over the plans found so far, its prices of limits are given to every order, and the cheapest plan
of each at these prices joins, until none is cheaper than what the order pays already.

Whatever the prices, the sum of the orders' cheapest plans at them, less what all limits are worth
at them, is a lower bound (Lagrangian relaxation: Geoffrion 1974, Dantzig and Wolfe 1960). So the
bound does not rest on the solver's tolerances, nor on having converged; the greatest found counts.
"""

from dataclasses import dataclass

import highspy
import numpy as np

from benchmarks.clairvoyant_limits import Limits
from benchmarks.clairvoyant_plans import Options, Plan

#: Converged if bound and programme are as close as this, relative.
_GAP = 2e-5
_MOST_ROUNDS = 80
#: A plan joins if it is cheaper by so many cents than what the order pays.
_LEAST_GAIN_CENTS = 1e-4
#: Prices are taken so far from the best ones so far towards the newest: they swing less (Wentges
#: 1997).
_STEP = 0.5


@dataclass(frozen=True)
class Solution:
    """A lower bound and the value of the programme over the plans found, in cents.

    `chosen` is, per order, the plan of which the programme takes most.
    """

    bound_cents: float
    programme_cents: float
    chosen: list[Plan]
    rows: int
    rounds: int

    @property
    def gap(self) -> float:
        """Return the relative distance that the bound may be below the programme's optimum."""
        return (self.programme_cents - self.bound_cents) / max(1.0, self.programme_cents)


class Programme:
    """The programme over the plans found so far. Rows: orders, stock and places, turns."""

    def __init__(self, options: list[Options], limits: Limits) -> None:
        self._limits, self._orders = limits, len(options)
        self._rows_of_limits, self._days = len(limits.room), limits.turns.shape[1]
        self.rows = self._orders + limits.room.size + limits.turns.size
        self._plans: list[tuple[int, Plan]] = []
        self._solver = highspy.Highs()
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        infinity = highspy.kHighsInf
        stock = limits.stock_rows
        low = np.full(self.rows, -infinity)
        high = np.concatenate([np.full(self._orders, infinity), limits.room, limits.turns.ravel()])
        low[: self._orders] = 1.0
        empty = np.zeros(0)
        self._solver.addRows(
            self.rows, low, high, 0, np.zeros(self.rows, np.int32), empty.astype(np.int32), empty
        )
        # Stock left on a shelf stays there.
        carried = np.arange(stock)[limits.following >= 0]
        rows = np.stack([carried, limits.following[carried]], axis=1) + self._orders
        self._add(
            np.zeros(len(carried)),
            np.arange(len(carried)) * 2,
            rows.ravel(),
            np.tile([1.0, -1.0], len(carried)),
        )

    def join(self, plans: list[tuple[int, Plan]], turn_day: np.ndarray) -> None:
        """Add plans, each of an order; a turn is taken on its `turn_day`."""
        starts, rows, values = [], [], []
        turns_from = self._orders + self._rows_of_limits
        for order, plan in plans:
            starts.append(len(rows))
            uses = {order: 1.0}
            for row, amount in plan.uses:
                at = self._orders + row
                if row > self._limits.free:
                    turn = row - self._limits.free - 1
                    node = turn // self._days**2
                    at = turns_from + node * self._days + int(turn_day[turn])
                uses[at] = uses.get(at, 0.0) + amount
            rows += uses
            values += uses.values()
        cents = np.array([plan.cents for _, plan in plans])
        self._add(cents, np.array(starts), np.array(rows), np.array(values))
        self._plans += plans

    def solve(self) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Return the least cost in cents; prices of orders, stock and places, turns (node, day)."""
        status = self._solver.run()
        if status != highspy.HighsStatus.kOk:
            raise RuntimeError(f"expected a solution, was {status}")
        duals = np.array(self._solver.getSolution().row_dual)
        limits, turns = np.split(duals[self._orders :], [self._rows_of_limits])
        value = self._solver.getInfo().objective_function_value
        return value, duals[: self._orders], -limits, -turns.reshape(-1, self._days)

    def chosen(self) -> list[Plan]:
        """Return, per order, the first plan with the greatest share in the solution."""
        shares = self._solver.getSolution().col_value[-len(self._plans) :]
        most: dict[int, tuple[float, Plan]] = {}
        for share, (order, plan) in zip(shares, self._plans, strict=True):
            if order not in most or share > most[order][0]:
                most[order] = share, plan
        return [most[order][1] for order in range(self._orders)]

    def _add(
        self, cents: np.ndarray, starts: np.ndarray, rows: np.ndarray, values: np.ndarray
    ) -> None:
        count = len(cents)
        if count:
            self._solver.addCols(
                count,
                cents,
                np.zeros(count),
                np.full(count, highspy.kHighsInf),
                len(rows),
                starts.astype(np.int32),
                rows.astype(np.int32),
                values.astype(float),
            )


def solve(options: list[Options], limits: Limits) -> Solution:
    """Find the greatest lower bound on what serving all orders costs within the limits."""
    programme = Programme(options, limits)
    free = np.zeros(len(limits.room)), np.zeros(limits.turns.shape)
    price, turn_day = limits.prices(*free)
    joining: list[tuple[int, Plan]] = []
    bound = 0.0
    for number, option in enumerate(options):
        value, plan = option.cheapest(price)
        bound += value
        joining.append((number, plan))
        joining.append((number, option.without()))
        joining += ((number, found) for found in option.every_node())
    best, value, rounds = free, np.inf, 0
    while rounds < _MOST_ROUNDS:
        rounds += 1
        programme.join(joining, turn_day)
        value, paid, rows, turns = programme.solve()
        if value - bound <= _GAP * value:
            break
        newest = limits.mend(rows), np.maximum(turns, 0.0)
        asked, _ = limits.prices(*newest)
        for step in (_STEP, 1.0):
            tried = tuple(b + step * (n - b) for b, n in zip(best, newest, strict=True))
            price, turn_day = limits.prices(*tried)
            found, joining = 0.0, []
            for number, option in enumerate(options):
                least, plan = option.cheapest(price)
                found += least
                dear = sum(amount * asked[row] for row, amount in plan.uses)
                if plan.cents + dear < paid[number] - _LEAST_GAIN_CENTS:
                    joining.append((number, plan))
            found -= float(tried[0] @ limits.room + (tried[1] * limits.turns).sum())
            if found > bound:
                bound, best = found, tried
            if joining:
                break
        if not joining:
            break
    return Solution(
        bound_cents=bound,
        programme_cents=float(value),
        chosen=programme.chosen() if options else [],
        rows=programme.rows,
        rounds=rounds,
    )
