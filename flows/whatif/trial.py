"""A trial: one world, one seed, one scenario, one policy, run to its end and measured."""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from flows.simulation.config import WorldConfig
from flows.simulation.controller import ChainController
from flows.simulation.measures import cost_per_order, measure, on_time
from flows.simulation.prices import Prices
from flows.simulation.scenario import Scenario
from flows.simulation.simulation import Simulation
from flows.whatif.result import Run, Series
from state.actions import Action
from state.events import Event
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS

#: Events between two reports of progress.
_REPORTED_EVERY = 500
#: Days after the last order in which nearly all orders end; the last may take two weeks more.
_ENDING_DAYS = 7


class Trial(Struct, frozen=True, kw_only=True):
    """A run to make; it can be sent to another process."""

    seed: int
    world: WorldConfig
    days: float
    scenario: Scenario
    policy: Policy
    prices: Prices = Prices()


def run_trial(trial: Trial, progress: Callable[[float], object] = lambda share: None) -> Run:
    """Run a trial to its end; `progress` receives the share done, about.

    Raises AssertionError if a unit or a cent is unaccounted for at the end.
    """
    simulation = Simulation(
        trial.seed,
        trial.world,
        days=trial.days,
        scenario=trial.scenario,
        prices=trial.prices,
        stamp=f", policy {trial.policy.fingerprint()}, scenario {trial.scenario.name}",
    )
    controller = ChainController(trial.world.network, trial.policy)
    return finish(simulation, controller, trial.days, progress)


def finish(
    simulation: Simulation,
    controller: ChainController,
    days: float,
    progress: Callable[[float], object] = lambda share: None,
) -> Run:
    """Run a simulation that is wired up to its end, and measure it."""
    actions: Counter[str] = Counter()
    start_ms = simulation.begin_ms
    whole_ms = (days + _ENDING_DAYS) * DAY_MS

    def count(event: Event, done: list[Action]) -> None:
        for action in done:
            actions[action.kind] += 1

    events = 0
    for events, _ in enumerate(simulation.run(controller, count), 1):
        if events % _REPORTED_EVERY == 0:
            progress(min(0.99, (simulation.now_ms - start_ms) / whole_ms))
    simulation.check()
    progress(1.0)
    return Run(
        seed=simulation.seed,
        digest=controller.journal.hexdigest(),
        events=events,
        actions=dict(sorted(actions.items())),
        kpis=measure(simulation),
        series=_series(simulation),
    )


def _series(simulation: Simulation) -> Series:
    """Return curves by window: orders by when they were placed, backlog and stock at its end."""
    windows, samples = simulation.ledger.windows, simulation.samples
    start_ms = simulation.begin_ms
    known = len(windows)
    names = [node.id for node in simulation.world.nodes]
    return Series(
        hours=[(at_ms - start_ms) / HOUR_MS for at_ms, _, _ in samples],
        cost_per_order_cents=[
            cost_per_order(windows[n]) if n < known else None for n in range(len(samples))
        ],
        on_time=[on_time(windows[n]) if n < known else None for n in range(len(samples))],
        backlog=[float(backlog) for _, backlog, _ in samples],
        stock={
            name: [float(units[index]) for _, _, units in samples]
            for index, name in enumerate(names)
        },
    )
