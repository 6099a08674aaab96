"""Orchestrate: owns the twin, and hands each fact to the desk that it concerns."""

from collections.abc import Callable
from typing import Any

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import (
    Anomaly,
    DelayRisk,
    DemandLift,
    DemandOutlook,
    Derived,
    Draft,
    Duplicate,
    LaneOutlook,
    PolicyInForce,
    ProposalClosed,
    Refused,
)
from operators.network.context import Context, ContextState
from operators.network.due import (
    Due,
    Forget,
    Freeze,
    HoldEnds,
    Lapse,
    Look,
    PlanRestocks,
    PriceEnds,
    Restock,
    Retry,
    Serve,
    Settled,
    Sweep,
    TransferLapses,
    TroubleEnds,
    Unfillable,
    WeighOn,
    Yield,
)
from operators.network.messages import CaseChanged, SupplyFreed, Uncovered
from operators.network.pickups import Pickups
from operators.orders.hold_desk import HoldDesk
from operators.orders.order_desk import OrderDesk
from operators.reallocation.reevaluation import ReevaluationDesk
from operators.recovery.cancellations import Cancellations
from operators.recovery.compensation import Compensation
from operators.recovery.outages import Outages
from operators.recovery.rejections import Rejections, record_of
from operators.recovery.shipment_desk import ShipmentDesk
from operators.sourcing.outlook import Outlook
from operators.stock.price_desk import PriceDesk
from operators.stock.repositioning import Repositioning
from operators.stock.stock_desk import StockDesk
from operators.stock.transfer_desk import TransferDesk
from state.actions import Hold, Reprice, Transfer
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Event,
    Fact,
    HoldLifted,
    HoldPlaced,
    InboundScheduled,
    NodeCapacityChanged,
    NodeRegistered,
    OrderCancelled,
    OrderPlaced,
    PriceChanged,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    SkuRegistered,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
)
from state.keys import ServiceId, TroubleKey
from state.policy import Policy
from state.quantities import DAY_MS, to_ms
from state.twin import Twin

_VERSION = "orchestrate/5"
#: How often, in journal time, open work is looked through for what nobody will finish.
_SWEEP_MS = DAY_MS


class Orchestrate(Operator):
    """Emits drafts of actions, OrderMoved, and NoAction where nothing was to be done."""

    name = "orchestrate"

    def __init__(self, policy: Policy) -> None:
        self._open(ContextState(policy=policy))
        self._context.deadlines.set(0, Sweep())
        self._context.deadlines.set(0, PlanRestocks())

    def _open(self, state: ContextState) -> None:
        self._context = Context(state)
        self._orders = OrderDesk(self._context)
        self._transfers = TransferDesk(self._context)
        self._stock = StockDesk(self._context, self._orders, self._transfers)
        self._repositioning = Repositioning(self._context, self._transfers)
        self._again = ReevaluationDesk(self._context, self._orders, self._transfers)
        self._compensation = Compensation(self._context, self._orders)
        self._shipments = ShipmentDesk(self._context, self._orders, self._stock, self._compensation)
        self._cancellations = Cancellations(self._context, self._orders, self._shipments)
        self._rejections = Rejections(self._context, self._orders)
        self._outages = Outages(self._context, self._orders)
        self._holds = HoldDesk(self._context, self._orders)
        self._prices = PriceDesk(self._context, state.prices)
        self._handlers = self._make_handlers()

    @property
    def twin(self) -> Twin:
        """The twin; only to be read."""
        return self._context.twin

    @property
    def context(self) -> Context:
        """What its desks share: to be read, or to put a witness in place of its sourcing."""
        return self._context

    @property
    def outlook(self) -> Outlook:
        """What it believes of the near future; only to be read."""
        return self._context.outlook

    @property
    def pickups(self) -> Pickups:
        """Which orders may still move before which pickup; only to be read."""
        return self._context.state.pickups

    @property
    def disruptions(self) -> dict[TroubleKey, tuple[int, int]]:
        """Trouble that carriers reported, see `ContextState`; only to be read."""
        return self._context.state.disruptions

    def step(self, record: Record) -> list[Record]:
        """Fire what is due, then let the record's fact take effect."""
        if type(record.fact) is Duplicate:
            return [record]  # nothing falls due by it either: redelivery changes nothing
        context = self._context
        context.turn_to(record)
        out: list[Record] = []
        if context.deadlines.heap and context.deadlines.heap[0][0] <= record.now_ms:
            out += (record.derive(each) for each in self._note(self._fire()))
        out.append(record)
        event = record.event
        derived = self._derived(record.fact) if event is None else self._journal(event)
        if context.messages.waiting:
            derived = [*derived, *self._handle_messages()]
        if derived or context.messages.waiting:
            out += (record.derive(each) for each in self._note(derived))
        return out

    def _handle_messages(self) -> list[Derived]:
        """Hand the desks what others posted for them; publish changes of cases behind it."""
        messages = self._context.messages
        out: list[Derived] = []
        while shelves := messages.take(Uncovered):
            for shelf in shelves:
                out += self._stock.uncovered(shelf)
        freed = {each.sku: None for each in messages.take(SupplyFreed)}
        if freed:
            out += self._orders.serve_waiting(freed) + self._again.supplied(freed)
        return out

    def _note(self, derived: list[Derived]) -> list[Derived]:
        """Remember decisions by their record, and add the changes of their cases."""
        cases, rules = self._context.cases, self._context.policy.governance
        self._rejections.decided(derived)
        for each in derived:
            if isinstance(each, Draft) and each.correlation:
                kind = each.decision.verb
                is_asked = kind == "escalate" or rules.asks_a_person(kind, each.value_cents)
                cases.act_of(each.correlation, needs_person=is_asked)
        return [*derived, *(each.case for each in self._context.messages.take(CaseChanged))]

    def _journal(self, event: Event) -> list[Derived]:
        handler = self._handlers.get(type(event.fact))
        return [] if handler is None else handler(event.fact, event)

    def _make_handlers(self) -> dict[type[Fact], Callable[[Any, Event], list[Derived]]]:
        """Which desk takes which fact. A table, not a match: it is asked at every event."""
        shipments, stock, holds = self._shipments, self._stock, self._holds
        shelf = (
            StockCounted,
            StockReceived,
            StockPicked,
            StockShortPicked,
            StockAdjusted,
            InboundScheduled,
            TransferDeparted,
            TransferArrived,
        )
        return {
            **{kind: lambda f, e: stock.handle(f, e.time_ms, e.id) for kind in shelf},
            StockReturned: self._returned,
            HoldPlaced: lambda f, e: holds.place(f),
            HoldLifted: lambda f, e: holds.lift(f),
            PriceChanged: lambda f, e: self._prices.changed(f),
            OrderPlaced: self._place,
            OrderCancelled: lambda f, e: self._cancellations.withdraw(f),
            ShipmentDispatched: lambda f, e: shipments.dispatched(f, e.time_ms),
            ShipmentScanned: lambda f, e: shipments.scanned(f, e.time_ms, e.id),
            ShipmentDelivered: lambda f, e: shipments.delivered(f, e.time_ms, e.id),
            ShipmentFailed: lambda f, e: shipments.failed(f, e.time_ms, e.id),
            NodeRegistered: self._register,
            RegionRegistered: self._register,
            CarrierRegistered: self._register,
            SkuRegistered: self._register,
            NodeCapacityChanged: self._capacity,
            CarrierCapacityChanged: self._capacity,
            CarrierDisrupted: self._disrupt,
        }

    def _derived(self, fact: object) -> list[Derived]:
        context = self._context
        match fact:
            case DelayRisk():
                return self._shipments.at_risk(fact)
            case LaneOutlook():
                self._again.learn_lane(fact)
            case DemandOutlook():
                context.outlook.learn_demand(fact)
                return self._prices.weigh(fact)
            case DemandLift():
                context.outlook.learn_lift(fact)
                self._repositioning.heard(fact)
            case Anomaly():
                self._holds.doubt(fact)
            case PolicyInForce():
                context.adopt(fact.policy)
            case ProposalClosed():
                return self._closed(fact)
            case Refused():
                return self._refused(fact)
            case _:
                pass
        return []

    def _closed(self, closed: ProposalClosed) -> list[Derived]:
        """Act on an approved proposal, or undo what a closed one had reserved.

        The gate tells it, as it alone knows which action of a record an id names.
        """
        seq = record_of(closed.action, self._context.network)
        is_approved = closed.outcome == "approved"
        match closed.decision:
            case Transfer() as transfer if is_approved:
                self._transfers.approved(transfer, seq)
            case Transfer() as transfer:
                self._transfers.give_up(transfer, seq)
            case Hold() as hold if not is_approved:
                return self._holds.withdraw(hold, seq)
            case Reprice() as reprice if closed.outcome == "rejected":
                self._prices.dropped(reprice)
            case _:
                return self._rejections.closed(closed)
        return []

    def _place(self, placed: OrderPlaced, event: Event) -> list[Derived]:
        slack_s = (to_ms(placed.promised) - event.time_ms) // 1000
        if slack_s > 0:
            self._context.outlook.learn_promise(slack_s)
        self._prices.ordered(placed)
        held = self._holds.suspect(placed)
        return [*held, *self._again.unsplit(placed.order, self._orders.place(placed))]

    def _capacity(
        self, fact: NodeCapacityChanged | CarrierCapacityChanged, event: Event
    ) -> list[Derived]:
        capacity = self._context.twin.capacity
        if isinstance(fact, NodeCapacityChanged):
            capacity.nodes.limit(fact.node, fact.parcels_per_day)
        else:
            service = ServiceId(fact.carrier, fact.service)
            capacity.services.limit(service, fact.parcels_per_day)
        return self._outages.capacity(fact)

    def _returned(self, fact: StockReturned, event: Event) -> list[Derived]:
        self._cancellations.returned(fact)
        return self._stock.handle(fact, event.time_ms, event.id)

    def _refused(self, refused: Refused) -> list[Derived]:
        said = refused.said
        seq = record_of(said.action, self._context.network)
        is_unnamed = not said.kind and said.order is None
        # What the record decided of orders as well, only the refusal's kind can tell apart.
        is_transfer = said.kind == Transfer.verb or (
            is_unnamed and seq not in self._context.state.decided
        )
        if is_transfer and self._transfers.failed(seq):
            return []
        return self._rejections.refused(refused)

    def _register(
        self,
        fact: NodeRegistered | RegionRegistered | CarrierRegistered | SkuRegistered,
        event: Event,
    ) -> list[Derived]:
        twin = self._context.twin
        match fact:
            case SkuRegistered():
                twin.skus[fact.sku] = fact
                return []
            case NodeRegistered():
                twin.capacity.nodes.limit(fact.node, fact.parcels_per_day)
            case CarrierRegistered():
                for each in fact.services:
                    service = ServiceId(fact.carrier, each.service)
                    twin.capacity.services.limit(service, each.parcels_per_day)
            case RegionRegistered():
                pass
        twin.geography.learn(fact)
        self._context.rates.forget_all()
        return []

    def _disrupt(self, trouble: CarrierDisrupted, event: Event) -> list[Derived]:
        context = self._context
        key = TroubleKey.of(trouble.carrier, trouble.service, trouble.region)
        until_ms = to_ms(trouble.until)
        if trouble.delay_s and until_ms > context.now_ms:
            context.state.disruptions[key] = (trouble.delay_s, until_ms)
            context.deadlines.set(until_ms, TroubleEnds(key))
        else:
            context.state.disruptions.pop(key, None)
        return self._outages.disrupted(trouble)

    def _fire(self) -> list[Derived]:
        """Fire what falls due by now, in order of its time."""
        out: list[Derived] = []
        for due, _ in self._context.deadlines.due(self._context.now_ms):
            out += self._due(due)
        return out

    def _due(self, due: Due) -> list[Derived]:
        context = self._context
        match due:
            case Lapse():
                return self._orders.lapse(due.order)
            case Look():
                return self._again.look(due.pickup, due.after)
            case Freeze():
                self._again.freeze(due.pickup)
            case Forget():
                self._shipments.forget(due.shipment)
            case Restock():
                return self._repositioning.review(due.sku)
            case Retry():
                return self._orders.retry(due.order)
            case Serve():
                return self._orders.serve(due.sku, due.after)
            case PlanRestocks():
                self._repositioning.plan()
            case TransferLapses():
                return self._transfers.lapse(due.request)
            case Yield():
                return self._transfers.close(due.shelf)
            case HoldEnds():
                return self._holds.expire(due.of)
            case PriceEnds():
                return self._prices.due(due.series)
            case Sweep():
                return self._sweep()
            case TroubleEnds():
                if context.state.disruptions.get(due.trouble, (0, 0))[1] <= context.now_ms:
                    context.state.disruptions.pop(due.trouble, None)
                    self._outages.over(due.trouble)
            case WeighOn():
                return self._outages.go_on(due.trouble, due.after)
            case Unfillable():
                return self._compensation.unfillable(due.order)
            case Settled():
                context.cases.close("cancelled_after_pick", due.order)
        return []

    def _sweep(self) -> list[Derived]:
        """Look through open work for what nobody will finish."""
        out = self._shipments.sweep() + self._orders.sweep()
        self._transfers.sweep()
        self._context.deadlines.set(self._context.now_ms + _SWEEP_MS, Sweep())
        return out

    def snapshot(self) -> bytes:
        """Return the twin and everything beside it, as versioned plain values."""
        return pack(_VERSION, self._context.state)

    def restore(self, data: bytes) -> None:
        """Become what the snapshot says; quotes are made anew from it."""
        self._open(unpack(_VERSION, data, ContextState))
