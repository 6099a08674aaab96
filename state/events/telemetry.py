"""Carrier telemetry: shipments under way, and what slows them down."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from state.events.base import Fact
from state.quantities import (
    Grams,
    Id,
    Instant,
    Latitude,
    Longitude,
    PositiveUnits,
    Ratio,
    Seconds,
    Share,
    Text,
    doc,
)

#: The canonical twelve; the carrier's own code is kept beside it.
ParcelStatus = Literal[
    "pending",
    "picked_up",
    "in_transit",
    "out_for_delivery",
    "ready_for_pickup",
    "delivered",
    "delivery_delayed",
    "delivery_failed",
    "on_hold",
    "return_to_sender",
    "cancelled",
    "unknown",
]
Party = Literal["carrier", "retailer", "consignee", "customs", "nature"]


class ShippedLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Units of one order line in the parcel."""

    sku: Id
    quantity: PositiveUnits


class ShipmentDispatched(Fact, frozen=True, kw_only=True):
    """The handover of a parcel to a carrier."""

    suffix: ClassVar[str] = "shipment.dispatched"
    refers_to = ("node", "service", "region")

    shipment: Annotated[Id, doc("carrier + tracking code + ship date: codes alone are recycled")]
    order: Id
    node: Annotated[Id, doc("where it was handed over")]
    carrier: Id
    service: Id
    region: Annotated[Id, doc("where it is bound for")]
    promised: Annotated[Instant, doc("delivery promised to the customer, as of this shipment")]
    lines: Annotated[tuple[ShippedLine, ...], Meta(max_length=200)]
    weight_g: Annotated[Grams, doc("g, packed")]
    due_at_carrier: Annotated[Instant | None, doc("when the node was to hand it over")] = None


class ShipmentScanned(Fact, frozen=True, kw_only=True):
    """A carrier's scan of the parcel."""

    suffix: ClassVar[str] = "shipment.scanned"

    shipment: Id
    status: ParcelStatus
    code: Annotated[Text, doc("the carrier's own status code")] = ""
    place: Annotated[Id | None, doc("hub or region of the scan")] = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    carrier_eta: Annotated[Instant | None, doc("the carrier's own estimate of delivery")] = None


class ShipmentDelivered(Fact, frozen=True, kw_only=True):
    """The delivery of the parcel to the customer, at the event's time."""

    suffix: ClassVar[str] = "shipment.delivered"

    shipment: Id


class ShipmentFailed(Fact, frozen=True, kw_only=True):
    """A parcel that will not reach the customer: lost, destroyed, refused or sent back."""

    suffix: ClassVar[str] = "shipment.failed"

    shipment: Id
    reason: Literal["lost", "damaged", "refused", "address", "returned", "other"]
    party: Annotated[Party, doc("whose fault it was")]


class CarrierCapacityChanged(Fact, frozen=True, kw_only=True):
    """A service's capacity per day from now on."""

    suffix: ClassVar[str] = "carrier.capacity_changed"
    refers_to = ("service",)

    carrier: Id
    service: Id
    parcels_per_day: Annotated[int, Meta(ge=0, le=10**9), doc("parcels per day, UTC; 0 = none")]


class CarrierDisrupted(Fact, frozen=True, kw_only=True):
    """Trouble that a carrier reports: strike, closed hub, breakdown."""

    suffix: ClassVar[str] = "carrier.disrupted"
    refers_to = ("service", "region")

    carrier: Id
    service: Annotated[Id | None, doc("None = all of its services")] = None
    region: Annotated[Id | None, doc("None = everywhere")] = None
    delay_s: Annotated[Seconds, doc("s of extra transit expected while it lasts; 0 = over")]
    until: Annotated[Instant, doc("when it is expected to be over")]
    reason: Text = ""


class TrafficObserved(Fact, frozen=True, kw_only=True):
    """Road traffic in a region."""

    suffix: ClassVar[str] = "traffic.observed"
    refers_to = ("region",)

    region: Id
    congestion: Annotated[Ratio, doc("travel time ÷ free-flow travel time; 1 = free")]


class WeatherObserved(Fact, frozen=True, kw_only=True):
    """Weather in a region, as far as it slows transport."""

    suffix: ClassVar[str] = "weather.observed"
    refers_to = ("region",)

    region: Id
    severity: Annotated[Share, doc("0 = fair, 1 = nothing moves")]
    kind: Literal["rain", "snow", "storm", "heat", "fog", "flood", "fair"] = "rain"
