"""Random small logs for property tests: a world, then anything that can happen in it."""

from hypothesis import strategies as st

from state.events import (
    ActionApproved,
    CarrierDisrupted,
    CarrierRegistered,
    Fact,
    HoldLifted,
    HoldPlaced,
    InboundScheduled,
    NetworkHalted,
    NetworkResumed,
    NodeCapacityChanged,
    OrderCancelled,
    PolicyChanged,
    PriceChanged,
    ShipmentDelivered,
    ShipmentFailed,
    ShipmentScanned,
    SignalObserved,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
    WeatherObserved,
)
from state.events.telemetry import ParcelStatus
from state.quantities import HoldKind, from_ms
from tests.builders import DAY, HOUR, NODES, PLACES, SKUS, START_MS, Log, dispatch, order

_NODES = st.sampled_from(sorted(NODES))
_SKUS = st.sampled_from(sorted(SKUS))
_REGIONS = st.sampled_from(sorted(PLACES))
_UNITS = st.integers(1, 6)
_NAMES = st.integers(1, 8)
_SCOPES: st.SearchStrategy[tuple[HoldKind, str]] = st.sampled_from(
    [
        ("order", "O-1"),
        ("order", "O-2"),
        ("node", "N-NORTH"),
        ("sku", "BOOK"),
        ("service", "POST/standard"),
        ("lane", "N-SOUTH>NORTH"),
        ("region", "SOUTH"),
    ]
)
_SOON = st.integers(-HOUR, 5 * DAY)


@st.composite
def inventory(draw: st.DrawFn) -> Fact:
    node, sku, units = draw(_NODES), draw(_SKUS), draw(_UNITS)
    number = draw(_NAMES)
    eta = from_ms(START_MS + draw(_SOON) * 1000)
    other = draw(_NODES)
    return draw(
        st.sampled_from(
            [
                StockCounted(node=node, sku=sku, quantity=units - 1),
                StockReceived(node=node, sku=sku, quantity=units, inbound=f"I-{number}"),
                StockReceived(node=node, sku=sku, quantity=units),
                StockPicked(node=node, sku=sku, quantity=units, order=f"O-{number}"),
                StockShortPicked(
                    node=node, sku=sku, order=f"O-{number}", expected=units, picked=units // 2
                ),
                StockAdjusted(node=node, sku=sku, delta=units - 3, reason="correction"),
                StockReturned(node=node, sku=sku, quantity=units),
                InboundScheduled(
                    inbound=f"I-{number}", node=node, sku=sku, quantity=units - 1, eta=eta
                ),
                TransferDeparted(
                    transfer=f"T-{number}",
                    origin=node,
                    destination=other,
                    sku=sku,
                    quantity=units,
                    eta=eta,
                ),
                TransferArrived(transfer=f"T-{number}", node=other, sku=sku, quantity=units),
            ]
        )
    )


@st.composite
def telemetry(draw: st.DrawFn) -> Fact:
    number = draw(_NAMES)
    shipment = f"S-{number}"
    lines = {draw(_SKUS): draw(_UNITS)}
    status: st.SearchStrategy[ParcelStatus] = st.sampled_from(
        ["picked_up", "in_transit", "out_for_delivery", "delivery_delayed"]
    )
    return draw(
        st.sampled_from(
            [
                dispatch(shipment, f"O-{number}", lines, node=draw(_NODES), region=draw(_REGIONS)),
                ShipmentScanned(shipment=shipment, status=draw(status)),
                ShipmentDelivered(shipment=shipment),
                ShipmentFailed(shipment=shipment, reason="lost", party="carrier"),
                WeatherObserved(region=draw(_REGIONS), severity=0.7),
                CarrierDisrupted(
                    carrier="POST", delay_s=DAY, until=from_ms(START_MS + 2 * DAY * 1000)
                ),
            ]
        )
    )


@st.composite
def demand(draw: st.DrawFn) -> Fact:
    number = draw(_NAMES)
    lines = draw(st.dictionaries(_SKUS, _UNITS, min_size=1, max_size=3))
    return draw(
        st.sampled_from(
            [
                order(f"O-{number}", lines, region=draw(_REGIONS), promised_s=draw(_SOON)),
                order(f"O-{number}", lines, region=draw(_REGIONS)),
                OrderCancelled(order=f"O-{number}", reason="changed mind"),
                SignalObserved(kind="search", region=draw(_REGIONS), ratio=2.5),
                PriceChanged(sku=draw(_SKUS), region=draw(_REGIONS), price_cents=2_000),
            ]
        )
    )


@st.composite
def control(draw: st.DrawFn) -> Fact:
    kind, scope = draw(_SCOPES)
    return draw(
        st.sampled_from(
            [
                NetworkHalted(by="ops", reason="drill"),
                NetworkResumed(by="ops"),
                HoldPlaced(kind=kind, scope=scope, by="ops", until=from_ms(START_MS + DAY * 1000)),
                HoldPlaced(kind=kind, scope=scope, by="ops"),
                HoldLifted(kind=kind, scope=scope, by="ops"),
                NodeCapacityChanged(node=draw(_NODES), parcels_per_day=draw(st.integers(0, 3))),
                PolicyChanged(
                    policy={
                        "demand": {"fading": draw(st.sampled_from([0.2, 0.5])), "bucket_s": HOUR},
                        "delays": {"learning_rate": draw(st.sampled_from([0.01, 0.1]))},
                        "sourcing": {"max_legs": draw(st.integers(1, 3))},
                        "exploration": {"share": 0.5, "most_extra_cents": 1_000},
                        "pricing": {"enabled": True, "change_cents": 0},
                    }
                ),
                ActionApproved(action=f"net:{draw(st.integers(10, 60))}-1", by="ops"),
            ]
        )
    )


ANYTHING = st.one_of(inventory(), telemetry(), demand(), demand(), control())
PAUSES = st.sampled_from([0, 0, 1, 60, HOUR, 9 * HOUR, DAY])


@st.composite
def logs(
    draw: st.DrawFn,
    facts: st.SearchStrategy[Fact] = ANYTHING,
    most: int = 40,
    carriers: tuple[CarrierRegistered, ...] = (),
) -> Log:
    """Draw a stocked world, and up to `most` things that happen in it."""
    stock = {(node, sku): 4 for node in NODES for sku in SKUS}
    log = Log().network_of(stock, *carriers)
    for fact, pause in draw(st.lists(st.tuples(facts, PAUSES), max_size=most)):
        log.add(fact, pause)
    return log
