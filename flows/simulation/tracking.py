"""Tracking: reports of a parcel on its way to the log, and gaps in them."""

from flows.simulation.config import WorldConfig
from flows.simulation.feeds import TRANSPORT, Outbox
from flows.simulation.journeys import Stop
from flows.simulation.luck import Luck
from flows.simulation.work import Parcel
from flows.simulation.world import World
from state.events import (
    Fact,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
)
from state.events.telemetry import ParcelStatus, Party, ShippedLine
from state.quantities import HOUR_MS, from_ms

#: A carrier's own status code is its first letters and this.
_CODES: dict[ParcelStatus, str] = {
    "picked_up": "10",
    "in_transit": "20",
    "delivery_delayed": "35",
    "out_for_delivery": "40",
    "delivery_failed": "45",
}


class Tracking:
    """Facts of shipments; some scans go missing, some arrive hours late."""

    def __init__(self, seed: int, config: WorldConfig, world: World, outbox: Outbox) -> None:
        self._seed = seed
        self._config = config
        self._world = world
        self._outbox = outbox

    def dispatched(self, now_ms: int, parcel: Parcel) -> None:
        """Report that the carrier took the parcel."""
        world, order = self._world, parcel.order
        dispatched = ShipmentDispatched(
            shipment=parcel.shipment,
            order=order.id,
            node=world.nodes[parcel.node].id,
            carrier=parcel.service.carrier,
            service=parcel.service.spec.service,
            region=world.regions[order.region].id,
            promised=from_ms(order.promised_ms),
            lines=tuple(
                ShippedLine(sku=world.skus[sku].id, quantity=quantity)
                for sku, quantity in parcel.found
            ),
            weight_g=parcel.weight_g,
            due_at_carrier=from_ms(parcel.due_ms),
        )
        self._emit(now_ms, parcel, "dispatched", dispatched)

    def saw(self, parcel: Parcel, stop: Stop, nth: int) -> None:
        """Report where the parcel was seen, or that its journey is over."""
        match stop.seen:
            case "delivered":
                delivered = ShipmentDelivered(shipment=parcel.shipment)
                self._emit(stop.at_ms, parcel, "delivered", delivered)
            case "lost" | "damaged" | "refused" as reason:
                party: Party = "consignee" if reason == "refused" else "carrier"
                failed = ShipmentFailed(shipment=parcel.shipment, reason=reason, party=party)
                self._emit(stop.at_ms, parcel, "failed", failed)
            case status:
                self._scanned(parcel, status, stop, nth)

    def turned_back(self, now_ms: int, parcel: Parcel) -> None:
        """Report that the carrier sends the parcel back, as the node asked for."""
        failed = ShipmentFailed(shipment=parcel.shipment, reason="returned", party="retailer")
        self._emit(now_ms, parcel, "turned back", failed)

    def _scanned(self, parcel: Parcel, status: ParcelStatus, stop: Stop, nth: int) -> None:
        luck = Luck(self._seed, "scan", parcel.shipment, nth)
        fate = luck.share("fate")
        if fate < self._config.missing_scan_share:
            return
        lag_ms = 0
        if fate > 1 - self._config.straggling_scan_share:
            lag_ms = round(luck.lognormal("straggles", 1.2, 0.8) * HOUR_MS)
        eta_ms = stop.carrier_eta_ms
        scanned = ShipmentScanned(
            shipment=parcel.shipment,
            status=status,
            code=f"{parcel.service.carrier[:2]}{_CODES[status]}",
            place=self._world.regions[stop.region].id,
            carrier_eta=None if eta_ms is None else from_ms(eta_ms),
        )
        self._emit(stop.at_ms, parcel, f"scan {nth}", scanned, lag_ms)

    def _emit(self, now_ms: int, parcel: Parcel, what: str, fact: Fact, lag_ms: int = 0) -> None:
        self._outbox.emit(
            TRANSPORT,
            f"{parcel.shipment} {what}",
            fact,
            now_ms,
            subject=parcel.shipment,
            correlation=parcel.order.id,
            scope=parcel.service.carrier,
            further_lag_ms=lag_ms,
        )
