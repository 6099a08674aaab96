"""Serving: the cost of a usual customer of a region, served from a node."""

from collections.abc import Collection
from math import ceil, inf

from msgspec import Struct, field

from operators.core.facts import LaneOutlook
from operators.network.context import Context
from operators.prediction.lane_transit import Ratios
from operators.sourcing.outlook import Leads
from operators.sourcing.rates import (
    HandOver,
    LaneRates,
    Quote,
    expected_lateness,
    handling_cents,
    sure_cents,
)
from state.keys import Lane, ServiceId
from state.policy import Weights

#: Weight classes per kg, and up to which weight, kg, there are classes.
_CLASSES_PER_KG, _CLASSED_KG = 4, 5.0
#: Cents of expected lateness of a parcel, for the four usual times from pickup to promise.
_Late = tuple[int, int, int, int]


class _Served(Struct):
    """Costs between a node and a region: lateness of each quote, and all of it by weight, kg."""

    lane: LaneRates
    late: list[_Late | None]
    by_kg: dict[float, float] = field(default_factory=dict)

    def forget(self, service: ServiceId) -> None:
        """Forget the lateness of a service."""
        for number, quote in enumerate(self.lane.quotes):
            if quote.service == service and self.late[number] is not None:
                self.late[number] = None
                self.by_kg.clear()


class Serving:
    """Costs of parcels of one unit, in cents; inf where no service takes one.

    Each is a mean over usual times from a pickup to the promise, each by its cheapest service, on
    an average weekday, for the unit's weight, to the next quarter of a kg if it is light. Trouble
    that carriers report is left out: it will have passed. A cost is kept until a rate, the policy,
    the usual promise or a lane's usual transit changes; the last two change in steps (`Outlook`).
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._served: dict[tuple[str, str], _Served] = {}
        self._usual: dict[Lane, Ratios] = {}
        self._leads_s: Leads = (0, 0, 0, 0)
        self._weights: Weights | None = None

    def learned(self, fact: LaneOutlook) -> None:
        """Forget what rested on the transit of a lane, or a service, if it took a step."""
        lane, usual = fact.lane, self._context.outlook.usual_lanes
        if usual.get(lane) is self._usual.get(lane):
            return
        self._usual[lane] = usual[lane]
        if lane.node:
            known = self._served.get((lane.node, lane.region))
            if known is not None:
                known.forget(lane.service)
            return
        for (node, region), served in self._served.items():
            if Lane(lane.service, node, region) not in usual:
                served.forget(lane.service)

    def cents(self, node: str, region: str, kg: float) -> float:
        """Return the cost of a unit of `kg` from `node`."""
        lane = self._context.rates.lane(node, region)
        served = self._known(node, region, lane)
        if kg <= _CLASSED_KG:
            kg = ceil(kg * _CLASSES_PER_KG) / _CLASSES_PER_KG
        cents = served.by_kg.get(kg)
        if cents is None:
            cents = served.by_kg[kg] = self._mean(served, kg)
        return cents

    def least_cents(self, nodes: Collection[str], region: str, kg: float) -> float:
        """Return the least cost of a unit of `kg` from any of `nodes`.

        Nodes with the lowest bounds come first, and rule out most of the others.
        """
        best = inf
        for bound, node in self._context.rates.cheapest(region):
            if bound >= best:
                break
            if node in nodes:
                best = min(best, self.cents(node, region, kg))
        return best

    def _known(self, node: str, region: str, lane: LaneRates) -> _Served:
        """Return what is known between a node and a region, as far as it still holds."""
        outlook, weights = self._context.outlook, self._context.policy.weights
        if outlook.leads_s is not self._leads_s or weights is not self._weights:
            self._served.clear()
            self._leads_s, self._weights = outlook.leads_s, weights
        served = self._served.get((node, region))
        if served is None or served.lane is not lane:
            served = self._served[node, region] = _Served(lane, [None] * len(lane.quotes))
        return served

    def _mean(self, served: _Served, kg: float) -> float:
        """Return the mean over usual promises of the cheapest quote."""
        lane, weights = served.lane, self._context.policy.weights
        if lane.node is None:
            return inf
        handling = handling_cents(lane.node, 1)
        first = second = third = fourth = worst = inf
        for number, quote in enumerate(lane.quotes):
            if kg * 1000 > quote.max_weight_g:
                continue
            sure = sure_cents(quote, kg, handling, weights)
            if sure >= worst:
                continue  # even in time it costs more
            late = served.late[number]
            if late is None:
                late = served.late[number] = self._late(lane, quote)
            first, second = min(first, sure + late[0]), min(second, sure + late[1])
            third, fourth = min(third, sure + late[2]), min(fourth, sure + late[3])
            worst = max(first, second, third, fourth)
        return (first + second + third + fourth) / 4

    def _late(self, lane: LaneRates, quote: Quote) -> _Late:
        """Return the cents of lateness of a quote, by usual time from pickup to promise."""
        assert lane.node is not None
        work_s, weights = lane.node.handling_time_s, self._context.policy.weights
        hand_over = HandOver(0, self._context.outlook.usual_ratios(quote.lane))
        a, b, c, d = (
            expected_lateness(quote, (lead_s - work_s) * 1000, hand_over, weights).cents
            for lead_s in self._leads_s
        )
        return a, b, c, d
