"""Sourcing: which node, carrier and service serve an order, in one argmin over money.

Read `Sourcing.decide` top-down: candidates → eliminate → price → choose. One parcel from one node
is searched exhaustively, several as `operators/sourcing/splits.py` says.
"""

from collections.abc import Collection
from math import ceil

from msgspec import Struct

from operators.sourcing.candidates import (
    find_supplies,
    units_missing,
)
from operators.sourcing.eliminations import Eliminations, Way
from operators.sourcing.holds_filter import rule_out_held
from operators.sourcing.outlook import Outlook
from operators.sourcing.pricer import Lines, Pricer
from operators.sourcing.rates import TERMS, Option, Rates
from operators.sourcing.splits import Split, Splits
from state.events import OrderPlaced
from state.policy import Policy
from state.sums import float_sum, int_sum
from state.twin import PlannedLeg, Twin


class Shipped(Struct, frozen=True, gc=False):
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
    legs: tuple[Shipped, ...]
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


class Sourcing:
    """Decides on the twin as it stands; changes nothing."""

    def __init__(self, twin: Twin, outlook: Outlook, rates: Rates, policy: Policy) -> None:
        self._twin, self._outlook, self._rates = twin, outlook, rates
        self.policy = policy

    def decide(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        excluded: Collection[str] = (),
    ) -> Choice:
        """Choose the cheapest way to serve `lines` of `order`, not from any node in `excluded`."""
        eliminated: Eliminations = {}
        supplies, closed = find_supplies(
            self._twin, self.policy.sourcing, lines, now_ms, excluded, eliminated
        )
        if self._twin.holds:
            rule_out_held(self._twin, order.region, lines, supplies, closed, eliminated)
        whole = [node for node, supply in supplies.items() if None not in supply.ready_ms]
        missing = {} if whole else units_missing(lines, supplies, closed)
        if missing:
            return Choice(None, (), eliminated, missing, 0)
        pricer = Pricer(
            self._twin, self._outlook, self._rates, self.policy, order, lines, supplies, now_ms
        )
        pricer.eliminated = eliminated
        keep = self.policy.sourcing.alternatives + 1
        singles: list[Option] = []
        # The cheapest nodes first: what they set as the price to beat spares most of the others.
        least = {node: pricer.least(node) for node in supplies}
        for _, node in sorted((least[node], node) for node in whole):
            pricer.collect(node, lines, singles, keep)
        plans = [Plan(o.score, (Shipped(o, lines),), 0) for o in singles]
        proven = float("inf")
        if self.policy.sourcing.max_legs > 1 and not (plans and len(lines) == 1):
            search = Splits(lines, supplies, pricer, self.policy.sourcing, least)
            # Up to the runner-up: what would be chosen if its price changed has to be known too.
            found = search.search(singles[1].score if len(singles) > 1 else float("inf"))
            plans += [_joined(split) for split in found]
            proven = search.proven
            plans.sort(key=_rank)
        if not plans:
            return Choice(None, (), eliminated, {}, pricer.considered)
        best = plans[0]
        gap = max(0, best.score - ceil(proven)) if proven < best.score else 0
        known_below = min(proven, singles[-1].score if len(singles) == keep else float("inf"))
        return Choice(
            best, tuple(plans[1:keep]), eliminated, {}, pricer.considered, gap, known_below
        )


def _joined(split: Split) -> Plan:
    legs = tuple(Shipped(o, share) for o, share in zip(split.options, split.shares, strict=True))
    return Plan(split.score, legs, split.score - int_sum(o.score for o in split.options))


def _rank(plan: Plan) -> tuple[int, int, tuple[Way, ...]]:
    """Cheapest first; of equals, the fewest parcels, then by node and service."""
    return plan.score, len(plan.legs), plan.ways
