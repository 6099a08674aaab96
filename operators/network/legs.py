"""Legs: committed, lifted for pricing, and given up.

The twin keeps a leg's reserved units and its capacity at node and service, and frees the capacity
with the last unit. All else that desks keep of a leg (pickups, supply freed, the release for
consumers) changes here and nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from operators.core.facts import Derived, Draft
from operators.core.wording import span
from operators.network.context import Floor
from operators.network.due import Lapse
from operators.network.movable import movable, watch
from operators.network.replan import nodes_and_lines, ways
from operators.sourcing.plan import Plan
from state.actions import LegLine, Release, ReleaseReason
from state.twin import OpenOrder, PlannedLeg

#: Feeds on which a release rests.
_RESTS_ON = ("inventory",)


def commit(floor: Floor, order: OpenOrder, plan: Plan, shipment: str = "") -> None:
    """Reserve stock and capacity for every leg of `plan`, until some time after its handover.

    `shipment` is the parcel that it replaces, if any: such a plan is not re-evaluated.
    """
    order.sent_again += bool(shipment)
    for leg in plan.legs:
        floor.twin.commit(order, leg.planned(floor.seq, shipment))
    hand_over_ms = max(leg.option.hand_over_ms for leg in plan.legs)
    lapses_ms = hand_over_ms + floor.policy.sourcing.reservation_s * 1000
    order.lapses_ms = max(order.lapses_ms, lapses_ms)
    floor.deadlines.set(order.lapses_ms, Lapse(order.name))
    if not shipment:
        watch(floor, order, plan)


@contextmanager
def lifted(floor: Floor, legs: list[PlannedLeg]) -> Iterator[None]:
    """Lift `legs` off the twin, as if they reserved nothing, and restore it exactly.

    Only sums change; the reservations and their sequence stay.
    """
    _pretend(floor, legs, -1)
    try:
        yield
    finally:
        _pretend(floor, legs, 1)


@contextmanager
def held(floor: Floor, legs: list[PlannedLeg]) -> Iterator[None]:
    """Treat `legs` as committed on the twin, and restore it exactly."""
    _pretend(floor, legs, 1)
    try:
        yield
    finally:
        _pretend(floor, legs, -1)


def _pretend(floor: Floor, legs: list[PlannedLeg], sign: int) -> None:
    twin = floor.twin
    for leg in legs:
        for sku, quantity in leg.held.items():
            twin.position(leg.node, sku).reserved += sign * quantity
        if sign < 0:
            twin.vacate(leg)
        elif not leg.is_begun:
            twin.occupy(leg)


def leave(
    floor: Floor, order: OpenOrder, legs: list[PlannedLeg], reason: ReleaseReason
) -> list[Derived]:
    """Give legs up for a better plan; the order never returns to the plan it left."""
    left = [nodes_and_lines(legs), ways(legs)]
    out = give_up(floor, order, legs, reason)
    order.left += left
    order.moves += 1
    return out


def give_up(
    floor: Floor,
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
        for sku, quantity in leg.held_lines:
            freed = floor.twin.let_go(order, leg, sku, quantity)
            if is_supply:
                floor.free([sku])
            if reason is not None:
                out.append(_released(floor, order, leg.node, sku, freed, reason))
    _let_pickups_go(floor, order, legs)
    return out


def release(
    floor: Floor, order: OpenOrder, node: str, sku: str, quantity: int, reason: ReleaseReason
) -> list[Derived]:
    """Release up to `quantity` units reserved at a shelf; return the release.

    They count as supply freed, unless the shelf does not have them.
    """
    is_supply = reason != "uncovered"
    freed = give_back(floor, order, node, sku, quantity, is_supply=is_supply)
    return [_released(floor, order, node, sku, freed, reason)] if freed else []


def give_back(
    floor: Floor, order: OpenOrder, node: str, sku: str, quantity: int, *, is_supply: bool
) -> int:
    """Release up to `quantity` units reserved at a shelf, unpublished; return how many."""
    legs = order.legs
    freed = floor.twin.release(order, node, sku, quantity)
    if freed and is_supply:
        floor.free([sku])
    _let_pickups_go(floor, order, [leg for leg in legs if not leg.held])
    return freed


def _let_pickups_go(floor: Floor, order: OpenOrder, ended: list[PlannedLeg]) -> None:
    """Stop an order from waiting for pickups of ended legs that no other leg of it awaits."""
    if not ended:
        return
    pickups = floor.state.pickups
    awaited = {leg.pickup for leg in order.legs}
    for leg in ended:
        if leg.pickup not in awaited:
            pickups.drop(order.name, leg.pickup)
    pickups.drop_split(order.name, list(order.lines))
    if len(movable(floor, order)) > 1:
        pickups.add_split(order.name, list(order.lines))


def _released(
    floor: Floor, order: OpenOrder, node: str, sku: str, freed: int, reason: ReleaseReason
) -> Draft:
    because = {
        "expired": f"nobody picked them within {span(floor.policy.sourcing.reservation_s)} of the "
        "planned handover",
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
        causes=floor.causes(order),
        rests_on=_RESTS_ON,
    )
