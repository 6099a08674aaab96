"""Signals that lead demand, by scope and time: those in force now, or in a past bucket.

A signal holds for a region or all of them, and for a SKU, a category or everything. The narrower
scope overrides the wider one, a SKU in all regions a category in one, and the later the earlier.
"""

from bisect import bisect_left

from msgspec import Struct, field

from state.keys import ALL_GOODS, EVERYWHERE, Goods, SeriesKey

#: Signals kept per scope and kind: more than a series looks back upon.
_KEPT = 32


class SignalsState(Struct, array_like=True):
    """Region -> goods -> kind -> [(ms, log ratio)], in order of time."""

    by_region: dict[str, dict[Goods, dict[str, list[tuple[int, float]]]]] = field(
        default_factory=dict
    )


class Signals:
    """Signals by scope and kind; each counts for `memory_ms`."""

    def __init__(self, memory_ms: int, state: SignalsState | None = None) -> None:
        self.memory_ms = memory_ms
        self._state = state or SignalsState()

    def observe(self, region: str, scope: Goods, kind: str, log_ratio: float, at_ms: int) -> None:
        """Take in a signal; `at_ms` never falls."""
        kinds = self._state.by_region.setdefault(region, {}).setdefault(scope, {})
        observed = kinds.setdefault(kind, [])
        observed.append((at_ms, log_ratio))
        if len(observed) > _KEPT:
            del observed[0]

    def of_scope(self, region: str, scope: Goods, now_ms: int) -> dict[str, float]:
        """Return log ratios in force now in exactly this scope, by kind."""
        found: dict[str, float] = {}
        kinds = self._state.by_region.get(region, {}).get(scope)
        if kinds:
            self._collect(found, kinds, now_ms, now_ms + 1)
        return found

    def of_series(
        self, series: SeriesKey, category: str, start_ms: int, end_ms: int
    ) -> dict[str, float]:
        """Return log ratios, by kind, that were in force at some time in [start_ms, end_ms)."""
        found: dict[str, float] = {}
        by_region = self._state.by_region
        places = [by_region[each] for each in (EVERYWHERE, series.region) if each in by_region]
        if places:
            for scope in (ALL_GOODS, Goods("category", category), Goods("sku", series.sku)):
                for by_scope in places:
                    kinds = by_scope.get(scope)
                    if kinds:
                        self._collect(found, kinds, start_ms, end_ms)
        return found

    def state(self) -> SignalsState:
        """Return plain values that restore it, shared with it."""
        return self._state

    def _collect(
        self,
        found: dict[str, float],
        kinds: dict[str, list[tuple[int, float]]],
        start_ms: int,
        end_ms: int,
    ) -> None:
        for kind, observed in kinds.items():
            last = bisect_left(observed, (end_ms,)) - 1
            if last >= 0 and observed[last][0] + self.memory_ms > start_ms:
                found[kind] = observed[last][1]
