"""The registry: places, goods, services and their capacity, trouble and outlooks, as reported."""

from operators.core.facts import DemandLift, DemandOutlook, Derived, PolicyInForce
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import TroubleEnds
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    NodeCapacityChanged,
    NodeRegistered,
    OrderPlaced,
    RegionRegistered,
    SkuRegistered,
)
from state.keys import ServiceId, TroubleKey
from state.quantities import to_ms


class Registry(Desk):
    """Keeps the context true to what is registered and reported, before other desks decide."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def facts(self) -> FactHandlers:
        """Return handlers of registrations, capacity, trouble, outlooks and the policy."""
        return {
            NodeRegistered: lambda f, at, e: self._register(f),
            RegionRegistered: lambda f, at, e: self._register(f),
            CarrierRegistered: lambda f, at, e: self._register(f),
            SkuRegistered: lambda f, at, e: self._register_sku(f),
            NodeCapacityChanged: lambda f, at, e: self._limit_node(f),
            CarrierCapacityChanged: lambda f, at, e: self._limit_service(f),
            CarrierDisrupted: lambda f, at, e: self._disrupt(f),
            OrderPlaced: lambda f, at, e: self._learn_promise(f, at),
            DemandOutlook: lambda f, at, e: self._learn(f),
            DemandLift: lambda f, at, e: self._lift(f),
            PolicyInForce: lambda f, at, e: self._adopt(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return the handler of trouble that ends."""
        return {TroubleEnds: lambda due: self._end(due.trouble)}

    def _register(
        self, fact: NodeRegistered | RegionRegistered | CarrierRegistered
    ) -> list[Derived]:
        twin = self._context.twin
        match fact:
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

    def _register_sku(self, fact: SkuRegistered) -> list[Derived]:
        self._context.twin.skus[fact.sku] = fact
        return []

    def _limit_node(self, fact: NodeCapacityChanged) -> list[Derived]:
        self._context.twin.capacity.nodes.limit(fact.node, fact.parcels_per_day)
        return []

    def _limit_service(self, fact: CarrierCapacityChanged) -> list[Derived]:
        service = ServiceId(fact.carrier, fact.service)
        self._context.twin.capacity.services.limit(service, fact.parcels_per_day)
        return []

    def _learn_promise(self, placed: OrderPlaced, time_ms: int) -> list[Derived]:
        slack_s = (to_ms(placed.promised) - time_ms) // 1000
        if slack_s > 0:
            self._context.outlook.learn_promise(slack_s)
        return []

    def _learn(self, outlook: DemandOutlook) -> list[Derived]:
        self._context.outlook.learn_demand(outlook)
        return []

    def _lift(self, lift: DemandLift) -> list[Derived]:
        self._context.outlook.learn_lift(lift)
        return []

    def _adopt(self, changed: PolicyInForce) -> list[Derived]:
        self._context.adopt(changed.policy)
        return []

    def _disrupt(self, trouble: CarrierDisrupted) -> list[Derived]:
        context = self._context
        key = TroubleKey.of(trouble.carrier, trouble.service, trouble.region)
        until_ms = to_ms(trouble.until)
        if trouble.delay_s and until_ms > context.now_ms:
            context.state.disruptions[key] = (trouble.delay_s, until_ms)
            context.deadlines.set(until_ms, TroubleEnds(key))
        else:
            context.state.disruptions.pop(key, None)
        return []

    def _end(self, trouble: TroubleKey) -> list[Derived]:
        disruptions = self._context.state.disruptions
        if disruptions.get(trouble, (0, 0))[1] <= self._context.now_ms:
            disruptions.pop(trouble, None)
        return []
