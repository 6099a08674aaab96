"""Budgets are judged as they are written, and the document shows those that are judged."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import budgets
from benchmarks.budgets import costs_of, held, load, raised, record, table, targets_of
from benchmarks.desks import DESKS
from operators.chain import OPERATORS
from operators.network.desk import Desk

_STEP = {"mean": 2.0, "p99": 20.0, "p99_9": 50.0, "max": 90.0}


def report(sourcing: float) -> dict[str, Any]:
    """A made-up report, in which all costs twice decoding but sourcing."""
    every = dict.fromkeys(load()["desk"], 2.0) | {"sourcing": sourcing}
    return {
        "cost": {"multiples": dict.fromkeys(("all events", "orders", "scans"), _STEP)},
        "desks": {
            "operators": dict.fromkeys(OPERATORS, 2.0),
            "desks": {name: {"facts": cost, "all": cost} for name, cost in every.items()},
        },
    }


def judged(path: Path, sourcing: float) -> tuple[int, str]:
    """Exit code and words on a report, where sourcing was at 4 × decode when budgets were set."""
    budgets_path = path.with_name("budgets.json")
    budgets_path.write_bytes(orjson.dumps(raised(costs_of(report(sourcing=4.0)), {})))
    path.write_bytes(orjson.dumps(report(sourcing)))
    app = typer.Typer()
    app.command()(budgets.judge)
    done = CliRunner().invoke(app, [str(path), "--budgets", str(budgets_path)])
    return done.exit_code, " ".join(done.output.split())


def test_a_desk_over_its_budget_fails_the_run_and_is_named(tmp_path: Path) -> None:
    assert judged(tmp_path / "report.json", sourcing=5.2) == (0, "")
    code, words = judged(tmp_path / "report.json", sourcing=5.3)
    assert code == 1
    assert words == "over budget: desk: sourcing: 5.3 × decode, budget 5.2"


def test_what_has_no_budget_may_cost_nothing() -> None:
    costs = {"desk": {"returns": 0.2}}
    (found,) = held(costs, {"desk": {"sourcing": 9.0}})
    assert not found.is_met
    assert found.document()["bound"] == 0.0


def test_a_part_that_was_not_measured_is_not_judged() -> None:
    costs = costs_of({"cost": report(1.0)["cost"]})
    assert list(costs) == ["step"]
    assert {each.name for each in targets_of(costs)} == {
        f"step: {name}" for name in budgets.TARGETS
    }


@pytest.mark.parametrize(
    ("cost", "budget"), [(0.0, 0.1), (0.05, 0.1), (0.5, 0.65), (3.782, 5.0), (12.5, 17), (466, 610)]
)
def test_a_budget_has_a_margin_and_two_digits(cost: float, budget: float) -> None:
    assert raised({"desk": {"stock": cost}}, {})["desk"]["stock"] == budget


def test_recording_sets_what_was_measured_and_the_document(tmp_path: Path) -> None:
    path, document = tmp_path / "budgets.json", tmp_path / "design.md"
    path.write_bytes(orjson.dumps({**load(), "step": {"all events, mean": 99.0}}))
    document.write_text("a\n<!-- budgets: begin -->\nold\n<!-- budgets: end -->\nb\n")
    record({"desk": {"sourcing": 10.0}}, path, document)
    found = load(path)
    assert found["desk"] == {"sourcing": 13.0}
    assert found["step"] == {"all events, mean": 99.0}
    assert table(found) in document.read_text()


def test_the_document_shows_the_budgets_in_force() -> None:
    _, _, rest = budgets.DESIGN.read_text("utf-8").partition("<!-- budgets: begin -->")
    assert rest.partition("<!-- budgets: end -->")[0].strip() == table(load())


def test_every_operator_and_desk_has_a_budget() -> None:
    in_force = load()
    assert list(in_force["operator"]) == list(OPERATORS)
    assert list(in_force["desk"]) == list(dict.fromkeys(DESKS.values()))
    assert list(in_force["step"]) == list(budgets.TARGETS)
    assert set(Desk.__subclasses__()) <= set(DESKS)
