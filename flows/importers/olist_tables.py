"""The public Olist tables (Brazilian marketplace, 2016-2018), loaded from a folder, typed.

Traps of the data that are dealt with here:

- Timestamps carry no zone. They are Brasília time, read as UTC-3 throughout; summer time (UTC-2,
  October to February) is not undone, so an hour is ambiguous there.
- Some copies hold `shipping_limit_date` as month/day/year without seconds.
- Zip prefixes come with and without leading zeros.
- A few zip centroids lie in Europe, Asia or the Atlantic; whatever is outside of Brazil is dropped.
"""

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from msgspec import Struct

from flows.importers.olist_rows import LOCAL_ZONE, Row, read_rows
from state.errors import JournalError
from state.quantities import to_ms

_LATITUDES = (-34.0, 6.0)
_LONGITUDES = (-74.0, -28.0)


class Point(NamedTuple):
    """Degrees north and east, WGS 84."""

    latitude: float
    longitude: float


class Order(Struct, frozen=True, gc=False):
    """One order; instants in ms since the epoch, None where the data has none.

    `promised_ms` is the last second of the estimated delivery date, local time.
    """

    order: str
    customer: str
    status: str
    purchased_ms: int
    handed_over_ms: int | None
    delivered_ms: int | None
    promised_ms: int


class Item(Struct, frozen=True, gc=False):
    """One piece of one product; `limit_ms` is when the seller was to hand it over."""

    number: int
    product: str
    seller: str
    limit_ms: int
    price_cents: int
    freight_cents: int


class Customer(Struct, frozen=True, gc=False):
    """A customer; `person` is the same over all orders of one customer."""

    person: str
    zip_prefix: str
    state: str


class Product(Struct, frozen=True, gc=False):
    """Category and weight in g; None where the data has none (a weight of 0 is none)."""

    category: str | None
    weight_g: int | None


class Seller(Struct, frozen=True, gc=False):
    """A seller's place."""

    zip_prefix: str
    city: str
    state: str


class OlistTables(Struct, frozen=True):
    """All tables by key: items by order and in order of their numbers, `places` by zip prefix.

    `state_places` is the mean over a state's zip prefixes.
    """

    orders: dict[str, Order]
    items: dict[str, list[Item]]
    customers: dict[str, Customer]
    products: dict[str, Product]
    sellers: dict[str, Seller]
    places: dict[str, Point]
    state_places: dict[str, Point]


def load_tables(folder: Path) -> OlistTables:
    """Read all six tables. Raises JournalError naming the file, line or column that is wrong."""
    places, state_places = _places(folder)
    return OlistTables(
        orders=_orders(folder),
        items=_items(folder),
        customers={
            row.id("customer_id"): Customer(
                row.id("customer_unique_id"),
                row.zip_prefix("customer_zip_code_prefix"),
                row.id("customer_state"),
            )
            for row in read_rows(folder, "customers")
        },
        products={
            row.id("product_id"): Product(row.maybe_id("product_category_name"), _weight_g(row))
            for row in read_rows(folder, "products")
        },
        sellers={
            row.id("seller_id"): Seller(
                row.zip_prefix("seller_zip_code_prefix"),
                row["seller_city"],
                row.id("seller_state"),
            )
            for row in read_rows(folder, "sellers")
        },
        places=places,
        state_places=state_places,
    )


def _weight_g(row: Row) -> int | None:
    return round(row.number("product_weight_g")) or None if row["product_weight_g"] else None


def _orders(folder: Path) -> dict[str, Order]:
    orders: dict[str, Order] = {}
    for row in read_rows(folder, "orders"):
        promised = row.instant("order_estimated_delivery_date").astimezone(LOCAL_ZONE)
        order = Order(
            row.id("order_id"),
            row.id("customer_id"),
            row["order_status"],
            to_ms(row.instant("order_purchase_timestamp")),
            row.maybe_ms("order_delivered_carrier_date"),
            row.maybe_ms("order_delivered_customer_date"),
            to_ms(promised.replace(hour=23, minute=59, second=59)),
        )
        if order.order in orders:
            raise row.wrong("an order listed once", order.order)
        orders[order.order] = order
    return orders


def _items(folder: Path) -> dict[str, list[Item]]:
    items: dict[str, list[Item]] = {}
    for row in read_rows(folder, "order_items"):
        item = Item(
            round(row.number("order_item_id")),
            row.id("product_id"),
            row.id("seller_id"),
            to_ms(row.instant("shipping_limit_date")),
            round(row.number("price") * 100),
            round(row.number("freight_value") * 100),
        )
        items.setdefault(row.id("order_id"), []).append(item)
    for of_order in items.values():
        of_order.sort(key=lambda item: item.number)
    return items


def _places(folder: Path) -> tuple[dict[str, Point], dict[str, Point]]:
    """Return the mean position of each zip prefix (the original lists many points) and state."""
    of_zip: dict[str, list[Point]] = {}
    of_state: dict[str, list[Point]] = {}
    for row in read_rows(folder, "geolocation"):
        point = Point(
            row.number("geolocation_lat", low=-90), row.number("geolocation_lng", low=-180)
        )
        if _LATITUDES[0] <= point.latitude <= _LATITUDES[1] and (
            _LONGITUDES[0] <= point.longitude <= _LONGITUDES[1]
        ):
            of_zip.setdefault(row.zip_prefix("geolocation_zip_code_prefix"), []).append(point)
            of_state.setdefault(row.id("geolocation_state"), []).append(point)
    if not of_zip:
        raise JournalError(f"expected zip prefixes within Brazil, was none, at {folder}")
    return (
        {zip_prefix: mean_point(points) for zip_prefix, points in of_zip.items()},
        {state: mean_point(points) for state, points in of_state.items()},
    )


def mean_point(points: list[Point]) -> Point:
    """Return the mean latitude and longitude, rounded to 1e-5 degrees (1 m)."""
    return Point(
        round(fmean(point.latitude for point in points), 5),
        round(fmean(point.longitude for point in points), 5),
    )
