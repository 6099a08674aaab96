"""Allocation draft: the chosen plan, its alternatives and its reasons."""

from operators.core.facts import Draft
from operators.network.context import Context
from operators.sourcing.explanation import (
    allocation_summary,
    alternatives,
    confidence,
    eliminated,
    legs,
)
from operators.sourcing.plan import Choice, Plan
from operators.sourcing.pricer import Lines
from state.actions import Allocate, Draw, Switch
from state.quantities import from_ms
from state.sums import int_sum
from state.twin import OpenOrder

#: Feeds on which an allocation rests.
RESTS_ON = ("inventory",)


def allocation(
    context: Context,
    order: OpenOrder,
    lines: Lines,
    plan: Plan,
    choice: Choice,
    more: tuple[str, ...],
    replaces: str | None,
    flips_if: tuple[Switch, ...],
    draw: Draw | None = None,
) -> Draft:
    """Return the draft for `plan`, which is committed already, with the rest of `choice`.

    `more` are sentences added to the summary.
    """
    name, promised_ms = order.name, order.promised_ms
    units = int_sum(quantity for _, quantity in lines)
    summary = allocation_summary(name, len(lines), units, plan, choice, promised_ms, context.policy)
    return Draft(
        decision=Allocate(
            order=name,
            legs=legs(plan),
            reserved_until=from_ms(order.lapses_ms),
            replaces=replaces,
        ),
        subject=name,
        correlation=name,
        summary=" ".join((summary, *more)),
        terms=plan.terms(),
        value_cents=max(plan.score, 0),
        causes=context.causes(order),
        alternatives=alternatives(choice),
        eliminated=eliminated(choice),
        confidence=confidence(plan, name, promised_ms),
        flips_if=flips_if,
        draw=draw,
        deadline_ms=min(leg.option.hand_over_ms for leg in plan.legs),
        expires_ms=order.lapses_ms,
        rests_on=RESTS_ON,
    )
