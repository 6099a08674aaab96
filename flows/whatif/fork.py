"""A fork: a real network's state at one place of its journal, continued in a world.

The journal, the deployment and its stores are only read. What goes on from there is a simulation of
the network as the engine knows it, decided by the same chain with all that it has learned.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from flows.simulation.config import WorldConfig
from flows.simulation.controller import ChainController
from flows.simulation.prices import Prices
from flows.simulation.scenario import Scenario
from flows.simulation.simulation import Simulation
from flows.whatif.open_work import opening_of
from flows.whatif.result import Run
from flows.whatif.trial import finish
from flows.whatif.twin_world import temper_of, world_of_twin
from flows.wiring.checkpoint_file import read_checkpoint
from flows.wiring.progress import Progress
from flows.wiring.records import records
from operators.chain import NO_NETWORK, Chains, build_chain
from operators.core.contract import Chain
from operators.governance.govern import Govern
from operators.hygiene.hygiene import Hygiene
from operators.orchestrate import Orchestrate
from state.errors import JournalError
from state.events import PolicyChanged
from state.policy import Policy

T = TypeVar("T")


class Fork(Struct, frozen=True, kw_only=True):
    """State of a network's chain after journal record `seq`; can go to other processes.

    `now_ms` is the journal's now, `ready_s` how long it took to have it ready to go on with.
    """

    network: str
    seq: int
    now_ms: int
    state: bytes
    origin: str
    ready_s: float


class ForkTrial(Struct, frozen=True, kw_only=True):
    """One way on from a fork."""

    fork: Fork
    seed: int
    days: float
    scenario: Scenario
    policy: Policy | None
    prices: Prices = Prices()


def fork_checkpoint(path: Path, network: str | None = None) -> Fork:
    """Fork at a checkpoint: a file, or the newest below a folder, such as a deployment's state.

    Raises JournalError if there is none, or none of the network; SnapshotError if it is damaged.
    """
    begun = time.perf_counter()
    found = path
    if path.is_dir():
        newest = max(path.rglob("*.zst"), key=lambda p: (p.stat().st_mtime, p.name), default=None)
        if newest is None:
            raise JournalError(f"expected a checkpoint (*.zst) below {path}, was none")
        found = newest
    states = dict(read_checkpoint(found))
    states.pop(NO_NETWORK, None)
    name = _the_one(list(states), network, str(found))
    return _ready(name, states[name], str(found), begun)


def fork_journal(
    logs: Sequence[Path],
    policy: Policy,
    *,
    until_seq: int | None = None,
    until_ms: int | None = None,
    network: str | None = None,
    progress: Progress = lambda lines, done, size: None,
) -> Fork:
    """Fold a journal up to a place (its end, unless `until_seq` or `until_ms` comes first).

    `until_ms` is a recorded time. Raises JournalError if there is nothing of the network by then.
    """
    chains = Chains(policy)
    for record in records(logs, progress):
        past = until_ms is not None and record.now_ms > until_ms
        if past or (until_seq is not None and record.seq > until_seq):
            break
        chains[record.network].step(record)
    chains.pop(NO_NETWORK, None)
    origin = ", ".join(map(str, logs))
    begun = time.perf_counter()
    name = _the_one(list(chains), network, origin)
    return _ready(name, chains[name].snapshot(), origin, begun)


def run_fork(trial: ForkTrial, progress: Callable[[float], object] = lambda share: None) -> Run:
    """Go on from a fork to the end of its days, and measure what came of it."""
    simulation, controller = open_fork(trial)
    return finish(simulation, controller, trial.days, progress)


def open_fork(trial: ForkTrial) -> tuple[Simulation, ChainController]:
    """Return a world in the state of the fork, and the chain that has known it."""
    fork = trial.fork
    controller = ChainController(fork.network, trial.policy or Policy())
    controller.chain.restore(fork.state)
    controller.seq = fork.seq
    _operator(controller.chain, Hygiene).feeds.forget()
    orchestrate = _operator(controller.chain, Orchestrate)
    world, orders_per_day = world_of_twin(orchestrate.twin, orchestrate.outlook)
    config: WorldConfig = temper_of(fork.network, orders_per_day)
    opening = opening_of(
        trial.seed,
        world,
        orchestrate.twin,
        orchestrate.disruptions,
        _operator(controller.chain, Govern).proposals,
        fork.now_ms,
        f"F{fork.seq}",
    )
    if trial.policy is not None:
        document = msgspec.to_builtins(trial.policy)
        opening.first_facts.append(PolicyChanged(policy=document, by="what-if"))
    named = "as it was" if trial.policy is None else trial.policy.fingerprint()
    simulation = Simulation(
        trial.seed,
        config,
        days=trial.days,
        scenario=trial.scenario,
        prices=trial.prices,
        world=world,
        opening=opening,
        stamp=f", policy {named}, scenario {trial.scenario.name}",
    )
    return simulation, controller


def _ready(name: str, state: bytes, origin: str, begun: float) -> Fork:
    """Return the fork, checked to go on: its world can be made."""
    chain = build_chain(name, Policy())
    chain.restore(state)
    orchestrate = _operator(chain, Orchestrate)
    world_of_twin(orchestrate.twin, orchestrate.outlook)
    return Fork(
        network=name,
        seq=_operator(chain, Govern).seq,
        now_ms=_operator(chain, Hygiene).now_ms,
        state=state,
        origin=origin,
        ready_s=time.perf_counter() - begun,
    )


def _the_one(names: list[str], wanted: str | None, origin: str) -> str:
    """Return the network to fork: the one asked for, or the only one."""
    if wanted is not None and wanted in names:
        return wanted
    if wanted is None and len(names) == 1:
        return names[0]
    there = ", ".join(sorted(names)) or "none"
    asked = "one network" if wanted is None else f"network {wanted}"
    raise JournalError(f"expected {asked} in {origin}, was {there}: name one with --network")


def _operator(chain: Chain, kind: type[T]) -> T:
    return next(o for o in chain.operators if isinstance(o, kind))
