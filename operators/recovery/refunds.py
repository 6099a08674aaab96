"""Refunds: the cost of giving up goods, and the draft that pays a customer back."""

from msgspec import Struct

from operators.core.facts import Draft
from operators.core.wording import money
from operators.network.context import Context
from operators.sourcing.pricer import Lines
from state.actions import Alternative, LegLine, Refund
from state.events import OrderPlaced
from state.policy import Policy
from state.sums import int_sum
from state.twin import OpenOrder


class MoneyBack(Struct, frozen=True):
    """Goods paid back: the cents paid, and our cost by term."""

    lines: Lines
    cents: int
    terms: dict[str, int]

    @property
    def score(self) -> int:
        """Return the sum of the terms, in cents."""
        return int_sum(self.terms.values())


def money_back(placed: OrderPlaced, lines: Lines, policy: Policy) -> MoneyBack:
    """Return the price of paying `lines` of an order back; lines not ordered are worth nothing.

    The price is no cost: unsold goods are kept, or were lost already.
    """
    rules = policy.exceptions
    prices = {line.sku: line.unit_price_cents for line in placed.lines}
    price = int_sum(prices.get(sku, 0) * quantity for sku, quantity in lines)
    terms = {
        "lost margin": round(price * policy.margin_share),
        "lost goodwill": rules.lost_sale_cents,
    }
    return MoneyBack(lines, round(price * rules.refund_share), terms)


def refund(
    context: Context,
    order: OpenOrder,
    back: MoneyBack,
    reason: str,
    summary: str,
    alternatives: tuple[Alternative, ...] = (),
    causes: tuple[int, ...] = (),
) -> Draft:
    """Return the draft that pays `back`; the amount is added to `summary`, the reason."""
    cents = back.cents
    return Draft(
        decision=Refund(
            order=order.name,
            customer=order.placed.customer,
            cents=cents,
            reason=reason,
            lines=tuple(LegLine(sku=sku, quantity=quantity) for sku, quantity in back.lines),
        ),
        subject=order.name,
        correlation=order.name,
        summary=f"{summary} The customer gets {money(cents, context.policy.currency)} back.",
        terms=back.terms,
        value_cents=cents,
        causes=tuple(sorted({order.seq, *order.causes, *causes, context.seq})),
        alternatives=alternatives,
    )
