"""Probes of the stores, now and then, also when the stream leaves them alone.

Each is asked from a thread of its own, off the stream's way, and each question is bounded in time.
"""

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from flows.live.monitor import Health

#: Longest time for a store to answer, and the pause before the next question.
ANSWER_S = 2.0
_EVERY_S = 2.0
_END_S = 3 * ANSWER_S


class Probes:
    """Context manager that keeps `health` informed; a check raises why a store is not well.

    `seen` gets each error.
    """

    def __init__(
        self,
        health: Health,
        checks: Mapping[str, Callable[[], object]],
        seen: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self._health, self._checks, self._seen = health, checks, seen
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._ask, args=(store, check), name=f"probe {store}", daemon=True
            )
            for store, check in checks.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        for thread in self._threads:  # what they ask with is about to be closed
            thread.join(_END_S)

    def _ask(self, store: str, check: Callable[[], object]) -> None:
        while not self._is_over.is_set():
            try:
                check()
            except Exception as error:
                self._health.probed(store, str(error))
                self._seen(error)
            else:
                self._health.probed(store, None)
            self._is_over.wait(_EVERY_S)
