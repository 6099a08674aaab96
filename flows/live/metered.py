"""Metering of actions as they are written: their number, and their delay."""

import time
from collections.abc import Sequence

from flows.live.metrics import RunMetrics
from flows.wiring.outcomes import DEAD_LETTERS, Outcome
from flows.wiring.outlets import Mark, Outlet
from state.dead_letters import reason_of
from state.stores.kafka_journal import Arrivals
from state.stores.redis_keys import entry_order


class MeteredOutlet:
    """Outlet that passes on to `outlet`; an action's time is taken when that has returned."""

    def __init__(self, outlet: Outlet, metrics: RunMetrics, arrivals: Arrivals) -> None:
        self._outlet, self._metrics, self._arrivals = outlet, metrics, arrivals

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write them; raises StoreError."""
        self._outlet.write(outcomes)
        now, now_ms = time.monotonic(), time.time() * 1_000
        first = None
        for outcome in outcomes:
            if outcome.stream == DEAD_LETTERS:
                self._metrics.dead_letters.labels(reason_of(outcome.body)).inc()
            elif outcome.is_action:
                self._metrics.actions.labels(outcome.kind, outcome.mode).inc()
                seq = entry_order(outcome.entry_id)[0]
                first = seq if first is None else min(first, seq)
                self._observe(seq, now, now_ms)
        if first is not None:
            self._arrivals.forget_before(first)

    def _observe(self, seq: int, now: float, now_ms: float) -> None:
        arrived = self._arrivals.of(seq)
        if arrived is None:
            return
        at, stamp_ms = arrived
        self._metrics.latency.observe(now - at)
        if stamp_ms > 0:
            self._metrics.journal_latency.observe(max(0.0, now_ms - stamp_ms) / 1_000)

    def mark(self) -> Mark:
        """Return where it stands after the last write."""
        return self._outlet.mark()

    def rewind(self, mark: Mark) -> None:
        """Go back to where `mark` was taken."""
        self._outlet.rewind(mark)
