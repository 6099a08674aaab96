"""Limits: recent actions and money, by kind and over all kinds, against the policy's limits."""

from msgspec import Struct, field

from state.policy import BlastRadius, Limit
from state.quantities import HOUR_MS

#: Steps in which the window of the blast radius slides.
_STEPS = 60


class _Spent(Struct):
    """Actions and cents of one kind in the current hour of journal time."""

    hour: int = 0
    actions: int = 0
    cents: int = 0


class Limits(Struct):
    """Counts in the gate's state. An action is first checked against the limits, then counted."""

    spent: dict[str, _Spent] = field(default_factory=dict)
    # (step, actions, cents) in the sliding window, the oldest first; and their sums.
    steps: list[tuple[int, int, int]] = field(default_factory=list)
    actions: int = 0
    cents: int = 0

    def exceeded(self, kind: str, cents: int, limit: Limit, now_ms: int) -> tuple[str, str] | None:
        """Return the limit of the kind that an action would break, and how; None if none."""
        spent = self.spent.setdefault(kind, _Spent())
        hour = now_ms // HOUR_MS
        if spent.hour != hour:
            spent.hour, spent.actions, spent.cents = hour, 0, 0
        if cents > limit.value_cents:
            return "value", f"{cents} cents at stake, more than {limit.value_cents} alone"
        if spent.actions + 1 > limit.per_hour:
            return "rate", f"{limit.per_hour} of its kind acted this hour already"
        if spent.cents + cents > limit.value_cents_per_hour:
            return "value", f"over {limit.value_cents_per_hour} cents at stake this hour"
        return None

    def overreach(self, cents: int, radius: BlastRadius, now_ms: int) -> str:
        """Return how an action would exceed the blast radius; empty if it would not."""
        oldest = now_ms // _step_ms(radius) - _STEPS
        while self.steps and self.steps[0][0] <= oldest:
            _, actions, spent = self.steps.pop(0)
            self.actions -= actions
            self.cents -= spent
        if self.actions + 1 > radius.actions:
            return f"all kinds together acted {radius.actions} times within {radius.window_s} s"
        if self.cents + cents > radius.value_cents:
            return (
                f"all kinds together put {radius.value_cents} cents at stake "
                f"within {radius.window_s} s"
            )
        return ""

    def count(self, kind: str, cents: int, radius: BlastRadius | None, now_ms: int) -> None:
        """Note that an action was let through; without `radius`, for its own kind only."""
        spent = self.spent[kind]
        spent.actions += 1
        spent.cents += cents
        if radius is None:
            return
        self.actions += 1
        self.cents += cents
        step = now_ms // _step_ms(radius)
        if self.steps and self.steps[-1][0] == step:
            _, actions, before = self.steps[-1]
            self.steps[-1] = (step, actions + 1, before + cents)
        else:
            self.steps.append((step, 1, cents))

    def forget_window(self) -> None:
        """Begin a new window, after a person looked or the rules changed."""
        self.steps.clear()
        self.actions = self.cents = 0


def _step_ms(radius: BlastRadius) -> int:
    return radius.window_s * 1000 // _STEPS
