"""An older commit is compared pair by pair, and one that cannot be folded says what to do."""

from typing import Any

import pytest

from benchmarks.against import OLDER, OURS, NotFoldable, by_kind, older_tree, ratio


def cost(decode: float, order: float, **others: float) -> dict[str, Any]:
    steps = {"order": order, **others}
    return {
        "all": {"decode_us": {"mean": decode}, "step_us": {"mean": order}},
        "by_type": {kind: {"step_us": {"mean": mean}} for kind, mean in steps.items()},
    }


def test_a_ratio_is_of_neighbours_in_time() -> None:
    runs = {OURS: [{"s": 10}, {"s": 20}, {"s": 5}], OLDER: [{"s": 40}, {"s": 100}, {"s": 15}]}
    assert ratio(runs, lambda run: run["s"]) == {"median": 4.0, "min": 3.0, "max": 5.0}


def test_kinds_that_both_commits_know_are_compared() -> None:
    found = by_kind(
        {
            OURS: [cost(20.0, 500.0, hold=9.0), cost(10.0, 250.0, hold=9.0)],
            OLDER: [cost(20.0, 1_500.0), cost(20.0, 1_000.0)],
        }
    )
    assert list(found) == ["decoding", "all events", "order"]
    assert found["order"]["ratio"] == {"median": 3.5, "min": 3.0, "max": 4.0}
    assert found["order"]["us"] == {OURS: 375.0, OLDER: 1_250.0}


def test_an_unknown_commit_is_refused() -> None:
    with pytest.raises(NotFoldable, match="expected a commit"), older_tree("--no-such-commit"):
        pass
