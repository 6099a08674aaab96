"""Targets of references in facts: the registered world, and whatever is under way in it."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from msgspec import Struct, field

from state.events import (
    EVENT_TYPES,
    CarrierRegistered,
    Fact,
    HoldPlaced,
    NodeRegistered,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    SkuRegistered,
    TransferArrived,
    TransferDeparted,
)
from state.keys import Ref, ServiceId
from state.quantities import DAY_MS
from state.spoken import lanes_named, services_named

K = TypeVar("K", bound=Hashable)

_Registered = NodeRegistered | RegionRegistered | SkuRegistered | CarrierRegistered

#: A shipment or transfer is forgotten this long after its last word: longer than any transit.
_FORGET_MS = 400 * DAY_MS


class References(Struct):
    """Known references. Orders are not checked: a pick may be for another channel."""

    # By name: the latest `time` (ms) that a registration of it bore.
    nodes: dict[str, int] = field(default_factory=dict)
    regions: dict[str, int] = field(default_factory=dict)
    skus: dict[str, int] = field(default_factory=dict)
    carriers: dict[str, int] = field(default_factory=dict)
    services: dict[ServiceId, int] = field(default_factory=dict)
    # Shipments and transfers -> (last word or end, ms), in the order of the last word.
    under_way: dict[Ref, int] = field(default_factory=dict)
    ended: dict[Ref, int] = field(default_factory=dict)

    def missing(self, fact: Fact) -> Ref | None:
        """Return the first reference of `fact` that is not known; else None."""
        find = _MISSING.get(type(fact))
        return None if find is None else find(self, fact)

    def learn(self, fact: Fact, time_ms: int, now_ms: int) -> Sequence[Ref]:
        """Note what `fact` introduces or ends; returns what is known from now on."""
        learn = _LEARN.get(type(fact))
        return () if learn is None else learn(self, fact, time_ms, now_ms)

    def is_news(self, fact: Fact, time_ms: int) -> bool:
        """Return whether `fact`, of `time_ms`, cannot have taken effect before, however old it is.

        A master record may be years old when it reaches a network; it counts unless one as new
        did. The end of what is still under way has not been reported yet.
        """
        match fact:
            case NodeRegistered():
                return self.nodes.get(fact.node, time_ms - 1) < time_ms
            case RegionRegistered():
                return self.regions.get(fact.region, time_ms - 1) < time_ms
            case SkuRegistered():
                return self.skus.get(fact.sku, time_ms - 1) < time_ms
            case CarrierRegistered():
                return self.carriers.get(fact.carrier, time_ms - 1) < time_ms
            case ShipmentDelivered() | ShipmentFailed():
                return Ref("shipment", fact.shipment) in self.under_way
            case TransferArrived():
                return Ref("transfer", fact.transfer) in self.under_way
            case _:
                return False

    def is_known(self, named: Ref) -> bool:
        """Return whether a service or lane that a hold names can be a registered one."""
        if named.kind == "lane":
            return bool(lanes_named(named.name, self.nodes, self.regions))
        return bool(services_named(named.name, self.services))

    def forget(self, now_ms: int, lateness_ms: int) -> None:
        """Drop what ended longer than the lateness bound ago, and what has long been silent."""
        _drop_older(self.ended, now_ms - lateness_ms)
        _drop_older(self.under_way, now_ms - _FORGET_MS)

    # What a fact introduces, by kind of fact.

    def _registered(self, fact: _Registered, time_ms: int, _: int) -> Sequence[Ref]:
        match fact:
            case NodeRegistered():
                return (_register(self.nodes, fact.node, time_ms, Ref("node", fact.node)),)
            case RegionRegistered():
                return (_register(self.regions, fact.region, time_ms, Ref("region", fact.region)),)
            case SkuRegistered():
                return (_register(self.skus, fact.sku, time_ms, Ref("sku", fact.sku)),)
            case CarrierRegistered():
                carrier = Ref("carrier", fact.carrier)
                offered = [ServiceId(fact.carrier, each.service) for each in fact.services]
                return (
                    _register(self.carriers, fact.carrier, time_ms, carrier),
                    *(_register(self.services, s, time_ms, Ref.service(s)) for s in offered),
                )

    def _start(self, of: Ref, now_ms: int) -> Sequence[Ref]:
        if of in self.ended:
            return ()
        is_known = self.under_way.pop(of, None) is not None
        self.under_way[of] = now_ms
        return () if is_known else (of,)

    def _end(self, of: Ref, now_ms: int) -> Sequence[Ref]:
        self.under_way.pop(of, None)
        self.ended.pop(of, None)
        self.ended[of] = now_ms
        return ()

    # The unknown reference of a fact, by kind of fact.

    def _node(self, node: str) -> Ref | None:
        return None if node in self.nodes else Ref("node", node)

    def _sku(self, sku: str) -> Ref | None:
        return None if sku in self.skus else Ref("sku", sku)

    def _region(self, region: str | None) -> Ref | None:
        return None if region is None or region in self.regions else Ref("region", region)

    def _service(self, carrier: str, name: str | None) -> Ref | None:
        if name is None:
            return None if carrier in self.carriers else Ref("carrier", carrier)
        service = ServiceId(carrier, name)
        return None if service in self.services else Ref.service(service)

    def _moving(self, of: Ref) -> Ref | None:
        return None if of in self.under_way or of in self.ended else of

    def _held(self, fact: HoldPlaced) -> Ref | None:
        """Return the unknown target of a hold, under the name given, so that the hold waits for it.

        If several match, the hold desk asks which is meant, at the time it takes effect.
        """
        match fact.kind:
            case "order":
                return None
            case "node":
                return self._node(fact.scope)
            case "sku":
                return self._sku(fact.scope)
            case "region":
                return self._region(fact.scope)
            case "service" | "lane":
                named = Ref(fact.kind, fact.scope)
                return None if self.is_known(named) else named


_Find = Callable[[References, Any], Ref | None]


def _drop_older(times: dict[Ref, int], before_ms: int) -> None:
    while times:
        oldest = next(iter(times))
        if times[oldest] >= before_ms:
            return
        del times[oldest]


def _register(known: dict[K, int], name: K, time_ms: int, of: Ref) -> Ref:
    known[name] = max(time_ms, known.get(name, time_ms))
    return of


def _shipment(known: References, fact: Any) -> Ref | None:
    return known._moving(Ref("shipment", fact.shipment))


def _departed(known: References, fact: TransferDeparted) -> Ref | None:
    return known._node(fact.origin) or known._node(fact.destination) or known._sku(fact.sku)


def _arrived(known: References, fact: TransferArrived) -> Ref | None:
    return known._moving(Ref("transfer", fact.transfer)) or known._node(fact.node)


_FIELDS: dict[str, _Find] = {
    "node": lambda known, fact: known._node(fact.node),
    "sku": lambda known, fact: known._sku(fact.sku),
    "region": lambda known, fact: known._region(fact.region),
    "service": lambda known, fact: known._service(fact.carrier, fact.service),
}


def _first_of(first: _Find, *others: _Find) -> _Find:
    """Ask one after another until something is missing."""
    if not others:
        return first
    then = _first_of(*others)
    return lambda known, fact: first(known, fact) or then(known, fact)


_Learn = Callable[[References, Any, int, int], Sequence[Ref]]


def _underway(known: References, fact: Any, _: int, now_ms: int) -> Sequence[Ref]:
    return known._start(Ref("shipment", fact.shipment), now_ms)


def _over(known: References, fact: Any, _: int, now_ms: int) -> Sequence[Ref]:
    return known._end(Ref("shipment", fact.shipment), now_ms)


# Tables, not matches: these are asked of every event.
_LEARN: dict[type[Fact], _Learn] = {
    NodeRegistered: References._registered,
    RegionRegistered: References._registered,
    SkuRegistered: References._registered,
    CarrierRegistered: References._registered,
    ShipmentDispatched: _underway,
    ShipmentScanned: _underway,
    ShipmentDelivered: _over,
    ShipmentFailed: _over,
    TransferDeparted: lambda known, f, _, now_ms: known._start(Ref("transfer", f.transfer), now_ms),
    TransferArrived: lambda known, f, _, now_ms: known._end(Ref("transfer", f.transfer), now_ms),
}
_MISSING: dict[type[Fact], _Find] = {
    **{
        kind: _first_of(*(_FIELDS[field] for field in kind.refers_to))
        for kind in EVENT_TYPES.values()
        if kind.refers_to
    },
    ShipmentScanned: _shipment,
    ShipmentDelivered: _shipment,
    ShipmentFailed: _shipment,
    TransferDeparted: _departed,
    TransferArrived: _arrived,
    HoldPlaced: References._held,
}
