"""Incidents in disturbed worlds: alarms, incidents, and whether one names what was done."""

from collections.abc import Iterator
from dataclasses import dataclass

from flows.simulation.config import WorldConfig, find_world
from flows.simulation.controller import ChainController
from flows.simulation.scenario import (
    NONE,
    CarrierStrike,
    Closure,
    DemandSpike,
    Disturbance,
    NodeFire,
    SilentFeed,
    Storm,
    find_scenario,
)
from flows.simulation.simulation import Simulation
from operators.chain import build_chain, to_record
from operators.core.facts import Alarm, Incident
from state.codec import JournalLine, encode
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS

SCENARIOS = (
    NONE,
    "carrier_strike",
    "port_closure",
    "storm_front",
    "node_fire",
    "silent_carrier",
    "regional_spike",
    "competitor_outage",
    "perfect_storm",
)
#: Hours after the end of a disturbance in which an incident can still be of it.
_AFTERMATH_H = 48
#: A scenario's hours count from its run's first minute.
_BEGIN_MS = 60_000


@dataclass(frozen=True)
class Grouped:
    """Alarms and incidents of a run; `opened_h` after the onset, of the first that names a cause.

    `summary` is that incident's, or the first one's if none names it, as it stood last.
    """

    scenario: str
    cause: str
    alarms: int
    incidents: int
    names_cause: bool
    opened_h: float | None
    summary: str


def grouping(seed: int, days: int, world: str) -> list[Grouped]:
    """Measure alarms and incidents under each scenario, in the same world."""
    return [group(seed, days, find_world(world), name) for name in SCENARIOS]


def group(seed: int, days: int, config: WorldConfig, name: str) -> Grouped:
    """Measure alarms and incidents under one scenario."""
    simulation = Simulation(seed, config, scenario=find_scenario(name))
    begin_ms = config.start_ms + _BEGIN_MS
    alarms, incidents = 0, list[tuple[int, Incident]]()
    for now_ms, fact in _derived(simulation, config, days):
        if isinstance(fact, Alarm):
            alarms += 1
        else:
            incidents.append((now_ms, fact))
    disturbances = find_scenario(name).disturbances
    causes = [_cause(simulation, each) for each in disturbances]
    opened = [(now_ms, each.name) for now_ms, each in incidents if each.state == "open"]
    told: Incident | None = next((each for _, each in incidents), None)
    hours: float | None = None
    for now_ms, each in incidents:
        hour = (now_ms - begin_ms) / HOUR_MS
        for disturbance, (_, scope) in zip(disturbances, causes, strict=True):
            in_time = disturbance.start_h <= hour <= disturbance.end_h + _AFTERMATH_H
            if hours is None and in_time and _names(each, scope):
                first_ms = next(at_ms for at_ms, name in opened if name == each.name)
                hours, told = (first_ms - begin_ms) / HOUR_MS - disturbance.start_h, each
    return Grouped(
        scenario=name,
        cause="; ".join(words for words, _ in causes),
        alarms=alarms,
        incidents=len(opened),
        names_cause=hours is not None,
        opened_h=hours,
        summary="" if told is None else told.summary,
    )


def _derived(
    simulation: Simulation, config: WorldConfig, days: int
) -> Iterator[tuple[int, Alarm | Incident]]:
    """Yield the alarms and incidents that a second chain derives from the run's journal."""
    policy = Policy()
    chain = build_chain(config.network, policy)
    end_ms = config.start_ms + days * DAY_MS
    for seq, event in enumerate(simulation.run(ChainController(config.network, policy)), 1):
        if event.recorded_ms >= end_ms:
            return
        raw = encode(event)
        for record in chain.step(to_record(JournalLine(seq, "simulated", seq, raw, len(raw)))):
            if isinstance(record.fact, Alarm | Incident):
                yield record.now_ms, record.fact


def _cause(simulation: Simulation, disturbance: Disturbance) -> tuple[str, dict[str, str]]:
    """Return what was disturbed, in words and as the scope of an incident that names it."""
    world = simulation.world
    region = max(world.regions, key=lambda region: region.weight).id
    match disturbance:
        case CarrierStrike() | SilentFeed():
            sizes: dict[str, float] = {}
            for service in world.services:
                sizes[service.carrier] = sizes.get(service.carrier, 0) + service.usual
            carrier = max(sizes, key=lambda key: (sizes[key], key))
            return carrier, {"measure": "transit", "carrier": carrier}
        case Closure():
            return region, {"measure": "transit", "region": region}
        case Storm():
            # A storm of 500 km lies over half of the network: either names it.
            whole = {"measure": "transit", "carrier": "", "node": ""}
            return f"storm over {region}", whole
        case DemandSpike() if disturbance.region == "everywhere":
            return "demand", {"measure": "demand"}
        case DemandSpike():
            return f"demand of {region}", {"measure": "demand", "region": region}
        case NodeFire():
            node = max(world.nodes, key=lambda node: node.usual).id
            return node, {"measure": "transit", "node": node}
        case _:
            raise AssertionError(disturbance)


def _names(incident: Incident, scope: dict[str, str]) -> bool:
    return all(getattr(incident, part) == value for part, value in scope.items())
