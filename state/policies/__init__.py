"""Policies that come with the engine: ours, and baselines that decisions are compared with."""

from importlib.resources import as_file, files
from pathlib import Path

from state.errors import PolicyError
from state.policy import Policy, load_policy

#: Names that `find_policy` knows; each is a TOML file beside this one.
BUILT_IN = ("ours", "nearest", "cheapest")


def find_policy(name_or_path: str) -> Policy:
    """Return a built-in policy by its name, or a policy file by its path.

    A file that has a built-in name is meant with its folder: ``./nearest``. Raises PolicyError.
    """
    if name_or_path in BUILT_IN:
        with as_file(files(__name__) / f"{name_or_path}.toml") as path:
            return load_policy(path)
    path = Path(name_or_path)
    if not path.exists():
        choices = f"{', '.join(BUILT_IN)} or the path of a policy file"
        raise PolicyError(f"expected {choices}, was {name_or_path!r}")
    return load_policy(path)
