"""Worlds to run tests in: tiny ones, and records of their runs."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

from flows.simulation import WorldConfig
from flows.simulation.config import find_world
from flows.simulation.controller import ChainController, Controller
from flows.simulation.scenario import (
    NONE,
    Disturbance,
    Scenario,
    find_scenario,
)
from flows.simulation.simulation import Simulation
from state.actions import (
    Action,
    Decision,
)
from state.codec import encode, encode_action
from state.events import (
    Event,
    Fact,
)
from state.policies import find_policy
from state.policy import Governance, Policy
from state.quantities import DAY_MS, HOUR_MS

TINY = WorldConfig(
    network="tiny",
    nodes=6,
    regions=6,
    skus=40,
    carriers=4,
    orders_per_day=45,
    fronts_per_day=0.6,
    disruptions_per_day=0.5,
    carrier_squeezes_per_day=0.3,
    node_squeezes_per_day=0.6,
    promotions_per_day=0.3,
    search_waves_per_day=0.3,
    sentiment_shifts_per_day=0.2,
    shrinkages_per_day=5,
    adjustments_per_day=2,
    counts_per_node_day=2,
    weather_every_h=6,
    traffic_every_h=12,
    tick_s=900,
    straggling_scan_share=0.03,
)
#: Nothing happens here but what is asked for.
QUIET = WorldConfig(
    network="quiet",
    nodes=6,
    regions=14,
    skus=20,
    carriers=2,
    orders_per_day=20,
    cancelled_share=0,
    returned_share=0,
    failed_attempt_share=0,
    lost_share=0,
    spoiled_share=0,
    fronts_per_day=0,
    disruptions_per_day=0,
    carrier_squeezes_per_day=0,
    node_squeezes_per_day=0,
    promotions_per_day=0,
    search_waves_per_day=0,
    sentiment_shifts_per_day=0,
    shrinkages_per_day=0,
    adjustments_per_day=0,
    counts_per_node_day=0,
    weather_every_h=24,
    traffic_every_h=24,
    tick_s=900,
    duplicate_share=0,
    missing_scan_share=0,
    straggling_scan_share=0,
)
SMALL = find_world("small")
#: A scenario's hours count from here.
BEGIN_MS = 60_000
PROPOSING = Policy(governance=Governance(autonomy={"allocate": "propose"}))

F = TypeVar("F", bound=Fact)
Shelf = tuple[str, str]


@dataclass
class Ran:
    """A finished run: its journal, what was decided, and who decided.

    `reported` also has events still on their way to the journal at the end. `closed` counts how
    often each order was closed.
    """

    simulation: Simulation
    controller: Controller
    journal: list[Event] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    reported: list[Event] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)

    def of(self, *kinds: type[F]) -> list[tuple[Event, F]]:
        """Return events of such facts, with them, by time; second deliveries left out."""
        seen: set[tuple[str, str]] = set()
        found = []
        for event in self.reported:
            if isinstance(event.fact, kinds) and (event.source, event.id) not in seen:
                seen.add((event.source, event.id))
                found.append((event, event.fact))
        return sorted(found, key=lambda pair: pair[0].time_ms)

    def hour(self, event: Event) -> float:
        """Return the hours of the scenario that had passed when it happened."""
        return (event.time_ms - self.simulation.config.start_ms - BEGIN_MS) / HOUR_MS

    def decisions(self, kind: type[Decision]) -> list[Any]:
        """Return the actions of a kind that were to be carried out."""
        return [
            action.data.decision
            for action in self.actions
            if isinstance(action.data.decision, kind) and action.data.mode == "act"
        ]

    @property
    def digest(self) -> str:
        """Return the digest of the journal and the actions."""
        found = sha256()
        for event in self.journal:
            found.update(encode(event) + b"\n")
        for action in self.actions:
            found.update(encode_action(action) + b"\n")
        return found.hexdigest()


def run(
    simulation: Simulation, controller: Controller, days: float = 100, checks: float = 0.005
) -> Ran:
    """Run to the end, or for so many days; units and cents are checked at random moments."""
    ran = Ran(simulation, controller)
    close, luck = simulation.ledger.closed, random.Random(simulation.seed)

    def closed(now_ms: int, order: Any) -> None:
        ran.closed[order.id] += 1
        close(now_ms, order)

    simulation.ledger.closed = closed  # type: ignore[method-assign]
    end_ms = simulation.config.start_ms + days * DAY_MS
    for event in simulation.run(controller, lambda event, actions: ran.actions.extend(actions)):
        ran.journal.append(event)
        if luck.random() < checks:
            simulation.check()
        if event.recorded_ms >= end_ms:
            break
    simulation.check()
    ran.reported = list(ran.journal)
    while simulation.outbox.next_ms() is not None:
        ran.reported.append(simulation.outbox.take())
    return ran


@cache
def engine_run(
    policy: str = "ours",
    scenario: str = NONE,
    *,
    seed: int = 1,
    world: WorldConfig = TINY,
    days: float = 5,
) -> Ran:
    """Return a run of an engine under a built-in policy."""
    found = PROPOSING if policy == "proposing" else find_policy(policy)
    simulation = Simulation(seed, world, days=days, scenario=find_scenario(scenario))
    return run(simulation, ChainController(world.network, found))


def disturbed_run(
    *disturbances: Disturbance, policy: str = "nearest", seed: int = 1, days: float = 5
) -> Ran:
    """Return a run in the tiny world, with disturbances of one's own."""
    scenario = Scenario(name="own", title="our own", disturbances=disturbances)  # type: ignore[arg-type]
    simulation = Simulation(seed, TINY, days=days, scenario=scenario)
    return run(simulation, ChainController(TINY.network, find_policy(policy)))


def both(policy: str) -> tuple[Ran, Ran, int]:
    """Return runs of two policies in a disturbed world, and until when they can be compared."""
    ours = engine_run("ours", "perfect_storm", days=6)
    theirs = engine_run(policy, "perfect_storm", days=6)
    return ours, theirs, min(ours.journal[-1].recorded_ms, theirs.journal[-1].recorded_ms)


def shelves_of(ran: Ran) -> Iterator[tuple[Shelf, Any]]:
    world = ran.simulation.world
    for shelf in ran.simulation.stock.all_shelves():
        yield (world.nodes[shelf.node].id, world.skus[shelf.sku].id), shelf
