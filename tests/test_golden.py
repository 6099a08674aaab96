"""A recorded log gives the actions it always gave; a change of decisions must be meant.

After a change that is meant, renew the digest: ``python -m tests.test_golden``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.replay import Engine, ReplayPlan, replay
from state.policy import Policy

DATA = Path(__file__).parent / "data"
LOG = DATA / "golden.jsonl.zst"
EXPECTED = DATA / "golden.json"


def replayed(engine: Engine = "fold", batch: int = 1_000) -> dict[str, object]:
    plan = ReplayPlan(logs=(LOG,), policy=Policy(), engine=engine, batch=batch)
    summary = replay(plan)
    return {
        "events": summary.events,
        "dead_letters": summary.dead_letters,
        "actions": summary.actions,
        "digest": summary.digest,
    }


@pytest.mark.parametrize("engine", ["fold", "dataflow", "staged"])
@pytest.mark.parametrize("batch", [17, 1_000])
def test_the_recorded_log_gives_the_golden_digest(engine: Engine, batch: int) -> None:
    assert replayed(engine, batch) == json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("seed", ["1", "987"])
def test_the_golden_digest_does_not_depend_on_the_hash_seed(seed: str) -> None:
    script = "import json; from tests.test_golden import replayed; print(json.dumps(replayed()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(EXPECTED.read_text())


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(replayed(), indent=2) + "\n")
