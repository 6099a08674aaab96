"""The choice between remedies by price, and where it would turn: apart, so that it can be tried."""

from collections.abc import Sequence

from operators.refunds import MoneyBack
from state.actions import Switch
from state.sums import int_sum

#: The label of doing nothing.
WAITING = "waiting"


class Remedy:
    """A way on: what it costs by term, what it does, and what it pays back."""

    def __init__(
        self,
        label: str,
        terms: dict[str, int],
        act: object = None,
        back: MoneyBack | None = None,
    ) -> None:
        self.label, self.terms, self.act, self.back = label, terms, act, back
        self.score = int_sum(terms.values())


def choose(remedies: Sequence[Remedy], least_gain_cents: int) -> Remedy:
    """The cheapest remedy; waiting, if that is one of them and too little is saved over it."""
    best = min(remedies, key=_rank)
    for remedy in remedies:
        if remedy.label == WAITING and remedy.score - best.score < least_gain_cents:
            return remedy
    return best


def ranked(remedies: Sequence[Remedy]) -> list[Remedy]:
    """The cheapest first, of equals by label."""
    return sorted(remedies, key=_rank)


def remedy_switches(
    best: Remedy, others: Sequence[Remedy], least_gain_cents: int, currency: str
) -> tuple[Switch, ...]:
    """What would have to be cheaper for `best`, which was chosen, to lose: another way, or waiting.

    `others` come with the cheapest first.
    """
    found = []
    for quantity, rivals, lead in (
        ("remedy_cents", [r for r in others if r.label != WAITING], 0),
        ("waiting_cents", [r for r in others if r.label == WAITING], least_gain_cents),
    ):
        for rival in rivals[:1]:
            by = rival.score - best.score - lead + 1
            found.append(
                Switch(
                    when=f"{rival.label} were {by / 100:.2f} {currency} cheaper",
                    then=rival.label,
                    quantity=quantity,
                    by=float(-by),
                )
            )
    return tuple(sorted(found, key=lambda switch: -switch.by))


def _rank(remedy: Remedy) -> tuple[int, str]:
    return remedy.score, remedy.label
