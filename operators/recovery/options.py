"""Options for a parcel that is likely to be late, or that failed, with their prices.

Each option is a class that finds remedies for a parcel. A remedy is priced like waiting, as its
expected cost from now on in the same terms. `operators.recovery.remedies` lists all options.
"""

from msgspec.structs import replace

from operators.core.facts import DelayRisk
from operators.network.context import Context
from operators.prediction.lane_transit import Ratios
from operators.recovery.option_choice import Remedy, Reroutes, SendsAgain
from operators.recovery.refunds import MoneyBack, money_back
from operators.sourcing.pricer import Lines
from operators.sourcing.rates import HandOver, Parcel, Quote, lateness_cents, price
from state.actions import Reroute, Reship
from state.geography import freight_cents, nominal_transit_s
from state.keys import Ref, ServiceId
from state.policy import Weights
from state.sums import int_sum
from state.twin import OpenOrder, Shipment

#: Statuses in which a carrier can still move a parcel to another service.
_REROUTABLE = ("dispatched", "pending", "picked_up", "in_transit", "delivery_delayed", "on_hold")
#: Least distance of P10 and P90 of the remaining transit from its median, relative to it.
_REMAINING_SPREAD = 0.45


class Option:
    """Base of all options. An option without remedies in a case leaves that method out."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def for_delay(
        self, order: OpenOrder, risk: DelayRisk, shipment: Shipment, waiting_cents: int
    ) -> list[Remedy]:
        """Return remedies for a parcel that is likely to be late; none costs less than 0."""
        return []

    def for_failure(
        self, order: OpenOrder, shipment: Shipment, reason: str, whole: MoneyBack
    ) -> list[Remedy]:
        """Return remedies for a parcel that failed; `whole` is the price of paying it all back.

        Called while the order stands and was not sent again too often.
        """
        return []

    def _is_off(self, kind: str) -> bool:
        """Return whether the policy switches `kind` off, so that it is no remedy."""
        return self._context.policy.governance.is_off(kind)


class Rerouting(Option):
    """Rerouting: another service of the parcel's carrier."""

    def for_delay(
        self, order: OpenOrder, risk: DelayRisk, shipment: Shipment, waiting_cents: int
    ) -> list[Remedy]:
        """Return faster services of the same carrier, for the rest of the way."""
        if shipment.status not in _REROUTABLE or self._is_off(Reroute.verb):
            return []
        context, shipped = self._context, shipment.dispatched
        current = context.twin.geography.services[ServiceId(shipped.carrier, shipped.service)]
        distance = context.twin.geography.distance_km(shipped.node, shipped.region)
        if distance is None:
            return []
        nominal_s = max(nominal_transit_s(current, distance), 1.0)
        left = min(1.0, max(0.0, (risk.expected_ms - context.now_ms) / 1000 / nominal_s))
        parcel = Parcel(shipped.node, shipped.weight_g / 1000, 0, risk.promised_ms)
        remedies = []
        for quote in context.rates.lane(shipped.node, shipped.region).quotes:
            if quote.service.carrier != shipped.carrier or quote.nominal_s >= nominal_s:
                continue
            if shipped.weight_g > quote.max_weight_g:
                continue
            ratios = context.outlook.transit_ratios(quote.lane, context.now_ms)
            sent = price(
                _for_rest(quote, left),
                parcel,
                HandOver(context.now_ms, _widened(ratios)),
                context.policy.weights,
            )
            terms = {
                "freight": sent.freight,
                "expected lateness": sent.lateness,
                "carbon": sent.carbon,
            }
            act = Reroutes(quote.service, sent.expected_ms)
            remedies.append(Remedy(f"moving it to {quote.service}", terms, act))
        return remedies


def _for_rest(quote: Quote, left: float) -> Quote:
    """Return a quote for the share `left` of the way; freight is charged in full."""
    carbon_kg_per_kg = quote.carbon_kg_per_kg * left
    return replace(quote, nominal_s=quote.nominal_s * left, carbon_kg_per_kg=carbon_kg_per_kg)


def _widened(ratios: Ratios) -> Ratios:
    """Return transit ratios of the remaining way, whose relative spread is wider."""
    low = min(ratios.p10, ratios.p50 * (1.0 - _REMAINING_SPREAD))
    high = max(ratios.p90, ratios.p50 * (1.0 + _REMAINING_SPREAD))
    return Ratios(low, ratios.p50, high)


class SendingAgain(Option):
    """Sending the parcel's lines again, in one parcel from any node, as far as there is stock."""

    def for_delay(
        self, order: OpenOrder, risk: DelayRisk, shipment: Shipment, waiting_cents: int
    ) -> list[Remedy]:
        """Return plans for all lines, unless recalling the parcel alone costs too much."""
        if self._least_reship(risk, shipment) >= waiting_cents:
            return []
        return self._reships(order, shipment, lines_of(shipment))

    def for_failure(
        self, order: OpenOrder, shipment: Shipment, reason: str, whole: MoneyBack
    ) -> list[Remedy]:
        """Return plans for all lines, else for those in stock; each may fail again."""
        rules, wanted = self._context.policy.exceptions, lines_of(shipment)
        fails = {"refused": rules.again_refused, "address": rules.again_address}
        risk = round(fails.get(reason, rules.again_lost) * whole.score)
        found = self._reships(order, shipment, wanted) or self._parts(order, shipment, wanted)
        remedies = []
        for remedy in found:
            terms = {**_without(remedy.terms, "recall"), "failing again": risk}
            remedies.append(Remedy(remedy.label, terms, remedy.act, remedy.back))
        return remedies

    def _reships(self, order: OpenOrder, shipment: Shipment, lines: Lines) -> list[Remedy]:
        """Return plans to send `lines` again in one parcel; the parcel given up travels back."""
        context = self._context
        if not lines or any(sku not in context.twin.skus for sku, _ in lines):
            return []
        if Ref("order", order.name) in context.twin.holds or self._is_off(Reship.verb):
            return []
        choice = context.sourcing.decide(order.placed, lines, context.now_ms, order.excluded)
        if choice.plan is None:
            return []
        recall = self._recall(shipment)
        is_by_cost = context.policy.sourcing.rule == "least_cost"
        remedies = []
        # A rule's runners-up may be cheaper, but are no remedies by that rule.
        for plan in (choice.plan, *(choice.runners_up if is_by_cost else ())):
            if len(plan.legs) == 1:
                label = f"sending it again from {plan.describe()}"
                terms = {**plan.terms(), "recall": recall}
                if not is_by_cost:  # a rule prices no lateness, but waiting does
                    sent = plan.legs[0].option
                    late = late_cents(
                        sent.p_late, sent.expected_ms, order.promised_ms, context.policy.weights
                    )
                    terms["expected lateness"] = late
                remedies.append(Remedy(label, terms, SendsAgain(plan)))
        return remedies

    def _parts(self, order: OpenOrder, shipment: Shipment, wanted: Lines) -> list[Remedy]:
        """Return plans to send the lines in stock, and pay the rest back."""
        rules = self._context.policy.sourcing
        there: dict[str, int] = {}
        for sku, quantity in wanted:
            positions = self._context.twin.stock.get(sku, {}).values()
            units = int_sum(position.promisable(rules.safety_stock) for position in positions)
            if units:
                there[sku] = min(units, quantity)
        rest = tuple((sku, q - there.get(sku, 0)) for sku, q in wanted if q > there.get(sku, 0))
        if not there or not rest:
            return []
        back = money_back(order.placed, rest, self._context.policy)
        return [
            Remedy(f"{sent.label}, as far as there is", sent.terms | back.terms, sent.act, back)
            for sent in self._reships(order, shipment, tuple(there.items()))
        ]

    def _least_reship(self, risk: DelayRisk, shipment: Shipment) -> int:
        """Return the least cents of sending it again, to skip pricing where it cannot pay."""
        is_broken = self._context.now_ms >= risk.promised_ms
        late = round(self._context.policy.weights.late_fixed_cents) if is_broken else 0
        return self._recall(shipment) + late

    def _recall(self, shipment: Shipment) -> int:
        """Return the freight in cents of bringing a parcel back."""
        shipped, geography = shipment.dispatched, self._context.twin.geography
        distance = geography.distance_km(shipped.node, shipped.region) or 0.0
        service = geography.services[ServiceId(shipped.carrier, shipped.service)]
        return freight_cents(service, distance, shipped.weight_g)


def late_cents(p_late: float, expected_ms: int, promised_ms: int, weights: Weights) -> int:
    """Return the expected lateness of a parcel, in cents."""
    late_s = max(0.0, (expected_ms - promised_ms) / 1000)
    return lateness_cents(p_late, late_s * p_late, weights)


def lines_of(shipment: Shipment) -> Lines:
    """Return a parcel's lines, each SKU once."""
    wanted: dict[str, int] = {}
    for line in shipment.dispatched.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return tuple(wanted.items())


def _without(terms: dict[str, int], name: str) -> dict[str, int]:
    return {term: cents for term, cents in terms.items() if term != name}
