"""The comparison: trials of scenarios and policies over the same seeds, on all cores, paired."""

import multiprocessing
import os
import time
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from msgspec import Struct

from flows.simulation.config import WorldConfig
from flows.simulation.scenario import NONE, UNDISTURBED, Scenario
from flows.whatif.fork import Fork, ForkTrial, run_fork
from flows.whatif.result import Arm, Result, Run
from flows.whatif.statistics import paired_differences
from flows.whatif.trial import Trial, run_trial
from flows.wiring.stop import end_with_parent
from state.policy import Policy
from state.quantities import rfc3339
from state.sums import float_sum

P = TypeVar("P")

#: Receives (runs done, share of all work done).
Progress = Callable[[int, float], object]
_WATCHED_S = 0.2
#: Name of the policy that a forked journal was decided by.
IN_FORCE = "in force"


class Comparison(Struct, frozen=True, kw_only=True):
    """Scenarios and policies to compare: the undisturbed world and each scenario, for each seed.

    `policies` are (name, policy); the first one is the baseline's. `workers` is how many processes
    run trials; 1 runs them in this one.
    """

    world_name: str
    world: WorldConfig
    days: int
    seeds: tuple[int, ...]
    scenarios: tuple[Scenario, ...]
    policies: tuple[tuple[str, Policy], ...]
    workers: int = 0


class ForkComparison(Struct, frozen=True, kw_only=True):
    """Scenarios and policies to compare from a fork on: without disturbance, and in each scenario.

    Without `policies`, the one in force at the fork.
    """

    fork: Fork
    days: int
    seeds: tuple[int, ...]
    scenarios: tuple[Scenario, ...]
    policies: tuple[tuple[str, Policy], ...] = ()
    workers: int = 0


def compare(comparison: Comparison, progress: Progress = lambda done, share: None) -> Result:
    """Run all trials of a world and pair them by seed.

    Raises SettingsError if a scenario names what the world has not.
    """
    begun = time.perf_counter()
    arms = _arms(comparison.scenarios, comparison.policies)
    trials = [
        Trial(
            seed=seed,
            world=comparison.world,
            days=comparison.days,
            scenario=scenario,
            policy=policy,
        )
        for scenario, _, policy in arms
        for seed in comparison.seeds
    ]
    runs = run_all(trials, run_trial, comparison.workers, progress)
    names = [(scenario.name, name) for scenario, name, _ in arms]
    result = _result(comparison, f"world {comparison.world_name}", names, runs, begun)
    result.currency = comparison.policies[0][1].currency
    return result


def compare_fork(
    comparison: ForkComparison, progress: Progress = lambda done, share: None
) -> Result:
    """Run all ways on from a fork and pair them by seed; raises as `compare` does."""
    begun = time.perf_counter()
    fork = comparison.fork
    arms = _arms(comparison.scenarios, comparison.policies or ((IN_FORCE, None),))
    trials = [
        ForkTrial(fork=fork, seed=seed, days=comparison.days, scenario=scenario, policy=policy)
        for scenario, _, policy in arms
        for seed in comparison.seeds
    ]
    runs = run_all(trials, run_fork, comparison.workers, progress)
    names = [(scenario.name, name) for scenario, name, _ in arms]
    place = f"{fork.network} after record {fork.seq:,}"
    result = _result(comparison, f"fork of {place}", names, runs, begun)
    result.notes += [
        f"Forked after record {fork.seq:,} of {fork.origin}, at {rfc3339(fork.now_ms)}; "
        f"hours count from there.",
        "The network goes on as the engine knows it: demand and transit as learned so far, "
        "everything else as in the usual simulated world, in proportion to its orders.",
    ]
    return result


def _arms(
    scenarios: Sequence[Scenario], policies: Sequence[tuple[str, P]]
) -> list[tuple[Scenario, str, P]]:
    """Return scenario and policy of each arm, the baseline first."""
    all_scenarios = [UNDISTURBED, *(s for s in scenarios if s.name != NONE)]
    return [(s, name, policy) for s in all_scenarios for name, policy in policies]


def _result(
    comparison: Comparison | ForkComparison,
    world: str,
    names: list[tuple[str, str]],
    runs: list[Run],
    begun: float,
) -> Result:
    count = len(comparison.seeds)
    arms = [
        Arm(scenario=scenario, policy=policy, runs=runs[n * count : (n + 1) * count])
        for n, (scenario, policy) in enumerate(names)
    ]
    disturbed = [s for s in comparison.scenarios if s.name != NONE]
    what = ", ".join(s.name for s in disturbed)
    return Result(
        title=f"What if: {what}" if what else "Policies compared",
        world=world,
        days=comparison.days,
        currency=Policy().currency,
        seeds=list(comparison.seeds),
        arms=arms,
        differences=paired_differences(arms),
        shaded=[(s.name, start, end) for s in disturbed for _, start, end in s.spans()],
        notes=[f"{s.name}: {s.title}." for s in disturbed],
        seconds=round(time.perf_counter() - begun, 1),
    )


def run_all(
    trials: Sequence[Any],
    run: Callable[..., Run],
    workers: int,
    progress: Progress,
) -> list[Run]:
    """Run trials, several at a time; return their runs in the order of the trials.

    `workers` 0 means one for each core. An error of a trial is raised here, and ends the others;
    so does the end of this process, in whichever way.
    """
    workers = min(len(trials), workers or os.cpu_count() or 1)
    whole = max(1, len(trials))
    if workers == 1:
        runs = []
        for number, trial in enumerate(trials):
            runs.append(run(trial, lambda share, n=number: progress(n, (n + share) / whole)))
            progress(number + 1, (number + 1) / whole)
        return runs
    # A fresh process for each worker: threads of ours, such as a progress bar's, do not fork well.
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(trials), lock=False)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(os.getpid(), shares)
    ) as pool:
        futures: list[Future[Run]] = [
            pool.submit(_run_one, run, number, trial) for number, trial in enumerate(trials)
        ]
        open_ones = set(futures)
        try:
            while open_ones:
                over, open_ones = wait(open_ones, _WATCHED_S, return_when=FIRST_COMPLETED)
                for future in over:
                    future.result()
                progress(whole - len(open_ones), float_sum(shares) / whole)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


#: Shares done by the number of the trial, in a worker; one writes each, so that none waits.
_shares: MutableSequence[float] = []


def _begin(parent: int, shares: MutableSequence[float]) -> None:
    """Prepare a worker process."""
    global _shares
    end_with_parent(parent)
    _shares = shares


def _run_one(run: Callable[..., Run], number: int, trial: Any) -> Run:
    """Run one trial in a worker process, which reports the share done."""
    return run(trial, lambda share: _shares.__setitem__(number, share))
