"""Comparing without deciding: `beats` answers as the whole decision would, to the cent."""

from collections.abc import Collection
from itertools import chain as joined
from itertools import islice

import pytest

from operators.chain import build_chain, to_record
from operators.orchestrate import Orchestrate
from operators.sourcing.plan import Choice, Sourcer
from operators.sourcing.pricer import Lines
from state.events import OrderPlaced
from state.policy import Policy, Sourcing
from tests.unit.sourcing.test_switches import recorded


class Comparing:
    """Sourcing that holds each comparison against the decision, and the other way round."""

    def __init__(self, sourcing: Sourcer) -> None:
        self._sourcing = sourcing
        self.policy = sourcing.policy
        self.compared: list[bool] = []

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        choice = self._sourcing.decide(order, lines, now_ms, excluded)
        if choice.plan is None:
            assert not self._sourcing.beats(order, lines, now_ms, 1e9, excluded)
        else:
            score = choice.plan.score
            assert not self._sourcing.beats(order, lines, now_ms, score, excluded)
            assert self._sourcing.beats(order, lines, now_ms, score + 0.5, excluded)
        return choice

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        plan = self._sourcing.decide(order, lines, now_ms, excluded).plan
        is_cheaper = plan is not None and plan.score < cents
        assert self._sourcing.beats(order, lines, now_ms, cents, excluded) == is_cheaper
        self.compared.append(is_cheaper)
        return is_cheaper


@pytest.mark.parametrize(
    ("rules", "most"),
    [
        (Sourcing(), 8_000),
        pytest.param(Sourcing(), None, marks=pytest.mark.slow),
        pytest.param(Sourcing(max_legs=1), None, marks=pytest.mark.slow),
        pytest.param(Sourcing(split_nodes=2, alternatives=0), None, marks=pytest.mark.slow),
    ],
)
def test_a_plan_beats_a_price_if_the_one_decided_on_costs_less(
    rules: Sourcing, most: int | None
) -> None:
    chain = build_chain("reference", Policy(sourcing=rules))
    orchestrate = next(each for each in chain.operators if isinstance(each, Orchestrate))
    comparing: list[Comparing] = []
    for line in islice(recorded(), most):
        context = orchestrate.context
        if not comparing or context.sourcing is not comparing[-1]:
            comparing.append(Comparing(context.sourcing))
            context.sourcing = comparing[-1]
        chain.step(to_record(line))
    answers = list(joined.from_iterable(each.compared for each in comparing))
    assert answers.count(False) > 100
    assert rules.max_legs == 1 or any(answers)
