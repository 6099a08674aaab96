"""Remedies side by side: their acts, the choice by price, and its switch points."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from operators.network.context import Context
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

#: Label of the remedy of doing nothing.
WAITING = "waiting"
#: Places among remedies of equal cost for those without an act, see `Act`.
_PAYS_BACK, _WAITS = 1, 3


class Act(Protocol):
    """Act of a remedy for a parcel.

    `place` breaks ties between remedies of equal cost: moving a parcel comes before paying it back
    (1), and that before sending it again.
    """

    @property
    def place(self) -> int:
        """Return the place among remedies of equal cost."""
        ...

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return nodes and services used; they break ties of equal cost and place."""
        ...

    @property
    def expected_ms(self) -> int:
        """Return the expected arrival of the parcel."""
        ...

    def carry_out(
        self, context: Context, order: OpenOrder, name: str, shipment: Shipment
    ) -> Decision:
        """Reserve stock as needed, and return the decision; `name` is the parcel's."""
        ...


class Reroutes(Struct, frozen=True, gc=False):
    """Moving a parcel to another service of its carrier, with the expected arrival."""

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

    def carry_out(
        self, context: Context, order: OpenOrder, name: str, shipment: Shipment
    ) -> Decision:
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
        """Return the place after paying back."""
        return 2

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the node and service of the plan."""
        return self.plan.ways

    @property
    def expected_ms(self) -> int:
        """Return the expected arrival of the new parcel."""
        return self.plan.legs[0].option.expected_ms

    def carry_out(
        self, context: Context, order: OpenOrder, name: str, shipment: Shipment
    ) -> Decision:
        """Reserve the units, and return the reship."""
        for sku, quantity in self.plan.legs[0].lines:
            order.lines[sku].ordered += quantity
        commit(context, order, self.plan, name)
        return Reship(order=order.name, shipment=name, leg=legs(self.plan)[0])


class Remedy:
    """A remedy: cost by term, its act, and the money paid back; waiting has neither of the two."""

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
    """Return the remedy of doing nothing: its cost is the expected lateness."""
    return Remedy(WAITING, {"expected lateness": cents})


def choose(remedies: Sequence[Remedy], least_gain_cents: int) -> Remedy:
    """Return the cheapest remedy, or waiting if the saving over it is too small."""
    best = min(remedies, key=lambda remedy: remedy.rank)
    for remedy in remedies:
        if remedy.is_waiting and remedy.score - best.score < least_gain_cents:
            return remedy
    return best


def ranked(remedies: Sequence[Remedy]) -> list[Remedy]:
    """Return remedies, the cheapest first; ties by place and way."""
    return sorted(remedies, key=lambda remedy: remedy.rank)


def remedy_switches(
    best: Remedy, others: Sequence[Remedy], least_gain_cents: int, currency: str
) -> tuple[Switch, ...]:
    """Return the cuts in cost by which another remedy, or waiting, would beat the chosen `best`.

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
