"""What facts may refer to: the registered world, and what is under way in it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Fact,
    HoldPlaced,
    InboundScheduled,
    NodeCapacityChanged,
    NodeRegistered,
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

    # Name -> when it was last registered: the latest `time` (ms) that a registration of it bore.
    registered: dict[str, int] = field(default_factory=dict)
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
                names = _registers(fact)
                for name in names:
                    self.registered[name] = max(time_ms, self.registered.get(name, time_ms))
                return names

    def is_news(self, fact: Fact, time_ms: int) -> bool:
        """Whether `fact` registers something as it was not registered before, at `time_ms`.

        Such a fact takes effect once, however old it is: a master record may be years old when a
        network hears of it. Facts of other kinds are never news in this sense.
        """
        names = _registers(fact)
        return bool(names) and self.registered.get(names[0], time_ms - 1) < time_ms

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


def _registers(fact: Fact) -> list[str]:
    """Names that `fact` registers, its own first; empty for other kinds."""
    match fact:
        case NodeRegistered():
            return [f"node {fact.node}"]
        case RegionRegistered():
            return [f"region {fact.region}"]
        case SkuRegistered():
            return [f"sku {fact.sku}"]
        case CarrierRegistered():
            services = [f"service {fact.carrier}/{s.service}" for s in fact.services]
            return [f"carrier {fact.carrier}", *services]
        case _:
            return []


def _refers_to(fact: Fact) -> tuple[str, ...]:
    """Names of what `fact` refers to; empty for kinds that refer to nothing registered."""
    names = _NAMES.get(type(fact))
    return () if names is None else names(fact)


def _shipment(fact: Any) -> tuple[str, ...]:
    return (f"shipment {fact.shipment}",)


def _shelf(fact: Any) -> tuple[str, ...]:
    return (f"node {fact.node}", f"sku {fact.sku}")


def _dispatched(fact: ShipmentDispatched) -> tuple[str, ...]:
    service = f"service {fact.carrier}/{fact.service}"
    return (f"node {fact.node}", service, f"region {fact.region}")


def _departed(fact: TransferDeparted) -> tuple[str, ...]:
    return (f"node {fact.origin}", f"node {fact.destination}", f"sku {fact.sku}")


def _disrupted(fact: CarrierDisrupted) -> tuple[str, ...]:
    region = (f"region {fact.region}",) if fact.region else ()
    if fact.service:
        return (f"service {fact.carrier}/{fact.service}", *region)
    return (f"carrier {fact.carrier}", *region)


def _priced(fact: PriceChanged) -> tuple[str, ...]:
    return (f"sku {fact.sku}", *((f"region {fact.region}",) if fact.region else ()))


def _held(fact: HoldPlaced) -> tuple[str, ...]:
    if fact.kind == "order":
        return ()
    if fact.kind == "lane":
        node, _, region = fact.scope.partition(">")
        return (f"node {node}", f"region {region}")
    return (f"{fact.kind} {fact.scope}",)


# A table, not a match: this is asked of every event.
_NAMES: dict[type[Fact], Callable[[Any], tuple[str, ...]]] = {
    ShipmentScanned: _shipment,
    ShipmentDelivered: _shipment,
    ShipmentFailed: _shipment,
    ShipmentDispatched: _dispatched,
    StockPicked: _shelf,
    StockCounted: _shelf,
    StockReceived: _shelf,
    StockAdjusted: _shelf,
    StockShortPicked: _shelf,
    StockReturned: _shelf,
    InboundScheduled: _shelf,
    TransferDeparted: _departed,
    TransferArrived: lambda fact: (f"transfer {fact.transfer}", f"node {fact.node}"),
    NodeCapacityChanged: lambda fact: (f"node {fact.node}",),
    TrafficObserved: lambda fact: (f"region {fact.region}",),
    WeatherObserved: lambda fact: (f"region {fact.region}",),
    CarrierCapacityChanged: lambda fact: (f"service {fact.carrier}/{fact.service}",),
    CarrierDisrupted: _disrupted,
    HoldPlaced: _held,
    PriceChanged: _priced,
}
