"""Events of the journal, by family; `EVENT_TYPES` maps the wire type to its payload."""

from state.events.base import Fact
from state.events.control import (
    ActionApproved,
    ActionCompleted,
    ActionFailed,
    ActionRejected,
    ClockTicked,
    HoldLifted,
    HoldPlaced,
    NetworkHalted,
    NetworkResumed,
)
from state.events.demand import OrderCancelled, OrderLine, OrderPlaced, PriceChanged, SignalObserved
from state.events.envelope import Event
from state.events.inventory import (
    InboundScheduled,
    NodeCapacityChanged,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
)
from state.events.reference import (
    CarrierRegistered,
    CarrierService,
    NodeRegistered,
    PolicyChanged,
    RegionRegistered,
    SkuRegistered,
)
from state.events.telemetry import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    TrafficObserved,
    WeatherObserved,
)

_FAMILIES: dict[str, tuple[type[Fact], ...]] = {
    "reference": (
        NodeRegistered,
        RegionRegistered,
        SkuRegistered,
        CarrierRegistered,
        PolicyChanged,
    ),
    "inventory": (
        StockCounted,
        StockReceived,
        StockPicked,
        StockShortPicked,
        StockAdjusted,
        StockReturned,
        InboundScheduled,
        TransferDeparted,
        TransferArrived,
        NodeCapacityChanged,
    ),
    "telemetry": (
        ShipmentDispatched,
        ShipmentScanned,
        ShipmentDelivered,
        ShipmentFailed,
        CarrierCapacityChanged,
        CarrierDisrupted,
        TrafficObserved,
        WeatherObserved,
    ),
    "demand": (OrderPlaced, OrderCancelled, SignalObserved, PriceChanged),
    "control": (
        ClockTicked,
        ActionApproved,
        ActionRejected,
        ActionCompleted,
        ActionFailed,
        NetworkHalted,
        NetworkResumed,
        HoldPlaced,
        HoldLifted,
    ),
}

#: Wire type, such as ``crossdock.order.placed``, to the payload's class.
EVENT_TYPES: dict[str, type[Fact]] = {
    f"crossdock.{cls.suffix}": cls for family in _FAMILIES.values() for cls in family
}
#: Payload class to its wire type.
WIRE_TYPE: dict[type[Fact], str] = {cls: name for name, cls in EVENT_TYPES.items()}
#: Payload class to its feed: ``reference``, ``inventory``, ``telemetry``, ``demand``, ``control``.
FAMILY_OF: dict[type[Fact], str] = {
    cls: family for family, classes in _FAMILIES.items() for cls in classes
}

__all__ = [
    "EVENT_TYPES",
    "FAMILY_OF",
    "WIRE_TYPE",
    "ActionApproved",
    "ActionCompleted",
    "ActionFailed",
    "ActionRejected",
    "CarrierCapacityChanged",
    "CarrierDisrupted",
    "CarrierRegistered",
    "CarrierService",
    "ClockTicked",
    "Event",
    "Fact",
    "HoldLifted",
    "HoldPlaced",
    "InboundScheduled",
    "NetworkHalted",
    "NetworkResumed",
    "NodeCapacityChanged",
    "NodeRegistered",
    "OrderCancelled",
    "OrderLine",
    "OrderPlaced",
    "PolicyChanged",
    "PriceChanged",
    "RegionRegistered",
    "ShipmentDelivered",
    "ShipmentDispatched",
    "ShipmentFailed",
    "ShipmentScanned",
    "SignalObserved",
    "SkuRegistered",
    "StockAdjusted",
    "StockCounted",
    "StockPicked",
    "StockReceived",
    "StockReturned",
    "StockShortPicked",
    "TrafficObserved",
    "TransferArrived",
    "TransferDeparted",
    "WeatherObserved",
]
