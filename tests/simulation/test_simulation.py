"""The simulated network is large, honest, repeatable, and its lateness has causes.

That decisions come back to it is tested in `tests.simulation.test_closed_loop`.
"""

import hashlib
import os
import subprocess
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import pairwise
from statistics import fmean

import pytest

from flows.simulation import DEFAULT_DAYS, WorldConfig, count_by_type, simulate
from flows.simulation.scenario import NONE, find_scenario
from state.codec import JournalLine, decode, encode
from state.events import (
    CarrierRegistered,
    ClockTicked,
    Event,
    InboundScheduled,
    NodeRegistered,
    OrderCancelled,
    OrderPlaced,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    SkuRegistered,
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
from state.policies import find_policy
from state.quantities import DAY_MS, to_ms
from tests.worlds import TINY

SEED = 7
#: Five and a half days of the usual world.
EVENTS = 60_000
#: A withdrawal reaches the node within so long.
_HEARD_MS = 60_000


@pytest.fixture(scope="module")
def log() -> list[Event]:
    return list(simulate(seed=SEED, events=EVENTS))


@pytest.fixture(scope="module")
def distinct(log: list[Event]) -> list[Event]:
    """The log without second deliveries."""
    seen: set[tuple[str, str]] = set()
    first = []
    for event in log:
        if (event.source, event.id) not in seen:
            seen.add((event.source, event.id))
            first.append(event)
    return first


@pytest.fixture(scope="module")
def journeys(distinct: list[Event]) -> list[tuple[Event, Event]]:
    """Dispatch and delivery of each delivered shipment."""
    dispatched = {
        event.fact.shipment: event
        for event in distinct
        if isinstance(event.fact, ShipmentDispatched)
    }
    return [
        (dispatched[event.fact.shipment], event)
        for event in distinct
        if isinstance(event.fact, ShipmentDelivered)
    ]


def digest(seed: int, events: int) -> str:
    found = hashlib.sha256()
    for event in simulate(seed=seed, events=events):
        found.update(encode(event) + b"\n")
    return found.hexdigest()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    script = "from tests.simulation.test_simulation import digest; print(digest(3, 12_000))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "4711")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 64


def test_seeds_policies_and_scenarios_differ_from_the_first_line_on() -> None:
    def first(seed: int = 1, policy: str = "ours", scenario: str = NONE) -> Event:
        found = find_policy(policy), find_scenario(scenario)
        return next(simulate(seed=seed, events=1, policy=found[0], scenario=found[1]))

    lines = [first(), first(seed=2), first(policy="nearest"), first(scenario="node_fire")]
    assert len({encode(event) for event in lines}) == len(lines)
    assert lines[0] == next(simulate(seed=1, days=1))
    name = find_policy("ours").fingerprint()
    assert lines[0].id == f"seed 1, policy {name}, scenario none"


def test_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    longer = list(simulate(seed=SEED, events=3_000, config=TINY))
    assert list(simulate(seed=SEED, events=1_000, config=TINY)) == longer[:1_000]
    one_day = list(simulate(seed=SEED, days=1, config=TINY))
    assert one_day == longer[: len(one_day)]
    assert one_day[-1].recorded_ms < TINY.start_ms + DAY_MS <= longer[-1].recorded_ms


def test_events_or_days_but_not_both() -> None:
    with pytest.raises(ValueError, match="expected events or days, was both"):
        simulate(seed=1, events=1, days=1)
    with pytest.raises(ValueError, match="expected events of at least 0, was -1"):
        simulate(seed=1, events=-1)
    with pytest.raises(ValueError, match="expected days of at least 0, was -1"):
        simulate(seed=1, days=-1)
    assert list(simulate(seed=1, events=0)) == list(simulate(seed=1, days=0)) == []


def test_the_usual_run_is_a_week_of_the_usual_world() -> None:
    world = WorldConfig(nodes=4, regions=3, skus=10, orders_per_day=5, tick_s=3_600)
    events = list(simulate(seed=1, config=world))
    end_ms = world.start_ms + DEFAULT_DAYS * DAY_MS
    assert end_ms - DAY_MS // 24 < events[-1].recorded_ms < end_ms
    assert events == list(simulate(seed=1, config=world, days=7))


@pytest.mark.slow
def test_the_network_is_large_and_of_every_kind(log: list[Event]) -> None:
    facts = [event.fact for event in log]
    kinds = Counter(fact.kind for fact in facts if isinstance(fact, NodeRegistered))
    assert set(kinds) == {"fulfilment_centre", "cross_dock", "store", "dark_store"}
    assert sum(kinds.values()) == 36
    assert sum(isinstance(fact, RegionRegistered) for fact in facts) == 48
    assert sum(isinstance(fact, SkuRegistered) for fact in facts) == 1_200
    carriers = [fact for fact in facts if isinstance(fact, CarrierRegistered)]
    assert len(carriers) == 5
    assert all(2 <= len(carrier.services) <= 3 for carrier in carriers)
    assert {service.mode for carrier in carriers for service in carrier.services} == {
        "road", "rail", "air", "bike", "parcel_van",
    }  # fmt: skip
    stocking: dict[str, int] = Counter()
    for event in log[:8_000]:
        if isinstance(event.fact, StockCounted) and event.time_ms == log[0].time_ms:
            stocking[event.fact.sku] += 1
    assert len(stocking) == 1_200
    assert 2 <= min(stocking.values()) < max(stocking.values()) <= 12


@pytest.mark.slow
def test_every_event_survives_the_wire(log: list[Event]) -> None:
    for number, event in enumerate(log[::5]):
        raw = encode(event)
        assert decode(JournalLine(number, "log", number, raw, len(raw))) == event


@pytest.mark.slow
def test_recorded_time_never_goes_back_and_never_precedes_time(log: list[Event]) -> None:
    for before, after in pairwise(log):
        assert before.recorded_ms <= after.recorded_ms
        assert after.time_ms <= after.recorded_ms
    ticks = [event.recorded_ms for event in log if isinstance(event.fact, ClockTicked)]
    assert {b - a for a, b in pairwise(ticks)} == {60_000}


@pytest.mark.slow
def test_a_week_is_about_as_busy_as_a_real_one(log: list[Event]) -> None:
    counts = count_by_type(log)
    assert sum(counts.values()) == len(log) == EVENTS
    assert next(iter(counts)) == "crossdock.shipment.scanned"
    days = (log[-1].recorded_ms - log[0].recorded_ms) / DAY_MS
    assert 5 <= days <= 7
    assert 800 < counts["crossdock.order.placed"] / days < 1_300
    cancelled = counts["crossdock.order.cancelled"] / counts["crossdock.order.placed"]
    assert 0.008 < cancelled < 0.025
    expected = {"stock.short_picked", "stock.adjusted", "stock.returned", "inbound.scheduled",
                "node.capacity_changed", "carrier.capacity_changed", "carrier.disrupted",
                "signal.observed", "traffic.observed", "shipment.failed",
                "action.completed"}  # fmt: skip
    assert {f"crossdock.{name}" for name in expected} <= set(counts)


@pytest.mark.slow
def test_feeds_are_as_imperfect_as_real_ones(log: list[Event], distinct: list[Event]) -> None:
    assert 0.001 < 1 - len(distinct) / len(log) < 0.005
    first = {(event.source, event.id): event for event in distinct}
    for event in log:
        original = first[event.source, event.id]
        assert event.recorded_ms >= original.recorded_ms
        assert (event.time_ms, event.fact) == (original.time_ms, original.fact)
    seen: dict[str, int] = {}
    overtaken = 0
    for event in distinct:
        if isinstance(event.fact, ShipmentScanned):
            overtaken += event.time_ms < seen.get(event.fact.shipment, 0)
            seen[event.fact.shipment] = max(event.time_ms, seen.get(event.fact.shipment, 0))
    assert overtaken > 12


@pytest.mark.slow
def test_shelves_never_hold_fewer_than_no_units(distinct: list[Event]) -> None:
    shelf: dict[tuple[str, str], int] = {}
    discrepancies = 0
    for event in distinct:
        match event.fact:
            case StockCounted(node=node, sku=sku, quantity=quantity):
                discrepancies += shelf.get((node, sku), quantity) > quantity
                shelf[node, sku] = quantity
            case StockReceived(node=node, sku=sku, quantity=quantity):
                shelf[node, sku] += quantity
            case StockPicked(node=node, sku=sku, quantity=quantity):
                shelf[node, sku] -= quantity
            case StockShortPicked(node=node, sku=sku, expected=expected, picked=picked):
                assert picked < expected
                shelf[node, sku] = 0
            case StockAdjusted(node=node, sku=sku, delta=delta):
                shelf[node, sku] += delta
            case TransferDeparted(origin=node, sku=sku, quantity=quantity):
                shelf[node, sku] -= quantity
            case TransferArrived(node=node, sku=sku, quantity=quantity):
                shelf[node, sku] = shelf.get((node, sku), 0) + quantity
            case StockReturned(node=node, sku=sku, quantity=quantity, sellable=True):
                shelf[node, sku] += quantity
            case _:
                continue
        assert shelf[node, sku] >= 0
    assert discrepancies > 20


@pytest.mark.slow
def test_what_is_received_was_scheduled(distinct: list[Event]) -> None:
    scheduled: dict[str, tuple[str, str, int]] = {}
    received: set[str] = set()
    short = moved = 0
    for event in distinct:
        match event.fact:
            case InboundScheduled(inbound=inbound, node=node, sku=sku, quantity=units):
                moved += inbound in scheduled
                scheduled[inbound] = (node, sku, units)
            case StockReceived(inbound=str() as inbound, node=node, sku=sku, quantity=units):
                due = scheduled[inbound]
                assert (node, sku) == due[:2]
                assert inbound not in received
                assert 0 < units <= due[2]
                short += units < due[2]
                received.add(inbound)
    assert len(received) > 500
    assert 0.005 < short / len(received) < 0.08
    assert 0.05 < moved / len(scheduled) < 0.15
    assert not received & {name for name, due in scheduled.items() if due[2] == 0}


@pytest.mark.slow
def test_a_parcel_holds_what_was_picked_for_an_order_that_stands(distinct: list[Event]) -> None:
    ordered: dict[str, Counter[str]] = {}
    picked: dict[tuple[str, str, str], int] = Counter()
    withdrawn_ms: dict[str, int] = {}
    again: set[str] = set()
    failed = {event.fact.shipment for event in distinct if isinstance(event.fact, ShipmentFailed)}
    for event in distinct:
        match event.fact:
            case OrderPlaced(order=order, lines=lines):
                ordered[order] = Counter({line.sku: line.quantity for line in lines})
            case OrderCancelled(order=order):
                withdrawn_ms[order] = event.time_ms
            case StockPicked(order=order, node=node, sku=sku, quantity=units):
                picked[order, node, sku] += units
            case StockShortPicked(order=order, node=node, sku=sku, picked=units):
                picked[order, node, sku] += units
            case ShipmentDispatched(shipment=shipment, order=order, node=node, lines=lines):
                assert event.time_ms < withdrawn_ms.get(order, event.time_ms) + _HEARD_MS
                for line in lines:
                    picked[order, node, line.sku] -= line.quantity
                    assert picked[order, node, line.sku] >= 0
                    if shipment not in failed:
                        ordered[order][line.sku] -= line.quantity
                        assert line.sku in ordered[order]
                again |= {order} if min(ordered[order].values()) < 0 else set()
    # Sent again, and what was given up has not failed before the log ends.
    assert len(again) <= 3


@pytest.mark.slow
def test_lateness_is_neither_rare_nor_the_rule(journeys: list[tuple[Event, Event]]) -> None:
    late = [there.time_ms > to_ms(here.fact.promised) for here, there in journeys]
    assert 0.05 < fmean(late) < 0.20


@pytest.mark.slow
def test_few_parcels_never_arrive(distinct: list[Event]) -> None:
    dispatched = sum(isinstance(event.fact, ShipmentDispatched) for event in distinct)
    failed = [event.fact for event in distinct if isinstance(event.fact, ShipmentFailed)]
    assert 0.0005 < len(failed) / dispatched < 0.01
    delivered = sum(isinstance(event.fact, ShipmentDelivered) for event in distinct)
    assert delivered > 0.45 * dispatched


@pytest.mark.slow
def test_bad_weather_delays(distinct: list[Event], journeys: list[tuple[Event, Event]]) -> None:
    """Against the same service at the same kind of distance, so that the mix explains nothing."""
    observed: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for event in sorted(distinct, key=lambda event: event.time_ms):
        if isinstance(event.fact, WeatherObserved):
            observed[event.fact.region][0].append(event.time_ms)
            observed[event.fact.region][1].append(event.fact.severity)
    fair: dict[tuple[str, str], list[int]] = defaultdict(list)
    bad: dict[tuple[str, str], list[int]] = defaultdict(list)
    for here, there in journeys:
        times, severities = observed[here.fact.region]
        start, end = bisect_right(times, here.time_ms), bisect_right(times, there.time_ms)
        worst = max(severities[max(0, start - 1) : end], default=0.0)
        group = fair if worst < 0.1 else bad if worst > 0.35 else None
        if group is not None:
            group[here.fact.carrier, here.fact.service].append(there.time_ms - here.time_ms)
    compared = [key for key in bad if len(bad[key]) >= 20 and len(fair[key]) >= 20]
    slower = [fmean(bad[key]) / fmean(fair[key]) for key in compared]
    assert len(compared) >= 3
    assert fmean(slower) > 1.08
