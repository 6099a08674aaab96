"""Serving: the cost of a usual customer of a region, served from a node."""

from collections.abc import Collection
from math import inf

from msgspec import Struct

from operators.network.context import Context
from operators.prediction.lane_transit import Ratios
from operators.sourcing.outlook import Leads
from operators.sourcing.rates import (
    HandOver,
    LaneRates,
    Quote,
    expected_lateness,
    lateness_cents,
    sure_cents,
)
from state.policy import Weights

#: Cents of expected lateness of a parcel, for the four usual times from pickup to promise.
_Late = tuple[int, int, int, int]


class _Served(Struct):
    """Lateness of each quote between a node and a region, with the transit that it rests on."""

    lane: LaneRates
    ratios: list[Ratios | None]
    late: list[_Late | None]


class Serving:
    """Costs of parcels of one unit, in cents; inf where no service takes one.

    Each is a mean over usual times from a pickup to the promise, each by its cheapest service, on
    an average weekday. Trouble that carriers report is left out: it will have passed. Lateness is
    priced again where a lane's transit, a rate, the usual promise or the policy has changed, the
    first and the third in steps (`Outlook`): else each delivery would change it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._served: dict[tuple[str, str], _Served] = {}
        self._leads_s: Leads = (0, 0, 0, 0)
        self._weights: Weights | None = None

    def cents(self, node: str, region: str, kg: float) -> float:
        """Return the cost of a unit of `kg` from `node`."""
        context = self._context
        lane, weights = context.rates.lane(node, region), context.policy.weights
        if lane.node is None or not lane.quotes:
            return inf
        served = self._known(node, region, lane)
        handling = lane.node.handling_fixed_cents + lane.node.handling_unit_cents
        first = second = third = fourth = worst = inf
        for number, quote in enumerate(lane.quotes):
            if kg * 1000 > quote.max_weight_g:
                continue
            sure = sure_cents(quote, kg, handling, weights)
            if sure >= worst:
                continue  # even in time it costs more
            a, b, c, d = self._late(served, number, quote)
            first, second = min(first, sure + a), min(second, sure + b)
            third, fourth = min(third, sure + c), min(fourth, sure + d)
            worst = max(first, second, third, fourth)
        return (first + second + third + fourth) / 4

    def least_cents(self, nodes: Collection[str], region: str, kg: float) -> float:
        """Return the least cost of a unit of `kg` from any of `nodes`.

        Nodes with the lowest bounds come first, and rule out most of the others.
        """
        rates = self._context.rates
        best = inf
        for bound, node in rates.cheapest(region):
            if bound >= best:
                break
            if node in nodes and rates.lane(node, region).least(kg, 1) < best:
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
            nothing: list[_Late | None] = [None] * len(lane.quotes)
            served = self._served[node, region] = _Served(lane, [None] * len(lane.quotes), nothing)
        return served

    def _late(self, served: _Served, number: int, quote: Quote) -> _Late:
        """Return the cents of lateness of a quote, by usual time from pickup to promise."""
        ratios, late = self._context.outlook.usual_ratios(quote.lane), served.late[number]
        if late is None or ratios is not served.ratios[number]:
            late = served.late[number] = self._priced(served.lane, quote, ratios)
            served.ratios[number] = ratios
        return late

    def _priced(self, lane: LaneRates, quote: Quote, ratios: Ratios) -> _Late:
        assert lane.node is not None
        hand_over, weights = HandOver(0, ratios), self._context.policy.weights
        work_s = lane.node.handling_time_s
        a, b, c, d = (
            lateness_cents(*expected_lateness(quote, (lead_s - work_s) * 1000, hand_over), weights)
            for lead_s in self._leads_s
        )
        return a, b, c, d
