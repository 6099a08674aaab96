"""Processes of the machine, as /proc shows them (Linux)."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that any thread of `pid` started and that it has not waited for."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in listed for child in path.read_text().split()]


def runs(pid: int) -> bool:
    """Return whether a process has not ended; one that is not waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
