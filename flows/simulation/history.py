"""History of a number that holds until it is set again; it can be asked for any past instant."""

from bisect import bisect_right

#: Changes remembered: years of an ordinary node, or carrier.
_MOST = 2_000


class History:
    """A number over time, by ms since the epoch; before it was first set, its initial value.

    The latest thousand changes, at least, are remembered; before them it is as it was then.
    """

    __slots__ = ("_since", "_values")

    def __init__(self, begin: int) -> None:
        self._since: list[int] = []
        self._values = [begin]

    @property
    def now(self) -> int:
        """Return the last value."""
        return self._values[-1]

    def set(self, now_ms: int, value: int) -> None:
        """Set it to `value` from `now_ms` on, which is not before it was last set."""
        self._since.append(now_ms)
        self._values.append(value)
        if len(self._since) > _MOST:
            del self._since[: _MOST // 2], self._values[: _MOST // 2]

    def at(self, ms: int) -> int:
        """Return its value at `ms`."""
        return self._values[bisect_right(self._since, ms)]
