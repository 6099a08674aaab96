"""Other Pythons of the machine that we support, each with what we run on installed for it.

They are those of the PATH and of pyenv. An environment takes a minute to make, once for a set of
requirements: CROSSDOCK_PYTHONS=1 asks for it (``make test-pythons``, and CI).
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from tests.places import ROOT

#: As pyproject.toml says: `requires-python`.
SUPPORTED = ((3, 11), (3, 12))
#: Requirements of a deployment, without the tools.
_REQUIREMENTS = ROOT / "docker" / "requirements.txt"
_ENVIRONMENTS = ROOT / ".venv" / "pythons"


@dataclass(frozen=True)
class Python:
    """An interpreter, by version; `path` is None if the machine has none of it."""

    version: tuple[int, int]
    path: str | None

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


@cache
def other_pythons() -> tuple[Python, ...]:
    """Return one for each supported version but ours."""
    others = [version for version in SUPPORTED if version != sys.version_info[:2]]
    return tuple(Python(version, _find(version)) for version in others)


def environment_of(python: Python) -> str:
    """Return an interpreter with the locked requirements installed; skip where there is none."""
    if python.path is None:
        pytest.skip(f"there is no Python {python} here")
    folder = _ENVIRONMENTS / str(python)
    stamp, wanted = folder / "requirements", sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    ours = folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted:
        return str(ours)
    if os.environ.get("CROSSDOCK_PYTHONS") != "1":
        pytest.skip(f"nothing is installed for Python {python} yet: make test-pythons")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python.path, "-m", "venv", folder], check=True)
    pip: list[str | Path] = [ours, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", _REQUIREMENTS], check=True)
    stamp.write_text(wanted)
    return str(ours)


def _find(version: tuple[int, int]) -> str | None:
    name = "python" + ".".join(map(str, version))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    paths = [shutil.which(name), *sorted(pyenv.glob(f"*/bin/{name}"))]
    return next((str(path) for path in paths if path and _runs(str(path), version)), None)


def _runs(path: str, version: tuple[int, int]) -> bool:
    """Return whether an interpreter starts and has its name's version; a shim may not."""
    script = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.split() == [str(part) for part in version]
