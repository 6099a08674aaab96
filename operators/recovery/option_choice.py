"""The choice between remedies by price, and where it would turn: apart, so that it can be tried."""

from collections.abc import Sequence

from msgspec import Struct

from operators.recovery.refunds import MoneyBack
from operators.sourcing.eliminations import Way
from operators.sourcing.least_cost import Plan
from state.actions import Switch
from state.keys import ServiceId
from state.sums import int_sum

#: What doing nothing is called.
WAITING = "waiting"


class Reroutes(Struct, frozen=True, gc=False):
    """Moving a parcel to another service of its carrier, and when it is expected by that."""

    service: ServiceId
    expected_ms: int


class Remedy:
    """A way on: what it costs by term, what it does, and what it pays back; waiting does neither.

    Of equals, moving a parcel comes before paying it back, and that before sending it again.
    """

    def __init__(
        self,
        label: str,
        terms: dict[str, int],
        act: Plan | Reroutes | None = None,
        back: MoneyBack | None = None,
    ) -> None:
        self.label, self.terms, self.act, self.back = label, terms, act, back
        self.score = int_sum(terms.values())
        self.is_waiting = act is None and back is None
        ways: tuple[Way, ...] = ()
        if isinstance(act, Reroutes):
            place, ways = 0, (Way("", act.service),)
        elif isinstance(act, Plan):
            place, ways = 2, act.ways
        else:
            place = 3 if self.is_waiting else 1
        self.rank = (self.score, place, ways)


def waiting(cents: int) -> Remedy:
    """Doing nothing: it costs what being late does."""
    return Remedy(WAITING, {"expected lateness": cents})


def choose(remedies: Sequence[Remedy], least_gain_cents: int) -> Remedy:
    """The cheapest remedy; waiting, if that is one of them and too little is saved over it."""
    best = min(remedies, key=lambda remedy: remedy.rank)
    for remedy in remedies:
        if remedy.is_waiting and remedy.score - best.score < least_gain_cents:
            return remedy
    return best


def ranked(remedies: Sequence[Remedy]) -> list[Remedy]:
    """The cheapest first, of equals by what it does."""
    return sorted(remedies, key=lambda remedy: remedy.rank)


def remedy_switches(
    best: Remedy, others: Sequence[Remedy], least_gain_cents: int, currency: str
) -> tuple[Switch, ...]:
    """What would have to be cheaper for `best`, which was chosen, to lose: another way, or waiting.

    `others` come with the cheapest first.
    """
    found = []
    for quantity, rivals, lead in (
        ("remedy_cents", [r for r in others if not r.is_waiting], 0),
        ("waiting_cents", [r for r in others if r.is_waiting], least_gain_cents),
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
