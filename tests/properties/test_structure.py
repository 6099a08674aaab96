"""The house stays in order: imports point one way, and files read in one sitting."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.places import ROOT


def test_imports_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_package_is_built_typed_and_layered() -> None:
    packages = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools = project["tool"]
    linter = tools["importlinter"]
    assert packages == ["crossdock", "flows", "operators", "state"]
    for listed in (
        tools["hatch"]["build"]["targets"]["wheel"]["packages"],
        [each for each in tools["mypy"]["packages"] if each != "tests"],
        linter["root_packages"],
        linter["contracts"][0]["layers"],
    ):
        assert sorted(listed) == packages
    image = (ROOT / "docker" / "Dockerfile").read_text()
    assert all(f"COPY {package} ./{package}\n" in image for package in packages)


def test_no_file_outgrows_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("crossdock", "flows", "operators", "state")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_no_test_looks_at_a_clock() -> None:
    """Tests wait with `tests.waiting`; but one kills processes at drawn times."""
    clocks = ("time.monotonic", "time.perf_counter", "time.time(")
    found = {
        path.name
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.name != Path(__file__).name and any(clock in path.read_text() for clock in clocks)
    }
    assert found == {"test_kills.py"}


def test_files_that_the_docs_name_exist() -> None:
    """A path is taken from the root, or from `operators/` or `tests/`."""
    named = {
        (page.name, path)
        for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
        for path in re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|toml))`", page.read_text())
    }
    assert len(named) > 50
    roots = (ROOT, ROOT / "operators", ROOT / "tests")
    missing = {each for each in named if not any((root / each[1]).exists() for root in roots)}
    assert not missing
