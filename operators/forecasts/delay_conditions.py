"""Conditions: what slows shipments down, as last reported, and where things are.

A report about a region is one entry of `CONDITIONS`; the model of lateness learns what it means.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from state.events import CarrierDisrupted, Fact, TrafficObserved, WeatherObserved
from state.geography import GEOGRAPHIC, Geography
from state.keys import ServiceId, TroubleKey
from state.quantities import HOUR_MS, to_ms

#: A report counts this long.
_REPORT_MS = 6 * HOUR_MS
#: Travel time over free flow, from which more makes no difference.
_MOST_CONGESTION = 3.0


class Report(Struct, array_like=True):
    """A value and when it was observed."""

    value: float
    time_ms: int


class Condition(Struct, frozen=True):
    """A report about a region that delays parcels bound for it, or that start there.

    `value` is the hindrance that it reports, 0 if none. `name` names its feature, and is what
    people read unless `operators.prediction.situation` has other words for it.
    """

    name: str
    reported_by: type[Fact]
    value: Callable[[Any], float]
    at_origin: bool = False


CONDITIONS = (
    Condition("weather", WeatherObserved, lambda seen: seen.severity),
    Condition("weather at origin", WeatherObserved, lambda seen: seen.severity, at_origin=True),
    Condition(
        "traffic", TrafficObserved, lambda seen: min(seen.congestion - 1.0, _MOST_CONGESTION)
    ),
)
#: Trouble that carriers report has a scope and an end of its own.
DISRUPTED = "disrupted"

_BY_REPORT = {
    kind: tuple(each for each in CONDITIONS if each.reported_by is kind)
    for kind in {each.reported_by: None for each in CONDITIONS}
}


_LEARNED = frozenset({CarrierDisrupted, *_BY_REPORT, *GEOGRAPHIC})


class Conditions(Struct):
    """Reports by condition and region, disruptions by scope. Part of an operator's state."""

    geography: Geography = field(default_factory=Geography)
    reports: dict[str, dict[str, Report]] = field(default_factory=dict)
    # Expected end of what carriers reported, ms.
    disruptions: dict[TroubleKey, int] = field(default_factory=dict)

    def learn(self, fact: Fact, time_ms: int) -> None:
        """Take in a report or a registration; other facts are ignored."""
        kind = type(fact)
        if kind not in _LEARNED:
            return
        if isinstance(fact, CarrierDisrupted):
            key = TroubleKey.of(fact.carrier, fact.service, fact.region)
            self.disruptions[key] = to_ms(fact.until) if fact.delay_s else 0
            return
        reported = _BY_REPORT.get(kind, ())
        for each in reported:
            region: str = fact.region  # type: ignore[attr-defined] # every report names one
            self.reports.setdefault(each.name, {})[region] = Report(each.value(fact), time_ms)
        if not reported:
            self.geography.learn(fact)

    def hindrances(
        self, service: ServiceId, node: str, region: str, time_ms: int
    ) -> tuple[tuple[str, float], ...]:
        """Return the conditions in force on a way, each with its value, in a fixed order."""
        found = []
        for each in CONDITIONS:
            reports = self.reports.get(each.name)
            if reports is None:
                continue
            report = reports.get(self._region_of(node) if each.at_origin else region)
            if report is not None and report.value > 0 and time_ms - report.time_ms <= _REPORT_MS:
                found.append((each.name, report.value))
        if self._is_disrupted(service, region, time_ms):
            found.append((DISRUPTED, 1.0))
        return tuple(found)

    def _region_of(self, node: str) -> str:
        registered = self.geography.nodes.get(node)
        return registered.region if registered else ""

    def _is_disrupted(self, service: ServiceId, region: str, time_ms: int) -> bool:
        disruptions = self.disruptions
        if not disruptions:
            return False
        for key in TroubleKey.meeting(service, region):
            if key in disruptions and disruptions[key] > time_ms:
                return True
        return False
