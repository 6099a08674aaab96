"""Explanations: a choice in words, and in numbers that can be checked."""

from operators.core.wording import day, money, span
from operators.sourcing.eliminations import in_words
from operators.sourcing.plan import Choice, Plan
from state.actions import (
    Alternative,
    Confidence,
    Eliminated,
    Leg,
    LegLine,
    Shortage,
)
from state.policy import Policy
from state.quantities import from_ms

_EXAMPLES = 3


def legs(plan: Plan) -> tuple[Leg, ...]:
    """Return the plan's legs as published."""
    return tuple(
        Leg(
            node=leg.option.node,
            carrier=leg.option.service.carrier,
            service=leg.option.service.service,
            lines=tuple(LegLine(sku=sku, quantity=quantity) for sku, quantity in leg.lines),
            hand_over_by=from_ms(leg.option.hand_over_ms),
            expected_delivery=from_ms(leg.option.expected_ms),
            p_late=round(leg.option.p_late, 4),
            cost_cents=leg.option.score,
        )
        for leg in plan.legs
    )


def alternatives(choice: Choice) -> tuple[Alternative, ...]:
    """Return the runners-up, the best first."""
    return tuple(
        Alternative(option=plan.describe(), score_cents=plan.score, terms=plan.terms())
        for plan in choice.runners_up
    )


def eliminated(choice: Choice) -> tuple[Eliminated, ...]:
    """Return the options that hard constraints ruled out, by constraint."""
    return tuple(
        Eliminated(
            constraint=str(constraint),
            count=len(options),
            examples=tuple(in_words(constraint, option) for option in options[:_EXAMPLES]),
        )
        for constraint, options in choice.eliminated.items()
    )


def confidence(plan: Plan, order: str, promised_ms: int) -> Confidence:
    """Return the probability that the plan rests on: P(late) of its worst leg."""
    worst = max(plan.legs, key=lambda leg: (leg.option.p_late, leg.option.node))
    return Confidence(
        statement=f"{order} arrives from {worst.option.node} after its promise, "
        f"{day(promised_ms)} (expected {day(worst.option.expected_ms)})",
        probability=round(worst.option.p_late, 4),
    )


def allocation_summary(
    order: str, lines: int, units: int, plan: Plan, choice: Choice, promised_ms: int, policy: Policy
) -> str:
    """Return one or two sentences on an order's plan and its reasons."""
    arrives_ms = max(leg.option.expected_ms for leg in plan.legs)
    slack_s = (promised_ms - arrives_ms) / 1000
    against = f"{span(slack_s)} before" if slack_s >= 0 else f"{span(-slack_s)} after"
    worst = max(leg.option.p_late for leg in plan.legs)
    goods = f"{units} unit{'s' * (units != 1)} of {lines} SKU{'s' * (lines != 1)}"
    parcels = "" if len(plan.legs) == 1 else f" in {len(plan.legs)} parcels"
    text = (
        f"{order} ({goods}) goes{parcels} from {plan.describe()}, expected {day(arrives_ms)}, "
        f"{against} the promise (P(late) {worst:.0%}), for {money(plan.score, policy.currency)}."
    )
    if choice.runners_up:
        second, rule = choice.runners_up[0], policy.sourcing.rule
        # A rule's runner-up may be cheaper: it is farther away, or too slow.
        by_rule = "" if rule == "least_cost" else f" by the rule {rule}"
        text += (
            f" Next best{by_rule}: {second.describe()}, {money(second.score, policy.currency)}"
            f"{_main_difference(plan, second, policy)}."
        )
    if choice.gap_cents:
        text += (
            f" Ways not looked at may cost up to {money(choice.gap_cents, policy.currency)} less."
        )
    return text


def shortages(missing: dict[str, int]) -> tuple[Shortage, ...]:
    """Return missing units by SKU, as published."""
    return tuple(Shortage(sku=sku, missing=units) for sku, units in missing.items())


def _main_difference(plan: Plan, other: Plan, policy: Policy) -> str:
    """Return the term in which the runner-up is worse by most, in words."""
    ours, theirs = plan.terms(), other.terms()
    name = max(theirs, key=lambda term: (theirs[term] - ours.get(term, 0), term))
    worse = theirs[name] - ours.get(name, 0)
    return f" ({money(worse, policy.currency)} more {name})" if worse > 0 else ""
