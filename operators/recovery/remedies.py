"""Remedies: the cheapest option for a parcel that is likely to be late, or that failed.

If that is waiting, nothing is done and the reason is kept.
"""

from operators.core.facts import DelayRisk, Derived, Draft, ExceptionKind, NoAction
from operators.core.wording import day, money
from operators.network.context import Context
from operators.recovery.option_choice import Remedy, choose, ranked, remedy_switches, waiting
from operators.recovery.options import Option, Rerouting, SendingAgain, late_cents, lines_of
from operators.recovery.refunds import MoneyBack, money_back, refund
from state.actions import Alternative, Benefit, Confidence, Switch
from state.sums import int_sum
from state.twin import OpenOrder, Shipment

#: All options, in the sequence in which they are tried.
OPTIONS: tuple[type[Option], ...] = (Rerouting, SendingAgain)
#: Exception kind by the reason why a parcel failed.
EXCEPTION_OF: dict[str, ExceptionKind] = {
    "lost": "lost",
    "damaged": "damage",
    "refused": "failed_delivery",
    "returned": "failed_delivery",
    "other": "failed_delivery",
    "address": "address",
}
_RESTS_ON = ("telemetry",)


class Remedies:
    """Prices options on the twin, chooses one, and carries it out."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._options = tuple(option(context) for option in OPTIONS)

    def for_delay(self, order: OpenOrder, risk: DelayRisk, shipment: Shipment) -> list[Derived]:
        """Take the cheapest of waiting and all options; do nothing if that is waiting."""
        waiting = self._wait(risk)
        remedies = [waiting]
        for option in self._options:
            remedies += option.for_delay(order, risk, shipment, waiting.score)
        remedies = ranked(remedies)
        best = choose(remedies, self._context.policy.delays.least_gain_cents)
        if best is waiting:
            reason = "waiting is cheapest" if remedies[0] is waiting else "too little to gain"
            is_priced = len(remedies) > 1
            reason = reason if is_priced else "there is no alternative"
            return [
                NoAction(kind="reroute", about=risk.shipment, reason=reason, prevented=is_priced)
            ]
        summary = (
            f"{risk.shipment} of {order.name} is {risk.p_late:.0%} likely to be late "
            f"(expected {day(risk.expected_ms)}, promised {day(risk.promised_ms)}). "
            f"{_sentence(best.label)} costs {money(best.score, self._context.policy.currency)}, "
            f"waiting {money(waiting.score, self._context.policy.currency)}."
        )
        assert best.act is not None
        benefit = Benefit(
            expected_cents=waiting.score - best.score,
            nothing_cents=waiting.score,
            saves_s=round((risk.expected_ms - best.act.expected_ms) / 1000),
        )
        return self._take(
            order, risk.shipment, shipment, best, remedies, summary, risk.confidence, benefit
        )

    def make_good(
        self, order: OpenOrder, name: str, shipment: Shipment, reason: str
    ) -> list[Derived]:
        """Take the cheapest of all options for a parcel that failed, and of paying it back."""
        context = self._context
        rules, currency = context.policy.exceptions, context.policy.currency
        whole = money_back(order.placed, lines_of(shipment), context.policy)
        paid_back = Remedy("paying it back", whole.terms, None, whole)
        remedies = [paid_back]
        if not order.is_withdrawn and order.sent_again < rules.most_attempts:
            for option in self._options:
                remedies += option.for_failure(order, shipment, reason, whole)
        remedies = ranked(remedies)
        is_by_cost = context.policy.sourcing.rule == "least_cost"
        # A rule weighs nothing: it sends again whatever it can.
        best = next(r for r in remedies if is_by_cost or r.act or len(remedies) == 1)
        summary = (
            f"{name} of {order.name} failed: {reason}. {_sentence(best.label)} costs "
            f"{money(best.score, currency)}"
        )
        if best is not paid_back:
            summary += f", paying it back {money(whole.score, currency)}"
        return self._take(order, name, shipment, best, remedies, f"{summary}.", None)

    def _wait(self, risk: DelayRisk) -> Remedy:
        weights = self._context.policy.weights
        return waiting(late_cents(risk.p_late, risk.expected_ms, risk.promised_ms, weights))

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
        context = self._context
        others = [remedy for remedy in remedies if remedy is not best]
        shown = tuple(
            Alternative(option=r.label, score_cents=r.score, terms=r.terms)
            for r in others[: context.policy.sourcing.alternatives]
        )
        flips: tuple[Switch, ...] = ()
        if context.policy.sourcing.rule == "least_cost":
            least_gain = context.policy.delays.least_gain_cents
            flips = remedy_switches(best, others, least_gain, context.policy.currency)
        out: list[Derived] = []
        if best.back is not None and not best.back.cents:
            reason = "there is nothing to pay back"
            out.append(NoAction(kind="refund", about=name, reason=reason))
        elif best.back is not None:
            out.append(self._pay_back(order, name, shipment, best.back, summary, shown))
        if best.act is None:
            return out
        paid = best.back.terms if best.back is not None else {}
        terms = {term: cents for term, cents in best.terms.items() if term not in paid}
        decision = best.act.carry_out(context, order, name, shipment)
        shipment.remedy = decision.verb
        return [
            *out,
            Draft(
                decision=decision,
                subject=name,
                correlation=order.name,
                summary=summary,
                terms=terms,
                value_cents=int_sum(terms.values()),
                causes=tuple(sorted({order.seq, shipment.seq, context.seq})),
                alternatives=shown,
                confidence=confidence,
                flips_if=flips,
                deadline_ms=max(context.now_ms, shipment.promised_ms),
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
        is_asked = self._context.policy.governance.asks_a_person("refund", back.cents)
        for kind in dict.fromkeys(EXCEPTION_OF.values()):
            self._context.cases.act(kind, name, needs_person=is_asked)
        causes = (shipment.seq,)
        return refund(self._context, order, back, "not delivered", summary, shown, causes)


def _sentence(label: str) -> str:
    """Return `label` with a capital first letter; the names in it stay as they are."""
    return label[0].upper() + label[1:]
