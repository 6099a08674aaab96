"""Simulate a network from Python: its log as events, or as a file."""

from collections.abc import Iterator
from pathlib import Path

from flows.simulation import simulate as run
from flows.simulation.config import WorldConfig, find_world
from flows.simulation.scenario import Scenario, find_scenario
from state.events import Event
from state.journal_writer import JournalWriter
from state.policy import Policy


class SimulatedLog(Iterator[Event]):
    """The events of a simulated network by recorded time, made as they are asked for."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events

    def __next__(self) -> Event:
        return next(self._events)

    def write(self, path: str | Path) -> int:
        """Write the events that are left as a log; returns how many that were.

        The suffix chooses the compression: ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``. Raises
        JournalError if the file cannot be written.
        """
        with JournalWriter(Path(path)) as writer:
            for event in self:
                writer.write(event)
        return writer.lines


def simulate(
    seed: int = 1,
    *,
    events: int | None = None,
    days: int | None = None,
    world: str | Path | WorldConfig = "demo",
    scenario: str | Path | Scenario = "none",
    policy: Policy | None = None,
) -> SimulatedLog:
    """Simulate a network that does not exist, run by the engine under `policy`.

    Gives exactly the first `events` of its log, or those recorded within `days` days (7 if neither
    is given). `world` and `scenario` are names of those that come along, TOML files, or values. The
    same arguments give the same events on any machine; a longer log begins with the shorter one.

    Raises ValueError if both `events` and `days` or a negative number are given, SettingsError if
    a world or a scenario cannot be read, or the scenario names what the world has not.
    """
    made = run(
        seed=seed,
        events=events,
        days=days,
        config=world if isinstance(world, WorldConfig) else find_world(str(world)),
        policy=policy,
        scenario=scenario if isinstance(scenario, Scenario) else find_scenario(str(scenario)),
    )
    return SimulatedLog(made)
