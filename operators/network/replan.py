"""Replanning: the present cost of open legs, and other plans; the twin stays as it is."""

from collections.abc import Iterable

from operators.network.context import Context
from operators.sourcing.plan import Choice, Plan, PlanLeg
from operators.sourcing.pricer import Lines, Pricer, Supply
from state.events import OrderPlaced
from state.keys import ANY_SERVICE
from state.quantities import DAY_MS
from state.sums import int_sum
from state.twin import OpenOrder
from state.twin.orders import PlannedLeg, Shape


def planned(plan: Plan) -> list[PlannedLeg]:
    """Return a plan's legs as an order keeps them."""
    return [leg.planned(0) for leg in plan.legs]


def nodes_and_lines(legs: Iterable[PlannedLeg]) -> Shape:
    """Return a plan's shape by node and lines; an order never returns to a shape it gave up."""
    return tuple(sorted((leg.node, tuple(sorted(leg.lines)), ANY_SERVICE) for leg in legs))


def ways(legs: Iterable[PlannedLeg]) -> Shape:
    """Return a plan's shape by node, lines and service."""
    return tuple(sorted((leg.node, tuple(sorted(leg.lines)), leg.service) for leg in legs))


def lines_of(order: OpenOrder, legs: Iterable[PlannedLeg]) -> Lines:
    """Return all lines of `legs` together, in the sequence of the order."""
    units: dict[str, int] = {}
    for leg in legs:
        for sku, quantity in leg.lines:
            units[sku] = units.get(sku, 0) + quantity
    return tuple((sku, units[sku]) for sku in order.lines if sku in units)


def decide(context: Context, order: OpenOrder, placed: OrderPlaced, lines: Lines) -> Choice:
    """Return the choice for `lines` of `order`, as `placed`, on the twin as it stands."""
    return context.sourcing.decide(placed, lines, context.now_ms, order.excluded)


def beats(
    context: Context, order: OpenOrder, placed: OrderPlaced, lines: Lines, cents: float
) -> bool:
    """Return whether the plan that `decide` would choose costs less than `cents`."""
    return context.sourcing.beats(placed, lines, context.now_ms, cents, order.excluded)


def elsewhere(context: Context, order: OpenOrder, node: str) -> set[str]:
    """Return the nodes to exclude so that all comes from `node`."""
    return {other for other in context.twin.geography.nodes if other != node} | {*order.excluded}


def price(
    context: Context, placed: OrderPlaced, legs: list[PlannedLeg], late_ms: int | None = None
) -> Plan | None:
    """Return the plan of `legs` if they stay, at present prices, while they are lifted.

    They miss their pickups by `late_ms`; without it, by a day at closed nodes. None if the stock or
    a service is no longer there.
    """
    shipped: list[PlanLeg] = []
    for leg in legs:
        option_of = _pricer(context, placed, leg)
        if option_of is None:
            return None
        missed_ms = late_ms
        if missed_ms is None:
            missed_ms = context.twin.capacity.nodes.is_closed(leg.node) * DAY_MS
        at_ms = leg.hand_over_ms + missed_ms
        option = option_of.planned(leg.node, leg.service, leg.lines, at_ms)
        if option is None:
            return None
        shipped.append(PlanLeg(option, leg.lines))
    split = round(context.policy.sourcing.split_fixed_cents * (len(legs) - 1))
    return Plan(int_sum(each.option.score for each in shipped) + split, tuple(shipped), split)


def _pricer(context: Context, placed: OrderPlaced, leg: PlannedLeg) -> Pricer | None:
    twin, rules = context.twin, context.policy.sourcing
    supply = Supply([], [], [])
    for sku, quantity in leg.lines:
        position = twin.position(leg.node, sku)
        ready_ms = position.promisable_ms(
            quantity, context.now_ms, rules.safety_stock, rules.inbound_slip_s * 1000
        )
        if ready_ms is None:
            return None
        supply.units.append(quantity)
        supply.ready_ms.append(ready_ms)
        supply.positions.append(position)
    return Pricer(
        twin,
        context.outlook,
        context.rates,
        context.policy,
        placed,
        leg.lines,
        {leg.node: supply},
        context.now_ms,
    )
