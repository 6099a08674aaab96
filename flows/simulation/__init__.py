"""A network that does not exist, and that executes the engine's actions.

A seeded world of discrete events executes the engine's actions and records their consequences, so
that decisions can be rehearsed and measured. See `simulation.Simulation`; `simulate` gives the
journal of a run.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from flows.simulation.config import WorldConfig
from flows.simulation.scenario import UNDISTURBED, Scenario
from state.events import Event
from state.policy import Policy
from state.quantities import DAY_MS

__all__ = ["DEFAULT_DAYS", "WorldConfig", "count_by_type", "simulate"]

#: Length of a run unless given.
DEFAULT_DAYS = 7


def simulate(
    *,
    seed: int,
    events: int | None = None,
    days: int | None = None,
    config: WorldConfig | None = None,
    policy: Policy | None = None,
    scenario: Scenario = UNDISTURBED,
) -> Iterator[Event]:
    """Return the events of a network that does not exist, in nondecreasing recorded time.

    Exactly the first `events` of them, or those recorded within `days` days (7 if neither is
    given). The engine decides under `policy` (the usual one unless given). The same arguments give
    the same events, on any machine and in any process; a longer run begins with the shorter one.
    Raises ValueError if both or a negative number are given, SettingsError if the scenario names
    what the world has not.
    """
    # Scenarios and worlds are read where nothing is simulated; the engine takes seconds to import.
    from flows.simulation.controller import ChainController
    from flows.simulation.simulation import Simulation

    if events is not None and days is not None:
        raise ValueError(f"expected events or days, was both ({events} and {days})")
    for name, number in (("events", events), ("days", days)):
        if number is not None and number < 0:
            raise ValueError(f"expected {name} of at least 0, was {number}")
    config, policy = config or WorldConfig(), policy or Policy()
    stamp = f", policy {policy.fingerprint()}, scenario {scenario.name}"
    simulation = Simulation(seed, config, scenario=scenario, stamp=stamp)
    made = simulation.run(ChainController(config.network, policy))
    if events is not None:
        return islice(made, events)
    end_ms = config.start_ms + (DEFAULT_DAYS if days is None else days) * DAY_MS
    return _until(made, end_ms)


def _until(made: Iterator[Event], end_ms: int) -> Iterator[Event]:
    for event in made:
        if event.recorded_ms >= end_ms:
            return
        yield event


def count_by_type(events: Iterable[Event]) -> dict[str, int]:
    """Return how many of `events` there are of each wire type, the most frequent first."""
    return dict(Counter(event.type for event in events).most_common())
