"""Swaps: another order makes room for a split order, where both together cost less.

For each node that lacks some units of just one of the split order's lines, the legs of other orders
that have this SKU reserved there, unpicked, are lifted. Both orders are sourced again, the split
order first, and their joint costs before and after are compared at the same prices.
"""

from collections.abc import Iterator

from msgspec import Struct

from operators.network.context import Context
from operators.network.legs import committed, lifted
from operators.network.movable import may_take, movable
from operators.network.replan import decide, lines_of, planned, price
from operators.sourcing.plan import Choice, Plan
from operators.sourcing.pricer import Lines
from state.events import OrderPlaced
from state.twin import OpenOrder
from state.twin.orders import PlannedLeg


class Side(Struct):
    """One order of a swap: its legs, their present price, and its new plan."""

    order: OpenOrder
    legs: list[PlannedLeg]
    old: Plan
    choice: Choice
    plan: Plan


class Swap(Struct):
    """Two orders that move at once; both save `gain` cents, before churn."""

    mine: Side
    theirs: Side
    node: str
    gain: int


def find_swap(
    context: Context, order: OpenOrder, legs: list[PlannedLeg], is_new: bool = False
) -> Swap | None:
    """Return the swap that saves most for a split order, if any pays; the twin stays as it is.

    An order that `is_new` is not published yet: moving it costs nothing.
    """
    rules = context.policy.reevaluation
    if not rules.most_partners or order.moves >= rules.most_moves:
        return None
    placed, lines = order.placed, lines_of(order, legs)
    best: Swap | None = None
    bound = rules.churn_cents * (1 if is_new else 2)
    with lifted(context, legs):
        old = price(context, placed, legs)
        if old is None:
            return None
        for node, other in _partners(context, order, placed, lines):
            found = _try(context, (order, placed, legs, lines, old), node, other)
            if found is not None and found.gain > bound:
                best, bound = found, found.gain
    return best


def _partners(
    context: Context, order: OpenOrder, placed: OrderPlaced, lines: Lines
) -> Iterator[tuple[str, OpenOrder]]:
    """Yield (node, order that could make room there), cheapest nodes and newest orders first."""
    twin, left = context.twin, context.policy.reevaluation.most_partners
    safety = context.policy.sourcing.safety_stock
    for node in _nodes(context, placed, lines):
        lacking = _lacking(context, node, lines)
        if lacking is None:
            continue
        sku, short = lacking
        for holder, units in reversed(list(twin.stock[sku][node].reservations.items())):
            if isinstance(holder, int) or units < short or not left:
                continue  # reserved for a transfer, or of no use
            other = twin.orders.get(holder)
            if other is None or other is order:
                continue
            elsewhere = any(
                at != node and position.promisable(safety) >= units
                for at, position in twin.stock[sku].items()
            )
            if elsewhere and other.status == "allocated":
                left -= 1
                yield node, other


def _nodes(context: Context, placed: OrderPlaced, lines: Lines) -> list[str]:
    """Return open nodes with positions of all lines, the lowest bound of cost first."""
    twin = context.twin
    shelves = [twin.stock.get(sku, {}) for sku, _ in lines]
    nodes = [
        node
        for node in shelves[0]
        if all(node in shelf for shelf in shelves) and not twin.capacity.nodes.is_closed(node)
    ]
    return sorted(nodes, key=lambda at: (context.rates.lane(at, placed.region).least_cents, at))


def _lacking(context: Context, node: str, lines: Lines) -> tuple[str, int] | None:
    """Return the single SKU of `lines` that `node` lacks, and its units; None if not just one."""
    safety = context.policy.sourcing.safety_stock
    lacking: tuple[str, int] | None = None
    for sku, quantity in lines:
        short = quantity - context.twin.stock[sku][node].promisable(safety)
        if short > 0:
            if lacking is not None:
                return None
            lacking = (sku, short)
    return lacking


def _try(
    context: Context,
    mine: tuple[OpenOrder, OrderPlaced, list[PlannedLeg], Lines, Plan],
    node: str,
    other: OpenOrder,
) -> Swap | None:
    """Price one swap; `mine` is lifted already. None if it is not feasible."""
    order, placed, my_legs, lines, my_old = mine
    legs = movable(context, other)
    at_node = any(leg.node == node for leg in legs)
    if not at_node or other.moves >= context.policy.reevaluation.most_moves:
        return None
    others_placed = other.placed
    with lifted(context, legs):
        old = price(context, others_placed, legs)
        if old is None:
            return None
        my_choice = decide(context, order, placed, lines)
        my_plan = my_choice.plan
        if my_plan is None or not may_take(context, order, my_old, my_plan):
            return None
        with committed(context, planned(my_plan)):
            choice = decide(context, other, others_placed, lines_of(other, legs))
    plan = choice.plan
    if plan is None or not may_take(context, other, old, plan):
        return None
    gain = my_old.score + old.score - my_plan.score - plan.score
    return Swap(
        Side(order, my_legs, my_old, my_choice, my_plan),
        Side(other, legs, old, choice, plan),
        node,
        gain,
    )
