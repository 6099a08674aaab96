"""Refusals: an action was rejected or failed. Its effect is undone, and another way is sought.

Who refuses names the action's id. Its `seq` tells which record decided it; where that record
decided more than one thing, the refusal's own `kind` and `order` tell them apart.
"""

from operators.derived import Derived, Draft, Inert, ProposalClosed
from operators.floor import Floor
from operators.order_desk import OrderDesk
from state.actions import Allocate, Escalate, Refund, Reroute, Reship
from state.events import ActionApproved, ActionFailed, ActionRejected
from state.twin import OpenOrder, PlannedLeg

#: Records that an order's latest decisions are remembered by.
_MOST_DECIDED = 8


class Refusals:
    """Remembers which record decided what of an open order, and takes it back."""

    def __init__(self, floor: Floor, orders: OrderDesk) -> None:
        self._floor, self._orders = floor, orders

    def decided(self, drafts: list[Derived]) -> None:
        """Remember what the record in hand decided of orders that are open."""
        for each in drafts:
            if isinstance(each, Draft) and each.correlation in self._floor.twin.orders:
                self._remember(each.correlation, each.decision.verb, self._floor.seq)

    def approved(self, approved: ActionApproved) -> None:
        """A proposal comes again as an action of the approval's record."""
        for name, kind, seq in self._floor.state.decided.get(record_of(approved.action), ()):
            self._floor.cases.person_decided(name)
            self._remember(name, kind, seq)

    def refused(self, refused: ActionFailed | ActionRejected) -> list[Derived]:
        """Undo what was refused, and source the order again without the node that refused it."""
        found = [
            (name, kind, seq)
            for name, kind, seq in self._floor.state.decided.get(record_of(refused.action), ())
            if refused.order in (None, name) and refused.kind in ("", kind)
        ]
        if len(found) != 1:
            reason = (
                "it is ambiguous: name its kind and order" if found else "it is of no open order"
            )
            return [Inert(kind="refusal", about=refused.action, reason=reason)]
        name, kind, seq = found[0]
        order = self._floor.twin.orders[name]
        if isinstance(refused, ActionRejected):
            self._floor.cases.person_decided(name)
        order.follows(self._floor.seq)
        why = f"the {kind} was refused" + (f" ({refused.reason})" if refused.reason else "")
        match kind:
            case "allocate" | "reship":
                return self._undo(order, [leg for leg in order.legs if leg.seq == seq], why)
            case "reroute":
                for each in order.shipments:
                    shipment = self._floor.twin.shipments.get(each)
                    if shipment is not None and shipment.remedy == "reroute":
                        shipment.remedy = "refused"
                return [Inert(kind="refusal", about=name, reason="the parcel stays as it is")]
            case "refund":
                return [self._escalate(order, why)]
            case _:
                return [Inert(kind="refusal", about=name, reason=f"a {kind} needs no undoing")]

    def expired(self, closed: ProposalClosed) -> list[Derived]:
        """Nobody decided on a proposal: undo it, and try again later, behind who waits by then."""
        floor, decision = self._floor, closed.decision
        order = floor.twin.orders.get(getattr(decision, "order", ""))
        if order is None:
            return []
        why = f"nobody decided on the {decision.verb} in time"
        match decision:
            case Allocate() | Reship():
                legs = [leg for leg in order.legs if leg.seq == record_of(closed.action)]
                if not sum(self._give_back(order, leg) for leg in legs):
                    return []
                order.legs = [leg for leg in order.legs if leg not in legs]
                order.refusals += 1
                order.follows(floor.seq)
                if not order.unsourced():
                    return []
                if order.refusals > floor.policy.exceptions.most_attempts:
                    return self._give_up(order, why)
                return self._orders.wait(order)
            case Reroute():
                shipment = floor.twin.shipments.get(decision.shipment)
                if shipment is not None and shipment.remedy == "reroute":
                    shipment.remedy = "refused"
                return []
            case Refund():
                return [self._escalate(order, why)]
            case _:
                return []

    def _give_up(self, order: OpenOrder, why: str) -> list[Derived]:
        """Ask a person about an order that was refused too often, and pay it back in the end."""
        floor = self._floor
        floor.cases.act("refused", order.name, needs_person=True)
        ends_ms = order.promised_ms + floor.policy.exceptions.unfillable_after_s * 1000
        floor.deadlines.set(max(ends_ms, floor.now_ms), "unfillable", order.name)
        return [*self._orders.move(order, "unfillable"), self._escalate(order, why)]

    def _undo(self, order: OpenOrder, legs: list[PlannedLeg], why: str) -> list[Derived]:
        floor = self._floor
        given_back = sum(self._give_back(order, leg) for leg in legs)
        if not given_back:
            reason = "what was refused is done already"
            return [Inert(kind="refusal", about=order.name, reason=reason)]
        floor.cases.open("refused", "retailer", order.name, order.name)
        order.legs = [leg for leg in order.legs if leg not in legs]
        order.excluded = list(dict.fromkeys([*order.excluded, *(leg.node for leg in legs)]))
        order.refusals += 1
        if order.refusals > floor.policy.exceptions.most_attempts and order.unsourced():
            return self._give_up(order, why)
        return self._orders.source(order, why=why)

    def _give_back(self, order: OpenOrder, leg: PlannedLeg) -> int:
        """Stop holding what a leg held; a parcel under way is then not sent again."""
        floor, units = self._floor, 0
        shipment = floor.twin.shipments.get(leg.shipment)
        for sku, quantity in leg.lines:
            freed = floor.twin.release(order, leg.node, sku, quantity)
            floor.freed[sku] = None
            units += freed
            if shipment is not None and not shipment.is_terminal:
                order.drop(sku, freed)
        if units and shipment is not None and not shipment.is_terminal:
            shipment.remedy = "refused"
        return units

    def _remember(self, name: str, kind: str, seq: int) -> None:
        floor = self._floor
        order = floor.twin.orders[name]
        floor.state.decided.setdefault(floor.seq, []).append((name, kind, seq))
        if order.decided[-1:] != [floor.seq]:
            order.decided.append(floor.seq)
        if len(order.decided) > _MOST_DECIDED:
            floor.forget_decision(name, order.decided.pop(0))

    def _escalate(self, order: OpenOrder, why: str) -> Draft:
        times = order.refusals
        return Draft(
            decision=Escalate(about=order.name, reason=why[:500]),
            subject=order.name,
            correlation=order.name,
            summary=f"{order.name} needs a person: {why}; its work was refused {times} times.",
            terms={},
            value_cents=0,
            causes=tuple(sorted({order.seq, *order.causes, self._floor.seq})),
        )


def record_of(action: str) -> int:
    """Place in the journal of the record that caused an action; -1 if that is no action's id."""
    seq = action.rpartition(":")[2].partition("-")[0]
    return int(seq) if seq.isdecimal() and len(seq) < 20 else -1
