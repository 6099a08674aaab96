"""Switch points: the nearest changes that lead to another plan. Each holds when applied.

A choice knows all plans up to a price (`Choice.known_below`). A change is published only if a known
plan then provably beats all known and unknown ones: an unknown plan gains no more from a lower
freight than the runner-up, and a rising weight never makes it cheaper.
"""

from collections.abc import Callable
from math import ceil

from operators.sourcing.plan import Choice, Plan
from state.actions import Switch
from state.policy import Policy

#: Cents by which rounding, before and after, may move two plans apart, and one more.
_ROUNDING = 3


def switches(choice: Choice, policy: Policy) -> tuple[Switch, ...]:
    """Return the nearest changes that would have led to another plan; none under a rule."""
    plan = choice.plan
    if plan is None or not choice.runners_up or policy.sourcing.rule != "least_cost":
        return ()
    weights, currency = policy.weights, policy.currency
    found = (
        _price_switch(plan, choice, currency),
        _weight_switch(
            plan,
            choice,
            policy,
            lambda one: one.carbon_kg,
            "weights.carbon_kg_cents",
            ("carbon weighs", "per kg"),
            weights.carbon_kg_cents,
        ),
        _weight_switch(
            plan,
            choice,
            policy,
            lambda one: one.legs[0].option.late_s / 3600,
            "weights.late_hour_cents",
            ("lateness weighs", "per hour"),
            weights.late_hour_cents,
        ),
    )
    return tuple(switch for switch in found if switch is not None)


def _price_switch(plan: Plan, choice: Choice, currency: str) -> Switch | None:
    """Return the cut of a freight from which the runner-up wins.

    All plans with that parcel gain as much, none gains more, and the runner-up was ahead of them.
    Nodes that the chosen plan uses are left out for splits: their other services were not searched
    as plans.
    """
    second = choice.runners_up[0]
    is_single = len(second.legs) == 1
    if second.score > choice.known_below or (second.score == choice.known_below and not is_single):
        return None
    by = second.score - plan.score + 1
    taken = {leg.option.node for leg in plan.legs}
    for leg in second.legs:
        option = leg.option
        if option.node in taken and not (is_single and len(plan.legs) == 1):
            continue
        if by > option.freight:
            continue
        return Switch(
            when=f"freight from {option.node} with {option.service} were "
            f"{by / 100:.2f} {currency} lower",
            then=second.describe(),
            quantity="freight_cents",
            by=float(-by),
            node=option.node,
            service=str(option.service),
        )
    return None


def _weight_switch(
    plan: Plan,
    choice: Choice,
    policy: Policy,
    amount: Callable[[Plan], float],
    quantity: str,
    words: tuple[str, str],
    now: float,
) -> Switch | None:
    """Return the higher weight from which a single-parcel plan that causes less wins."""
    others = [other for other in choice.runners_up if len(other.legs) == 1]
    if len(plan.legs) > 1 or not others:
        return None
    unknown = choice.known_below
    if len(choice.runners_up) >= policy.sourcing.alternatives:
        unknown = min(unknown, choice.runners_up[-1].score)
    splits = [other.score for other in choice.runners_up if len(other.legs) > 1]
    unknown = min(unknown, *splits) if splits else unknown
    best: tuple[float, Plan] | None = None
    for other in others:
        saved = amount(plan) - amount(other)
        if saved > 1e-9:
            by = ceil((other.score - plan.score + _ROUNDING) / saved * 100) / 100
            if best is None or by < best[0]:
                best = (by, other)
    if best is None:
        return None
    by, winner = best
    cents = winner.score + by * amount(winner) + _ROUNDING
    if cents >= unknown:
        return None
    if any(o is not winner and o.score + by * amount(o) <= cents for o in others):
        return None
    return Switch(
        when=f"{words[0]} {(now + by) / 100:.2f} {policy.currency} {words[1]} "
        f"instead of {now / 100:.2f} {policy.currency}",
        then=winner.describe(),
        quantity=quantity,
        by=by,
    )
