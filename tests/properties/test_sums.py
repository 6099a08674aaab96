"""Floats are added in one way wherever facts are folded, the same on every Python."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.sums import float_sum, int_sum
from tests.places import ROOT

#: Modules that decide, or make the journals of simulated worlds and the figures of their runs.
FOLDED = (
    *("operators", "state", "flows/simulation", "flows/whatif"),
    *(
        "flows/explain/offpolicy.py",
        "flows/wiring/outcomes.py",
        "flows/replay/shadow.py",
        "flows/replay/summary.py",
    ),
)
#: Stores move bytes and count them; nothing there reaches what is decided.
NOT_FOLDED = ("state/stores", "state/sums.py")
#: Functions of these modules that add floats in their own way, or not alike on every version.
ADDERS = {"math": {"sumprod", "fsum", "dist", "hypot"}, "statistics": None}
#: `NormalDist` draws luck, by a formula that has not changed since it came; the other two add
#: fractions, exactly, and round once.
ALLOWED = {"NormalDist", "mean", "stdev"}


def test_floats_are_added_from_left_to_right_without_compensation() -> None:
    values = [1e16, 1.0, 1.0, -1e16]
    assert float_sum(values) == ((1e16 + 1.0) + 1.0) - 1e16 == 0.0
    assert float_sum(iter([0.1] * 10)) == 0.9999999999999999
    assert float_sum([]) == 0.0


@given(st.lists(st.integers()))
def test_integers_are_added_exactly(values: list[int]) -> None:
    assert int_sum(values) == sum(values)


def folded() -> Iterator[Path]:
    for name in FOLDED:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            if not str(file.relative_to(ROOT)).startswith(NOT_FOLDED):
                yield file


def adders(source: str) -> Iterator[tuple[int, str]]:
    """Lines that add in a way of their own, and how."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id="sum"):
                yield node.lineno, "sum"
            case ast.ImportFrom(module=str(module), names=names) if module in ADDERS:
                of = ADDERS[module]
                for each in names:
                    if each.name not in ALLOWED and (of is None or each.name in of):
                        yield node.lineno, f"{module}.{each.name}"
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if module in ADDERS:
                of = ADDERS[module]
                if attr not in ALLOWED and (of is None or attr in of):
                    yield node.lineno, f"{module}.{attr}"


def test_nothing_that_is_folded_adds_in_another_way() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {what}"
        for file in folded()
        for line, what in adders(file.read_text())
    ]
    assert not found, "use state.sums.int_sum or float_sum"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("x = sum(y)", "sum"),
        ("x = reduce(sum, y)", "sum"),
        ("import math\nx = math.fsum(y)", "math.fsum"),
        ("from math import sumprod", "math.sumprod"),
        ("from statistics import fmean", "statistics.fmean"),
    ],
)
def test_the_lint_sees_other_ways(source: str, what: str) -> None:
    assert [found for _, found in adders(source)] == [what]


def test_the_lint_lets_the_rest_be() -> None:
    imports = "from math import sqrt\nfrom statistics import NormalDist, mean\n"
    assert not list(adders(imports + "x = array.sum() + int_sum(y)"))
