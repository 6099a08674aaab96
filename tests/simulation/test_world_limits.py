"""There is only so much room in the world, and nothing piles up in it."""

from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest

from flows.simulation.controller import ChainController
from flows.simulation.history import History
from flows.simulation.scenario import (
    CarrierStrike,
    DemandSpike,
    NodeFire,
)
from flows.simulation.simulation import Simulation
from state.events import (
    CarrierCapacityChanged,
    CarrierRegistered,
    NodeCapacityChanged,
    NodeRegistered,
    ShipmentDispatched,
    StockPicked,
    StockShortPicked,
)
from state.policy import Policy
from state.quantities import DAY_MS
from tests.worlds import (
    TINY,
    Ran,
    disturbed_run,
)

pytestmark = pytest.mark.slow

CROWDED = (
    DemandSpike(start_h=24, end_h=72, ratio=8.0),
    CarrierStrike(start_h=40, end_h=60, strength=0.7),
    NodeFire(start_h=60, end_h=80, node="largest", stock_lost=0.1),
)


@cache
def crowded_run(policy: str) -> Ran:
    return disturbed_run(*CROWDED, policy=policy)


@pytest.mark.parametrize("policy", ["ours", "nearest"])
def test_no_node_begins_more_parcels_on_a_day_than_its_capacity(policy: str) -> None:
    """Nor any while it is closed."""
    room: dict[str, int] = {}
    begun: dict[tuple[str, int], set[int]] = defaultdict(set)
    filled = 0
    ran = crowded_run(policy)
    for event, fact in ran.of(NodeRegistered, NodeCapacityChanged, StockPicked, StockShortPicked):
        match fact:
            case NodeRegistered(node=node, parcels_per_day=capacity):
                room[node] = capacity
            case NodeCapacityChanged(node=node, parcels_per_day=capacity):
                room[node] = capacity
            case StockPicked(node=node) | StockShortPicked(node=node):
                today = begun[node, event.time_ms // DAY_MS]
                today.add(event.time_ms)  # all of a parcel is picked at once
                assert len(today) <= room[node]
                filled += len(today) == room[node]
    assert filled > 0


@pytest.mark.parametrize("policy", ["ours", "nearest"])
def test_no_service_takes_more_parcels_on_a_day_than_its_capacity(policy: str) -> None:
    room: dict[str, int] = {}
    taken: Counter[tuple[str, int]] = Counter()
    filled = 0
    ran = crowded_run(policy)
    for event, fact in ran.of(CarrierRegistered, CarrierCapacityChanged, ShipmentDispatched):
        match fact:
            case CarrierRegistered(carrier=carrier, services=services):
                room.update({f"{carrier}/{s.service}": s.parcels_per_day for s in services})
            case CarrierCapacityChanged(carrier=carrier, service=service, parcels_per_day=capacity):
                room[f"{carrier}/{service}"] = capacity
            case ShipmentDispatched(carrier=carrier, service=service):
                name = f"{carrier}/{service}"
                taken[name, event.time_ms // DAY_MS] += 1
                assert taken[name, event.time_ms // DAY_MS] <= room[name]
                filled += taken[name, event.time_ms // DAY_MS] == room[name]
    assert filled > 0


def held(simulation: Simulation) -> Counter[str]:
    """Return the size of each collection of the simulation, `Type.attribute` -> elements.

    Sums over time are left out: windows, samples, and the history of capacities.
    """
    sizes: Counter[str] = Counter()
    seen: set[int] = set()

    def walk(thing: Any, where: str) -> None:
        if id(thing) in seen or where in ("Ledger.windows", "Simulation.samples"):
            return
        seen.add(id(thing))
        if isinstance(thing, History):
            return
        if hasattr(thing, "__self__"):  # a bound method
            walk(thing.__self__, where)
        elif isinstance(thing, dict):
            sizes[where] += len(thing)
            for value in thing.values():
                walk(value, f"{where}[]")
        elif isinstance(thing, list | tuple | set) or type(thing).__name__ == "deque":
            sizes[where] += 0 if isinstance(thing, tuple) else len(thing)
            for value in thing:
                walk(value, f"{where}[]")
        elif type(thing).__module__.startswith("flows.simulation"):
            kind = type(thing)
            names = [*getattr(kind, "__slots__", ()), *getattr(thing, "__dict__", ())]
            for name in names:
                walk(getattr(thing, name, None), f"{kind.__name__}.{name}")

    walk(simulation, "")
    return sizes


def test_a_longer_run_holds_no_more_than_a_shorter_one() -> None:
    simulation = Simulation(5, TINY)
    sizes: list[Counter[str]] = []
    marks = [TINY.start_ms + days * DAY_MS for days in (15, 45)]
    for event in simulation.run(ChainController(TINY.network, Policy())):
        if event.recorded_ms >= marks[len(sizes)]:
            sizes.append(held(simulation))
            if len(sizes) == len(marks):
                break
    early, late = sizes
    assert early["Fulfilment.orders"] > 50
    assert early["Agenda._heap"] > 100
    # Caches that are emptied when they are full.
    for cache_of in ("Journeys._days", "Conditions._moods"):
        assert late.pop(cache_of) < 20_000
    grown = {name: (early[name], n) for name, n in late.items() if n > 1.5 * early[name] + 25}
    assert not grown
