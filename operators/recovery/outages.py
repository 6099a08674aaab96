"""Outages: a node or carrier takes nothing, or is slow, and its planned parcels are weighed again.

Each parcel planned but not picked is priced twice in the same terms: left where it is, and sent by
the cheapest other plan. It moves only if that saves more than the policy's least gain.
"""

from operators.core.facts import Derived, ExceptionParty, NoAction
from operators.core.wording import money
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import TroubleEnds, WeighOn
from operators.network.legs import leave, lifted
from operators.network.movable import moves_alone, start_ms
from operators.network.replan import decide, price
from operators.network.trouble import Trouble
from operators.orders.order_desk import OrderDesk
from state.actions import Allocate, Release
from state.events import CarrierCapacityChanged, CarrierDisrupted, NodeCapacityChanged
from state.keys import Ref, TroubleKey
from state.quantities import to_ms
from state.twin import OpenOrder, PlannedLeg

#: Orders weighed per record: bounds the work of one event.
_MOST_WEIGHED = 8
#: Key in the trouble of a node.
_NO_CARRIER = TroubleKey("", "", "")


class Outages(Desk):
    """Opens and closes the cases of nodes and carriers, and moves parcels where that pays."""

    def __init__(self, context: Context, orders: OrderDesk) -> None:
        self._context, self._orders = context, orders

    def facts(self) -> FactHandlers:
        """Return handlers of capacity and trouble."""
        return {
            NodeCapacityChanged: lambda f, at, e: self.capacity(f),
            CarrierCapacityChanged: lambda f, at, e: self.capacity(f),
            CarrierDisrupted: lambda f, at, e: self.disrupted(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of trouble that ends, and of orders left to weigh."""
        return {
            TroubleEnds: lambda due: self.over(due.trouble),
            WeighOn: lambda due: self.go_on(due.trouble, due.after),
        }

    def capacity(self, fact: NodeCapacityChanged | CarrierCapacityChanged) -> list[Derived]:
        """Apply a new daily capacity of a node or service; 0 is an outage."""
        context = self._context
        until_ms = context.now_ms + context.policy.exceptions.outage_s * 1000
        if isinstance(fact, NodeCapacityChanged):
            trouble = Trouble(fact.node, _NO_CARRIER, 0, until_ms)
        else:
            trouble = Trouble("", TroubleKey(fact.carrier, fact.service, ""), 0, until_ms)
        if fact.parcels_per_day:
            context.cases.close(trouble.kind, trouble.about)
            return []
        return self._open(trouble)

    def disrupted(self, fact: CarrierDisrupted) -> list[Derived]:
        """Apply trouble that a carrier reports, or its end."""
        until_ms = to_ms(fact.until)
        of = TroubleKey.of(fact.carrier, fact.service, fact.region)
        trouble = Trouble("", of, fact.delay_s * 1000, until_ms)
        if not fact.delay_s or until_ms <= self._context.now_ms:
            self._context.cases.close(trouble.kind, trouble.about)
            return []
        return self._open(trouble)

    def over(self, trouble: TroubleKey) -> list[Derived]:
        """Close the case of trouble that has passed."""
        if trouble not in self._context.state.disruptions:
            self._context.cases.close("carrier_down", trouble)
        return []

    def go_on(self, trouble: Trouble, after: str) -> list[Derived]:
        """Weigh the orders that were left over at an earlier record."""
        is_open = self._context.cases.is_open(trouble.kind, trouble.about)
        return self._weigh_all(trouble, after) if is_open else []

    def _open(self, trouble: Trouble) -> list[Derived]:
        party: ExceptionParty = "retailer" if trouble.node else "carrier"
        self._context.cases.open(trouble.kind, party, trouble.about)
        if not moves_alone(self._context.policy):
            return []
        return self._weigh_all(trouble, "")

    def _weigh_all(self, trouble: Trouble, after: str) -> list[Derived]:
        context = self._context
        governance = context.policy.governance
        # A parcel whose release waits for a person could be sent from both nodes.
        if governance.is_off(Allocate.verb) or governance.autonomy_of(Release.verb) != "act":
            return []
        names = [
            name
            for name, order in context.twin.orders.items()
            if order.reserved and any(trouble.concerns(leg) for leg in order.legs)
        ]
        names = names[names.index(after) + 1 if after in names else 0 :]
        out: list[Derived] = []
        for name in names[:_MOST_WEIGHED]:
            out += self._weigh(trouble, context.twin.orders[name])
        if len(names) > _MOST_WEIGHED:
            context.deadlines.set(context.now_ms, WeighOn(trouble, names[_MOST_WEIGHED - 1]))
        return out

    def _weigh(self, trouble: Trouble, order: OpenOrder) -> list[Derived]:
        if Ref("order", order.name) in self._context.twin.holds:
            return []  # an order on hold keeps its reservations
        if trouble.of.region and order.placed.region != trouble.of.region:
            return []
        out: list[Derived] = []
        for leg in list(order.legs):
            if not trouble.concerns(leg):
                continue
            late_ms = trouble.late_ms(leg, start_ms(self._context, leg))
            if late_ms and leg.reserved and not leg.is_gone:
                out += self._leave(trouble, order, leg, late_ms)
        return out

    def _leave(
        self, trouble: Trouble, order: OpenOrder, leg: PlannedLeg, late_ms: int
    ) -> list[Derived]:
        """Source a leg's reserved lines again, if that is cheaper than to wait.

        Both are priced alike: waiting as the present parcel, handed over once the trouble has
        passed; a carrier's delay is in the transit of both.
        """
        context = self._context
        missed_ms = 0 if trouble.delay_ms else late_ms
        with lifted(context, [leg]):
            waiting = price(context, order.placed, [leg], missed_ms)
            elsewhere = decide(context, order, order.placed, leg.reserved_lines).plan
        least = context.policy.exceptions.least_gain_cents
        if elsewhere is None or (waiting is not None and waiting.score - elsewhere.score < least):
            reason = "there is no other way" if elsewhere is None else "waiting is cheapest"
            reason = f"{reason} while {trouble.kind.replace('_', ' ')}"
            is_priced = elsewhere is not None
            return [NoAction(kind="allocate", about=order.name, reason=reason, prevented=is_priced)]
        context.cases.act(trouble.kind, trouble.about)
        order.follows(context.seq)
        out = leave(context, order, [leg], "reassigned")
        state = "is slow" if trouble.delay_ms else "takes nothing"
        cost = "be impossible"
        if waiting is not None:
            cost = f"cost {money(waiting.score, context.policy.currency)}"
        why = f"{trouble.about} {state}, and waiting would {cost}"
        return out + self._orders.source(order, why=why)
