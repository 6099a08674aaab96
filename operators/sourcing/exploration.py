"""Exploration: now and then an order goes another way than the cheapest, by a logged chance.

What was never tried cannot be judged. A new order is drawn among the plans that are little dearer;
the draw depends on the order's name alone, so that a replay, and the same order under another
policy, draw alike. What was drawn, and how likely each plan was, is written on the action.
"""

from hashlib import blake2b

from msgspec.structs import replace

from operators.sourcing.plan import Choice
from state.actions import Draw, DrawOption
from state.policy import Exploration

_RANGE = 2**64


def explore(choice: Choice, order: str, rules: Exploration) -> tuple[Choice, Draw | None]:
    """The choice with the plan drawn for `order`, and how; None if there was nothing to draw.

    The cheapest plan has the chance 1 − share, each other within reach an equal part of the share.
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
    # One number in [0, 1): below the share it says which of the others.
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
