"""An older commit and this tree over the same log, in turns: how many times as fast this one is."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cost import UNDECODABLE
from benchmarks.figures import spread
from benchmarks.processes import ROOT, run_module
from benchmarks.workload import Workload

_TIMEOUT_S = 1_800.0
_PROBE = "import benchmarks.variant, benchmarks.cost, operators; print(operators.__file__)"
OURS, OLDER = "this tree", "older"


class NotFoldable(RuntimeError):
    """A commit that cannot be folded here; the message says what to do."""


@dataclass(frozen=True)
class Tree:
    """Source tree of a commit, and the interpreter that runs it."""

    commit: str
    path: Path
    python: str

    def run(self, module: str, *arguments: object) -> Any:
        """Run a module of the tree in a fresh process; returns the JSON object that it prints."""
        return run_module(module, arguments, _TIMEOUT_S, tree=self.path, python=self.python)


@contextmanager
def older_tree(revision: str, python: str | None = None) -> Iterator[Tree]:
    """Unpack a commit into a temporary folder; raises NotFoldable if it cannot be folded here."""
    commit = _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="crossdock-against-") as name:
        tree = Tree(commit.decode()[:7], Path(name).resolve(), python or sys.executable)
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit.decode().strip()))) as archive:
            archive.extractall(tree.path, filter="data")
        _expect_foldable(tree, revision)
        yield tree


def _git(*arguments: str) -> bytes:
    done = subprocess.run(  # noqa: S603 - our own arguments, no shell
        ["git", *arguments],  # noqa: S607 - the one on the path
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise NotFoldable(f"expected a commit of this repository's history: {words}")
    return done.stdout


def _expect_foldable(tree: Tree, revision: str) -> None:
    if not (tree.path / "benchmarks" / "variant.py").is_file():
        raise NotFoldable(
            f"{revision} has no benchmarks/variant.py to fold a log with: choose a later commit"
        )
    done = subprocess.run(  # noqa: S603 - our own words, no shell
        [tree.python, "-c", _PROBE],
        cwd=tree.path,
        env={**os.environ, "PYTHONPATH": str(tree.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not Path(done.stdout.strip()).is_relative_to(tree.path):
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotFoldable(
            f"{revision} does not run on {tree.python} ({''.join(words)}). Give it packages of its "
            f"own: `git worktree add ../older {revision} && make -C ../older setup`, then "
            "`--against-python ../older/.venv/bin/python`"
        )


def measure_against(
    workload: Workload, older: Tree, pairs: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Fold the log with both trees, `pairs` times; returns older ÷ ours.

    Digests are compared, and may differ: decisions have changed since.
    """
    trees = {OURS: Tree("", ROOT, sys.executable), OLDER: older}
    folds: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    costs: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for pair in range(pairs):
        # Each goes first as often as the other, so that a drift of the machine cancels out.
        for name in (OURS, OLDER) if pair % 2 == 0 else (OLDER, OURS):
            tell(f"against {older.commit}, pair {pair + 1}/{pairs}: {name}")
            with tempfile.TemporaryDirectory() as unused:
                folds[name].append(
                    trees[name].run("benchmarks.variant", "fold", workload.log, unused)
                )
            costs[name].append(trees[name].run("benchmarks.cost", workload.log))
    digests = {name: found[0]["digest"] for name, found in folds.items()}
    return {
        "commit": older.commit,
        "pairs": pairs,
        "digests": digests,
        "equal_actions": digests[OURS] == digests[OLDER],
        "undecodable": {
            name: found[0]["by_type"].get(UNDECODABLE, {"count": 0})["count"]
            for name, found in costs.items()
        },
        "seconds_ratio": ratio(folds, lambda run: run["seconds"]),
        "cpu_ratio": ratio(folds, lambda run: run["cpu_seconds"]),
        "events_per_s": {
            name: spread([workload.events / run["seconds"] for run in found])
            for name, found in folds.items()
        },
        "kinds": by_kind(costs),
    }


def ratio(
    runs: dict[str, list[dict[str, Any]]], figure: Callable[[dict[str, Any]], float]
) -> dict[str, float]:
    """Return older ÷ ours of a figure, each pair by itself: median, least and most."""
    pairs = zip(runs[OLDER], runs[OURS], strict=True)
    return spread([figure(older) / figure(ours) for older, ours in pairs])


def by_kind(costs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return decoding, all steps and the mean step by kind of event that both trees know."""
    figures: dict[str, Callable[[dict[str, Any]], float]] = {
        "decoding": lambda run: run["all"]["decode_us"]["mean"],
        "all events": lambda run: run["all"]["step_us"]["mean"],
    }
    for kind in costs[OURS][0]["by_type"]:
        if all(kind in run["by_type"] for found in costs.values() for run in found):
            figures[kind] = lambda run, kind=kind: run["by_type"][kind]["step_us"]["mean"]
    return {
        name: {
            "us": {tree: median(map(figure, found)) for tree, found in costs.items()},
            "ratio": ratio(costs, figure),
        }
        for name, figure in figures.items()
    }
