"""Journal from the public Olist tables (listed in `flows.importers.olist_tables`).

Observed (source ``import/olist``): orders with lines, prices and the estimated delivery date as the
promise; the handover to the carrier and the delivery; each seller as a node; each customer's state
as the region. Assumed (source ``import/olist/assumed``, or listed in a registration's `assumed`):

- the carrier: one, with one service; its rate card and speed are fitted to the data's own freight
  and times (over the whole log: a planner would have known them, more or less);
- costs, capacities and handling times of nodes;
- stock: each seller receives, an hour before its first sale of a product, all that it will sell of
  it. So nothing is ever short, and a product is only where it was really sold;
- picks: at the handover. Times of cancellation: see `olist_sales`.

The data has one handover and one delivery per order. An order of several sellers becomes one
shipment per seller, all at these same times.

The payment's approval is left out. An order that nothing more is known of stays open to the end of
the log; that is censored, not on time. `recordedtime` is `time`, save where the data hands an order
over before it was placed: that is recorded when it was placed. Money is in BRL cents.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.importers.olist_reference import CARRIER, SERVICE, OlistReference, region_of
from flows.importers.olist_sales import OlistReport, Parcel, Sale, join_sales
from flows.importers.olist_tables import load_tables
from state.codec import make_event
from state.errors import JournalError
from state.events import (
    CarrierRegistered,
    ClockTicked,
    Event,
    NodeRegistered,
    OrderCancelled,
    OrderLine,
    OrderPlaced,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    SkuRegistered,
    StockPicked,
    StockReceived,
)
from state.events.base import Fact
from state.events.telemetry import ShippedLine
from state.quantities import DAY_MS, HOUR_MS, from_ms, rfc3339

OBSERVED = "import/olist"
ASSUMED = "import/olist/assumed"
CLOCK = "import/olist/clock"

# Order at the same instant: time, then causes before effects.
_ORDER: tuple[type[Fact], ...] = (
    ClockTicked,
    RegionRegistered,
    NodeRegistered,
    SkuRegistered,
    CarrierRegistered,
    StockReceived,
    OrderPlaced,
    StockPicked,
    ShipmentDispatched,
    ShipmentDelivered,
    OrderCancelled,
)
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)}


def import_olist(
    folder: Path, network: str = "olist", report: OlistReport | None = None
) -> Iterator[Event]:
    """Return all events in the order of their recorded times, the same for the same tables.

    Reads the whole folder before it returns, and fills `report` where one is given. Raises
    JournalError naming the file, column or line that is missing or wrong.
    """
    report = OlistReport() if report is None else report
    tables = load_tables(folder)
    sales = join_sales(tables, report)
    if not sales:
        raise JournalError(
            f"expected an order with items, was none in {len(tables.orders)} orders, at {folder}"
        )
    reference = OlistReference(tables, sales, report)
    events = _Events(network)
    events.add_stock(sales)
    for sale in sales:
        events.add_sale(sale, reference)
    events.add_reference(reference)
    events.add_clock(max(sale.promised_ms for sale in sales))
    ordered = events.in_order()
    report.events = dict(sorted(Counter(event.type for event in ordered).items()))
    return iter(ordered)


class _Events:
    """Collector of one network's events."""

    def __init__(self, network: str) -> None:
        self._network = network
        self._events: list[Event] = []

    def in_order(self) -> list[Event]:
        return sorted(
            self._events,
            key=lambda event: (event.recorded_ms, _RANK[type(event.fact)], event.id),
        )

    def _add(
        self,
        fact: Fact,
        key: str,
        time_ms: int,
        source: str,
        *,
        recorded_ms: int | None = None,
        order: str | None = None,
    ) -> None:
        self._events.append(
            make_event(
                fact,
                id=f"{fact.suffix}/{key}",
                source=source,
                network=self._network,
                time_ms=time_ms,
                recorded_ms=recorded_ms,
                correlation=order,
            )
        )

    def add_stock(self, sales: Sequence[Sale]) -> None:
        """Give every seller what it will sell, shortly before it first needs it."""
        quantities: Counter[tuple[str, str]] = Counter()
        first_ms: dict[tuple[str, str], int] = {}
        for sale in sales:
            needed_ms = sale.purchased_ms
            if sale.handed_over_ms is not None:
                needed_ms = min(needed_ms, sale.handed_over_ms)
            for parcel in sale.parcels:
                for product, quantity in parcel.quantities().items():
                    key = (parcel.seller, product)
                    quantities[key] += quantity
                    first_ms[key] = min(first_ms.get(key, needed_ms), needed_ms)
        for seller, product in sorted(quantities):
            self._add(
                StockReceived(node=seller, sku=product, quantity=quantities[seller, product]),
                f"{seller}/{product}",
                first_ms[seller, product] - HOUR_MS,
                ASSUMED,
            )

    def add_sale(self, sale: Sale, reference: OlistReference) -> None:
        """Add the order, its parcels on their way, and its end."""
        self._add(_order_placed(sale), sale.order, sale.purchased_ms, OBSERVED, order=sale.order)
        for parcel in sale.parcels:
            self._add_parcel(sale, parcel, reference.weight_g(parcel))
        if sale.cancelled_ms is not None:
            self._add(
                OrderCancelled(order=sale.order, reason="the data's status; its time is assumed"),
                sale.order,
                sale.cancelled_ms,
                ASSUMED,
                order=sale.order,
            )

    def _add_parcel(self, sale: Sale, parcel: Parcel, weight_g: int) -> None:
        if sale.handed_over_ms is None:
            return
        # A shipment cannot be known before its order is.
        recorded_ms = max(sale.handed_over_ms, sale.purchased_ms)
        quantities = parcel.quantities()
        for number, (product, quantity) in enumerate(quantities.items(), start=1):
            self._add(
                StockPicked(node=parcel.seller, sku=product, quantity=quantity, order=sale.order),
                f"{parcel.shipment}/{number}",
                sale.handed_over_ms,
                ASSUMED,
                recorded_ms=recorded_ms,
                order=sale.order,
            )
        self._add(
            ShipmentDispatched(
                shipment=parcel.shipment,
                order=sale.order,
                node=parcel.seller,
                carrier=CARRIER,
                service=SERVICE,
                region=region_of(sale.state),
                promised=from_ms(sale.promised_ms),
                lines=tuple(
                    ShippedLine(sku=product, quantity=quantity)
                    for product, quantity in quantities.items()
                ),
                weight_g=weight_g,
                due_at_carrier=from_ms(parcel.limit_ms),
            ),
            parcel.shipment,
            sale.handed_over_ms,
            ASSUMED if sale.handed_over_assumed else OBSERVED,
            recorded_ms=recorded_ms,
            order=sale.order,
        )
        if sale.delivered_ms is not None:
            self._add(
                ShipmentDelivered(shipment=parcel.shipment),
                parcel.shipment,
                sale.delivered_ms,
                ASSUMED if sale.delivered_assumed else OBSERVED,
                recorded_ms=max(sale.delivered_ms, recorded_ms),
                order=sale.order,
            )

    def add_reference(self, reference: OlistReference) -> None:
        """Register everything at midnight UTC before all that has been added so far."""
        start_ms = _midnight_ms(min(event.time_ms for event in self._events))
        for fact in reference.facts():
            match fact:
                case RegionRegistered():
                    key = fact.region
                case NodeRegistered():
                    key = fact.node
                case SkuRegistered():
                    key = fact.sku
                case CarrierRegistered():
                    key = fact.carrier
            # Registrations mark field by field what is assumed; a carrier is assumed altogether.
            source = ASSUMED if isinstance(fact, CarrierRegistered) else OBSERVED
            self._add(fact, key, start_ms, source)

    def add_clock(self, last_promise_ms: int) -> None:
        """Tick at each midnight UTC, to past the last event and past the last promise."""
        times_ms = [event.recorded_ms for event in self._events]
        start_ms = _midnight_ms(min(times_ms))
        end_ms = _midnight_ms(max(*times_ms, last_promise_ms)) + DAY_MS
        for tick_ms in range(start_ms + DAY_MS, end_ms + 1, DAY_MS):
            self._add(ClockTicked(), rfc3339(tick_ms)[:10], tick_ms, CLOCK)


def _order_placed(sale: Sale) -> OrderPlaced:
    # By product, not by seller: what a customer orders is a product, and two sellers of the same
    # one in an order are one line at their mean price.
    prices: dict[str, list[int]] = {}
    for parcel in sale.parcels:
        for item in parcel.items:
            prices.setdefault(item.product, []).append(item.price_cents)
    return OrderPlaced(
        order=sale.order,
        customer=sale.person,
        region=region_of(sale.state),
        lines=tuple(
            OrderLine(
                sku=product, quantity=len(paid), unit_price_cents=round(sum(paid) / len(paid))
            )
            for product, paid in prices.items()
        ),
        promised=from_ms(sale.promised_ms),
    )


def _midnight_ms(time_ms: int) -> int:
    return time_ms - time_ms % DAY_MS
