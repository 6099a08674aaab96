"""Scenarios: each leaves its mark on the journal, and a wrong file is refused."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.simulation import WorldConfig
from flows.simulation.config import WORLDS, find_world, parse_world
from flows.simulation.scenario import (
    NONE,
    SCENARIOS,
    UNDISTURBED,
    CarrierStrike,
    Closure,
    PriceShock,
    find_scenario,
    parse_scenario,
)
from flows.simulation.simulation import Simulation
from state.errors import SettingsError
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Event,
    Fact,
    NodeCapacityChanged,
    OrderPlaced,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentScanned,
    SignalObserved,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockShortPicked,
    WeatherObserved,
)
from state.quantities import HOUR_MS
from tests.worlds import (
    BEGIN_MS,
    TINY,
    F,
    Ran,
    disturbed_run,
    engine_run,
    shelves_of,
)

#: It hits carriers, nodes and demand at once.
SAMPLED = {"perfect_storm"}


def within(ran: Ran, start_h: float, end_h: float, *kinds: type[F]) -> list[tuple[Event, F]]:
    """Return the events between two hours of a scenario."""
    return [(e, f) for e, f in ran.of(*kinds) if start_h <= ran.hour(e) < end_h]


def busiest_carrier(ran: Ran) -> str:
    room: Counter[str] = Counter()
    for service in ran.simulation.world.services:
        room[service.carrier] += service.usual
    return max(room, key=lambda name: (room[name], name))


def largest_node(ran: Ran) -> str:
    return max(ran.simulation.world.nodes, key=lambda node: (node.usual, node.id)).id


def busiest_region(ran: Ran) -> str:
    return max(ran.simulation.world.regions, key=lambda region: (region.weight, region.id)).id


def orders(ran: Ran, start_h: float, end_h: float, region: str | None = None) -> int:
    placed = within(ran, start_h, end_h, OrderPlaced)
    return sum(region in (None, fact.region) for _, fact in placed)


def sees_a_strike(ran: Ran, without: Ran) -> None:
    carrier = busiest_carrier(ran)
    changes = within(ran, 96, 96.001, CarrierCapacityChanged)
    services = [s for s in ran.simulation.world.services if s.carrier == carrier]
    assert {f.service for _, f in changes if f.carrier == carrier} == {
        s.spec.service for s in services
    }
    assert all(f.parcels_per_day == 0 for _, f in changes if f.carrier == carrier)
    assert not [f for _, f in within(ran, 96, 168, ShipmentDispatched) if f.carrier == carrier]
    assert [f for _, f in within(ran, 168, 400, ShipmentDispatched) if f.carrier == carrier]
    reported = within(ran, 98, 98.001, CarrierDisrupted)
    assert [(f.carrier, f.delay_s) for _, f in reported] == [(carrier, 36 * 3_600)]


def sees_a_fire(ran: Ran, without: Ran) -> None:
    node = largest_node(ran)
    (change,) = [f for _, f in within(ran, 96, 96.001, NodeCapacityChanged) if f.node == node]
    assert change.parcels_per_day == 0
    burnt = [f for _, f in within(ran, 96, 96.001, StockAdjusted) if f.node == node]
    assert len(burnt) >= 5
    assert all(f.reason == "damage" and f.delta < 0 for f in burnt)
    assert not [f for _, f in within(ran, 96, 216, StockPicked) if f.node == node]
    assert [f for _, f in within(without, 96, 216, StockPicked) if f.node == node]


def sees_a_closure(ran: Ran, without: Ran) -> None:
    region = busiest_region(ran)
    reported = [f for _, f in within(ran, 97, 97.001, CarrierDisrupted) if f.region == region]
    assert {f.carrier for f in reported} == {c.carrier for c in ran.simulation.world.carriers}
    over = [f for _, f in within(ran, 168, 168.001, CarrierDisrupted) if f.region == region]
    assert len(over) == len(reported)
    assert all(f.delay_s == 0 for f in over)
    nodes = ran.simulation.world.nodes
    regions = [r.id for r in ran.simulation.world.regions]
    shut = {node.id for node in nodes if regions[node.region] == region}
    assert not [f for _, f in within(ran, 96, 168, StockReceived) if f.node in shut]
    assert shut
    assert [f for _, f in within(without, 96, 168, StockReceived) if f.node in shut]


def sees_a_regional_spike(ran: Ran, without: Ran) -> None:
    region = busiest_region(ran)
    assert orders(ran, 108, 156, region) > 3 * orders(without, 108, 156, region)
    signals = [f for _, f in within(ran, 90, 90.001, SignalObserved) if f.region == region]
    assert [f.kind for f in signals] == ["search"]
    assert signals[0].ratio > 3


def sees_a_storm(ran: Ran, without: Ran) -> None:
    region = busiest_region(ran)

    def worst(each: Ran) -> float:
        seen = within(each, 96, 144, WeatherObserved)
        return max(f.severity for _, f in seen if f.region == region)

    assert worst(ran) > 0.85
    assert worst(without) < 0.8


def sees_silence(ran: Ran, without: Ran) -> None:
    carrier = busiest_carrier(ran)
    begin_ms = ran.simulation.config.start_ms + BEGIN_MS
    start_ms, end_ms = begin_ms + 96 * HOUR_MS, begin_ms + 144 * HOUR_MS
    of = {f.shipment for _, f in ran.of(ShipmentDispatched) if f.carrier == carrier}
    kept_back = [
        event
        for event, fact in within(
            ran, 96, 144, ShipmentDispatched, ShipmentScanned, ShipmentDelivered
        )
        if fact.shipment in of
    ]
    assert len(kept_back) > 50
    assert min(event.recorded_ms for event in kept_back) == end_ms
    assert sum(event.recorded_ms == end_ms for event in kept_back) > 50
    heard = [e for e, f in ran.of(ShipmentScanned) if start_ms <= e.recorded_ms < end_ms]
    assert {f.fact.shipment in of for f in heard if f.time_ms >= start_ms} == {False}


def sees_corruption(ran: Ran, without: Ran) -> None:
    node = largest_node(ran)
    wrong = [f for _, f in within(ran, 96, 96.001, StockCounted) if f.node == node]
    shelves = [key for key, _ in shelves_of(ran) if key[0] == node]
    assert len(shelves) * 0.3 < len(wrong) < len(shelves) * 0.7
    counted = {f.sku for _, f in within(ran, 144, 144.001, StockCounted) if f.node == node}
    first = {f.sku for _, f in within(ran, -1, 1, StockCounted) if f.node == node}
    # Shelves that transfers made since then may be there as well.
    assert first and first <= counted <= {sku for _, sku in shelves}
    short = [f for _, f in within(ran, 96, 144, StockShortPicked) if f.node == node]
    usually = [f for _, f in within(without, 96, 144, StockShortPicked) if f.node == node]
    reconciled = [a for a in ran.actions if a.kind == "reconcile"]
    assert len(short) + len(reconciled) > len(usually) + 5


def sees_a_crunch(ran: Ran, without: Ran) -> None:
    world = ran.simulation.world
    services = within(ran, 96, 96.001, CarrierCapacityChanged)
    nodes = within(ran, 96, 96.001, NodeCapacityChanged)
    assert {(f.carrier, f.service) for _, f in services} == {
        (s.carrier, s.spec.service) for s in world.services
    }
    assert {f.node for _, f in nodes} == {node.id for node in world.nodes}
    usual = {node.id: node.usual for node in world.nodes}
    assert all(f.parcels_per_day <= round(0.6 * usual[f.node]) for _, f in nodes)
    assert orders(ran, 72, 168) > 1.5 * orders(without, 72, 168)


def sees_other_prices(ran: Ran, without: Ran) -> None:
    carrier = busiest_carrier(ran)
    (usual,) = [f for _, f in within(ran, -1, 1, CarrierRegistered) if f.carrier == carrier]
    ((_, raised),) = within(ran, 96, 96.001, CarrierRegistered)
    ((_, back),) = within(ran, 216, 216.001, CarrierRegistered)
    assert raised.carrier == back.carrier == carrier
    for now, then in zip(raised.services, usual.services, strict=True):
        assert now.base_cents == round(1.8 * then.base_cents)
    assert [s.base_cents for s in back.services] == [s.base_cents for s in usual.services]
    share = {
        each: [f.carrier == carrier for _, f in within(ran_, 100, 192, ShipmentDispatched)]
        for each, ran_ in (("shock", ran), ("usual", without))
    }
    rate = {name: sum(taken) / len(taken) for name, taken in share.items()}
    assert rate["shock"] < 0.7 * rate["usual"]


def sees_an_outage(ran: Ran, without: Ran) -> None:
    assert orders(ran, 104, 140) > 2 * orders(without, 104, 140)
    signals = within(ran, 103, 103.001, SignalObserved)
    assert "competitor" in {f.kind for _, f in signals}


def sees_all_at_once(ran: Ran, without: Ran) -> None:
    carrier = busiest_carrier(ran)
    assert [f for _, f in within(ran, 96, 97, CarrierCapacityChanged) if f.carrier == carrier]
    seen = [f.severity for _, f in within(ran, 90, 138, WeatherObserved)]
    assert max(seen) > 0.8
    assert orders(ran, 100, 148) > 1.8 * orders(without, 100, 148)


EFFECTS: dict[str, Callable[[Ran, Ran], None]] = {
    "carrier_strike": sees_a_strike,
    "node_fire": sees_a_fire,
    "port_closure": sees_a_closure,
    "regional_spike": sees_a_regional_spike,
    "storm_front": sees_a_storm,
    "silent_carrier": sees_silence,
    "stock_corruption": sees_corruption,
    "holiday_crunch": sees_a_crunch,
    "price_shock": sees_other_prices,
    "competitor_outage": sees_an_outage,
    "perfect_storm": sees_all_at_once,
}


@pytest.mark.parametrize(
    "name",
    [name if name in SAMPLED else pytest.param(name, marks=pytest.mark.slow) for name in SCENARIOS],
)
def test_every_scenario_leaves_its_mark_on_the_journal(name: str) -> None:
    ran, without = engine_run(scenario=name, days=8), engine_run(days=8)
    assert ran.digest != without.digest
    EFFECTS[name](ran, without)
    assert find_scenario(name).name == name
    assert find_scenario(name).end_h() <= 9 * 24


def test_no_two_facts_have_the_same_id() -> None:
    """Not even if a disturbance is over before it is admitted, or several meet."""
    short = CarrierStrike(start_h=24, end_h=30, announced_h=24)
    ran = disturbed_run(
        short, short, Closure(start_h=24, end_h=25), PriceShock(start_h=24, end_h=30), days=2
    )
    facts: dict[tuple[str, str], list[tuple[int, Fact]]] = defaultdict(list)
    for event in ran.reported:
        facts[event.source, event.id].append((event.time_ms, event.fact))
    assert all(reported.count(reported[0]) == len(reported) for reported in facts.values())


@pytest.mark.parametrize(
    ("disturbance", "message"),
    [
        ({"what": "node_fire", "node": "N-X"}, r"expected largest or a node \(.*\), was N-X"),
        (
            {"what": "carrier_strike", "carrier": "DODO"},
            r"expected busiest or a carrier \(NORDPOST, .*\), was DODO",
        ),
        (
            {"what": "price_shock", "carrier": "NORDPOST", "service": "sled"},
            "expected one of economy, standard as the service, was sled",
        ),
        ({"what": "storm", "region": "R-X"}, r"expected busiest or a region \(.*\), was R-X"),
        ({"what": "closure", "region": "R-X"}, r"expected busiest or a region \(.*\), was R-X"),
        ({"what": "demand_spike", "region": "R-X"}, r"a region \(.*\), was R-X"),
        (
            {"what": "demand_spike", "category": "gold"},
            "expected one of .* as the category, was gold",
        ),
    ],
)
def test_a_scenario_that_names_what_is_not_there_is_refused(
    disturbance: dict[str, Any], message: str
) -> None:
    document = {"name": "own", "title": "our own"}
    span = {"start_h": 1, "end_h": 2}
    scenario = parse_scenario({**document, "disturbances": [{**span, **disturbance}]}, "own.toml")
    with pytest.raises(SettingsError, match=message):
        Simulation(1, TINY, scenario=scenario)


def test_a_scenario_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    head = 'name = "own"\ntitle = "our own"\n[[disturbances]]\nwhat = "node_fire"\n'
    for text, message in (
        (head + "start_h = 3\nend_h = 2\n", "expected an end_h after start_h 3, was 2, in distur"),
        (head + "start_h = 3\nend_h = 3\n", "expected an end_h after start_h 3, was 3"),
        (
            head + "start_h = 1\nend_h = 2\nnodes = 3\n",
            "expected one of the keys .*node.*, was 'nodes', at disturbances.0.",
        ),
        (
            head + "end_h = 2\n",
            "expected the key 'start_h', was a table without it, at disturbances.0.",
        ),
        (
            head.replace("fire", "flood") + "start_h = 1\nend_h = 2\n",
            r"expected one of .*node_fire.*, was 'node_flood', at disturbances\[0\].what",
        ),
        (head + "start_h = \n", "expected TOML, was"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=message) as refused:
            find_scenario(str(path))
        assert str(path) in str(refused.value)
    path.write_text(head + "start_h = 1\nend_h = 2\n")
    assert find_scenario(str(path)).spans() == [("node_fire", 1.0, 2.0)]
    with pytest.raises(SettingsError, match=r"expected a scenario .none, carrier_strike, .*"):
        find_scenario("no_such_thing")
    assert find_scenario(NONE) is UNDISTURBED


def test_shipped_worlds_load_and_others_are_checked(tmp_path: Path) -> None:
    assert [find_world(name).network for name in WORLDS] == list(WORLDS)
    assert find_world("demo") == WorldConfig()
    with pytest.raises(
        SettingsError, match=r"expected one of the keys .*nodes.*, was 'node', in own"
    ):
        parse_world({"node": 7}, "own")
    with pytest.raises(SettingsError, match=r"whole number >= 4.*, was 3, at nodes, in own"):
        parse_world({"nodes": 3}, "own")
    with pytest.raises(SettingsError, match=r"expected a world .demo, small, medium, rough."):
        find_world("no_such_world")
    path = tmp_path / "own.toml"
    path.write_text("nodes = 5\norders_per_day = 3.5\n")
    assert find_world(str(path)) == WorldConfig(nodes=5, orders_per_day=3.5)
    path.write_text("nodes =")
    with pytest.raises(SettingsError, match="expected TOML"):
        find_world(str(path))
