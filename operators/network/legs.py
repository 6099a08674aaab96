"""Legs: committed, lifted for pricing, and given up.

The twin keeps a leg's reserved units and its capacity at node and service, and frees the capacity
with the last unit. All else that desks keep of a leg (pickups, supply freed, the release for
consumers) changes here and nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from operators.core.facts import Derived, Draft
from operators.core.wording import span
from operators.network.context import Context
from operators.network.due import Lapse
from operators.network.movable import movable, watch
from operators.network.replan import nodes_and_lines, ways
from operators.sourcing.plan import Plan
from state.actions import LegLine, Release, ReleaseReason
from state.twin import OpenOrder, PlannedLeg

#: Feeds on which a release rests.
_RESTS_ON = ("inventory",)


def commit(context: Context, order: OpenOrder, plan: Plan, shipment: str = "") -> None:
    """Reserve stock and capacity for every leg of `plan`, until some time after its handover.

    `shipment` is the parcel that it replaces, if any: such a plan is not re-evaluated.
    """
    order.sent_again += bool(shipment)
    for leg in plan.legs:
        context.twin.commit(order, leg.planned(context.seq, shipment))
    hand_over_ms = max(leg.option.hand_over_ms for leg in plan.legs)
    lapses_ms = hand_over_ms + context.policy.sourcing.reservation_s * 1000
    order.lapses_ms = max(order.lapses_ms, lapses_ms)
    context.deadlines.set(order.lapses_ms, Lapse(order.name))
    if not shipment:
        watch(context, order, plan)


@contextmanager
def lifted(context: Context, legs: list[PlannedLeg]) -> Iterator[None]:
    """Lift `legs` off the twin, as if they reserved nothing, and restore it exactly.

    Only sums change; the reservations and their sequence stay.
    """
    _pretend(context, legs, -1)
    try:
        yield
    finally:
        _pretend(context, legs, 1)


@contextmanager
def committed(context: Context, legs: list[PlannedLeg]) -> Iterator[None]:
    """Treat `legs` as committed on the twin, and restore it exactly."""
    _pretend(context, legs, 1)
    try:
        yield
    finally:
        _pretend(context, legs, -1)


def _pretend(context: Context, legs: list[PlannedLeg], sign: int) -> None:
    twin = context.twin
    for leg in legs:
        for sku, quantity in leg.reserved.items():
            twin.position(leg.node, sku).reserved += sign * quantity
        if sign < 0:
            twin.vacate(leg)
        elif not leg.is_begun:
            twin.occupy(leg)


def leave(
    context: Context, order: OpenOrder, legs: list[PlannedLeg], reason: ReleaseReason
) -> list[Derived]:
    """Give legs up for a better plan; the order never returns to the plan it had."""
    shapes = [nodes_and_lines(legs), ways(legs)]
    out = give_up(context, order, legs, reason)
    order.given_up += shapes
    order.moves += 1
    return out


def give_up(
    context: Context,
    order: OpenOrder,
    legs: list[PlannedLeg],
    reason: ReleaseReason | None = None,
    *,
    is_supply: bool = True,
) -> list[Derived]:
    """Release all that legs still reserve; return the releases if a `reason` is given.

    The units count as supply freed, for orders that wait, if `is_supply`.
    """
    out: list[Derived] = []
    for leg in legs:
        for sku, quantity in leg.reserved_lines:
            freed = context.twin.let_go(order, leg, sku, quantity)
            if is_supply:
                context.free([sku])
            if reason is not None:
                out.append(_released(context, order, leg.node, sku, freed, reason))
    _let_pickups_go(context, order, legs)
    return out


def release(
    context: Context, order: OpenOrder, node: str, sku: str, quantity: int, reason: ReleaseReason
) -> list[Derived]:
    """Release up to `quantity` units reserved at a shelf; return the release.

    They count as supply freed, unless the shelf does not have them.
    """
    is_supply = reason != "uncovered"
    freed = give_back(context, order, node, sku, quantity, is_supply=is_supply)
    return [_released(context, order, node, sku, freed, reason)] if freed else []


def give_back(
    context: Context, order: OpenOrder, node: str, sku: str, quantity: int, *, is_supply: bool
) -> int:
    """Release up to `quantity` units reserved at a shelf, unpublished; return how many."""
    legs = order.legs
    freed = context.twin.release(order, node, sku, quantity)
    if freed and is_supply:
        context.free([sku])
    _let_pickups_go(context, order, [leg for leg in legs if not leg.reserved])
    return freed


def _let_pickups_go(context: Context, order: OpenOrder, ended: list[PlannedLeg]) -> None:
    """Stop an order from waiting for pickups of ended legs that no other leg of it awaits."""
    if not ended:
        return
    pickups = context.state.pickups
    awaited = {leg.pickup for leg in order.legs}
    for leg in ended:
        if leg.pickup not in awaited:
            pickups.drop(order.name, leg.pickup)
    pickups.drop_split(order.name, list(order.lines))
    if len(movable(context, order)) > 1:
        pickups.add_split(order.name, list(order.lines))


def _released(
    context: Context, order: OpenOrder, node: str, sku: str, freed: int, reason: ReleaseReason
) -> Draft:
    because = {
        "expired": "nobody picked them within "
        f"{span(context.policy.sourcing.reservation_s)} of the planned handover",
        "shipped_elsewhere": "the order was served from elsewhere",
        "reassigned": "the allocation that follows serves it better",
        "uncovered": "the shelf and what is due no longer cover them",
    }[reason]
    return Draft(
        decision=Release(
            order=order.name, node=node, lines=(LegLine(sku=sku, quantity=freed),), reason=reason
        ),
        subject=order.name,
        correlation=order.name,
        summary=f"{freed} unit{'s' * (freed != 1)} of {sku} at {node} "
        f"{'is' if freed == 1 else 'are'} no longer held for {order.name}: {because}.",
        terms={},
        value_cents=0,
        causes=context.causes(order),
        rests_on=_RESTS_ON,
    )
