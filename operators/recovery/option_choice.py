"""Remedies side by side: what each does, the choice by price, and where it would turn."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from operators.network.context import Floor
from operators.network.legs import commit
from operators.recovery.refunds import MoneyBack
from operators.sourcing.eliminations import Way
from operators.sourcing.explanation import legs
from operators.sourcing.plan import Plan
from state.actions import Decision, Reroute, Reship, Switch
from state.keys import ServiceId
from state.quantities import from_ms
from state.sums import int_sum
from state.twin import OpenOrder, Shipment

#: Label of doing nothing.
WAITING = "waiting"
#: Places of the remedies without an act among those of equal cost, see `Act`.
_PAYS_BACK, _WAITS = 1, 3


class Act(Protocol):
    """A remedy that does something for a parcel.

    `place` tells remedies of equal cost apart: moving a parcel comes before paying it back (1), and
    that before sending it again.
    """

    @property
    def place(self) -> int:
        """Return the place among remedies of equal cost."""
        ...

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return nodes and services used; they tell remedies of equal cost and place apart."""
        ...

    @property
    def expected_ms(self) -> int:
        """Return when the parcel is expected by it."""
        ...

    def carry_out(self, floor: Floor, order: OpenOrder, name: str, shipment: Shipment) -> Decision:
        """Reserve what it needs, and return what the others have to do; `name` is the parcel's."""
        ...


class Reroutes(Struct, frozen=True, gc=False):
    """Moving a parcel to another service of its carrier, and when it is expected by that."""

    service: ServiceId
    expected_ms: int

    @property
    def place(self) -> int:
        """Return the first place."""
        return 0

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the new service."""
        return (Way("", self.service),)

    def carry_out(self, floor: Floor, order: OpenOrder, name: str, shipment: Shipment) -> Decision:
        """Return the reroute; it needs nothing reserved."""
        return Reroute(
            order=order.name,
            shipment=name,
            carrier=shipment.dispatched.carrier,
            from_service=shipment.dispatched.service,
            to_service=self.service.service,
            expected_delivery=from_ms(self.expected_ms),
        )


class SendsAgain(Struct, frozen=True, gc=False):
    """Sending lines of a parcel again, by a plan of one leg."""

    plan: Plan

    @property
    def place(self) -> int:
        """Return the place behind paying back."""
        return 2

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the node and service of the plan."""
        return self.plan.ways

    @property
    def expected_ms(self) -> int:
        """Return when the new parcel is expected."""
        return self.plan.legs[0].option.expected_ms

    def carry_out(self, floor: Floor, order: OpenOrder, name: str, shipment: Shipment) -> Decision:
        """Reserve the units, and return the reship."""
        for sku, quantity in self.plan.legs[0].lines:
            order.lines[sku].ordered += quantity
        commit(floor, order, self.plan, name)
        return Reship(order=order.name, shipment=name, leg=legs(self.plan)[0])


class Remedy:
    """A way on: its cost by term, its act, and the money it pays back; waiting has neither."""

    def __init__(
        self,
        label: str,
        terms: dict[str, int],
        act: Act | None = None,
        back: MoneyBack | None = None,
    ) -> None:
        self.label, self.terms, self.act, self.back = label, terms, act, back
        self.score = int_sum(terms.values())
        self.is_waiting = act is None and back is None
        self.rank: tuple[int, int, tuple[Way, ...]]
        if act is not None:
            self.rank = (self.score, act.place, act.ways)
        else:
            self.rank = (self.score, _WAITS if self.is_waiting else _PAYS_BACK, ())


def waiting(cents: int) -> Remedy:
    """Return the remedy of doing nothing: it costs what being late does."""
    return Remedy(WAITING, {"expected lateness": cents})


def choose(remedies: Sequence[Remedy], least_gain_cents: int) -> Remedy:
    """Return the cheapest remedy; waiting, if too little is saved over it."""
    best = min(remedies, key=lambda remedy: remedy.rank)
    for remedy in remedies:
        if remedy.is_waiting and remedy.score - best.score < least_gain_cents:
            return remedy
    return best


def ranked(remedies: Sequence[Remedy]) -> list[Remedy]:
    """Return the cheapest first, of equals by place and way."""
    return sorted(remedies, key=lambda remedy: remedy.rank)


def remedy_switches(
    best: Remedy, others: Sequence[Remedy], least_gain_cents: int, currency: str
) -> tuple[Switch, ...]:
    """Return what would have to be cheaper for the chosen `best` to lose: another way, or waiting.

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
