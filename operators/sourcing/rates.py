"""Rates: rate cards as quotes, and `price`, the only place where a parcel's cost is computed.

Every term is a whole number of cents, so that terms sum exactly to a score.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from operators.prediction.lane_transit import Ratios
from operators.prediction.two_piece_normal import lateness
from operators.sourcing.eliminations import Way
from state.events import NodeRegistered
from state.geography import carbon_gco2e, freight_cents, nominal_transit_s
from state.keys import Lane, Ref, ServiceId, TroubleKey
from state.policy import Weights
from state.quantities import DAY_MS
from state.twin import Twin

#: Terms of an allocation's score, in the order in which they are shown.
TERMS = ("freight", "handling", "expected lateness", "expected displacement", "carbon")


class Quote(Struct, frozen=True, gc=False):
    """A service from a node to a region: the part of a price that does not depend on the order."""

    service: ServiceId
    fixed_cents: float
    per_kg_cents: float
    carbon_kg_per_kg: float
    nominal_s: float
    lane: Lane
    cutoff_ms: int
    max_weight_g: int

    def freight(self, kg: float) -> int:
        """Return the freight of a parcel of `kg`, cents."""
        return round(self.fixed_cents + self.per_kg_cents * kg)

    def next_pickup(self, ready_ms: int) -> int:
        """Return the first daily pickup of the service from `ready_ms` on, ms."""
        at_ms = ready_ms - ready_ms % DAY_MS + self.cutoff_ms
        return at_ms if at_ms >= ready_ms else at_ms + DAY_MS


class Parcel(Struct, frozen=True, gc=False):
    """A parcel at its node, with the terms of its price that all services share, in cents."""

    node: str
    kg: float
    handling: int
    promised_ms: int
    displacement: int = 0


class HandOver(Struct, frozen=True, gc=False):
    """A handover, and the transit expected from there.

    `ratios` are quantiles of transit ÷ nominal, including the weekday's factor; `trouble_s` are the
    extra seconds that a carrier reported.
    """

    at_ms: int
    ratios: Ratios
    trouble_s: float = 0.0

    def median_s(self, quote: "Quote") -> float:
        """Return the median transit, s."""
        return quote.nominal_s * self.ratios.p50 + self.trouble_s


class Lateness(Struct, frozen=True, gc=False):
    """Expected lateness of a parcel: P(late), expected s late, and their price in cents."""

    p_late: float
    late_s: float
    cents: int


class LaneRates(Struct, frozen=True, gc=False):
    """All quotes from a node to a region, the cheapest base first.

    `unreachable` are services that do not reach the region. `least_cents` is a lower bound of any
    parcel's cost; each kg adds at least `least_per_kg_cents`.
    """

    node: NodeRegistered | None
    quotes: tuple[Quote, ...]
    unreachable: tuple[Way, ...]
    least_cents: float
    least_per_kg_cents: float

    def least(self, kg: float, units: int) -> float:
        """Return a lower bound of the cost of a parcel of `units` that weigh `kg`, cents."""
        per_unit = self.node.handling_unit_cents if self.node is not None else 0
        return self.least_cents + self.least_per_kg_cents * kg + per_unit * units


class Option(Struct, frozen=True, gc=False, order=True):
    """One parcel priced. Options sort by score, then node, then service: ties have one winner."""

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
        """Return the node and service, which identify an option."""
        return Way(self.node, self.service)

    def terms(self) -> dict[str, int]:
        """Return cents by term; they sum to `score`."""
        values = (self.freight, self.handling, self.lateness, self.displacement, self.carbon)
        return dict(zip(TERMS, values, strict=True))


def price(
    quote: Quote,
    parcel: Parcel,
    hand_over: HandOver,
    weights: Weights,
    late: Lateness | None = None,
) -> Option:
    """Return a parcel by a service as an option, priced in every term.

    Freight follows the rate card, and carbon the weight. Handling and displacement come with the
    parcel. Lateness is that of `expected_lateness`: `late`, where it is known already.
    """
    if late is None:
        late = expected_lateness(quote, parcel.promised_ms, hand_over, weights)
    kg, handling, displacement = parcel.kg, parcel.handling, parcel.displacement
    freight = quote.freight(kg)
    carbon = carbon_cents(quote, kg, weights)
    return Option(
        freight + handling + late.cents + displacement + carbon,
        parcel.node,
        quote.service,
        freight,
        handling,
        late.cents,
        displacement,
        carbon,
        quote.carbon_kg_per_kg * kg,
        late.p_late,
        hand_over.at_ms,
        hand_over.at_ms + round(hand_over.median_s(quote) * 1000),
        late.late_s,
    )


def expected_lateness(
    quote: Quote, promised_ms: int, hand_over: HandOver, weights: Weights
) -> Lateness:
    """Return the lateness of a two-piece normal through the transit's quantiles."""
    nominal_s, ratios, trouble_s = quote.nominal_s, hand_over.ratios, hand_over.trouble_s
    p_late, late_s = lateness(
        (promised_ms - hand_over.at_ms) / 1000,
        nominal_s * ratios.p10 + trouble_s,
        nominal_s * ratios.p50 + trouble_s,
        nominal_s * ratios.p90 + trouble_s,
    )
    return Lateness(p_late, late_s, lateness_cents(p_late, late_s, weights))


def handling_cents(node: NodeRegistered, units: int) -> int:
    """Return the price of handling a parcel of `units` at a node, cents."""
    return node.handling_fixed_cents + node.handling_unit_cents * units


def sure_cents(quote: Quote, kg: float, handling: int, weights: Weights) -> int:
    """Return the part of a parcel's price that is certain: freight, carbon and handling, cents."""
    return quote.freight(kg) + carbon_cents(quote, kg, weights) + handling


def carbon_cents(quote: Quote, kg: float, weights: Weights) -> int:
    """Return the price of a parcel's emissions, cents."""
    return round(quote.carbon_kg_per_kg * (weights.carbon_kg_cents * kg))


class Rates(Protocol):
    """Rates between nodes and regions, and the trouble that carriers report on the way."""

    def lane(self, node: str, region: str) -> LaneRates:
        """Return rates from `node` to `region`."""
        ...

    def lanes_to(self, region: str) -> dict[str, LaneRates]:
        """Return the rates to `region` made so far, by node."""
        ...

    def disrupted_s(self, service: ServiceId, region: str) -> int:
        """Return the extra transit that reported trouble causes, s."""
        ...


class RateBook:
    """Rates by (node, region), made on first use.

    They depend on registrations and holds alone, so that a new book after a restart quotes the
    same. Outlooks of lanes and reported trouble are looked up when a parcel is priced.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._lanes: dict[str, dict[str, LaneRates]] = {}
        self._nearest: dict[str, tuple[str, ...]] = {}
        self._cheapest: dict[str, tuple[tuple[float, str], ...]] = {}
        # Trouble that carriers reported -> (extra seconds, until ms).
        self.disruptions: Mapping[TroubleKey, tuple[int, int]] = {}

    def lane(self, node: str, region: str) -> LaneRates:
        """Return rates from `node` to `region`, made on first use."""
        lanes = self.lanes_to(region)
        known = lanes.get(node)
        if known is None:
            known = lanes[node] = self._make(node, region)
        return known

    def lanes_to(self, region: str) -> dict[str, LaneRates]:
        """Return the rates to `region` made so far, by node."""
        return self._lanes.setdefault(region, {})

    def nearest(self, region: str) -> tuple[str, ...]:
        """Return the nodes by their distance to `region`, then by name."""
        known = self._nearest.get(region)
        if known is None:
            geography = self._twin.geography
            found = [
                (distance, node)
                for node in geography.nodes
                if (distance := geography.distance_km(node, region)) is not None
            ]
            known = self._nearest[region] = tuple(node for _, node in sorted(found))
        return known

    def cheapest(self, region: str) -> tuple[tuple[float, str], ...]:
        """Return each node with its lower bound of cost to `region`, cents, the lowest first."""
        known = self._cheapest.get(region)
        if known is None:
            bounds = (
                (self.lane(node, region).least_cents, node) for node in self._twin.geography.nodes
            )
            known = self._cheapest[region] = tuple(sorted(bounds))
        return known

    def forget_all(self) -> None:
        """Drop all rates, to be made again on use."""
        self._lanes.clear()
        self._nearest.clear()
        self._cheapest.clear()

    def disrupted_s(self, service: ServiceId, region: str) -> int:
        """Return the extra transit by the worst reported trouble that applies, s."""
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
    """Return the cents of expected lateness: a fixed part for being late, and a part per hour."""
    return round(weights.late_fixed_cents * p_late + weights.late_hour_cents * late_s / 3600)
