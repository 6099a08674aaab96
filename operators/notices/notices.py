"""Notices: messages to customers on changes. Changes close together make one message.

A notice waits until its order has been quiet for a while (an event-time session window). So a risk
that passes is not notified, and a reroute after a delay is sent with its new date. A notified
customer gets another message only if the date slips materially.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.deadlines import Deadlines
from operators.core.facts import DelayOutcome, DelayRisk, Draft, NoAction, OrderMoved, PolicyInForce
from operators.core.wording import day, money
from operators.notices.last_call import Odds
from state.actions import Allocate, Confidence, Notify, Refund
from state.decision import Topic
from state.events import OrderPlaced
from state.policy import NEVER, Policy, is_reached
from state.policy import Notices as NoticeRules
from state.quantities import from_ms, to_ms

_VERSION = "notices/4"
#: Topics of notices that wait for quiet, in words that follow "Your order X".
TOPICS: dict[Topic, str] = {
    "delayed": "is delayed",
    "backordered": "has to wait for stock. We write when it leaves",
    "reshipped": "is on its way to you again",
}
_ENDED = ("cancelled", "delivered", "lost", "abandoned")
_WAITING = ("backordered", "unfillable")


class _Pending(Struct, array_like=True):
    """A notice that waits for quiet; `expected_ms` is None if the new date is not known."""

    topic: Topic
    expected_ms: int | None
    first_ms: int
    latest_ms: int
    causes: list[int]
    confidence: Confidence | None = None


class _Customer(Struct, array_like=True):
    """Customer of an order, the promise made, and the last notice sent.

    `notified_date_ms` is the arrival that the last notice gave, if any; `planned_ms` is the
    planned arrival of its last parcel.
    """

    customer: str
    promised_ms: int
    seq: int
    notified_topic: str = ""
    notified_date_ms: int | None = None
    pending: _Pending | None = None
    is_shipped: bool = False
    planned_ms: int | None = None
    # Parcels under way, with the latest prediction of each.
    odds: dict[str, Odds] = field(default_factory=dict)


class _Due(Struct, frozen=True, array_like=True, gc=False):
    """A deadline of an order: its notice has waited for quiet, or it is the last call."""

    what: Literal["quiet", "last call"]
    order: str


class _State(Struct):
    rules: NoticeRules
    notify_above: float
    currency: str
    orders: dict[str, _Customer] = field(default_factory=dict)
    deadlines: Deadlines[_Due] = field(default_factory=Deadlines[_Due])


class Notices(Operator):
    """Emits drafts of `notify`, and `NoAction` for a pending notice that no longer holds."""

    name = "notices"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy.notices, policy.delays.notify_above, policy.currency)

    def step(self, record: Record) -> list[Record]:
        """Take in risks and actions; pass every record on."""
        state = self._state
        out = self._fire(record) if state.deadlines.is_due(record.now_ms) else []
        out.append(record)
        take_in = _TAKE_IN.get(type(record.fact))
        if take_in is not None:
            out += take_in(self, record, record.fact)
        return out

    def _arrived(self, record: Record, arrived: DelayOutcome) -> Sequence[Record]:
        customer = self._state.orders.get(arrived.order)
        if customer is not None:
            customer.odds.pop(arrived.shipment, None)
        return ()

    def _moved(self, record: Record, moved: OrderMoved) -> Sequence[Record]:
        orders = self._state.orders
        if moved.after in _ENDED:
            orders.pop(moved.order, None)
            return ()
        customer = orders.get(moved.order)
        if customer is None:
            return ()
        if moved.after == "shipped":
            customer.is_shipped = True
        elif moved.before in _WAITING and moved.after not in _WAITING:
            customer.pending = None  # served before any notice
        return ()

    def _adopt(self, record: Record, changed: PolicyInForce) -> Sequence[Record]:
        state, policy = self._state, changed.policy
        state.rules, state.currency = policy.notices, policy.currency
        state.notify_above = policy.delays.notify_above
        return ()

    def _placed(self, record: Record, placed: OrderPlaced) -> Sequence[Record]:
        state, promised_ms = self._state, to_ms(placed.promised)
        if placed.order in state.orders:
            return ()
        state.orders[placed.order] = _Customer(placed.customer, promised_ms, record.seq)
        if state.rules.last_call_s:
            call_ms = promised_ms - state.rules.last_call_s * 1000
            # After planning, which this record does further up the chain.
            state.deadlines.set(max(call_ms, record.now_ms + 1), _Due("last call", placed.order))
        return ()

    def _risk(self, record: Record, risk: DelayRisk) -> Sequence[Record]:
        customer = self._state.orders.get(risk.order)
        if customer is None:
            return ()
        customer.odds[risk.shipment] = Odds.of(risk, record.now_ms)
        if not is_reached(risk.p_late, self._state.notify_above):
            if customer.pending is not None and customer.pending.topic == "delayed":
                customer.pending = None
            return ()
        self._await(record, risk.order, "delayed", risk.expected_ms, risk.confidence)
        return ()

    def _action(self, record: Record, draft: Draft) -> Sequence[Record]:
        state, decision = self._state, draft.decision
        match decision:
            case Allocate() if decision.order in state.orders:
                customer = state.orders[decision.order]
                customer.planned_ms = max(to_ms(leg.expected_delivery) for leg in decision.legs)
                customer.is_shipped = False
            case Refund() if decision.order in state.orders:
                return [record.derive(self._refunded(decision, draft, record.seq))]
            case _:
                self._changed(record, draft)
        return ()

    def _changed(self, record: Record, draft: Draft) -> None:
        """Open a notice of a decision's news, and forget a parcel that it gives up."""
        decision, order = draft.decision, draft.correlation or ""
        customer, news = self._state.orders.get(order), decision.news
        if customer is None or news is None:
            return
        if decision.gives_up:
            customer.odds.pop(decision.gives_up, None)
        if news.topic == "delayed" and self._state.notify_above >= NEVER:
            return
        expected_ms = None if news.expected is None else to_ms(news.expected)
        self._await(record, order, news.topic, expected_ms, draft.confidence)

    def _refunded(self, decision: Refund, draft: Draft, seq: int) -> Draft:
        """Return the notice of a refund, at once: the order and its pending notice may end."""
        customer = self._state.orders[decision.order]
        customer.pending = None
        customer.notified_topic = "refunded"
        amount = money(decision.cents, self._state.currency)
        gone = "We are sorry that we cannot deliver all of it" if decision.lines else "It came late"
        return Draft(
            decision=Notify(
                order=decision.order,
                customer=decision.customer,
                topic="refunded",
                promised=from_ms(customer.promised_ms),
                expected=None,
                message=f"Your order {decision.order}: {gone}. You get {amount} back.",
            ),
            subject=decision.order,
            correlation=decision.order,
            summary=f"{decision.customer} is told that {amount} of {decision.order} is paid back.",
            terms={},
            value_cents=0,
            causes=tuple(sorted({*draft.causes, seq})),
        )

    def _await(
        self,
        record: Record,
        order: str,
        topic: Topic,
        expected_ms: int | None,
        confidence: Confidence | None,
    ) -> None:
        """Open a notice, or let a change extend the one that is open."""
        customer = self._state.orders.get(order)
        if customer is None:
            return
        pending = customer.pending
        if pending is None:
            pending = customer.pending = _Pending(
                topic, expected_ms, record.now_ms, record.now_ms, []
            )
        pending.topic = topic
        pending.expected_ms = expected_ms
        pending.latest_ms = record.now_ms
        pending.confidence = confidence
        pending.causes = sorted({*pending.causes, record.seq})[-4:]
        due_ms = self._due_ms(pending, customer.promised_ms)
        self._state.deadlines.set(due_ms, _Due("quiet", order))

    def _due_ms(self, pending: _Pending, promised_ms: int) -> int:
        rules = self._state.rules
        quiet_ms = pending.latest_ms + rules.quiet_s * 1000
        due_ms = min(quiet_ms, pending.first_ms + rules.longest_wait_s * 1000)
        # After the promise has passed, a delay is no news any more.
        return min(due_ms, promised_ms - 1) if pending.first_ms < promised_ms else due_ms

    def _fire(self, record: Record) -> list[Record]:
        out: list[Record] = []
        for due, _ in self._state.deadlines.due(record.now_ms):
            what, order = due.what, due.order
            customer = self._state.orders.get(order)
            if customer is None:
                continue
            if what == "last call":
                self._last_call(record, customer)
            if customer.pending is None:
                continue
            if what == "quiet" and self._due_ms(customer.pending, customer.promised_ms) > (
                record.now_ms
            ):
                continue  # a later change extended the session; its own deadline follows
            pending, customer.pending = customer.pending, None
            out.append(record.derive(self._notify(order, customer, pending)))
        return out

    def _last_call(self, record: Record, customer: _Customer) -> None:
        """Judge an order once more before its promise; its notice waits for quiet no longer."""
        state = self._state
        if customer.notified_topic or state.notify_above >= NEVER:
            return
        promised_ms, now_ms = customer.promised_ms, record.now_ms
        late = [
            odds
            for odds in customer.odds.values()
            if is_reached(odds.p_late_by(now_ms, promised_ms), state.rules.last_call_above)
        ]
        if not late and customer.is_shipped:
            customer.pending = None
            return
        dates = [odds.date_after(promised_ms) for odds in late]
        if not customer.is_shipped:
            dates.append(customer.planned_ms)
        known = [ms for ms in dates if ms is not None and ms > promised_ms]
        expected_ms = max(known) if known else None
        causes = [*(customer.pending.causes if customer.pending else ()), record.seq]
        customer.pending = _Pending("delayed", expected_ms, now_ms, now_ms, causes)

    def _notify(self, order: str, customer: _Customer, pending: _Pending) -> Draft | NoAction:
        expected_ms = pending.expected_ms
        in_time = expected_ms is not None and expected_ms <= customer.promised_ms
        if in_time and not customer.notified_topic:
            return NoAction(kind="notify", about=order, reason="it will be in time after all")
        if not self._is_news(customer, pending):
            return NoAction(kind="notify", about=order, reason="the customer knows already")
        customer.notified_topic, customer.notified_date_ms = pending.topic, expected_ms
        new_date = f" We now expect it on {day(expected_ms)} UTC." if expected_ms else ""
        message = f"Your order {order} {TOPICS[pending.topic]}.{new_date}"
        return Draft(
            decision=Notify(
                order=order,
                customer=customer.customer,
                topic=pending.topic,
                promised=from_ms(customer.promised_ms),
                expected=from_ms(expected_ms) if expected_ms is not None else None,
                message=message,
            ),
            subject=order,
            correlation=order,
            summary=f"{customer.customer} is told that {order} is {pending.topic}: promised "
            f"{day(customer.promised_ms)}, "
            + (f"now expected {day(expected_ms)}." if expected_ms else "no date known yet."),
            terms={},
            value_cents=0,
            causes=tuple(sorted({customer.seq, *pending.causes})),
            confidence=pending.confidence,
            rests_on=("inventory",) if pending.topic == "backordered" else ("telemetry",),
        )

    def _is_news(self, customer: _Customer, pending: _Pending) -> bool:
        """Return whether it differs materially from the last notice."""
        if customer.notified_topic != pending.topic:
            return True
        if customer.notified_date_ms is None or pending.expected_ms is None:
            return customer.notified_date_ms is None and pending.expected_ms is not None
        return pending.expected_ms - customer.notified_date_ms > self._state.rules.material_s * 1000

    def snapshot(self) -> bytes:
        """Return orders and pending notices as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Restore the state of a snapshot."""
        self._state = unpack(_VERSION, data, _State)


#: Facts that concern customers. A table, not a match: it is read at every record.
_TAKE_IN: dict[type, Callable[[Notices, Record, Any], Sequence[Record]]] = {
    OrderPlaced: Notices._placed,
    OrderMoved: Notices._moved,
    Draft: Notices._action,
    DelayRisk: Notices._risk,
    DelayOutcome: Notices._arrived,
    PolicyInForce: Notices._adopt,
}
