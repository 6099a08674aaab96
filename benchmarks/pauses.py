"""Pauses: stretches of slow actions, and whether they fall together with the epochs."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: An action slower than this is part of a pause; so is what follows within `_JOIN_S`.
PAUSE_MS = 5.0
_JOIN_S = 0.25
_LOOK_EVERY_S = 0.01
#: A pause this near to a commit is counted as the epoch's.
NEAR_S = 0.5


class CommitWatch:
    """Times at which the recovery store in a folder was written, while the block lasts.

    The store is written once per epoch, at its end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen: list[float] = []

    @property
    def commits(self) -> list[float]:
        """Return times of writes (`time.monotonic`), those within `NEAR_S` taken as one."""
        found: list[float] = []
        for when in sorted(self._seen):
            if not found or when - found[-1] > NEAR_S:
                found.append(when)
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        latest_ns = 0
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                written_ns = max(
                    (path.stat().st_mtime_ns for path in self._folder.glob("*")), default=0
                )
            except OSError:  # a journal of SQLite's that was there a moment ago
                continue
            if written_ns > latest_ns:
                latest_ns = written_ns
                self._seen.append(written_ns / 1e9 - time.time() + time.monotonic())


def longest_pauses(
    arrivals: Sequence[tuple[float, float]], commits: Sequence[float], most: int = 5
) -> dict[str, Any]:
    """Return the `most` longest pauses by time, of (due, latency in s) by due time.

    Each with its longest latency, the time since the pause before it, and the time from the
    nearest commit of the recovery store (None without any).
    """
    if not arrivals:
        return {"count": 0, "near_an_epoch": 0, "longest": []}
    first = arrivals[0][0]
    pauses: list[dict[str, Any]] = []
    last_slow = float("-inf")
    for due, latency in arrivals:
        if latency * 1_000 <= PAUSE_MS:
            continue
        if due - last_slow > _JOIN_S:
            pauses.append({"began": due, "ms": 0.0, "actions": 0})
        pause, last_slow = pauses[-1], due
        pause["ms"] = max(pause["ms"], latency * 1_000)
        pause["actions"] += 1
    before: float | None = None
    for pause in pauses:
        began = pause.pop("began")
        pause["at_s"] = began - first
        pause["since_previous_s"] = None if before is None else began - before
        pause["from_commit_s"] = min((began - c for c in commits), key=abs, default=None)
        before = began
    longest = sorted(sorted(pauses, key=lambda p: -p["ms"])[:most], key=lambda p: p["at_s"])
    near = [
        p for p in pauses if p["from_commit_s"] is not None and abs(p["from_commit_s"]) < NEAR_S
    ]
    return {"count": len(pauses), "near_an_epoch": len(near), "longest": longest}
