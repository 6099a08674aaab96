"""Rejections: an action was rejected or failed. Its effect is undone, and another plan is sought.

A rejection names the action's id. The gate matches proposals (`ProposalClosed`). For other actions
the id's `seq` is the record that decided it; if that record decided several things, the rejection's
own `kind` and `order` tell them apart.
"""

from operators.core.facts import Derived, Draft, NoAction, ProposalClosed, Refused
from operators.network.context import Context
from operators.network.legs import give_up
from operators.orders.order_desk import OrderDesk
from state.actions import Allocate, Escalate, Refund, Reroute, Reship
from state.events import ActionFailed, ActionRejected
from state.keys import ActionId, ServiceId
from state.sums import int_sum
from state.twin import OpenOrder, PlannedLeg

#: Records kept per order, by which its latest decisions are found.
_MOST_DECIDED = 8


class Rejections:
    """Keeps the decisions of records on open orders, and undoes them."""

    def __init__(self, context: Context, orders: OrderDesk) -> None:
        self._context, self._orders = context, orders

    def decided(self, drafts: list[Derived]) -> None:
        """Remember the decisions of the record in hand on open orders."""
        for each in drafts:
            if isinstance(each, Draft) and each.correlation in self._context.twin.orders:
                self._remember(each.correlation, each.decision.verb, self._context.seq)

    def refused(self, fact: Refused) -> list[Derived]:
        """Undo a rejected decision, and source the order again without the rejecting node."""
        refused = fact.refusal
        found = [
            (name, kind, seq)
            for name, kind, seq in self._context.state.decided.get(self._record_of(refused), ())
            if refused.order in (None, name) and refused.kind in ("", kind)
            if (name, kind) not in fact.proposed
        ]
        if len(found) != 1 or self._may_be_a_transfer(refused):
            reason = (
                "it is ambiguous: name its kind and order" if found else "it is of no open order"
            )
            return [NoAction(kind="refusal", about=refused.action, reason=reason)]
        name, kind, seq = found[0]
        order = self._context.twin.orders[name]
        if isinstance(refused, ActionRejected):
            self._context.cases.person_decided(name)
        order.follows(self._context.seq)
        why = f"the {kind} was refused" + (f" ({refused.reason})" if refused.reason else "")
        match kind:
            case "allocate" | "reship":
                return self._undo(order, [leg for leg in order.legs if leg.seq == seq], why)
            case "reroute":
                for each in order.shipments:
                    shipment = self._context.twin.shipments.get(each)
                    if shipment is not None and shipment.remedy == "reroute":
                        shipment.remedy = "refused"
                return [NoAction(kind="refusal", about=name, reason="the parcel stays as it is")]
            case "refund":
                return [self._escalate(order, why)]
            case _:
                return [NoAction(kind="refusal", about=name, reason=f"a {kind} needs no undoing")]

    def _record_of(self, refused: ActionFailed | ActionRejected) -> int:
        return record_of(refused.action, self._context.network)

    def _may_be_a_transfer(self, refused: ActionFailed | ActionRejected) -> bool:
        """Return whether the rejected action may be a transfer of the same record."""
        if refused.kind or refused.order is not None:
            return False
        seq = self._record_of(refused)
        return any(request.seq == seq for request in self._context.twin.transfer_requests.values())

    def closed(self, closed: ProposalClosed) -> list[Derived]:
        """Apply the end of an order's proposal; unless it was approved, release its stock."""
        context, decision, outcome = self._context, closed.decision, closed.outcome
        order = context.twin.orders.get(getattr(decision, "order", ""))
        if order is None:
            return []
        if outcome in ("approved", "rejected"):
            context.cases.person_decided(order.name)
        if outcome == "approved":
            seq = record_of(closed.action, context.network)
            self._approved(order, decision.verb, seq)
            return []
        why = f"nobody decided on the {decision.verb} in time"
        if outcome == "rejected":
            order.follows(context.seq)
            why = f"the {decision.verb} was refused" + (f" ({closed.why})" if closed.why else "")
        match decision:
            case Allocate() | Reship():
                return self._came_to_nothing(order, closed, decision, why)
            case Reroute():
                shipment = context.twin.shipments.get(decision.shipment)
                if shipment is not None and shipment.remedy == "reroute":
                    shipment.remedy = "refused"
            case Refund() if outcome != "withdrawn":
                return [self._escalate(order, why)]
            case _:
                pass
        return []

    def _came_to_nothing(
        self, order: OpenOrder, closed: ProposalClosed, decision: Allocate | Reship, why: str
    ) -> list[Derived]:
        """Release the stock of a proposal, and find another plan for its order."""
        context = self._context
        legs = _legs_of(order, decision, record_of(closed.action, context.network))
        if closed.outcome == "rejected":
            return self._undo(order, legs, why)
        for leg in legs:
            self._give_back(order, leg)
        if order.is_waiting or not order.unsourced():
            return []
        order.follows(context.seq)
        if closed.outcome == "withdrawn":
            return self._orders.source(order, why="what was proposed is no longer to be had")
        order.refusals += 1
        if order.refusals > context.policy.exceptions.most_attempts:
            return self._give_up(order, why)
        return self._orders.wait(order)

    def _approved(self, order: OpenOrder, kind: str, seq: int) -> None:
        """Credit a proposal of record `seq` to the record in hand: only its action can fail."""
        entry = (order.name, kind, seq)
        proposed = self._context.state.decided.get(seq, [])
        if entry in proposed:
            proposed.remove(entry)
            if not proposed:
                del self._context.state.decided[seq]
        self._remember(*entry)

    def _give_up(self, order: OpenOrder, why: str) -> list[Derived]:
        """Ask a person about an order rejected too often, and pay it back in the end."""
        context = self._context
        context.cases.act("refused", order.name, needs_person=True)
        context.weigh_paying_back(order)
        return [*self._orders.move(order, "unfillable"), self._escalate(order, why)]

    def _undo(self, order: OpenOrder, legs: list[PlannedLeg], why: str) -> list[Derived]:
        context = self._context
        given_back = int_sum(self._give_back(order, leg) for leg in legs)
        if not given_back:
            reason = "what was refused is done already"
            return [NoAction(kind="refusal", about=order.name, reason=reason)]
        context.cases.open("refused", "retailer", order.name, order.name)
        order.excluded = list(dict.fromkeys([*order.excluded, *(leg.node for leg in legs)]))
        order.refusals += 1
        if order.refusals > context.policy.exceptions.most_attempts and order.unsourced():
            return self._give_up(order, why)
        return self._orders.source(order, why=why)

    def _give_back(self, order: OpenOrder, leg: PlannedLeg) -> int:
        """Give a leg up and return its units; the parcel it replaces is not sent again."""
        context, lines = self._context, leg.reserved_lines
        give_up(context, order, [leg])
        shipment = context.twin.shipments.get(leg.shipment)
        if lines and shipment is not None and not shipment.is_terminal:
            for sku, quantity in lines:
                order.drop(sku, quantity)
            shipment.remedy = "refused"
        return int_sum(quantity for _, quantity in lines)

    def _remember(self, name: str, kind: str, seq: int) -> None:
        context = self._context
        order = context.twin.orders[name]
        context.state.decided.setdefault(context.seq, []).append((name, kind, seq))
        if order.decided[-1:] != [context.seq]:
            order.decided.append(context.seq)
        if len(order.decided) > _MOST_DECIDED:
            context.forget_decision(name, order.decided.pop(0))

    def _escalate(self, order: OpenOrder, why: str) -> Draft:
        times = order.refusals
        return Draft(
            decision=Escalate(about=order.name, reason=why[:500]),
            subject=order.name,
            correlation=order.name,
            summary=f"{order.name} needs a person: {why}; its work was refused {times} times.",
            terms={},
            value_cents=0,
            causes=self._context.causes(order),
        )


def _legs_of(order: OpenOrder, decision: Allocate | Reship, seq: int) -> list[PlannedLeg]:
    """Return the legs of an order that record `seq` planned by `decision`, each once."""
    decided = decision.legs if isinstance(decision, Allocate) else (decision.leg,)
    planned = [
        (
            leg.node,
            ServiceId(leg.carrier, leg.service),
            tuple((e.sku, e.quantity) for e in leg.lines),
        )
        for leg in decided
    ]
    legs = []
    for leg in order.legs:
        key = (leg.node, leg.service, leg.lines)
        if leg.seq == seq and key in planned:
            planned.remove(key)
            legs.append(leg)
    return legs


def record_of(action: str, network: str) -> int:
    """Return the journal position of the record that caused an action.

    -1 if it is no action's id, or belongs to another network.
    """
    of = ActionId.parse(action)
    return of.seq if of is not None and of.network == network else -1
