"""The Olist importer on tables of our own making, which hold every trap of the real ones."""

import gzip
import shutil
from collections import Counter
from pathlib import Path

import pytest

from flows.importers.olist import ASSUMED, CLOCK, OBSERVED, import_olist
from flows.importers.olist_fit import fit_medians
from flows.importers.olist_sales import OlistReport
from state.codec import JournalLine, decode, encode
from state.errors import JournalError
from state.events import (
    CarrierRegistered,
    Event,
    Fact,
    NodeRegistered,
    OrderCancelled,
    OrderPlaced,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    SkuRegistered,
    StockPicked,
    StockReceived,
)
from state.quantities import DAY_MS, rfc3339
from tests.places import DATA

SMALL = DATA / "olist_small"


@pytest.fixture
def events() -> list[Event]:
    return list(import_olist(SMALL))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMALL, tmp_path / "olist"))


def of_order(events: list[Event], kind: type[Fact], order: str) -> list[Event]:
    return [e for e in events if isinstance(e.fact, kind) and e.correlation == order]


def named(events: list[Event], identifier: str) -> Event:
    (found,) = [e for e in events if e.id == identifier]
    return found


def test_every_event_is_decoded_again_as_it_was(events: list[Event]) -> None:
    for event in events:
        raw = encode(event)
        assert decode(JournalLine(1, "test", 1, raw, len(raw))) == event


def test_events_are_in_the_order_of_their_recorded_times_with_unique_ids(
    events: list[Event],
) -> None:
    assert [e.recorded_ms for e in events] == sorted(e.recorded_ms for e in events)
    assert len({e.id for e in events}) == len(events)
    assert all(e.time_ms <= e.recorded_ms for e in events)


def test_every_reference_comes_before_its_use(events: list[Event]) -> None:
    first: dict[type[Fact], int] = {}
    for place, event in enumerate(events):
        first.setdefault(type(event.fact), place)
    chain: tuple[type[Fact], ...] = (
        RegionRegistered,
        NodeRegistered,
        SkuRegistered,
        CarrierRegistered,
        StockReceived,
    )
    assert sorted(chain, key=lambda kind: first[kind]) == list(chain)
    assert first[StockReceived] < first[OrderPlaced] < first[ShipmentDispatched]


def test_the_small_tables_give_exactly_these_events() -> None:
    report = OlistReport()
    events = list(import_olist(SMALL, report=report))
    expected = {
        "crossdock.carrier.registered": 1,
        "crossdock.clock.ticked": 25,  # from 2 March to 26 March, after the last promise
        "crossdock.node.registered": 4,
        "crossdock.order.cancelled": 2,
        "crossdock.order.placed": 12,
        "crossdock.region.registered": 4,
        "crossdock.shipment.delivered": 9,
        "crossdock.shipment.dispatched": 11,
        "crossdock.sku.registered": 4,
        "crossdock.stock.picked": 11,
        "crossdock.stock.received": 8,
    }
    assert report.events == expected == dict(Counter(e.type for e in events))
    assert (report.orders, report.items, report.shipments) == (12, 14, 11)
    assert (report.delivered, report.late, report.cancelled) == (8, 1, 2)
    assert report.skipped == {"order without items": 1, "item of an unknown order": 1}
    assert sorted(report.settled.values()) == [1, 1, 1, 1]


def test_the_same_tables_in_another_order_of_rows_give_the_same_log(
    events: list[Event], copied: Path
) -> None:
    for path in copied.glob("*.csv"):
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *reversed(rows)]))
    assert list(import_olist(copied)) == events


def test_names_of_the_original_and_compressed_tables_are_read_too(
    events: list[Event], copied: Path
) -> None:
    for path in list(copied.glob("*.csv")):
        kept = gzip.compress(b"\xef\xbb\xbf" + path.read_bytes())
        (copied / f"olist_{path.stem}_dataset.csv.gz").write_bytes(kept)
        path.unlink()
    assert list(import_olist(copied)) == events


def test_a_promise_lasts_to_the_end_of_the_estimated_day_in_brasilia(
    events: list[Event],
) -> None:
    (placed,) = of_order(events, OrderPlaced, "o03")
    (delivered,) = of_order(events, ShipmentDelivered, "o03")
    assert isinstance(placed.fact, OrderPlaced)
    assert placed.fact.promised.isoformat() == "2018-03-13T02:59:59+00:00"
    # Delivered at 22:00 of that day there, which is the next day in UTC, and yet in time.
    assert rfc3339(delivered.time_ms) == "2018-03-13T01:00:00.000Z"


def test_an_order_of_two_sellers_is_one_order_and_two_shipments(events: list[Event]) -> None:
    (placed,) = of_order(events, OrderPlaced, "o07")
    assert isinstance(placed.fact, OrderPlaced)
    assert [(line.sku, line.quantity) for line in placed.fact.lines] == [("p1", 2), ("p3", 1)]
    sent = [
        (e.fact.shipment, e.fact.node, e.fact.weight_g)
        for e in of_order(events, ShipmentDispatched, "o07")
        if isinstance(e.fact, ShipmentDispatched)
    ]
    assert sent == [("o07/1", "s1", 1_000), ("o07/2", "s2", 800)]
    assert len(of_order(events, ShipmentDelivered, "o07")) == 2


def test_a_limit_with_slashes_is_read_month_first(events: list[Event]) -> None:
    sent = named(events, "shipment.dispatched/o02/1").fact
    assert isinstance(sent, ShipmentDispatched)
    assert sent.due_at_carrier is not None
    assert sent.due_at_carrier.isoformat() == "2018-03-04T14:10:00+00:00"


def test_each_seller_receives_exactly_what_it_will_sell(events: list[Event]) -> None:
    received: Counter[tuple[str, str]] = Counter()
    for event in events:
        match event.fact:
            case StockReceived(node=node, sku=sku, quantity=quantity):
                received[node, sku] += quantity
                assert event.source == ASSUMED
            case StockPicked(node=node, sku=sku, quantity=quantity):
                received[node, sku] -= quantity
                assert received[node, sku] >= 0
                assert event.source == ASSUMED
    # Left over is what was ordered and never handed over: o04 and o12.
    assert +received == {("s1", "p2"): 1, ("s4", "p3"): 1}


def test_a_cancellation_is_at_an_assumed_time(events: list[Event]) -> None:
    at_limit, at_promise = (named(events, f"order.cancelled/{order}") for order in ("o04", "o05"))
    assert isinstance(at_limit.fact, OrderCancelled)
    assert at_limit.source == at_promise.source == ASSUMED
    assert rfc3339(at_limit.time_ms) == "2018-03-08T13:10:00.000Z"
    assert rfc3339(at_promise.time_ms) == "2018-03-24T02:59:59.000Z"


def test_an_order_still_on_its_way_has_no_end(events: list[Event]) -> None:
    assert len(of_order(events, ShipmentDispatched, "o06")) == 1
    assert not of_order(events, ShipmentDelivered, "o06")
    assert not of_order(events, ShipmentDispatched, "o12")


def test_a_handover_before_the_purchase_keeps_its_time_and_is_recorded_later(
    events: list[Event],
) -> None:
    (placed,) = of_order(events, OrderPlaced, "o10")
    (sent,) = of_order(events, ShipmentDispatched, "o10")
    assert sent.time_ms == placed.time_ms - DAY_MS // 48
    assert sent.recorded_ms == placed.recorded_ms
    assert events.index(placed) < events.index(sent)


def test_impossible_deliveries_are_settled_and_marked(events: list[Event]) -> None:
    (sent,) = of_order(events, ShipmentDispatched, "o11")
    (delivered,) = of_order(events, ShipmentDelivered, "o11")
    assert (sent.source, delivered.source) == (OBSERVED, ASSUMED)
    assert delivered.time_ms == sent.time_ms
    (sent,) = of_order(events, ShipmentDispatched, "o13")
    (delivered,) = of_order(events, ShipmentDelivered, "o13")
    assert (sent.source, delivered.source) == (ASSUMED, OBSERVED)
    assert rfc3339(sent.time_ms) == "2018-03-09T16:10:00.000Z"  # the seller's limit


def test_what_the_data_lacks_is_marked_as_assumed(events: list[Event]) -> None:
    facts = {e.id: e.fact for e in events}
    weightless, weighed = facts["sku.registered/p4"], facts["sku.registered/p3"]
    assert isinstance(weightless, SkuRegistered)
    assert isinstance(weighed, SkuRegistered)
    assert (weightless.assumed, weightless.weight_g) == (("category", "weight_g"), 800)
    assert (weighed.assumed, weighed.category) == ((), "garden_tools")
    known, stray = facts["node.registered/s1"], facts["node.registered/s3"]
    region, far = facts["region.registered/BR-SP"], facts["region.registered/BR-AC"]
    assert isinstance(known, NodeRegistered)
    assert isinstance(stray, NodeRegistered)
    assert isinstance(region, RegionRegistered)
    assert isinstance(far, RegionRegistered)
    costs = ("handling_fixed_cents", "handling_unit_cents", "handling_time_s", "parcels_per_day")
    assert (known.assumed, known.latitude) == (costs, -24.1)
    # The only point of its zip lies in Portugal, so that it stands where its region does.
    assert stray.assumed == ("latitude", "longitude", *costs)
    assert (stray.latitude, stray.longitude) == (region.latitude, region.longitude)
    assert (region.assumed, far.assumed) == ((), ("latitude", "longitude"))
    carrier = named(events, "carrier.registered/correios")
    assert isinstance(carrier.fact, CarrierRegistered)
    assert carrier.source == ASSUMED
    assert "services" in carrier.fact.assumed
    assert {e.source for e in events} == {OBSERVED, ASSUMED, CLOCK}


def test_a_missing_table_is_named(copied: Path) -> None:
    (copied / "sellers.csv").unlink()
    with pytest.raises(JournalError, match=r"sellers\.csv.*olist_sellers_dataset\.csv.*olist$"):
        import_olist(copied)


def test_a_missing_column_is_named(copied: Path) -> None:
    (copied / "products.csv").write_text("product_id,product_weight_g\np1,5\n")
    with pytest.raises(JournalError, match=r"product_category_name.*products\.csv:1"):
        import_olist(copied)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2018-03-01 10:00:00,", "yesterday,", r"order_purchase_timestamp, was 'yesterday'.*:2$"),
        ("o02,c02", "o01,c02", r"listed once, was 'o01'.*:3$"),
        ("o03,c03,", "o03,", r"expected 8 columns, was 7.*:4$"),
        ("2018-03-20", "1018-03-20", r"a year from 2000.*:2$"),
    ],
)
def test_a_wrong_row_is_named(copied: Path, old: str, new: str, message: str) -> None:
    path = copied / "orders.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(JournalError, match=message):
        import_olist(copied)


def test_a_broken_file_is_named(copied: Path) -> None:
    whole = gzip.compress((copied / "customers.csv").read_bytes())
    (copied / "customers.csv").unlink()
    (copied / "customers.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(JournalError, match=r"readable table.*customers\.csv\.gz"):
        import_olist(copied)


def test_tables_without_any_sale_are_refused(copied: Path) -> None:
    path = copied / "order_items.csv"
    path.write_text(path.read_text().splitlines()[0])
    with pytest.raises(JournalError, match="expected an order with items, was none in 13 orders"):
        import_olist(copied)


def test_the_fit_finds_a_plane_through_outliers() -> None:
    weights = [1.0 + n % 7 for n in range(300)]
    distances = [float(n % 31) for n in range(300)]
    targets = [900 + 200 * w + 80 * d for w, d in zip(weights, distances, strict=True)]
    targets[::10] = [50_000.0] * 30
    fit = fit_medians((weights, distances), targets, minimum_rows=100)
    assert fit is not None
    assert fit.intercept == pytest.approx(900, abs=5)
    assert fit.slopes == pytest.approx((200, 80), abs=1)
    assert fit_medians((weights, weights), targets, minimum_rows=100) is None
    assert fit_medians((weights, distances), targets, minimum_rows=301) is None
