"""Sourcing: which node, carrier and service serve an order, in one argmin over money.

Read `Sourcing.decide` top-down: candidates → eliminate → price → choose. One parcel from one node
is searched exhaustively. Splits are searched over pairs of nodes with every distribution of the
lines that both have, and greedily beyond that; the bound on the nodes looked at is in the policy.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from itertools import combinations, product

from msgspec import Struct

from operators.outlook import Outlook
from operators.pricing import TERMS, Option, Parcel, RateBook, hand_over, price
from state.events import OrderPlaced
from state.policy import Policy
from state.quantities import to_ms
from state.twin import Position, Twin

#: Lines that both nodes of a pair have, up to which every distribution is tried.
_DISTRIBUTED = 4
#: Orders with more lines are split greedily only.
_PAIRED_LINES = 12

Lines = tuple[tuple[str, int], ...]
_Price = Callable[[str, Lines], list[Option]]


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
    eliminated: dict[str, list[str]]
    missing: dict[str, int]
    considered: int


class _Supply(Struct):
    """What one node can promise of an order's lines."""

    units: list[int]
    ready_ms: list[int | None]
    positions: list[Position | None]


class Sourcing:
    """Decides on the twin as it stands; changes nothing."""

    def __init__(self, twin: Twin, outlook: Outlook, rates: RateBook, policy: Policy) -> None:
        self._twin, self._outlook, self._rates = twin, outlook, rates
        self.policy = policy

    def decide(self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: str = "") -> Choice:
        """Choose the cheapest way to serve `lines` of `order`; not from node `excluded`."""
        eliminated: dict[str, list[str]] = {}
        supplies = self._candidates(lines, now_ms, excluded, eliminated)
        missing = _missing(lines, supplies)
        if missing:
            return Choice(None, (), eliminated, missing, 0)
        pricing = self._pricing(order, lines, supplies, now_ms, eliminated)

        singles: list[Option] = []
        for node, supply in supplies.items():
            if all(ready is not None for ready in supply.ready_ms):
                singles += pricing(node, lines)
        best = nsmallest(self.policy.sourcing.alternatives + 1, singles)
        plans = [Plan(o.score, (Shipped(o, lines),), 0) for o in best]
        plans += self._splits(lines, supplies, pricing, plans[0].score if plans else None)
        plans.sort(key=lambda plan: (plan.score, len(plan.legs), plan.describe()))
        if not plans:
            return Choice(None, (), eliminated, {}, len(singles))
        runners_up = tuple(plans[1 : self.policy.sourcing.alternatives + 1])
        return Choice(plans[0], runners_up, eliminated, {}, len(singles) + len(plans) - len(best))

    def _candidates(
        self, lines: Lines, now_ms: int, excluded: str, eliminated: dict[str, list[str]]
    ) -> dict[str, _Supply]:
        """Nodes that can promise any of the lines, with when."""
        rules = self.policy.sourcing
        safety, slip_ms = rules.safety_stock, rules.inbound_slip_s * 1000
        supplies: dict[str, _Supply] = {}
        count = len(lines)
        for index, (sku, quantity) in enumerate(lines):
            for node, position in self._twin.stock.get(sku, {}).items():
                if node == excluded:
                    continue
                ready_ms = position.promisable_ms(quantity, now_ms, safety, slip_ms)
                units = quantity if ready_ms is not None else position.promisable(safety)
                if not units:
                    eliminated.setdefault("nothing left to promise", []).append(f"{node} of {sku}")
                    continue
                if self._twin.capacity.limits.get(f"node {node}", 1) == 0:
                    eliminated.setdefault("node closed", []).append(node)
                    continue
                supply = supplies.get(node)
                if supply is None:
                    supply = supplies[node] = _Supply([0] * count, [None] * count, [None] * count)
                supply.units[index] = units
                supply.ready_ms[index] = ready_ms
                supply.positions[index] = position
        return supplies

    def _pricing(
        self,
        order: OrderPlaced,
        lines: Lines,
        supplies: dict[str, _Supply],
        now_ms: int,
        eliminated: dict[str, list[str]],
    ) -> _Price:
        """A function from (node, lines of a parcel) to its options, remembered per decision."""
        twin, weights = self._twin, self.policy.weights
        promised_ms = to_ms(order.promised)
        rules = self.policy.sourcing
        slip_ms = rules.inbound_slip_s * 1000
        index_of = {sku: index for index, (sku, _) in enumerate(lines)}
        known: dict[tuple[str, Lines], list[Option]] = {}

        def options(node: str, parcel_lines: Lines) -> list[Option]:
            key = (node, parcel_lines)
            if key in known:
                return known[key]
            found: list[Option] = []
            known[key] = found
            registered = twin.geography.nodes.get(node)
            quotes, unreachable = self._rates.quotes(node, order.region)
            if unreachable:
                eliminated.setdefault("out of the service's reach", []).extend(
                    f"{node} with {name}" for name in unreachable
                )
            if registered is None:
                return found
            weight_g = units = displacement = 0
            ready_ms = 0
            for sku, quantity in parcel_lines:
                position = supplies[node].positions[index_of[sku]]
                assert position is not None
                supplied = position.promisable_ms(quantity, now_ms, rules.safety_stock, slip_ms)
                assert supplied is not None
                ready_ms = max(ready_ms, supplied)
                weight_g += twin.skus[sku].weight_g * quantity
                units += quantity
                if registered.region != order.region:
                    displacement += self._displacement(
                        registered.region, sku, position, quantity, now_ms
                    )
            parcel = Parcel(
                node, ready_ms + registered.handling_time_s * 1000, weight_g, units, displacement
            )
            room = f"node {node}"
            for quote in quotes:
                if weight_g > quote.max_weight_g:
                    _rule_out(eliminated, "over the service's weight limit", node, quote.name)
                    continue
                at_ms = hand_over(twin, quote, room, parcel.ready_ms)
                if at_ms is None:
                    _rule_out(eliminated, "no capacity within days", node, quote.name)
                    continue
                found.append(
                    price(parcel, quote, registered, promised_ms, at_ms, self._outlook, weights)
                )
            return found

        return options

    def _displacement(
        self, region: str, sku: str, position: Position, quantity: int, now_ms: int
    ) -> int:
        """Cents that a later customer of the node's own region is expected to cost extra."""
        weights, rules = self.policy.weights, self.policy.sourcing
        left = position.on_hand - position.reserved
        cents = 0.0
        for taken in range(1, min(quantity, 5) + 1):
            risk = self._outlook.shortage_risk(
                region,
                sku,
                self._twin.skus[sku].category,
                left - taken,
                rules.displacement_horizon_s,
                now_ms,
            )
            cents += weights.displacement_unit_cents * risk
        return round(cents)

    def _splits(
        self, lines: Lines, supplies: dict[str, _Supply], pricing: _Price, to_beat: int | None
    ) -> list[Plan]:
        """Plans of two parcels or more; only those that could beat the best single one."""
        rules = self.policy.sourcing
        if rules.max_legs < 2 or (len(lines) == 1 and to_beat is not None):
            return []
        ranked = sorted(supplies, key=lambda node: (-_covered(supplies[node], lines), node))[
            : rules.split_nodes
        ]
        plans: list[Plan] = []
        if len(lines) <= _PAIRED_LINES:
            for shares in _pairs(lines, ranked, supplies):
                plan = self._plan(shares, pricing)
                if plan is not None and (to_beat is None or plan.score < to_beat):
                    plans.append(plan)
        if not plans and to_beat is None:
            for first in ranked:
                others = [node for node in ranked if node != first]
                covering = _greedy(lines, [first, *others], supplies)
                if covering is None or len(covering) > rules.max_legs:
                    continue
                plan = self._plan(covering, pricing)
                if plan is not None:
                    plans.append(plan)
        plans.sort(key=lambda plan: (plan.score, plan.describe()))
        return plans[: rules.alternatives + 1]

    def _plan(self, shares: Sequence[tuple[str, Lines]], pricing: _Price) -> Plan | None:
        legs: list[Shipped] = []
        for node, share in shares:
            options = pricing(node, share)
            if not options:
                return None
            legs.append(Shipped(min(options), share))
        split = round(self.policy.sourcing.split_fixed_cents * (len(legs) - 1))
        return Plan(sum(leg.option.score for leg in legs) + split, tuple(legs), split)


def _pairs(
    lines: Lines, nodes: list[str], supplies: dict[str, _Supply]
) -> Iterator[list[tuple[str, Lines]]]:
    """Every distribution of whole lines over two nodes, both used."""
    for a, b in combinations(nodes, 2):
        in_a, in_b = supplies[a].ready_ms, supplies[b].ready_ms
        if any(x is None and y is None for x, y in zip(in_a, in_b, strict=True)):
            continue
        both = [i for i in range(len(lines)) if in_a[i] is not None and in_b[i] is not None]
        only_a = [i for i in range(len(lines)) if in_b[i] is None]
        tried = (
            product((True, False), repeat=len(both))
            if len(both) <= _DISTRIBUTED
            else iter([(True,) * len(both), (False,) * len(both)])
        )
        for sides in tried:
            at_a = {*only_a, *(i for i, side in zip(both, sides, strict=True) if side)}
            share_a = tuple(line for i, line in enumerate(lines) if i in at_a)
            share_b = tuple(line for i, line in enumerate(lines) if i not in at_a)
            if share_a and share_b:
                yield [(a, share_a), (b, share_b)]


def _greedy(
    lines: Lines, nodes: list[str], supplies: dict[str, _Supply]
) -> list[tuple[str, Lines]] | None:
    """Take all that each node has, in the order given, until the order is covered."""
    open_units = [quantity for _, quantity in lines]
    shares: list[tuple[str, Lines]] = []
    for node in nodes:
        share = []
        for index, (sku, _) in enumerate(lines):
            taken = min(open_units[index], supplies[node].units[index])
            if taken:
                open_units[index] -= taken
                share.append((sku, taken))
        if share:
            shares.append((node, tuple(share)))
        if not any(open_units):
            return shares
    return None


def _covered(supply: _Supply, lines: Lines) -> int:
    """Units of the order that the node has."""
    return sum(min(u, quantity) for u, (_, quantity) in zip(supply.units, lines, strict=True))


def _missing(lines: Lines, supplies: dict[str, _Supply]) -> dict[str, int]:
    missing: dict[str, int] = {}
    for index, (sku, quantity) in enumerate(lines):
        short = quantity - sum(supply.units[index] for supply in supplies.values())
        if short > 0:
            missing[sku] = short
    return missing


def _rule_out(eliminated: dict[str, list[str]], constraint: str, node: str, service: str) -> None:
    eliminated.setdefault(constraint, []).append(f"{node} with {service}")
