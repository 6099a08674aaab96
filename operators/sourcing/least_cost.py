"""Sourcing by least cost: node, carrier and service of an order, in one argmin over money.

Read `LeastCost.decide` top-down: candidates → eliminate → price → choose. Single parcels are
searched exhaustively, several parcels in `operators.sourcing.splits`.
"""

from collections.abc import Collection
from math import ceil, inf

from operators.sourcing.candidates import find_supplies, rule_out_spread, units_missing
from operators.sourcing.eliminations import Eliminations, Way
from operators.sourcing.holds_filter import rule_out_held
from operators.sourcing.outlook import Outlook
from operators.sourcing.plan import Choice, Plan, PlanLeg
from operators.sourcing.pricer import Lines, Pricer
from operators.sourcing.rates import Option, Rates
from operators.sourcing.splits import Split, Splits
from state.events import OrderPlaced
from state.policy import Policy
from state.sums import int_sum
from state.twin import Twin


class LeastCost:
    """Sourcing by cost on the twin as it stands; deciding changes nothing."""

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
            return Choice(None, (), eliminated, missing)
        pricer = Pricer(
            self._twin, self._outlook, self._rates, self.policy, order, lines, supplies, now_ms
        )
        pricer.eliminated = eliminated
        keep = self.policy.sourcing.alternatives + 1
        singles: list[Option] = []
        # The cheapest nodes first: they set a price to beat that rules out most of the others.
        least = {node: pricer.least(node) for node in supplies}
        for _, node in sorted((least[node], node) for node in whole):
            pricer.collect(node, lines, singles, keep)
        plans = [Plan(o.score, (PlanLeg(o, lines),), 0) for o in singles]
        proven = inf
        if self.policy.sourcing.max_legs > 1 and not (plans and len(lines) == 1):
            search = Splits(lines, supplies, pricer, self.policy.sourcing, least, keep)
            # Search up to the runner-up: switch points need all plans below its price.
            found = search.search(singles[1].score if len(singles) > 1 else inf)
            plans += [_joined(split) for split in found]
            proven = search.proven
            plans.sort(key=_rank)
        if not plans:
            rule_out_spread(lines, supplies, self.policy.sourcing.max_legs, eliminated)
            return Choice(None, (), eliminated, {})
        best = plans[0]
        gap = max(0, best.score - ceil(proven)) if proven < best.score else 0
        known_below = min(proven, singles[-1].score if len(singles) == keep else inf)
        return Choice(best, tuple(plans[1:keep]), eliminated, {}, gap, known_below)

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        """Return whether the plan that `decide` would choose costs less than `cents`.

        Prices only what could: most decisions made again come out as before.
        """
        rules = self.policy.sourcing
        eliminated: Eliminations = {}
        supplies, closed = find_supplies(self._twin, rules, lines, now_ms, excluded, eliminated)
        if self._twin.holds:
            rule_out_held(self._twin, order.region, lines, supplies, closed, eliminated)
        whole = [node for node, supply in supplies.items() if None not in supply.ready_ms]
        if not whole and units_missing(lines, supplies, closed):
            return False
        pricer = Pricer(
            self._twin, self._outlook, self._rates, self.policy, order, lines, supplies, now_ms
        )
        least = {node: pricer.least(node) for node in supplies}
        nearest = [node for _, node in sorted((least[node], node) for node in whole)]
        found: list[Option] = []
        for node in nearest:
            pricer.collect(node, lines, found, 1, ceil(cents) - 1)
            if found:
                return True
        if rules.max_legs == 1 or len(supplies) == 1:
            return False
        splits = Splits(lines, supplies, pricer, rules, least, 1)
        if len(lines) > 1 and splits.search(cents):
            return True
        if any(pricer.takes(node, lines) for node in nearest) or splits.can_send():
            return False
        # Where neither one parcel nor whole lines in several can go, lines are divided.
        best = Splits(lines, supplies, pricer, rules, least, 1).search(inf)
        return bool(best) and best[0].score < cents


def _joined(split: Split) -> Plan:
    legs = tuple(PlanLeg(o, share) for o, share in zip(split.options, split.shares, strict=True))
    return Plan(split.score, legs, split.score - int_sum(o.score for o in split.options))


def _rank(plan: Plan) -> tuple[int, int, tuple[Way, ...]]:
    """Return a sort key: cheapest first, then fewest parcels, then node and service."""
    return plan.score, len(plan.legs), plan.ways
