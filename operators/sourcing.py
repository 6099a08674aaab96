"""Sourcing: which node, carrier and service serve an order, in one argmin over money.

Read `Sourcing.decide` top-down: candidates → eliminate → price → choose. One parcel from one node
is searched exhaustively. Splits are searched over pairs of nodes with every distribution of the
lines that both have, and greedily beyond that; the bound on the nodes looked at is in the policy.
"""

from collections.abc import Sequence

from msgspec import Struct

from operators.candidates import (
    cover_greedily,
    find_supplies,
    spread_over_pairs,
    units_covered,
    units_missing,
)
from operators.holds import rule_out_held
from operators.outlook import Outlook
from operators.parcels import Eliminations, Lines, Pricer, Supply
from operators.pricing import TERMS, Option, RateBook
from state.events import OrderPlaced
from state.policy import Policy
from state.twin import Twin


class Shipped(Struct, frozen=True, gc=False):
    """One leg of a plan: an option, and the lines it carries."""

    option: Option
    lines: Lines


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
        return sum(leg.option.carbon_kg for leg in self.legs)

    def describe(self) -> str:
        """Node and service of each leg."""
        return " + ".join(f"{leg.option.node} with {leg.option.service}" for leg in self.legs)


class Choice(Struct, frozen=True):
    """The outcome: a plan and what it beat, or None and what is missing.

    `eliminated` maps a constraint to what it ruled out, in the order found. `missing` maps a SKU
    to the units that no node can promise.
    """

    plan: Plan | None
    runners_up: tuple[Plan, ...]
    eliminated: Eliminations
    missing: dict[str, int]
    considered: int


class Sourcing:
    """Decides on the twin as it stands; changes nothing."""

    def __init__(self, twin: Twin, outlook: Outlook, rates: RateBook, policy: Policy) -> None:
        self._twin, self._outlook, self._rates = twin, outlook, rates
        self.policy = policy

    def decide(self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: str = "") -> Choice:
        """Choose the cheapest way to serve `lines` of `order`, not from node `excluded`."""
        eliminated: Eliminations = {}
        supplies, closed = find_supplies(
            self._twin, self.policy.sourcing, lines, now_ms, excluded, eliminated
        )
        if self._twin.holds:
            rule_out_held(self._twin, order.region, lines, supplies, closed, eliminated)
        missing = units_missing(lines, supplies, closed)
        if missing:
            return Choice(None, (), eliminated, missing, 0)
        pricer = Pricer(
            self._twin, self._outlook, self._rates, self.policy, order, lines, supplies, now_ms
        )
        pricer.eliminated = eliminated
        keep = self.policy.sourcing.alternatives + 1
        singles: list[Option] = []
        whole = [node for node, supply in supplies.items() if None not in supply.ready_ms]
        # The cheapest nodes first: what they set as the price to beat spares most of the others.
        for _, node in sorted((pricer.least(node), node) for node in whole):
            pricer.collect(node, lines, singles, keep)
        plans = [Plan(o.score, (Shipped(o, lines),), 0) for o in singles]
        plans += self._splits(lines, supplies, pricer, plans[0].score if plans else None)
        plans.sort(key=_rank)
        if not plans:
            return Choice(None, (), eliminated, {}, pricer.considered)
        return Choice(plans[0], tuple(plans[1:keep]), eliminated, {}, pricer.considered)

    def _splits(
        self, lines: Lines, supplies: dict[str, Supply], pricer: Pricer, to_beat: int | None
    ) -> list[Plan]:
        """Plans of two parcels or more; none if even the least they cost cannot win."""
        rules = self.policy.sourcing
        if rules.max_legs < 2 or (len(lines) == 1 and to_beat is not None):
            return []
        least = {node: pricer.least(node) for node in supplies}
        if to_beat is not None:
            two = sum(sorted(least.values())[:2]) + rules.split_fixed_cents
            if len(least) < 2 or two >= to_beat:
                return []
        ranked = sorted(
            supplies, key=lambda node: (-units_covered(supplies[node], lines), least[node], node)
        )[: rules.split_nodes]
        plans: list[Plan] = []
        bound = float("inf") if to_beat is None else to_beat
        for shares in spread_over_pairs(lines, ranked, supplies):
            if sum(least[node] for node, _ in shares) + rules.split_fixed_cents >= bound:
                continue
            plan = self._plan(shares, pricer)
            if plan is not None and plan.score < bound:
                plans.append(plan)
                bound = plan.score
        if not plans and to_beat is None:
            for shares in cover_greedily(lines, ranked, supplies, rules.max_legs):
                plan = self._plan(shares, pricer)
                if plan is not None:
                    plans.append(plan)
        return sorted(plans, key=_rank)[: rules.alternatives + 1]

    def _plan(self, shares: Sequence[tuple[str, Lines]], pricer: Pricer) -> Plan | None:
        legs: list[Shipped] = []
        for node, share in shares:
            option = pricer.cheapest(node, share)
            if option is None:
                return None
            legs.append(Shipped(option, share))
        split = round(self.policy.sourcing.split_fixed_cents * (len(legs) - 1))
        return Plan(sum(leg.option.score for leg in legs) + split, tuple(legs), split)


def _rank(plan: Plan) -> tuple[int, int, str]:
    """Cheapest first; of equals, the fewest parcels, then by name."""
    return plan.score, len(plan.legs), plan.describe()
