"""What slows shipments down, as last reported, and where things are."""

from msgspec import Struct, field

from state.events import CarrierDisrupted, Fact, TrafficObserved, WeatherObserved
from state.geography import Geography
from state.keys import ServiceId, TroubleKey
from state.quantities import HOUR_MS, to_ms

#: Weather and traffic reports count this long.
_REPORT_MS = 6 * HOUR_MS


class Report(Struct, array_like=True):
    """A value and when it was observed."""

    value: float
    time_ms: int


class Conditions(Struct):
    """Reports by region, disruptions by scope. Part of an operator's state."""

    geography: Geography = field(default_factory=Geography)
    weather: dict[str, Report] = field(default_factory=dict)
    traffic: dict[str, Report] = field(default_factory=dict)
    # Expected end of what carriers reported, ms.
    disruptions: dict[TroubleKey, int] = field(default_factory=dict)

    def learn(self, fact: Fact, time_ms: int) -> None:
        """Take in a report or a registration; other facts are ignored."""
        match fact:
            case WeatherObserved():
                self.weather[fact.region] = Report(fact.severity, time_ms)
            case TrafficObserved():
                self.traffic[fact.region] = Report(fact.congestion, time_ms)
            case CarrierDisrupted():
                key = TroubleKey.of(fact.carrier, fact.service, fact.region)
                self.disruptions[key] = to_ms(fact.until) if fact.delay_s else 0
            case _:
                self.geography.learn(fact)

    def severity(self, region: str, time_ms: int) -> float:
        """Weather severity in a region as far as it is known; 0 is fair."""
        return _recent(self.weather.get(region), time_ms, 0.0)

    def severity_at_node(self, node: str, time_ms: int) -> float:
        """Weather severity where a node is."""
        registered = self.geography.nodes.get(node)
        return self.severity(registered.region, time_ms) if registered else 0.0

    def congestion(self, region: str, time_ms: int) -> float:
        """Congestion in a region as far as it is known; 1 is free."""
        return _recent(self.traffic.get(region), time_ms, 1.0)

    def disrupted(self, service: ServiceId, region: str, time_ms: int) -> bool:
        """Whether a service is disrupted on its way to a region."""
        if not self.disruptions:
            return False
        return any(
            self.disruptions.get(key, 0) > time_ms for key in TroubleKey.meeting(service, region)
        )


def _recent(report: Report | None, time_ms: int, usual: float) -> float:
    if report is None or time_ms - report.time_ms > _REPORT_MS:
        return usual
    return report.value
