"""A recorded log gives the actions it always gave; a change of decisions must be meant.

After a change that is meant, renew the digest: ``python -m tests.properties.test_golden``.
"""

import json
import os
import subprocess
import sys

import pytest

from flows.replay.replay import Runner
from tests.golden import EXPECTED, replayed, simulated
from tests.places import ROOT
from tests.pythons import Python, environment_of, other_pythons


@pytest.mark.parametrize(
    ("engine", "batch"),
    [
        ("fold", 1_000),
        ("dataflow", 17),
        pytest.param("fold", 17, marks=pytest.mark.slow),
        pytest.param("dataflow", 1_000, marks=pytest.mark.slow),
        pytest.param("staged", 17, marks=pytest.mark.slow),
        pytest.param("staged", 1_000, marks=pytest.mark.slow),
    ],
)
def test_the_recorded_log_gives_the_golden_digest(engine: Runner, batch: int) -> None:
    assert replayed(engine, batch) == json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("seed", [pytest.param("1", marks=pytest.mark.slow), "987"])
def test_the_golden_digest_does_not_depend_on_the_hash_seed(seed: str) -> None:
    script = "import json; from tests.golden import replayed; print(json.dumps(replayed()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("python", other_pythons(), ids=str)
def test_another_python_makes_the_same_bytes(python: Python) -> None:
    done = subprocess.run(
        [environment_of(python), "-m", "tests.golden"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "replayed": json.loads(EXPECTED.read_text()),
        "simulated": simulated(),
    }


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(replayed(), indent=2) + "\n")
