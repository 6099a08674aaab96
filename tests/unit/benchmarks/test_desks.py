"""The meter fits the engine: all operators and desks are found, and all that one costs is kept."""

from pathlib import Path

import pytest

from benchmarks.budgets import costs_of, load
from benchmarks.desks import measure_desks
from benchmarks.workload import read_workload, write_workload


def test_every_operator_and_desk_of_a_fold_is_metered(tmp_path: Path) -> None:
    workload = write_workload(tmp_path, events=7_000, seed=1)
    assert read_workload(workload.log) == workload
    costs = costs_of({"desks": measure_desks(workload)})
    assert {group: list(found) for group, found in costs.items()} == {
        group: list(load()[group]) for group in ("operator", "desk")
    }
    assert min(costs["operator"].values()) > 0
    at_work = {"order desk", "sourcing", "re-evaluation", "stock", "registry"}
    assert all(costs["desk"][name] > 0 for name in at_work)
    assert sum(costs["desk"].values()) == pytest.approx(costs["operator"]["orchestrate"])
