"""Plans: ways to serve a whole order, and the choice between them."""

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
        """Return the leg as an order keeps it, decided by record `seq` to replace `shipment`."""
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
    """A way to serve a whole order; `split` is the penalty for its further parcels, in cents."""

    score: int
    legs: tuple[PlanLeg, ...]
    split: int

    def terms(self) -> dict[str, int]:
        """Return cents by term over all legs; they sum to `score`."""
        total = dict.fromkeys(TERMS, 0)
        for leg in self.legs:
            for name, cents in leg.option.terms().items():
                total[name] += cents
        if self.split:
            total["split"] = self.split
        return total

    @property
    def carbon_kg(self) -> float:
        """Return kg of CO2e over all legs."""
        return float_sum(leg.option.carbon_kg for leg in self.legs)

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return node and service of each leg."""
        return tuple(leg.option.way for leg in self.legs)

    def describe(self) -> str:
        """Return node and service of each leg, in words."""
        return " + ".join(map(str, self.ways))


class Choice(Struct, frozen=True):
    """Outcome of a decision: a plan and its runners-up, or no plan and the missing units.

    `eliminated` maps a constraint to the options it ruled out, in the order found. `missing` maps a
    SKU to the units that no node can promise. `gap_cents` bounds the saving of a plan that was not
    searched, 0 if there is none. All plans that cost less than `known_below` cents, each parcel
    with its cheapest service, are among those named.
    """

    plan: Plan | None
    runners_up: tuple[Plan, ...]
    eliminated: Eliminations
    missing: dict[str, int]
    gap_cents: int = 0
    known_below: float = 0.0


class Sourcer(Protocol):
    """Choice of node, carrier and service for lines of an order; deciding changes nothing."""

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        ...

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        """Choose a plan for `lines` of `order` now, not from any node in `excluded`."""
        ...

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        """Return whether the plan that `decide` would choose costs less than `cents`."""
        ...
