"""Forks to run on: of simulated journals and of random ones, at any place, under any scenario."""

from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from flows.simulation import WorldConfig
from flows.simulation.config import WORLDS, find_world
from flows.simulation.controller import ChainController
from flows.simulation.scenario import NONE, SCENARIOS, Scenario, find_scenario
from flows.simulation.simulation import Simulation
from flows.whatif.fork import Fork, ForkTrial, fork_journal, open_fork
from flows.whatif.trial import finish
from operators.core.contract import Record
from state.codec import DeadLetter, encode
from state.events import Event, Fact
from state.policy import Policy
from state.quantities import DAY_MS

#: Everything that can happen to a fork besides the usual.
ALL_SCENARIOS = (NONE, *SCENARIOS)
#: Settings of a world that make a sample cheap; the rest of it is as shipped.
_CHEAP_SKUS, _CHEAP_ORDERS = 40, 25.0


def hurried(name: str, hours: float) -> Scenario:
    """Return a shipped scenario with all its disturbances within the first `hours`."""
    scenario = find_scenario(name)
    if not scenario.disturbances:
        return scenario
    factor = hours / scenario.end_h()
    return replace(
        scenario,
        disturbances=tuple(
            replace(each, start_h=each.start_h * factor, end_h=each.end_h * factor)
            for each in scenario.disturbances
        ),
    )


def cheap(name: str) -> WorldConfig:
    """Return a shipped world with less in it."""
    world = find_world(name)
    return replace(world, skus=_CHEAP_SKUS, orders_per_day=_CHEAP_ORDERS, tick_s=900)


@cache
def journal_of(world: WorldConfig, days: float, seed: int = 1) -> list[Event]:
    """Return the journal of so many days of a world under the engine."""
    end_ms = world.start_ms + round(days * DAY_MS)
    events = []
    for event in Simulation(seed, world).run(ChainController(world.network, Policy())):
        events.append(event)
        if event.recorded_ms >= end_ms:
            break
    return events


def fork_of(
    events: list[Event], until_seq: int | None = None, policy: Policy | None = None
) -> Fork:
    """Fork a journal; raise JournalError where there is nothing to fork yet."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        log.write_bytes(b"".join(encode(event) + b"\n" for event in events))
        return fork_journal([log], policy or Policy(), until_seq=until_seq)


def run_on(fork: Fork, scenario: Scenario, *, days: float, seed: int = 1) -> list[Fact]:
    """Run a fork to its end, check what it has at the end, and return the facts of its journal."""
    trial = ForkTrial(fork=fork, seed=seed, days=days, scenario=scenario, policy=None)
    simulation, engine = open_fork(trial)
    facts: list[Fact] = []
    step = engine.chain.step

    def stepped(record: Record) -> list[Record]:
        if record.event is not None:
            facts.append(record.event.fact)
        out = step(record)
        for each in out:
            if isinstance(each.fact, DeadLetter):
                # A scan may be so late that its parcel is forgotten, as in any feed.
                assert each.fact.reason == "unknown_reference", each.fact
        return out

    engine.chain.step = stepped  # type: ignore[method-assign]
    finish(simulation, engine, days)
    return facts


def random_case(seed: int) -> tuple[str, str, float]:
    """Return a world, a scenario and a share of a journal, by seed; few seeds see most."""
    world = WORLDS[seed % len(WORLDS)]
    scenario = ALL_SCENARIOS[seed * 5 % len(ALL_SCENARIOS)]
    return world, scenario, Random(seed).uniform(0.85, 1.0)
