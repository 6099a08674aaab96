"""The agenda: future happenings, in their order."""

import heapq
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

P = ParamSpec("P")


class Agenda:
    """Future happenings by time; those of one instant happen in the order they were entered.

    It holds open work only: a happening is gone once it has happened.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._entered = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(
        self,
        time_ms: int,
        happening: Callable[Concatenate[int, P], object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Call ``happening(time_ms, *args)`` once `time_ms` (ms since the epoch) has come."""
        assert not kwargs, "happenings take arguments by place"
        self._entered += 1
        given: tuple[Any, ...] = args
        heapq.heappush(self._heap, (time_ms, self._entered, happening, given))

    def next_ms(self) -> int | None:
        """Return when the next happening is due, in ms since the epoch; None if nothing is."""
        return self._heap[0][0] if self._heap else None

    def happen(self) -> None:
        """Call the next happening."""
        now_ms, _, happening, args = heapq.heappop(self._heap)
        happening(now_ms, *args)
