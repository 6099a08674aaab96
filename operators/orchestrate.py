"""Orchestrate: owns the twin, and hands each fact to the desk that it concerns."""

from collections.abc import Callable
from typing import Any

from operators.contract import Operator, Record, pack, unpack
from operators.derived import (
    DelayRisk,
    DemandLift,
    DemandOutlook,
    Derived,
    LaneOutlook,
    PolicyInForce,
    ProposalClosed,
)
from operators.floor import Floor, FloorState
from operators.give_back import give_back
from operators.order_desk import OrderDesk
from operators.outlook import Outlook
from operators.shipment_desk import ShipmentDesk
from operators.stock_desk import StockDesk
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Event,
    Fact,
    InboundScheduled,
    NodeCapacityChanged,
    NodeRegistered,
    OrderCancelled,
    OrderPlaced,
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
from state.policy import Policy
from state.quantities import DAY_MS, to_ms
from state.twin import Twin

_VERSION = "orchestrate/1"
#: How often, in journal time, open work is looked through for what nobody will finish.
_SWEEP_MS = DAY_MS


class Orchestrate(Operator):
    """Emits drafts of actions, OrderMoved, and Inert where nothing was to be done."""

    name = "orchestrate"

    def __init__(self, policy: Policy) -> None:
        self._open(FloorState(policy=policy))
        self._floor.deadlines.set(0, "sweep", "")

    def _open(self, state: FloorState) -> None:
        self._floor = Floor(state)
        self._orders = OrderDesk(self._floor)
        self._stock = StockDesk(self._floor, self._orders)
        self._shipments = ShipmentDesk(self._floor, self._orders, self._stock)
        self._handlers = self._make_handlers()

    @property
    def twin(self) -> Twin:
        """The twin; only to be read."""
        return self._floor.twin

    @property
    def floor(self) -> Floor:
        """What its desks share: to be read, or to put a witness in place of its sourcing."""
        return self._floor

    @property
    def outlook(self) -> Outlook:
        """What it believes of the near future; only to be read."""
        return self._floor.outlook

    @property
    def disruptions(self) -> dict[str, tuple[int, int]]:
        """Trouble that carriers reported, see `FloorState`; only to be read."""
        return self._floor.state.disruptions

    def step(self, record: Record) -> list[Record]:
        """Fire what is due, then let the record's fact take effect."""
        floor = self._floor
        floor.seq, floor.now_ms = record.seq, record.now_ms
        out: list[Record] = []
        if floor.deadlines.heap and floor.deadlines.heap[0][0] <= record.now_ms:
            out += (record.derive(each) for each in self._fire())
        out.append(record)
        event = record.event
        derived = self._derived(record.fact) if event is None else self._journal(event)
        if floor.freed:
            freed, floor.freed = floor.freed, {}
            derived = [*derived, *self._orders.serve_waiting(freed)]
        out += (record.derive(each) for each in derived)
        return out

    def _journal(self, event: Event) -> list[Derived]:
        handler = self._handlers.get(type(event.fact))
        return [] if handler is None else handler(event.fact, event)

    def _make_handlers(self) -> dict[type[Fact], Callable[[Any, Event], list[Derived]]]:
        """Which desk takes which fact. A table, not a match: it is asked at every event."""
        orders, shipments, stock = self._orders, self._shipments, self._stock
        shelf = (
            StockCounted,
            StockReceived,
            StockPicked,
            StockShortPicked,
            StockAdjusted,
            StockReturned,
            InboundScheduled,
            TransferDeparted,
            TransferArrived,
        )
        return {
            **{kind: lambda f, e: stock.handle(f, e.time_ms, e.id) for kind in shelf},
            OrderPlaced: lambda f, e: orders.place(f),
            OrderCancelled: lambda f, e: orders.cancel(f),
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
        floor = self._floor
        match fact:
            case DelayRisk():
                return self._shipments.at_risk(fact)
            case LaneOutlook():
                floor.outlook.learn_lane(fact)
            case DemandOutlook():
                floor.outlook.learn_demand(fact)
            case DemandLift():
                floor.outlook.learn_lift(fact)
            case PolicyInForce():
                floor.adopt(fact.policy)
            case ProposalClosed():
                return give_back(floor, fact)
            case _:
                pass
        return []

    def _capacity(
        self, fact: NodeCapacityChanged | CarrierCapacityChanged, event: Event
    ) -> list[Derived]:
        name = (
            f"node {fact.node}"
            if isinstance(fact, NodeCapacityChanged)
            else f"service {fact.carrier}/{fact.service}"
        )
        self._floor.twin.capacity.limit(name, fact.parcels_per_day)
        return []

    def _register(
        self,
        fact: NodeRegistered | RegionRegistered | CarrierRegistered | SkuRegistered,
        event: Event,
    ) -> list[Derived]:
        twin = self._floor.twin
        match fact:
            case SkuRegistered():
                twin.skus[fact.sku] = fact
                return []
            case NodeRegistered():
                twin.capacity.limit(f"node {fact.node}", fact.parcels_per_day)
            case CarrierRegistered():
                for service in fact.services:
                    name = f"service {fact.carrier}/{service.service}"
                    twin.capacity.limit(name, service.parcels_per_day)
            case RegionRegistered():
                pass
        twin.geography.learn(fact)
        self._floor.rates.forget_all()
        return []

    def _disrupt(self, trouble: CarrierDisrupted, event: Event) -> list[Derived]:
        floor = self._floor
        key = f"{trouble.carrier}\n{trouble.service or ''}\n{trouble.region or ''}"
        until_ms = to_ms(trouble.until)
        if trouble.delay_s and until_ms > floor.now_ms:
            floor.state.disruptions[key] = (trouble.delay_s, until_ms)
            floor.deadlines.set(until_ms, "disruption", key)
        else:
            floor.state.disruptions.pop(key, None)
        return []

    def _fire(self) -> list[Derived]:
        """What falls due by now, in order of its time."""
        floor = self._floor
        out: list[Derived] = []
        for what, key, _ in floor.deadlines.due(floor.now_ms):
            match what:
                case "lapse":
                    out += self._orders.lapse(key)
                case "retry":
                    out += self._orders.retry(key)
                case "serve":
                    sku, _, after = key.partition("\n")
                    out += self._orders.serve(sku, after)
                case "forget":
                    self._shipments.forget(key)
                case "sweep":
                    out += self._shipments.sweep()
                    out += self._orders.sweep()
                    floor.deadlines.set(floor.now_ms + _SWEEP_MS, "sweep", "")
                case "disruption":
                    if floor.state.disruptions.get(key, (0, 0))[1] <= floor.now_ms:
                        floor.state.disruptions.pop(key, None)
                case _:
                    raise AssertionError(what)
        return out

    def snapshot(self) -> bytes:
        """The twin and everything beside it, as versioned plain values."""
        return pack(_VERSION, self._floor.state)

    def restore(self, data: bytes) -> None:
        """Become what the snapshot says; quotes are made anew from it."""
        self._open(unpack(_VERSION, data, FloorState))
