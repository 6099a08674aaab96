"""Remedies: what may be done for a parcel that is likely to be late, or that is lost.

Each remedy is priced as its expected cost from now on, in the same money terms, beside waiting.
The cheapest is taken; if that is waiting, nothing is done and the reason is kept.
"""

from operators.core.facts import DelayRisk, Derived, Draft, Inert
from operators.core.wording import day, money
from operators.network.case_book import PARCEL_KINDS
from operators.network.context import Floor
from operators.network.legs import commit
from operators.prediction.two_piece_normal import lateness
from operators.recovery.option_choice import (
    Remedy,
    Reroutes,
    choose,
    ranked,
    remedy_switches,
    waiting,
)
from operators.recovery.refunds import MoneyBack, money_back, refund
from operators.sourcing.explanation import legs
from operators.sourcing.least_cost import Plan
from operators.sourcing.pricer import Lines
from operators.sourcing.rates import lateness_cents
from state.actions import Alternative, Benefit, Confidence, Reroute, Reship, Switch
from state.geography import carbon_gco2e, freight_cents, nominal_transit_s
from state.keys import Lane, Ref, ServiceId
from state.quantities import from_ms
from state.sums import int_sum
from state.twin import OpenOrder, Shipment

#: Stages from which a carrier can still move a parcel to another service.
_REROUTABLE = ("dispatched", "pending", "picked_up", "in_transit", "delivery_delayed", "on_hold")
#: The least that P10 and P90 of what remains are off its median, relative to it.
_REMAINING_SPREAD = 0.45
_RESTS_ON = ("telemetry",)


class Remedies:
    """Prices remedies on the twin, and reserves the stock for the one it takes."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def for_delay(self, order: OpenOrder, risk: DelayRisk, shipment: Shipment) -> list[Derived]:
        """The cheapest of waiting, rerouting and reshipping; nothing if that is waiting."""
        waiting = self._wait(risk)
        remedies = [waiting, *self._reroutes(risk, shipment)]
        if self._least_reship(risk, shipment) < waiting.score:
            remedies += self._reships(order, shipment, _lines_of(shipment))
        remedies = ranked(remedies)
        best = choose(remedies, self._floor.policy.delays.least_gain_cents)
        if best is waiting:
            reason = "waiting is cheapest" if remedies[0] is waiting else "too little to gain"
            is_priced = len(remedies) > 1
            reason = reason if is_priced else "there is no alternative"
            return [Inert(kind="reroute", about=risk.shipment, reason=reason, prevented=is_priced)]
        summary = (
            f"{risk.shipment} of {order.name} is {risk.p_late:.0%} likely to be late "
            f"(expected {day(risk.expected_ms)}, promised {day(risk.promised_ms)}). "
            f"{_sentence(best.label)} costs {money(best.score, self._floor.policy.currency)}, "
            f"waiting {money(waiting.score, self._floor.policy.currency)}."
        )
        benefit = Benefit(
            expected_cents=waiting.score - best.score,
            nothing_cents=waiting.score,
            saves_s=round((risk.expected_ms - _arrival_ms(best)) / 1000),
        )
        return self._take(
            order, risk.shipment, shipment, best, remedies, summary, risk.confidence, benefit
        )

    def make_good(
        self, order: OpenOrder, name: str, shipment: Shipment, reason: str
    ) -> list[Derived]:
        """For a parcel that failed: send it again, send what there is of it, or pay it back."""
        floor = self._floor
        rules, currency = floor.policy.exceptions, floor.policy.currency
        wanted = _lines_of(shipment)
        whole = money_back(order.placed, wanted, rules)
        paid_back = Remedy("paying it back", whole.terms, None, whole)
        remedies = [paid_back]
        if not order.is_withdrawn and order.sent_again < rules.most_attempts:
            fails = {"refused": rules.again_refused, "address": rules.again_address}
            risk = round(fails.get(reason, rules.again_lost) * whole.score)
            again = self._reships(order, shipment, wanted) or self._parts(order, shipment, wanted)
            for remedy in again:
                terms = {**_without(remedy.terms, "recall"), "failing again": risk}
                remedies.append(Remedy(remedy.label, terms, remedy.act, remedy.back))
        remedies = ranked(remedies)
        is_by_cost = floor.policy.sourcing.rule == "least_cost"
        # A rule sends again whatever it can: it weighs nothing.
        best = next(r for r in remedies if is_by_cost or r.act or len(remedies) == 1)
        summary = (
            f"{name} of {order.name} failed: {reason}. {_sentence(best.label)} costs "
            f"{money(best.score, currency)}"
        )
        if best is not paid_back:
            summary += f", paying it back {money(whole.score, currency)}"
        return self._take(order, name, shipment, best, remedies, f"{summary}.", None)

    def _parts(self, order: OpenOrder, shipment: Shipment, wanted: Lines) -> list[Remedy]:
        """Sending what there is of a parcel, and paying the rest back."""
        rules = self._floor.policy.sourcing
        there: dict[str, int] = {}
        for sku, quantity in wanted:
            positions = self._floor.twin.stock.get(sku, {}).values()
            units = int_sum(position.promisable(rules.safety_stock) for position in positions)
            if units:
                there[sku] = min(units, quantity)
        rest = tuple((sku, q - there.get(sku, 0)) for sku, q in wanted if q > there.get(sku, 0))
        if not there or not rest:
            return []
        back = money_back(order.placed, rest, self._floor.policy.exceptions)
        return [
            Remedy(f"{sent.label}, as far as there is", sent.terms | back.terms, sent.act, back)
            for sent in self._reships(order, shipment, tuple(there.items()))
        ]

    def _wait(self, risk: DelayRisk) -> Remedy:
        cents = self._late_cents(risk.p_late, risk.expected_ms, risk.promised_ms)
        return waiting(cents)

    def _late_cents(self, p_late: float, expected_ms: int, promised_ms: int) -> int:
        late_s = max(0.0, (expected_ms - promised_ms) / 1000)
        return lateness_cents(p_late, late_s * p_late, self._floor.policy.weights)

    def _reroutes(self, risk: DelayRisk, shipment: Shipment) -> list[Remedy]:
        """Faster services of the same carrier, for the rest of the way."""
        if shipment.status not in _REROUTABLE or self._is_off(Reroute.verb):
            return []
        floor, shipped = self._floor, shipment.dispatched
        geography, weights = floor.twin.geography, floor.policy.weights
        distance = geography.distance_km(shipped.node, shipped.region)
        current = geography.services[ServiceId(shipped.carrier, shipped.service)]
        if distance is None:
            return []
        nominal_s = max(nominal_transit_s(current, distance), 1.0)
        left = min(1.0, max(0.0, (risk.expected_ms - floor.now_ms) / 1000 / nominal_s))
        slack_s = (risk.promised_ms - floor.now_ms) / 1000
        remedies = []
        for name, service in geography.services.items():
            faster_s = nominal_transit_s(service, distance)
            if name.carrier != shipped.carrier or faster_s >= nominal_s:
                continue
            if name in geography.withdrawn or Ref.service(name) in floor.twin.holds:
                continue
            if shipped.weight_g > service.max_weight_g or (
                service.max_distance_km and distance > service.max_distance_km
            ):
                continue
            lane = Lane(name, shipped.node, shipped.region)
            ratios = floor.outlook.transit_ratios(lane, floor.now_ms)
            p50_s = faster_s * ratios.p50 * left
            # What remains is wider, relative to itself, than the whole.
            low, high = ratios.p10 / ratios.p50, ratios.p90 / ratios.p50
            p_late, late_s = lateness(
                slack_s,
                p50_s * min(low, 1.0 - _REMAINING_SPREAD),
                p50_s,
                p50_s * max(high, 1.0 + _REMAINING_SPREAD),
            )
            grams = carbon_gco2e(service, distance * left, shipped.weight_g)
            terms = {
                "freight": freight_cents(service, distance, shipped.weight_g),
                "expected lateness": lateness_cents(p_late, late_s, weights),
                "carbon": round(grams / 1000 * weights.carbon_kg_cents),
            }
            act = Reroutes(name, floor.now_ms + round(p50_s * 1000))
            remedies.append(Remedy(f"moving it to {name}", terms, act))
        return remedies

    def _reships(self, order: OpenOrder, shipment: Shipment, lines: Lines) -> list[Remedy]:
        """Sending these lines again in one parcel; the parcel given up travels back."""
        floor = self._floor
        if not lines or any(sku not in floor.twin.skus for sku, _ in lines):
            return []
        if Ref("order", order.name) in floor.twin.holds or self._is_off(Reship.verb):
            return []
        choice = floor.sourcing.decide(order.placed, lines, floor.now_ms, order.excluded)
        if choice.plan is None:
            return []
        recall = self._recall(shipment)
        is_by_cost = floor.policy.sourcing.rule == "least_cost"
        remedies = []
        # What a rule puts behind its choice may be cheaper, but is no remedy by that rule.
        for plan in (choice.plan, *(choice.runners_up if is_by_cost else ())):
            if len(plan.legs) == 1:
                label = f"sending it again from {plan.describe()}"
                terms = {**plan.terms(), "recall": recall}
                if not is_by_cost:  # a rule prices no lateness, but waiting is compared with it
                    sent = plan.legs[0].option
                    late = self._late_cents(sent.p_late, sent.expected_ms, order.promised_ms)
                    terms["expected lateness"] = late
                remedies.append(Remedy(label, terms, plan))
        return remedies

    def _is_off(self, kind: str) -> bool:
        """Whether the policy switches `kind` off: then it is no remedy, and nothing is held."""
        return self._floor.policy.governance.is_off(kind)

    def _least_reship(self, risk: DelayRisk, shipment: Shipment) -> int:
        """What sending it again costs at least, in cents: spares pricing what cannot pay."""
        is_broken = self._floor.now_ms >= risk.promised_ms
        late = round(self._floor.policy.weights.late_fixed_cents) if is_broken else 0
        return self._recall(shipment) + late

    def _recall(self, shipment: Shipment) -> int:
        """Freight in cents of bringing a parcel back."""
        shipped, geography = shipment.dispatched, self._floor.twin.geography
        distance = geography.distance_km(shipped.node, shipped.region) or 0.0
        service = geography.services[ServiceId(shipped.carrier, shipped.service)]
        return freight_cents(service, distance, shipped.weight_g)

    def _take(
        self,
        order: OpenOrder,
        name: str,
        shipment: Shipment,
        best: Remedy,
        remedies: list[Remedy],
        summary: str,
        confidence: Confidence | None,
        benefit: Benefit | None = None,
    ) -> list[Derived]:
        floor, shipped = self._floor, shipment.dispatched
        others = [remedy for remedy in remedies if remedy is not best]
        shown = tuple(
            Alternative(option=r.label, score_cents=r.score, terms=r.terms)
            for r in others[: floor.policy.sourcing.alternatives]
        )
        flips: tuple[Switch, ...] = ()
        if floor.policy.sourcing.rule == "least_cost":
            least_gain = floor.policy.delays.least_gain_cents
            flips = remedy_switches(best, others, least_gain, floor.policy.currency)
        out: list[Derived] = []
        if best.back is not None and not best.back.cents:
            reason = "there is nothing to pay back"
            out.append(Inert(kind="refund", about=name, reason=reason))
        elif best.back is not None:
            out.append(self._pay_back(order, name, shipment, best.back, summary, shown))
        if best.act is None and best.back is not None:
            return out
        paid = best.back.terms if best.back is not None else {}
        terms = {term: cents for term, cents in best.terms.items() if term not in paid}
        decision: Reship | Reroute
        if isinstance(best.act, Plan):
            for sku, quantity in best.act.legs[0].lines:
                order.lines[sku].ordered += quantity
            commit(floor, order, best.act, name)
            decision = Reship(order=order.name, shipment=name, leg=legs(best.act)[0])
            shipment.remedy = "reship"
        else:
            assert isinstance(best.act, Reroutes)
            decision = Reroute(
                order=order.name,
                shipment=name,
                carrier=shipped.carrier,
                from_service=shipped.service,
                to_service=best.act.service.service,
                expected_delivery=from_ms(best.act.expected_ms),
            )
            shipment.remedy = "reroute"
        return [
            *out,
            Draft(
                decision=decision,
                subject=name,
                correlation=order.name,
                summary=summary,
                terms=terms,
                value_cents=int_sum(terms.values()),
                causes=tuple(sorted({order.seq, shipment.seq, floor.seq})),
                alternatives=shown,
                confidence=confidence,
                flips_if=flips,
                deadline_ms=max(floor.now_ms, shipment.promised_ms),
                rests_on=_RESTS_ON,
                benefit=benefit,
            ),
        ]

    def _pay_back(
        self,
        order: OpenOrder,
        name: str,
        shipment: Shipment,
        back: MoneyBack,
        summary: str,
        shown: tuple[Alternative, ...],
    ) -> Draft:
        is_asked = self._floor.policy.governance.asks_a_person("refund", back.cents)
        for kind in PARCEL_KINDS:
            self._floor.cases.act(kind, name, needs_person=is_asked)
        causes = (shipment.seq,)
        return refund(self._floor, order, back, "not delivered", summary, shown, causes)


def _arrival_ms(remedy: Remedy) -> int:
    """When the parcel is expected by it."""
    if isinstance(remedy.act, Plan):
        return remedy.act.legs[0].option.expected_ms
    assert isinstance(remedy.act, Reroutes)
    return remedy.act.expected_ms


def _sentence(label: str) -> str:
    """`label` with a capital, names in it left alone."""
    return label[0].upper() + label[1:]


def _without(terms: dict[str, int], name: str) -> dict[str, int]:
    return {term: cents for term, cents in terms.items() if term != name}


def _lines_of(shipment: Shipment) -> Lines:
    """What is in a parcel, each SKU once."""
    wanted: dict[str, int] = {}
    for line in shipment.dispatched.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return tuple(wanted.items())
