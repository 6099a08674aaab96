"""The meter: time of calls that call one another, each charged with its own time only."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

#: The occasion of calls outside of any call that gives one.
NO_OCCASION = ""


class Meter:
    """Time by (part, occasion): an occasion holds for the calls that a call makes, too.

    What metering itself takes, four readings of `clock` a call, is charged to no part.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.spent: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._clock = clock
        self._occasion = NO_OCCASION
        self._inner = 0

    def of_part(self, part: str) -> int:
        """Return the time spent in a part, on all occasions."""
        return sum(spent for (name, _), spent in self.spent.items() if name == part)

    def charge(
        self, part: str, call: Callable[..., Any], occasion: str | None = None
    ) -> Callable[..., Any]:
        """Return `call`, its time charged to `part`, less what metered calls within it take."""

        def metered(*given: Any, **named: Any) -> Any:
            entered = self._clock()
            before, outer = self._inner, self._occasion
            self._inner, self._occasion = 0, outer if occasion is None else occasion
            begun = self._clock()
            try:
                return call(*given, **named)
            finally:
                ended = self._clock()
                self.spent[part, self._occasion] += ended - begun - self._inner
                self._occasion = outer
                self._inner = before + self._clock() - entered

        return metered
