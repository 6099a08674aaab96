"""Pricing: rate cards as quotes, the terms of a score, and what lateness costs.

Every term is a whole number of cents, so that terms sum exactly to a score.
"""

from collections.abc import Mapping

from msgspec import Struct

from operators.sourcing.eliminations import Way
from state.events import NodeRegistered
from state.geography import carbon_gco2e, freight_cents, nominal_transit_s
from state.keys import Lane, Ref, ServiceId, TroubleKey
from state.policy import Weights
from state.twin import Twin

#: The terms of an allocation's score, in the order in which people ask about them.
TERMS = ("freight", "handling", "expected lateness", "expected displacement", "carbon")


class Quote(Struct, frozen=True, gc=False):
    """A service from a node to a region, without a parcel: what does not depend on the order."""

    service: ServiceId
    fixed_cents: float
    per_kg_cents: float
    carbon_kg_per_kg: float
    nominal_s: float
    lane: Lane
    cutoff_ms: int
    max_weight_g: int


class LaneRates(Struct, frozen=True, gc=False):
    """All quotes from a node to a region, the cheapest base first.

    `unreachable` are services that do not reach it. `least_cents` is below what any parcel costs;
    a kg in it costs at least `least_per_kg_cents` more.
    """

    node: NodeRegistered | None
    quotes: tuple[Quote, ...]
    unreachable: tuple[Way, ...]
    least_cents: float
    least_per_kg_cents: float


class Option(Struct, frozen=True, gc=False, order=True):
    """One parcel priced. Options order by score, then node, then service: ties have one winner."""

    score: int
    node: str
    service: ServiceId
    freight: int
    handling: int
    lateness: int
    displacement: int
    carbon: int
    carbon_kg: float
    p_late: float
    hand_over_ms: int
    expected_ms: int
    late_s: float

    @property
    def way(self) -> Way:
        """The node and service, by which options are told apart."""
        return Way(self.node, self.service)

    def terms(self) -> dict[str, int]:
        """Cents by term; they sum to `score`."""
        values = (self.freight, self.handling, self.lateness, self.displacement, self.carbon)
        return dict(zip(TERMS, values, strict=True))


class RateBook:
    """Rates by (node, region), made when first asked for.

    They depend on registrations and holds alone, so that a book made anew after a restart quotes
    the same; what is learned of a lane, or reported of a carrier, is looked up when a parcel is
    priced.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._lanes: dict[str, dict[str, LaneRates]] = {}
        # What carriers reported -> (extra seconds, until ms)
        self.disruptions: Mapping[TroubleKey, tuple[int, int]] = {}

    def lane(self, node: str, region: str) -> LaneRates:
        """Rates from `node` to `region`."""
        lanes = self.lanes_to(region)
        known = lanes.get(node)
        if known is None:
            known = lanes[node] = self._make(node, region)
        return known

    def lanes_to(self, region: str) -> dict[str, LaneRates]:
        """Rates to `region` by node, as far as they were asked for."""
        return self._lanes.setdefault(region, {})

    def forget_all(self) -> None:
        """Make all rates anew."""
        self._lanes.clear()

    def disrupted_s(self, service: ServiceId, region: str) -> int:
        """Extra transit that a carrier's reported trouble causes; the worst that applies."""
        if not self.disruptions:
            return 0
        known = self.disruptions
        return max(known.get(key, (0, 0))[0] for key in TroubleKey.meeting(service, region))

    def _make(self, node: str, region: str) -> LaneRates:
        geography = self._twin.geography
        distance = geography.distance_km(node, region)
        registered = geography.nodes.get(node)
        quotes: list[Quote] = []
        unreachable: list[Way] = []
        if distance is None or registered is None:
            unreachable = [Way(node, name) for name in geography.services]
            return LaneRates(registered, (), tuple(unreachable), float("inf"), 0.0)
        for name, service in geography.services.items():
            if name in geography.withdrawn or Ref.service(name) in self._twin.holds:
                continue
            if service.max_distance_km and distance > service.max_distance_km:
                unreachable.append(Way(node, name))
                continue
            quotes.append(
                Quote(
                    service=name,
                    fixed_cents=float(freight_cents(service, distance, 0)),
                    per_kg_cents=float(service.per_kg_cents),
                    carbon_kg_per_kg=carbon_gco2e(service, distance, 1000) / 1000,
                    nominal_s=nominal_transit_s(service, distance),
                    lane=Lane(name, node, region),
                    cutoff_ms=service.cutoff_s * 1000,
                    max_weight_g=service.max_weight_g,
                )
            )
        quotes.sort(key=lambda quote: (quote.fixed_cents, quote.service))
        least = float("inf")
        if quotes:
            least = quotes[0].fixed_cents - 0.5 + registered.handling_fixed_cents
        per_kg = min((quote.per_kg_cents for quote in quotes), default=0.0)
        return LaneRates(registered, tuple(quotes), tuple(unreachable), least, per_kg)


def lateness_cents(p_late: float, late_s: float, weights: Weights) -> int:
    """Money for expected lateness: a fixed part for being late at all, and a part per hour."""
    return round(weights.late_fixed_cents * p_late + weights.late_hour_cents * late_s / 3600)
