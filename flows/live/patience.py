"""Patience: a store that is away for a while holds the stream up, and loses nothing."""

import time
from collections.abc import Callable, Sequence

from flows.live import logs
from flows.live.metrics import StreamMetrics
from flows.live.monitor import Health
from flows.wiring.outcomes import Outcome
from flows.wiring.outlets import Mark, Outlet
from state.errors import StoreError

_FIRST_S = 0.05
_LONGEST_S = 1.0


class PatientOutlet:
    """Outlet that writes to `outlet` again while its failure `is_passing` and `may_wait` holds.

    While it waits nothing is read any more, so that memory stays bounded.
    """

    def __init__(
        self,
        outlet: Outlet,
        store: str,
        is_passing: Callable[[StoreError], bool],
        may_wait: Callable[[], bool],
        metrics: StreamMetrics,
        health: Health,
    ) -> None:
        self._outlet, self._store = outlet, store
        self._is_passing, self._may_wait = is_passing, may_wait
        self._metrics, self._health = metrics, health

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write them; raises StoreError where waiting is of no use, or no longer allowed."""
        wait_s, tries = _FIRST_S, 0
        while True:
            try:
                self._outlet.write(outcomes)
            except StoreError as error:
                if not self._is_passing(error):
                    raise
                tries += 1
                self._waits(error, tries)
                if not self._may_wait():
                    raise
                time.sleep(wait_s)
                wait_s = min(_LONGEST_S, 2 * wait_s)
            else:
                if tries:
                    self._found(tries)
                return

    def mark(self) -> Mark:
        """Return where it stands after the last write."""
        return self._outlet.mark()

    def rewind(self, mark: Mark) -> None:
        """Go back to where `mark` was taken."""
        self._outlet.rewind(mark)

    def _waits(self, error: StoreError, tries: int) -> None:
        self._metrics.waiting.labels(self._store).set(1)
        self._metrics.waits.labels(self._store).inc()
        self._health.waits_for(self._store, str(error))
        if tries == 1:
            logs.warn("store away; waiting", store=self._store, error=str(error))

    def _found(self, tries: int) -> None:
        self._metrics.waiting.labels(self._store).set(0)
        self._health.found(self._store)
        logs.info("store back", store=self._store, tries=tries)
