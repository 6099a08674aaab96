"""The clock that stamps records: it never goes back, and never leaps."""

import time
from collections.abc import Callable


class SteadyClock:
    """Wall time at the start, and from then on the time passed by a monotonic clock.

    A wall clock that is set while the process runs would put everything that is due in the journal
    hours early or late. It shows in `leap_ms` instead, and is followed at the next start.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._offset_ns = wall_ns() - steady_ns()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch; never less than before."""
        return (self._steady_ns() + self._offset_ns) // 1_000_000

    def leap_ms(self) -> int:
        """Return how far the wall clock has been set away from this one since the start."""
        return (self._wall_ns() - self._steady_ns() - self._offset_ns) // 1_000_000
