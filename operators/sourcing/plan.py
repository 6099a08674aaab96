"""Plans: ways to serve a whole order, and the choice between them, whoever sources."""

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from operators.sourcing.eliminations import Eliminations, Way
from operators.sourcing.pricer import Lines
from operators.sourcing.rates import TERMS, Option
from state.events import OrderPlaced
from state.policy import Policy
from state.sums import float_sum
from state.twin import PlannedLeg


class PlanLeg(Struct, frozen=True, gc=False):
    """One leg of a plan: an option, and the lines it carries."""

    option: Option
    lines: Lines

    def planned(self, seq: int, shipment: str = "") -> PlannedLeg:
        """It as an order keeps it, decided by journal record `seq` instead of `shipment`."""
        option = self.option
        return PlannedLeg(
            seq,
            option.node,
            option.service,
            self.lines,
            option.hand_over_ms,
            option.expected_ms,
            option.score - option.lateness,
            shipment,
            dict(self.lines),
        )


class Plan(Struct, frozen=True, gc=False):
    """A way to serve a whole order; `split` is what its further parcels cost in annoyance."""

    score: int
    legs: tuple[PlanLeg, ...]
    split: int

    def terms(self) -> dict[str, int]:
        """Cents by term over all legs; they sum to `score`."""
        total = dict.fromkeys(TERMS, 0)
        for leg in self.legs:
            for name, cents in leg.option.terms().items():
                total[name] += cents
        if self.split:
            total["split"] = self.split
        return total

    @property
    def carbon_kg(self) -> float:
        """All legs' kg of CO2e."""
        return float_sum(leg.option.carbon_kg for leg in self.legs)

    @property
    def ways(self) -> tuple[Way, ...]:
        """Node and service of each leg."""
        return tuple(leg.option.way for leg in self.legs)

    def describe(self) -> str:
        """Node and service of each leg, in words."""
        return " + ".join(map(str, self.ways))


class Choice(Struct, frozen=True):
    """The outcome: a plan and what it beat, or None and what is missing.

    `eliminated` maps a constraint to what it ruled out, in the order found. `missing` maps a SKU
    to the units that no node can promise. `gap_cents` is by how much a cheaper plan that was not
    looked at may at most undercut it, 0 if there is none. All plans that cost less than
    `known_below` cents, each parcel by the service that is cheapest for it, are among those named.
    """

    plan: Plan | None
    runners_up: tuple[Plan, ...]
    eliminated: Eliminations
    missing: dict[str, int]
    considered: int
    gap_cents: int = 0
    known_below: float = 0.0


class Sourcer(Protocol):
    """Chooses node, carrier and service for lines of an order; changes nothing."""

    @property
    def policy(self) -> Policy:
        """Return the policy that it decides under."""
        ...

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        """Choose how to serve `lines` of `order` now, not from any node in `excluded`."""
        ...
