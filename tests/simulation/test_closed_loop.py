"""Decisions come back to the world, which is the same for all that decide."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from flows.replay.replay import ReplayPlan, Runner, replay
from flows.simulation.controller import ChainController
from state.actions import (
    Reroute,
    Reship,
)
from state.codec import encode_action
from state.events import (
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    ClockTicked,
    Event,
    Fact,
    InboundScheduled,
    NodeCapacityChanged,
    OrderCancelled,
    OrderPlaced,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    SignalObserved,
    StockReceived,
    TrafficObserved,
    WeatherObserved,
)
from state.journal_writer import JournalWriter
from state.policies import find_policy
from state.quantities import HOUR_MS
from tests.places import ROOT
from tests.worlds import (
    Ran,
    both,
    engine_run,
)

# The journal is enough to decide again.


@pytest.mark.parametrize(
    ("policy", "runner"),
    [
        ("ours", "dataflow"),
        pytest.param("nearest", "fold", marks=pytest.mark.slow),
        pytest.param("ours", "fold", marks=pytest.mark.slow),
        pytest.param("nearest", "dataflow", marks=pytest.mark.slow),
    ],
)
def test_a_replay_of_the_journal_gives_the_actions_that_were_executed(
    tmp_path: Path, policy: str, runner: Runner
) -> None:
    ran = engine_run(policy, "perfect_storm", days=6)
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    with JournalWriter(log) as writer:
        for event in ran.journal:
            writer.write(event)
    plan = ReplayPlan(logs=(log,), policy=find_policy(policy), engine=runner, out=out)
    summary = replay(plan)
    executed = b"".join(encode_action(action) + b"\n" for action in ran.actions)
    assert (out / "actions.jsonl").read_bytes() == executed
    assert summary.lines == len(ran.journal)
    assert isinstance(ran.controller, ChainController)
    assert summary.dead_letters == ran.controller.dead_letters > 0


@pytest.mark.slow
def test_the_same_seed_and_policy_give_the_same_run_in_any_process() -> None:
    script = (
        "from tests.simulation.test_closed_loop import engine_run;"
        "print(engine_run('ours', 'perfect_storm', days=6).digest)"
    )
    digests = {engine_run("ours", "perfect_storm", days=6).digest}
    for hash_seed in ("1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


@pytest.mark.slow
def test_another_policy_or_seed_is_another_run() -> None:
    runs = [engine_run(policy, days=2) for policy in ("ours", "nearest", "cheapest")]
    runs.append(engine_run("ours", seed=2, days=2))
    assert len({ran.digest for ran in runs}) == 4


# The world is the same under any decisions.


@pytest.mark.parametrize("policy", ["nearest", pytest.param("cheapest", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind",
    [
        OrderPlaced,
        WeatherObserved,
        TrafficObserved,
        SignalObserved,
        CarrierDisrupted,
        CarrierCapacityChanged,
        CarrierRegistered,
        ClockTicked,
    ],
)
def test_what_no_decision_can_touch_is_the_same_under_any_policy(
    policy: str, kind: type[Fact]
) -> None:
    ours, theirs, end_ms = both(policy)

    def told(ran: Ran) -> list[Event]:
        return [e for e in ran.journal if isinstance(e.fact, kind) and e.recorded_ms < end_ms]

    assert told(ours) == told(theirs)
    assert told(ours)


@pytest.mark.parametrize("policy", ["nearest", pytest.param("cheapest", marks=pytest.mark.slow)])
def test_supply_withdrawals_and_closures_are_the_same_under_any_policy(policy: str) -> None:
    ours, theirs, end_ms = both(policy)

    def happened(ran: Ran, *kinds: type[Fact]) -> list[tuple[int, str]]:
        """When and what; by the minute all of it is recorded."""
        before_ms = end_ms - HOUR_MS
        found = [(e.time_ms, repr(f)) for e, f in ran.of(*kinds) if e.time_ms < before_ms]
        return sorted(found)

    def withdrawn(ran: Ran) -> list[Event]:
        found = (e for e, fact in ran.of(OrderCancelled) if fact.reason != "waited_too_long")
        return [event for event in found if event.recorded_ms < end_ms]

    for kinds in ((StockReceived, InboundScheduled), (NodeCapacityChanged,)):
        assert happened(ours, *kinds) == happened(theirs, *kinds) != []
    assert withdrawn(ours) == withdrawn(theirs) != []


@pytest.mark.parametrize("policy", ["nearest", pytest.param("cheapest", marks=pytest.mark.slow)])
def test_parcels_sent_the_same_way_at_the_same_time_have_the_same_journey(policy: str) -> None:
    ours, theirs, end_ms = both(policy)

    def journeys(ran: Ran) -> dict[tuple[object, ...], list[Event]]:
        """Return the events of journeys, by the way taken; reroutes and recalls are other ways."""
        left_alone = {e.fact.shipment for e, _ in ran.of(ShipmentDispatched)}
        left_alone -= {d.shipment for d in (*ran.decisions(Reroute), *ran.decisions(Reship))}
        ways: dict[str, tuple[object, ...]] = {}
        told: dict[str, list[Event]] = defaultdict(list)
        kinds = (ShipmentDispatched, ShipmentScanned, ShipmentDelivered, ShipmentFailed)
        for event, fact in ran.of(*kinds):
            if isinstance(fact, ShipmentDispatched):
                ways[fact.shipment] = (fact.shipment, fact.node, fact.service, event.time_ms)
            if event.recorded_ms < end_ms:
                told[fact.shipment].append(event)
        return {ways[name]: told[name] for name in ways if name in left_alone}

    these, those = journeys(ours), journeys(theirs)
    same = these.keys() & those.keys()
    assert len(same) >= 30
    for way in same:
        # The content of the parcel may differ: a shelf may have been short.
        assert these[way][1:] == those[way][1:]
    assert sum(isinstance(these[way][-1].fact, ShipmentDelivered) for way in same) >= 30
