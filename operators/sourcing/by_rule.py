"""Sourcing by rule, as in a simple order-management system: the baseline for comparisons.

`nearest` serves an order from the nearest node, `cheapest` by the least freight and handling. Both
use nominal transit, and stock and room as they are. They ignore learned and reported transit,
displacement and carbon. An order is split only if no single node can send all of it.
"""

from collections.abc import Collection, Iterable
from math import inf

from msgspec.structs import replace

from operators.sourcing.candidates import (
    Shares,
    cover_greedily,
    find_supplies,
    rule_out_spread,
    spread_over_pairs,
    units_covered,
    units_missing,
)
from operators.sourcing.eliminations import Eliminations, Way
from operators.sourcing.holds_filter import rule_out_held
from operators.sourcing.outlook import Outlook
from operators.sourcing.plan import Choice, Plan, PlanLeg
from operators.sourcing.pricer import Lines, Pricer, Supply
from operators.sourcing.rates import LaneRates, Option, Rates
from state.events import OrderPlaced
from state.keys import ServiceId
from state.policy import Policy, Weights
from state.quantities import to_ms
from state.sums import int_sum
from state.twin import Twin

#: Weights that leave only freight and handling in a score.
_PAID_AT_ONCE = Weights(
    late_fixed_cents=0, late_hour_cents=0, carbon_kg_cents=0, displacement_unit_cents=0
)


class ByRule:
    """Sourcing by the policy's rule on the twin as it stands; deciding changes nothing."""

    def __init__(self, twin: Twin, rates: Rates, policy: Policy) -> None:
        self._twin, self._rates = twin, _NominalRates(rates)
        self._outlook = Outlook()  # stays empty: transit is nominal
        self.policy = policy

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        """Choose a plan for `lines` of `order` by the rule, not from any node in `excluded`."""
        rules = self.policy.sourcing
        eliminated: Eliminations = {}
        supplies, closed = find_supplies(self._twin, rules, lines, now_ms, excluded, eliminated)
        if self._twin.holds:
            rule_out_held(self._twin, order.region, lines, supplies, closed, eliminated)
        missing = units_missing(lines, supplies, closed)
        if missing:
            return Choice(None, (), eliminated, missing)
        policy = replace(self.policy, weights=_PAID_AT_ONCE)
        pricer = Pricer(
            self._twin, self._outlook, self._rates, policy, order, lines, supplies, now_ms
        )
        pricer.eliminated = eliminated
        search = _Search(self._twin, policy, order, lines, supplies, pricer)
        plans = search.nearest(now_ms) if rules.rule == "nearest" else search.cheapest()
        if not plans:
            rule_out_spread(lines, supplies, rules.max_legs, eliminated)
            return Choice(None, (), eliminated, {})
        runners_up = tuple(plans[1 : rules.alternatives + 1])
        return Choice(plans[0], runners_up, eliminated, {})

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        """Return whether the plan that the rule chooses costs less than `cents`."""
        plan = self.decide(order, lines, now_ms, excluded).plan
        return plan is not None and plan.score < cents


class _NominalRates:
    """Rates of a book, without the trouble that carriers report."""

    def __init__(self, book: Rates) -> None:
        self._book = book

    def lane(self, node: str, region: str) -> LaneRates:
        return self._book.lane(node, region)

    def lanes_to(self, region: str) -> dict[str, LaneRates]:
        return self._book.lanes_to(region)

    def disrupted_s(self, service: ServiceId, region: str) -> int:
        return 0


class _Search:
    """Search for plans of one order, the best by the rule first."""

    def __init__(
        self,
        twin: Twin,
        policy: Policy,
        order: OrderPlaced,
        lines: Lines,
        supplies: dict[str, Supply],
        pricer: Pricer,
    ) -> None:
        self._geography, self._rules = twin.geography, policy.sourcing
        self._region, self._promised_ms = order.region, to_ms(order.promised)
        self._lines, self._supplies, self._pricer = lines, supplies, pricer
        self._sent: dict[tuple[str, Lines], list[Plan]] = {}

    def nearest(self, now_ms: int) -> list[Plan]:
        """Return plans from the nearest node with all lines, on the shelf or due; else splits."""
        nodes = sorted(self._supplies, key=self._distance)
        on_shelf_first = sorted(self._whole(), key=lambda node: self._is_due(node, now_ms))
        whole = [plan for node in on_shelf_first for plan in self._send(node, self._lines)]
        return whole or self._join(self._coverings(nodes))

    def cheapest(self) -> list[Plan]:
        """Return plans by freight and handling, those nominally in time first."""
        whole = [plan for node in self._whole() for plan in self._send(node, self._lines)]
        return sorted(whole or self._splits(), key=self._rank)

    def _whole(self) -> list[str]:
        """Return nodes that can promise every line, the nearest first."""
        whole = [node for node, s in self._supplies.items() if None not in s.ready_ms]
        return sorted(whole, key=self._distance)

    def _splits(self) -> list[Plan]:
        """Return plans over two nodes, or over more if no two have all lines."""
        if self._rules.max_legs < 2:
            return []
        least = self._pricer.least
        covered = {node: units_covered(s, self._lines) for node, s in self._supplies.items()}
        nodes = sorted(covered, key=lambda node: (-covered[node], least(node), node))
        nodes = nodes[: self._rules.split_nodes]
        pairs = self._join(spread_over_pairs(self._lines, nodes, self._supplies))
        return pairs or self._join(self._coverings(nodes))

    def _coverings(self, nodes: list[str]) -> Iterable[Shares]:
        """Return greedy coverings by those of `nodes` that can send anything now."""
        able = [node for node in nodes if self._has_room(node)]
        return cover_greedily(self._lines, able, self._supplies, self._rules.max_legs)

    def _has_room(self, node: str) -> bool:
        """Return whether any parcel could leave the node."""
        units = zip(self._lines, self._supplies[node].units, strict=True)
        return any(self._send(node, ((sku, 1),)) for (sku, _), has in units if has)

    def _join(self, spread: Iterable[Shares]) -> list[Plan]:
        """Return a plan for each set of parcels, with the best service for each parcel."""
        plans: dict[tuple[tuple[str, Lines], ...], Plan] = {}
        for shares in spread:
            sent = [self._send(node, lines) for node, lines in shares]
            if all(sent):
                legs = tuple(best.legs[0] for best, *_ in sent)
                plan = Plan(int_sum(leg.option.score for leg in legs), legs, 0)
                plans.setdefault(tuple(sorted(shares)), plan)
        return list(plans.values())

    def _send(self, node: str, lines: Lines) -> list[Plan]:
        """Return plans of one parcel of `lines` from `node` by service, the best first."""
        known = self._sent.get((node, lines))
        if known is None:
            options: list[Option] = []
            services = len(self._geography.services)
            self._pricer.collect(node, lines, options, keep=services + 1)
            plans = [Plan(option.score, (PlanLeg(option, lines),), 0) for option in options]
            known = self._sent[node, lines] = sorted(plans, key=self._rank)
        return known

    def _rank(self, plan: Plan) -> tuple[bool, int, int, int, tuple[Way, ...]]:
        """Return a sort key: plans in time by cost, then the late ones by arrival."""
        arrives_ms = max(leg.option.expected_ms for leg in plan.legs)
        parcels, ways = len(plan.legs), plan.ways
        if arrives_ms <= self._promised_ms:
            return False, plan.score, arrives_ms, parcels, ways
        return True, arrives_ms, plan.score, parcels, ways

    def _distance(self, node: str) -> tuple[float, str]:
        distance_km = self._geography.distance_km(node, self._region)
        return inf if distance_km is None else distance_km, node

    def _is_due(self, node: str, now_ms: int) -> bool:
        """Return whether a line has to wait for inbound."""
        return any(ms is not None and ms > now_ms for ms in self._supplies[node].ready_ms)
