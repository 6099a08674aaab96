"""Serving: the cost of a usual customer of a region, served from a node."""

from collections.abc import Iterable
from math import inf

from operators.network.context import Context
from operators.sourcing.rates import HandOver, expected_lateness, lateness_cents, sure_cents


class Serving:
    """Costs of parcels of one unit at this instant, in cents; inf where no service takes one.

    Each is a mean over usual promises, each by its cheapest service. Trouble that carriers report
    is left out: it will have passed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def cents(self, node: str, region: str, kg: float) -> float:
        """Return the cost of a unit of `kg` from `node`."""
        context = self._context
        lane, weights = context.rates.lane(node, region), context.policy.weights
        if lane.node is None:
            return inf
        handling = lane.node.handling_fixed_cents + lane.node.handling_unit_cents
        ready_ms = context.now_ms + lane.node.handling_time_s * 1000
        ways = []
        for quote in lane.quotes:
            if kg * 1000 <= quote.max_weight_g:
                at_ms = quote.next_pickup(ready_ms)
                hand_over = HandOver(at_ms, context.outlook.transit_ratios(quote.lane, at_ms))
                ways.append((sure_cents(quote, kg, handling, weights), quote, hand_over))
        ways.sort(key=lambda way: way[0])
        total = 0.0
        slacks = context.outlook.usual_slacks()
        for slack_s in slacks:
            promised_ms = context.now_ms + round(slack_s * 1000)
            best = inf
            for sure, quote, hand_over in ways:
                if sure >= best:
                    break  # what follows costs more, even in time
                late = lateness_cents(*expected_lateness(quote, promised_ms, hand_over), weights)
                best = min(best, sure + late)
            total += best
        return total / len(slacks)

    def least_cents(self, nodes: Iterable[str], region: str, kg: float) -> float:
        """Return the least cost of a unit of `kg` from any of `nodes`.

        Nodes with the lowest bounds come first, and rule out most of the others.
        """
        rates = self._context.rates
        best = inf
        for bound, node in sorted((rates.lane(node, region).least(kg, 1), node) for node in nodes):
            if bound >= best:
                break
            best = min(best, self.cents(node, region, kg))
        return best
