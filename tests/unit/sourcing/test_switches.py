"""Switch points are true when applied, and splits are the best of all there are."""

from collections.abc import Collection
from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.chain import build_chain, to_record
from operators.network.context import Context, ContextState
from operators.orchestrate import Orchestrate
from operators.recovery.option_choice import (
    WAITING,
    Remedy,
    Reroutes,
    choose,
    ranked,
    remedy_switches,
)
from operators.sourcing.candidates import find_supplies
from operators.sourcing.least_cost import LeastCost
from operators.sourcing.plan import Choice, Sourcer
from operators.sourcing.pricer import Pricer
from operators.sourcing.rates import LaneRates, Quote, RateBook, Rates
from operators.sourcing.switches import switches
from state.actions import Switch
from state.codec import JournalLine
from state.events import OrderPlaced, SkuRegistered
from state.journal import JournalReader
from state.keys import ServiceId
from state.policy import Policy, Weights
from state.policy import Sourcing as Rules
from state.spoken import services_named
from tests.builders import (
    DAY,
    HOUR,
    NODES,
    PLACES,
    START_MS,
    carrier,
    fold,
    node,
    order,
    region,
    service,
)
from tests.golden import LOG

Lines = tuple[tuple[str, int], ...]
_NAMES = (*sorted(NODES), "N-4", "N-5")
_SKUS = ("A", "B", "C", "D")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Context, OrderPlaced, Lines]:
    """A network, and an order that it may have to split."""
    cents = st.integers(0, 700)
    weights = Weights(
        late_hour_cents=draw(st.sampled_from([0.0, 12.0, 90.0])),
        carbon_kg_cents=draw(st.sampled_from([0.0, 10.0, 200.0])),
    )
    rules = Rules(
        max_legs=draw(st.integers(1, 4)),
        split_nodes=draw(st.sampled_from([2, 3, 8])),
        split_fixed_cents=draw(st.sampled_from([0.0, 20.5, 80.0])),
        alternatives=draw(st.integers(1, 5)),
    )
    context = Context(ContextState(policy=Policy(weights=weights, sourcing=rules)))
    twin = context.twin
    for place in PLACES:
        twin.geography.learn(region(place))
    for name in _NAMES:
        of = node(
            name if name in NODES else "N-SPARE",
            handling_fixed_cents=draw(cents),
            handling_unit_cents=draw(st.integers(0, 40)),
        )
        twin.geography.learn(msgspec.structs.replace(of, node=name))
    services = [
        service(
            f"{kind}-{number}" if number else kind,
            base_cents=draw(cents) + 300 * (kind == "express"),
            per_kg_cents=draw(st.integers(0, 90)),
            max_weight_g=draw(st.sampled_from([4_000, 31_500])),
            transit_base_s=draw(st.integers(6, 90)) * HOUR,
        )
        for kind in ("standard", "express")
        for number in range(2)
    ]
    twin.geography.learn(carrier("POST", *services))
    wanted = draw(st.lists(st.sampled_from(_SKUS), min_size=1, max_size=4, unique=True))
    for sku in wanted:
        grams = draw(st.integers(100, 3_001))
        twin.skus[sku] = SkuRegistered(sku=sku, category="c", weight_g=grams, value_cents=1)
        for name in _NAMES:
            twin.position(name, sku).on_hand = draw(st.sampled_from([0, 1, 3, 3]))
    lines = tuple((sku, draw(st.integers(1, 3))) for sku in wanted)
    placed = order("O-1", dict(lines), promised_s=draw(st.integers(0, 5 * DAY)))
    return context, placed, lines


class CutQuote(Quote, frozen=True, gc=False):
    """A quote whose freight is `cut` cents lower, whatever the parcel."""

    cut: int = 0

    def freight(self, kg: float) -> int:
        return round(self.fixed_cents + self.cut + self.per_kg_cents * kg) - self.cut


class CutRates:
    """The rates of a book with one service at one node `cut` cents cheaper."""

    def __init__(self, book: RateBook, node: str, service: ServiceId, cut: int) -> None:
        self._book, self._node, self._service, self._cut = book, node, service, cut

    def lane(self, node: str, region: str) -> LaneRates:
        lane = self._book.lane(node, region)
        if node != self._node:
            return lane
        quotes = [self._cut_if_asked(quote) for quote in lane.quotes]
        quotes.sort(key=lambda quote: (quote.fixed_cents, quote.service))
        least = lane.least_cents - self._cut
        return msgspec.structs.replace(lane, quotes=tuple(quotes), least_cents=least)

    def lanes_to(self, region: str) -> dict[str, LaneRates]:
        return {}

    def disrupted_s(self, service: ServiceId, region: str) -> int:
        return self._book.disrupted_s(service, region)

    def _cut_if_asked(self, quote: Quote) -> Quote:
        if quote.service != self._service:
            return quote
        given = msgspec.structs.asdict(quote)
        return CutQuote(**{**given, "fixed_cents": quote.fixed_cents - self._cut}, cut=self._cut)


def decide(
    context: Context,
    placed: OrderPlaced,
    lines: Lines,
    rates: Rates | None = None,
    policy: Policy | None = None,
    now_ms: int = START_MS,
    excluded: Collection[str] = (),
) -> Choice:
    sourcing = LeastCost(
        context.twin, context.outlook, rates or context.rates, policy or context.policy
    )
    return sourcing.decide(placed, lines, now_ms, excluded)


def reweighed(policy: Policy, switch: Switch, share: float = 1.0) -> Policy:
    section, _, key = switch.quantity.partition(".")
    assert section == "weights"
    value = getattr(policy.weights, key) + switch.by * share
    weights = msgspec.structs.replace(policy.weights, **{key: value})
    return msgspec.structs.replace(policy, weights=weights)


def cut(context: Context, switch: Switch, share: float = 1.0) -> CutRates:
    cents = round(-switch.by * share)
    return CutRates(context.rates, switch.node, said(context, switch), cents)


def said(context: Context, switch: Switch) -> ServiceId:
    (service,) = services_named(switch.service, context.twin.geography.services)
    return service


def applied(
    switch: Switch, context: Context, placed: OrderPlaced, lines: Lines, share: float = 1.0
) -> Choice:
    """The choice after a share of the change."""
    if switch.quantity == "freight_cents":
        return decide(context, placed, lines, cut(context, switch, share))
    return decide(context, placed, lines, policy=reweighed(context.policy, switch, share))


@settings(max_examples=300, deadline=None)
@given(cases())
def test_every_switch_point_holds_when_it_is_applied(
    case: tuple[Context, OrderPlaced, Lines],
) -> None:
    context, placed, lines = case
    choice = decide(context, placed, lines)
    assert choice.plan is not None or not switches(choice, context.policy)
    for switch in switches(choice, context.policy):
        plan = applied(switch, context, placed, lines).plan
        assert plan is not None and plan.describe() == switch.then
        half = applied(switch, context, placed, lines, 0.0).plan
        assert half == choice.plan


@settings(max_examples=200, deadline=None)
@given(cases())
def test_no_assignment_of_whole_lines_is_cheaper_by_more_than_the_gap(
    case: tuple[Context, OrderPlaced, Lines],
) -> None:
    context, placed, lines = case
    rules = context.policy.sourcing
    choice = decide(context, placed, lines)
    supplies, _ = find_supplies(context.twin, rules, lines, START_MS, "", {})
    pricer = Pricer(
        context.twin,
        context.outlook,
        context.rates,
        context.policy,
        placed,
        lines,
        supplies,
        START_MS,
    )
    best = None
    for nodes in product(supplies, repeat=len(lines)):
        used = sorted(set(nodes))
        if len(used) > rules.max_legs:
            continue
        if any(supplies[at].ready_ms[index] is None for index, at in enumerate(nodes)):
            continue
        parcels = [
            pricer.cheapest(
                name, tuple(x for x, at in zip(lines, nodes, strict=True) if at == name)
            )
            for name in used
        ]
        if all(parcels):
            score = sum(parcel.score for parcel in parcels if parcel)
            score += round(rules.split_fixed_cents * (len(used) - 1))
            best = score if best is None else min(best, score)
    if best is None:
        return
    if choice.plan is None:  # only nodes that were not looked at could have served it together
        assert len(supplies) > rules.split_nodes
        return
    assert choice.plan.score - choice.gap_cents <= best
    if len(supplies) <= rules.split_nodes:
        assert choice.plan.score == best and choice.gap_cents == 0
    assert sum(choice.plan.terms().values()) == choice.plan.score


def priced(costs: dict[str, int]) -> list[Remedy]:
    """Return remedies by label; all but waiting do something."""
    return [
        Remedy(
            label,
            {"freight": cents},
            None if label == WAITING else Reroutes(ServiceId("POST", label), 0),
        )
        for label, cents in costs.items()
    ]


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=4),
    st.none() | st.integers(0, 600),
    st.sampled_from([0, 1, 50]),
)
def test_every_switch_point_of_a_remedy_holds(
    prices: list[int], waiting: int | None, least_gain: int
) -> None:
    costs = {f"moving it to service {number}": cents for number, cents in enumerate(prices)}
    if waiting is not None:
        costs[WAITING] = waiting
    remedies = ranked(priced(costs))
    best = choose(remedies, least_gain)
    if best.is_waiting:
        return
    others = [remedy for remedy in remedies if remedy is not best]
    switches_found = remedy_switches(best, others, least_gain, "EUR")
    assert bool(switches_found) == bool(others)
    for switch in switches_found:
        by = round(switch.by)
        cheaper = {**costs, switch.then: costs[switch.then] + by}
        assert choose(priced(cheaper), least_gain).label == switch.then


class Proving:
    """Sourcing that applies each switch point of its choices and decides again, on the spot."""

    def __init__(self, sourcing: Sourcer, context: Context) -> None:
        self._sourcing, self._context = sourcing, context
        self.policy = sourcing.policy
        self.applied = 0

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        context, placed = self._context, order
        choice = self._sourcing.decide(placed, lines, now_ms, excluded)
        for switch in switches(choice, context.policy):
            if switch.quantity == "freight_cents":
                rates, policy = cut(context, switch), context.policy
            else:
                rates, policy = None, reweighed(context.policy, switch)
            plan = decide(context, placed, lines, rates, policy, now_ms, excluded).plan
            assert plan is not None and plan.describe() == switch.then, switch
            self.applied += 1
        return choice

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        return self._sourcing.beats(order, lines, now_ms, cents, excluded)


def recorded() -> list[JournalLine]:
    journal: list[JournalLine] = []
    with JournalReader([LOG]) as reader:
        while lines := reader.read(1_000):
            journal += lines
    return journal


@pytest.mark.slow
def test_every_switch_point_of_a_recorded_run_holds_when_and_where_it_was_said() -> None:
    chain, proving = build_chain("reference", Policy()), None
    orchestrate = next(each for each in chain.operators if isinstance(each, Orchestrate))
    for each in recorded():
        context = orchestrate.context
        if proving is None or context.sourcing is not proving:
            proving = Proving(context.sourcing, context)
            context.sourcing = proving
        chain.step(to_record(each))
    assert proving is not None and proving.applied > 500


@pytest.mark.slow
def test_terms_of_every_action_of_a_recorded_run_sum_to_its_score() -> None:
    kinds = set()
    for action in fold(recorded()).actions:
        because = action.data.because
        kinds.add(action.kind)
        assert sum(because.terms.values()) == because.score_cents
        for other in because.alternatives:
            assert sum(other.terms.values()) == other.score_cents
    assert "allocate" in kinds
