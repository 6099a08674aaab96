"""Texts on types and reasons are true: schema texts, dead letters, documents."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from flows.simulation.config import WorldConfig
from flows.simulation.scenario import Scenario
from flows.wiring.outcomes import DEAD_LETTERS, outcomes
from operators.core.contract import Record
from operators.core.facts import KpiWindow
from state import quantities
from state.codec import Reason
from state.schema import schema
from state.stores import redis_keys
from tests.places import ROOT

#: Proper names that are written like the name of a type.
_NAMES = {"CloudEvents", "AdaGrad"}


def texts(node: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """All descriptions of a schema, each with its place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield place, value
            else:
                yield from texts(value, f"{place}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from texts(value, f"{place}/{number}")


TEXTS = dict(texts(schema(world=WorldConfig, scenario=Scenario)))


def test_no_text_of_a_schema_has_a_types_name_for_a_word() -> None:
    """A type that is renamed takes words with it: "Units of one SKU" became "TotalUnits of"."""
    aliases = {name for name in vars(quantities) if re.match(r"[A-Z][a-z]+[A-Z]", name)}
    assert {"TotalUnits", "SignedTotalCents"} <= aliases
    found = {}
    for place, text in TEXTS.items():
        prose = re.sub(r"`[^`]*`", "", text)
        names = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", prose)) - _NAMES
        if names:
            found[place] = names
    assert not found


def test_every_text_of_a_schema_reads_as_one() -> None:
    for place, text in TEXTS.items():
        assert text == text.strip(), place
        prose = re.sub(r"`+[^`]*`+", "it", text)
        assert not re.search(r"[a-z]{2}\.[A-Z]|[a-z][;,][a-zA-Z]|\S {2,}\S", prose), place
        assert text.count("`") % 2 == 0 and text.count("(") == text.count(")"), place
        for word, again in re.findall(r"\b(\w+) (\w+)\b", prose):
            assert word.lower() != again.lower(), f"{place}: {text}"


def test_an_expected_instant_is_the_median_of_its_forecast() -> None:
    assert "P50" in TEXTS["/$defs/Leg/properties/expected_delivery"]
    assert not [place for place, text in TEXTS.items() if "mean of the transit" in text]


def constants(path: Path) -> Iterator[str]:
    """Strings in the code of a file, but for what a ``Reason`` may be."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "Reason":
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.value


@pytest.fixture(scope="module")
def said() -> set[str]:
    return {
        text
        for package in ("state", "flows", "operators")
        for path in (ROOT / package).rglob("*.py")
        for text in constants(path)
    }


def test_a_reason_of_dead_letters_is_given_by_something_and_explained(said: set[str]) -> None:
    reasons = set(get_args(Reason))
    assert reasons <= said
    operations = (ROOT / "docs" / "operations.md").read_text()
    table = operations[operations.index("| reason | usual cause |") :]
    table = table[: table.index("\n\n")]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == reasons


def test_every_stream_that_is_written_is_in_the_contract_of_consumers() -> None:
    consumers = (ROOT / "docs" / "consumers.md").read_text()
    operations = (ROOT / "docs" / "operations.md").read_text()
    keys = re.findall(r"^    \{prefix\}:(\S+)", redis_keys.__doc__ or "", re.M)
    assert len(keys) >= 11
    for key in keys:
        name = key.replace("{id}:{of}", "{id}:{digest}")
        assert f"`crossdock:{name}`" in consumers, name
        asked = key.partition("once")[0] + "once:{group}:…" if "once" in key else key
        assert asked.removeprefix("{network}:") in operations, name


def test_kpis_are_written_where_the_contract_says() -> None:
    window = KpiWindow(start_ms=0, end_ms=1, values={"orders": 1})
    (outcome,) = outcomes([Record(network="eu", seq=3, now_ms=1, fact=window)])
    assert (outcome.stream, outcome.entry_id) == (redis_keys.KPIS, "3-1")
    assert outcome.stream != DEAD_LETTERS
