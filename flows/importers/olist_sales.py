"""Sales joined from the Olist tables: what was ordered where, and what became of it.

Contradictions between timestamps are settled here, and counted together with what is left out.
"""

from collections import Counter

from msgspec import Struct, field

from flows.importers.olist_fit import Fit
from flows.importers.olist_tables import Item, OlistTables, Order

#: Final states of an order that was not, or will not be, sent.
_WITHDRAWN = frozenset({"canceled", "unavailable"})


class OlistReport(Struct):
    """Totals of an import; filled by the time the first event is handed out.

    `skipped` counts rows left out, `settled` contradictions that were resolved, both by reason;
    `assumed` counts registrations by the field that the data lacks, such as ``sku.weight_g``.
    `late` are orders delivered after their promise. A fit is None where defaults were taken.
    """

    orders: int = 0
    items: int = 0
    shipments: int = 0
    handed_over: int = 0
    delivered: int = 0
    late: int = 0
    cancelled: int = 0
    events: dict[str, int] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    assumed: Counter[str] = field(default_factory=Counter)
    freight_fit: Fit | None = None
    transit_fit: Fit | None = None


class Parcel(Struct, frozen=True, gc=False):
    """One seller's part of an order; `limit_ms` is when it was to hand it over."""

    shipment: str
    seller: str
    items: tuple[Item, ...]
    limit_ms: int

    def quantities(self) -> dict[str, int]:
        """Return pieces by product, in the order of the items."""
        return dict(Counter(item.product for item in self.items))


class Sale(Struct, frozen=True, kw_only=True, gc=False):
    """One order with all of its milestones, in ms since the epoch; None = not in the data.

    Without contradictions: `delivered_ms` is not before `handed_over_ms`. A milestone marked as
    assumed is not the data's own.
    """

    order: str
    person: str
    zip_prefix: str
    state: str
    parcels: tuple[Parcel, ...]
    purchased_ms: int
    promised_ms: int
    handed_over_ms: int | None
    handed_over_assumed: bool
    delivered_ms: int | None
    delivered_assumed: bool
    cancelled_ms: int | None


def join_sales(tables: OlistTables, report: OlistReport) -> list[Sale]:
    """Return all sales that can be read, by order id; count into `report` what cannot, and why."""
    for key in sorted(tables.items.keys() - tables.orders.keys()):
        report.skipped["item of an unknown order"] += len(tables.items[key])
    sales = []
    for _, order in sorted(tables.orders.items()):
        sale = _join(order, tables, report)
        if sale is not None:
            _count(sale, report)
            sales.append(sale)
    return sales


def _join(order: Order, tables: OlistTables, report: OlistReport) -> Sale | None:
    customer = tables.customers.get(order.customer)
    if customer is None:
        report.skipped["order of an unknown customer"] += 1
        return None
    parcels = _parcels(order, tables, report)
    if not parcels:
        report.skipped["order without items"] += 1
        return None
    limit_ms = max(parcel.limit_ms for parcel in parcels)
    handed_over_ms, delivered_ms = order.handed_over_ms, order.delivered_ms
    handed_over_assumed = delivered_assumed = False
    if delivered_ms is not None:
        if handed_over_ms is None:
            handed_over_ms = min(max(order.purchased_ms, limit_ms), delivered_ms)
            handed_over_assumed = True
            report.settled["delivered without handover: handed over at the limit"] += 1
        elif delivered_ms < handed_over_ms:
            # A negative transit time would poison every lane statistic.
            delivered_ms = handed_over_ms
            delivered_assumed = True
            report.settled["delivered before handover: delivered at the handover"] += 1
    if handed_over_ms is not None and handed_over_ms < order.purchased_ms:
        report.settled["handed over before purchase: kept, recorded at the purchase"] += 1
    cancelled_ms = None
    if order.status in _WITHDRAWN:
        if delivered_ms is None:
            cancelled_ms = _withdrawn_ms(order, limit_ms)
        else:
            report.settled["cancelled after delivery: not cancelled"] += 1
    return Sale(
        order=order.order,
        person=customer.person,
        zip_prefix=customer.zip_prefix,
        state=customer.state,
        parcels=parcels,
        purchased_ms=order.purchased_ms,
        promised_ms=order.promised_ms,
        handed_over_ms=handed_over_ms,
        handed_over_assumed=handed_over_assumed,
        delivered_ms=delivered_ms,
        delivered_assumed=delivered_assumed,
        cancelled_ms=cancelled_ms,
    )


def _parcels(order: Order, tables: OlistTables, report: OlistReport) -> tuple[Parcel, ...]:
    by_seller: dict[str, list[Item]] = {}
    for item in tables.items.get(order.order, ()):
        if item.seller in tables.sellers:
            by_seller.setdefault(item.seller, []).append(item)
        else:
            report.skipped["item of an unknown seller"] += 1
    return tuple(
        Parcel(
            f"{order.order}/{number}", seller, tuple(items), max(item.limit_ms for item in items)
        )
        for number, (seller, items) in enumerate(by_seller.items(), start=1)
    )


def _withdrawn_ms(order: Order, limit_ms: int) -> int:
    """Return an assumed time of an order's cancellation, which the data lacks.

    Not handed over: when the last seller's time to do so had passed, since from then on the shop
    knew. Handed over: when its promise had passed. Never before what had happened by then.
    """
    if order.handed_over_ms is not None:
        return max(order.promised_ms, order.handed_over_ms, order.purchased_ms)
    # A few limits lie years ahead; customers do not wait for goods longer than to their promise.
    return max(min(limit_ms, order.promised_ms), order.purchased_ms)


def _count(sale: Sale, report: OlistReport) -> None:
    report.orders += 1
    report.items += sum(len(parcel.items) for parcel in sale.parcels)
    report.cancelled += sale.cancelled_ms is not None
    if len(sale.parcels) > 1:
        report.settled["several sellers: each sent at the order's one handover"] += 1
    if sale.handed_over_ms is not None:
        report.handed_over += 1
        report.shipments += len(sale.parcels)
    if sale.delivered_ms is not None:
        report.delivered += 1
        report.late += sale.delivered_ms > sale.promised_ms
