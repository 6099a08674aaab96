"""What facts may refer to: the registered world, and what is under way in it."""

from msgspec import Struct, field

from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Fact,
    InboundScheduled,
    NodeCapacityChanged,
    NodeRegistered,
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
    TrafficObserved,
    TransferArrived,
    TransferDeparted,
    WeatherObserved,
)
from state.quantities import DAY_MS

#: A shipment or transfer is forgotten this long after its last word: longer than any transit.
_FORGET_MS = 400 * DAY_MS


class References(Struct):
    """Names that may be referred to. Orders are not checked: a pick may be for another channel."""

    registered: dict[str, None] = field(default_factory=dict)
    # Name -> (last word or end, ms), in the order of the last word.
    under_way: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def missing(self, fact: Fact) -> str | None:
        """The first thing `fact` refers to that is not known, such as ``node N-7``; else None."""
        for name in _refers_to(fact):
            if (
                name not in self.registered
                and name not in self.under_way
                and name not in self.ended
            ):
                return name
        return None

    def learn(self, fact: Fact, time_ms: int, now_ms: int) -> list[str]:
        """Note what `fact` introduces or ends; returns the names that are known from now on."""
        match fact:
            case NodeRegistered():
                names = [f"node {fact.node}"]
            case RegionRegistered():
                names = [f"region {fact.region}"]
            case SkuRegistered():
                names = [f"sku {fact.sku}"]
            case CarrierRegistered():
                services = [f"service {fact.carrier}/{s.service}" for s in fact.services]
                names = [f"carrier {fact.carrier}", *services]
            case ShipmentDispatched():
                return self._start(f"shipment {fact.shipment}", now_ms)
            case TransferDeparted():
                return self._start(f"transfer {fact.transfer}", now_ms)
            case ShipmentScanned():
                self._start(f"shipment {fact.shipment}", now_ms)
                return []
            case ShipmentDelivered() | ShipmentFailed():
                self._end(f"shipment {fact.shipment}", now_ms)
                return []
            case TransferArrived():
                self._end(f"transfer {fact.transfer}", now_ms)
                return []
            case _:
                return []
        for name in names:
            self.registered[name] = None
        return names

    def forget(self, now_ms: int, lateness_ms: int) -> None:
        """Drop what ended longer than the lateness bound ago, and what has long been silent."""
        _drop_older(self.ended, now_ms - lateness_ms)
        _drop_older(self.under_way, now_ms - _FORGET_MS)

    def _start(self, name: str, now_ms: int) -> list[str]:
        if name in self.ended:
            return []
        known = self.under_way.pop(name, None) is not None
        self.under_way[name] = now_ms
        return [] if known else [name]

    def _end(self, name: str, now_ms: int) -> None:
        self.under_way.pop(name, None)
        self.ended.pop(name, None)
        self.ended[name] = now_ms


def _drop_older(times: dict[str, int], before_ms: int) -> None:
    while times:
        oldest = next(iter(times))
        if times[oldest] >= before_ms:
            return
        del times[oldest]


def _refers_to(fact: Fact) -> tuple[str, ...]:
    match fact:
        case ShipmentScanned() | ShipmentDelivered() | ShipmentFailed():
            return (f"shipment {fact.shipment}",)
        case StockPicked() | StockCounted() | StockReceived() | StockAdjusted():
            return (f"node {fact.node}", f"sku {fact.sku}")
        case StockShortPicked() | StockReturned() | InboundScheduled():
            return (f"node {fact.node}", f"sku {fact.sku}")
        case ShipmentDispatched():
            service = f"service {fact.carrier}/{fact.service}"
            return (f"node {fact.node}", service, f"region {fact.region}")
        case TransferDeparted():
            return (f"node {fact.origin}", f"node {fact.destination}", f"sku {fact.sku}")
        case TransferArrived():
            return (f"transfer {fact.transfer}", f"node {fact.node}")
        case NodeCapacityChanged():
            return (f"node {fact.node}",)
        case TrafficObserved() | WeatherObserved():
            return (f"region {fact.region}",)
        case CarrierCapacityChanged():
            return (f"service {fact.carrier}/{fact.service}",)
        case CarrierDisrupted():
            region = (f"region {fact.region}",) if fact.region else ()
            if fact.service:
                return (f"service {fact.carrier}/{fact.service}", *region)
            return (f"carrier {fact.carrier}", *region)
        case _:
            return ()
