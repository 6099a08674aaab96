"""Tracking: what the log hears of a parcel on its way, and what it does not."""

from dataclasses import dataclass
from typing import Literal

from flows.simulation.config import WorldConfig
from flows.simulation.dispatcher import packed_g
from flows.simulation.feeds import TRANSPORT, Outbox
from flows.simulation.luck import stream
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

Fate = Literal["arrives", "lost", "damaged", "refused"]


@dataclass(slots=True)
class Shipment:
    """A parcel on its way between two regions (indices).

    `line_ms` is the published time without the last mile, `slowness` real over published line time
    before any conditions, `hubs` the scans on the way, `due_ms` the published arrival. `leg` counts
    legs done, `hindered` says whether it has met a disruption, `attempts` counts doors knocked at.
    """

    id: str
    parcel: Parcel
    origin: int
    destination: int
    line_ms: int
    slowness: float
    hubs: int
    due_ms: int
    fate: Fate
    leg: int = 0
    hindered: bool = False
    attempts: int = 0


class Tracking:
    """Emits the facts of shipments; some scans go missing, some arrive hours late."""

    def __init__(self, seed: int, config: WorldConfig, world: World, outbox: Outbox) -> None:
        self._config = config
        self._world = world
        self._outbox = outbox
        self._luck = stream(seed, "scans")

    def dispatched(self, now_ms: int, shipment: Shipment) -> None:
        """Say that the carrier took the parcel."""
        world, parcel = self._world, shipment.parcel
        dispatched = ShipmentDispatched(
            shipment=shipment.id,
            order=parcel.order.id,
            node=world.nodes[parcel.node].site.id,
            carrier=parcel.service.carrier,
            service=parcel.service.spec.service,
            region=world.regions[shipment.destination].id,
            promised=from_ms(parcel.order.promised_ms),
            lines=tuple(
                ShippedLine(sku=world.skus[sku].id, quantity=quantity)
                for sku, quantity in parcel.found
            ),
            weight_g=packed_g(world, parcel.found),
            due_at_carrier=from_ms(parcel.due_ms),
        )
        self._emit(now_ms, shipment, dispatched)

    def scanned(
        self,
        now_ms: int,
        shipment: Shipment,
        status: ParcelStatus,
        region: int | None = None,
        eta_ms: int | None = None,
    ) -> None:
        """Say where the parcel was seen, its destination by default, if the scan gets through."""
        fate = self._luck.random()
        if fate < self._config.missing_scan_share:
            return
        lag_ms = 0
        if fate > 1 - self._config.straggling_scan_share:
            lag_ms = round(self._luck.lognormvariate(1.2, 0.8) * HOUR_MS)
        place = self._world.regions[shipment.destination if region is None else region]
        scanned = ShipmentScanned(
            shipment=shipment.id,
            status=status,
            code=f"{shipment.parcel.service.carrier[:2]}{_CODES[status]}",
            place=place.id,
            carrier_eta=None if eta_ms is None else from_ms(eta_ms),
        )
        self._emit(now_ms, shipment, scanned, lag_ms)

    def delivered(self, now_ms: int, shipment: Shipment) -> None:
        """Say that the parcel reached the customer."""
        self._emit(now_ms, shipment, ShipmentDelivered(shipment=shipment.id))

    def failed(self, now_ms: int, shipment: Shipment) -> None:
        """Say that the parcel will not reach the customer, by its fate."""
        reason = shipment.fate
        if reason == "arrives":
            raise AssertionError(f"expected a parcel that does not arrive, was {shipment.id}")
        party: Party = "consignee" if reason == "refused" else "carrier"
        failed = ShipmentFailed(shipment=shipment.id, reason=reason, party=party)
        self._emit(now_ms, shipment, failed)

    def _emit(self, now_ms: int, shipment: Shipment, fact: Fact, lag_ms: int = 0) -> None:
        self._outbox.emit(
            TRANSPORT,
            fact,
            now_ms,
            subject=shipment.id,
            correlation=shipment.parcel.order.id,
            further_lag_ms=lag_ms,
        )
