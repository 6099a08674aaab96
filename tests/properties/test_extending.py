"""Extension stays cheap: what a recipe of docs/extending.md asks for is there, and is enough."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from operators.core.facts import ExceptionKind
from operators.forecasts.delay_conditions import CONDITIONS
from operators.notices.notices import TOPICS
from operators.recovery.options import Option
from operators.recovery.remedies import EXCEPTION_OF, OPTIONS
from state.actions import DECISIONS, KINDS
from state.decision import Decision, Topic
from state.events import EVENT_TYPES, FAMILY_OF, Fact
from state.events.telemetry import ShipmentFailed
from tests.places import ROOT

EXTENDING = (ROOT / "docs/extending.md").read_text()
#: Facts that are context for people, and that no operator reads.
CONTEXT_ONLY = {"ActionCompleted", "ClockTicked"}


def recipes() -> Iterator[tuple[str, list[str]]]:
    """Each recipe's title and its numbered steps."""
    for section in EXTENDING.split("\n## ")[1:]:
        yield section.partition("\n")[0], re.findall(r"(?m)^\d+\. ", section)


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_no_recipe_touches_more_than_three_files() -> None:
    found = dict(recipes())
    assert len(found) == 7
    assert all(len(steps) <= 3 for steps in found.values())


def test_every_file_of_a_recipe_is_there() -> None:
    named = {name for name in names_in(EXTENDING) if "/" in name}
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_decision_is_listed_once_under_a_verb_of_its_own() -> None:
    assert set(DECISIONS) == {kind for kind in Decision.__subclasses__() if kind.verb}
    assert len(set(KINDS)) == len(DECISIONS)


@pytest.mark.parametrize("kind", DECISIONS)
def test_the_traits_of_a_decision_agree(kind: type[Decision]) -> None:
    if kind.sends is not Decision.sends:
        assert kind.moves_goods, "what sends parcels is pointless once its order needs nothing sent"
    if kind.moves_goods or kind.outlives_order:
        assert kind.is_of_order and "order" in kind.__struct_fields__
    assert not (kind.moves_goods and kind.outlives_order)
    assert not (kind.is_statement and kind.needs_report)


def test_the_docs_list_every_kind_and_those_without_a_way_back() -> None:
    (row,) = re.findall(
        r"(?m)^\| `crossdock:\{network\}:\{kind\}` .*$", (ROOT / "docs/consumers.md").read_text()
    )
    assert tuple(re.findall(r"`([a-z]+)`", row)) == KINDS
    (listed,) = re.findall(
        r"\*\*Irreversible kinds\.\*\* (.*) cannot be undone",
        (ROOT / "docs/governance.md").read_text(),
    )
    assert names_in(listed) == {kind.verb for kind in DECISIONS if kind.irreversible}


def test_every_topic_has_its_words() -> None:
    # Customers are notified of a refund at once, in words of its own; of a loss, by what is done.
    assert set(TOPICS) | {"refunded", "lost"} == set(get_args(Topic))


def test_every_kind_of_exception_has_its_playbook_and_its_row() -> None:
    docs = (ROOT / "docs/exceptions.md").read_text()
    desks = {
        path: path.read_text()
        for path in (ROOT / "operators").rglob("*.py")
        if path.name not in ("facts.py", "case_book.py")
    }
    for kind in get_args(ExceptionKind):
        assert re.search(rf"(?m)^\| `{kind}` \|", docs), f"docs/exceptions.md has no row of {kind}"
        assert any(f'"{kind}"' in text for text in desks.values()), f"no desk opens {kind}"


def test_every_reason_to_fail_is_an_exception_and_every_option_is_weighed() -> None:
    assert set(EXCEPTION_OF) == set(get_args(ShipmentFailed.__annotations__["reason"]))
    assert set(OPTIONS) == set(Option.__subclasses__())


def test_every_condition_names_a_region_that_has_to_be_known() -> None:
    assert all("region" in each.reported_by.refers_to for each in CONDITIONS)


def test_every_event_belongs_to_a_family_and_is_read_unless_it_is_context() -> None:
    assert set(FAMILY_OF) == set(EVENT_TYPES.values()) == set(Fact.__subclasses__())
    readers = [
        path.read_text()
        for path in (ROOT / "operators").rglob("*.py")
        if path.name != "references.py"
    ]
    unread = {
        kind.__name__
        for kind in EVENT_TYPES.values()
        if not any(re.search(rf"\b{kind.__name__}\b", text) for text in readers)
    }
    assert unread == CONTEXT_ONLY


@pytest.mark.parametrize("kind", EVENT_TYPES.values())
def test_a_fact_has_the_fields_that_it_refers_to(kind: type[Fact]) -> None:
    fields = set(kind.__struct_fields__)
    assert set(kind.refers_to) <= fields
    assert "service" not in kind.refers_to or "carrier" in fields
