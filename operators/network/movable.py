"""Movable legs: those whose picking has not begun, by the time left before their pickup."""

from operators.network.context import Context
from operators.network.due import Freeze, Look
from operators.network.replan import nodes_and_lines, planned, ways
from operators.sourcing.plan import Plan
from state.keys import Ref
from state.policy import Policy
from state.twin import OpenOrder
from state.twin.orders import PlannedLeg


def moves_alone(policy: Policy) -> bool:
    """Return whether a move needs no person, and orders are sourced by least cost.

    A rule prices no lateness, so it re-evaluates nothing. With only one half of a move carried out,
    a parcel would be sent twice.
    """
    governance = policy.governance
    acts = governance.autonomy_of("allocate") == governance.autonomy_of("release") == "act"
    return acts and policy.sourcing.rule == "least_cost"


def start_ms(context: Context, leg: PlannedLeg) -> int:
    """Return the latest start of a leg at its node, ms: its pickup less the handling time."""
    node = context.twin.geography.nodes.get(leg.node)
    return leg.hand_over_ms - (node.handling_time_s * 1000 if node is not None else 0)


def freezes_ms(context: Context, leg: PlannedLeg) -> int:
    """Return when a leg may no longer move, as its node may begin to pick it, ms."""
    return start_ms(context, leg) - context.policy.reevaluation.freeze_s * 1000


def watch(context: Context, order: OpenOrder, plan: Plan) -> None:
    """Set the re-evaluations of a committed plan before its pick."""
    added = order.legs[-len(plan.legs) :]
    rules, pickups = context.policy.reevaluation, context.state.pickups
    if not rules.enabled:
        return
    for leg in added:
        freeze_ms = freezes_ms(context, leg)
        if freeze_ms <= context.now_ms or not pickups.add(order.name, leg):
            continue
        context.deadlines.set(freeze_ms, Freeze(leg.pickup))
        for look_s in rules.looks_s:
            look_ms = start_ms(context, leg) - look_s * 1000
            if context.now_ms < look_ms < freeze_ms:
                context.deadlines.set(look_ms, Look(leg.pickup))
    if len(movable(context, order)) > 1:
        pickups.add_split(order.name, list(order.lines))


def movable(context: Context, order: OpenOrder) -> list[PlannedLeg]:
    """Return the legs whose picking has not begun, without those that replace a parcel."""
    if order.is_drawn or Ref("order", order.name) in context.twin.holds:
        return []
    return [
        leg
        for leg in order.legs
        if leg.stands and not leg.shipment and context.now_ms < freezes_ms(context, leg)
    ]


def may_take(context: Context, order: OpenOrder, old: Plan, plan: Plan) -> bool:
    """Return whether `plan` is new to the order and about as likely to keep its promise."""
    legs = planned(plan)
    if nodes_and_lines(legs) in order.given_up or ways(legs) in order.given_up:
        return False
    most = worst(old) + context.policy.reevaluation.most_later
    return worst(plan) <= most


def worst(plan: Plan) -> float:
    """Return P(late) of the leg most likely to be late."""
    return max(leg.option.p_late for leg in plan.legs)
