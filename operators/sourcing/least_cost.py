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
from operators.sourcing.pricer import Lines, Pricer, Supply
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
        supplies, missing = self._supplies(order, lines, now_ms, excluded, eliminated)
        if missing:
            return Choice(None, (), eliminated, missing)
        pricer = self._pricer(order, lines, supplies, now_ms)
        pricer.eliminated = eliminated
        keep = self.policy.sourcing.alternatives + 1
        singles: list[Option] = []
        least = {node: pricer.least(node) for node in supplies}
        for node in _whole(supplies, least):
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
        supplies, missing = self._supplies(order, lines, now_ms, excluded, {})
        if missing:
            return False
        pricer = self._pricer(order, lines, supplies, now_ms)
        least = {node: pricer.least(node) for node in supplies}
        whole = _whole(supplies, least)
        found: list[Option] = []
        for node in whole:
            pricer.collect(node, lines, found, 1, ceil(cents) - 1)
            if found:
                return True
        if rules.max_legs == 1 or len(supplies) == 1:
            return False
        splits = Splits(lines, supplies, pricer, rules, least, 1)
        if len(lines) > 1 and splits.search(cents):
            return True
        if any(pricer.takes(node, lines) for node in whole) or splits.can_send():
            return False
        # Where neither one parcel nor whole lines in several can go, lines are divided.
        best = Splits(lines, supplies, pricer, rules, least, 1).search(inf)
        return bool(best) and best[0].score < cents

    def _supplies(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        excluded: Collection[str],
        eliminated: Eliminations,
    ) -> tuple[dict[str, Supply], dict[str, int]]:
        """Return the supply of each candidate, and the units that none has."""
        supplies, closed = find_supplies(
            self._twin, self.policy.sourcing, lines, now_ms, excluded, eliminated
        )
        if self._twin.holds:
            rule_out_held(self._twin, order.region, lines, supplies, closed, eliminated)
        if any(None not in supply.ready_ms for supply in supplies.values()):
            return supplies, {}
        return supplies, units_missing(lines, supplies, closed)

    def _pricer(
        self, order: OrderPlaced, lines: Lines, supplies: dict[str, Supply], now_ms: int
    ) -> Pricer:
        return Pricer(
            self._twin, self._outlook, self._rates, self.policy, order, lines, supplies, now_ms
        )


def _whole(supplies: dict[str, Supply], least: dict[str, float]) -> list[str]:
    """Return the nodes that can promise all lines, the lowest bound of cost first.

    These set a price to beat that rules out most of the others.
    """
    whole = (node for node, supply in supplies.items() if None not in supply.ready_ms)
    return sorted(whole, key=lambda node: (least[node], node))


def _joined(split: Split) -> Plan:
    legs = tuple(PlanLeg(o, share) for o, share in zip(split.options, split.shares, strict=True))
    return Plan(split.score, legs, split.score - int_sum(o.score for o in split.options))


def _rank(plan: Plan) -> tuple[int, int, tuple[Way, ...]]:
    """Return a sort key: cheapest first, then fewest parcels, then node and service."""
    return plan.score, len(plan.legs), plan.ways
