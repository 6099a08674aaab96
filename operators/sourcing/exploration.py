"""Exploration: now and then an order takes another plan than the cheapest, by a logged chance.

A plan that was never tried cannot be judged. A new order draws among the plans that cost little
more. The draw depends on the order's name alone, so that a replay, or another policy, draws alike.
The action records the draw and the chance of each plan.
"""

from hashlib import blake2b

from msgspec.structs import replace

from operators.sourcing.plan import Choice
from state.actions import Draw, DrawOption
from state.policy import Exploration

_RANGE = 2**64


def explore(choice: Choice, order: str, rules: Exploration) -> tuple[Choice, Draw | None]:
    """Return the choice with the plan drawn for `order`, and the draw; None if there was none.

    The cheapest plan has the chance 1 − share; the others within reach divide the share equally.
    """
    if choice.plan is None or not rules.share:
        return choice, None
    ranked = (choice.plan, *choice.runners_up)
    reach = choice.plan.score + rules.most_extra_cents
    plans = [plan for plan in ranked if plan.score <= reach]
    if len(plans) < 2:
        return choice, None
    others = len(plans) - 1
    chances = [1.0 - rules.share, *[rules.share / others] * others]
    # A number in [0, 1); below the share, it picks one of the other plans.
    luck = int.from_bytes(blake2b(order.encode(), digest_size=8).digest()) / _RANGE
    drawn = 0
    if luck < rules.share:
        drawn = 1 + min(int(luck / rules.share * others), others - 1)
    draw = Draw(
        taken=plans[drawn].describe(),
        place=drawn,
        propensity=chances[drawn],
        options=tuple(
            DrawOption(option=plan.describe(), score_cents=plan.score, propensity=chance)
            for plan, chance in zip(plans, chances, strict=True)
        ),
    )
    rest = tuple(plan for plan in ranked if plan is not plans[drawn])
    return replace(choice, plan=plans[drawn], runners_up=rest), draw
