"""Means over seeds, and paired differences between arms with their intervals.

Arms share their seeds, so a seed's luck (which orders come, which lorry breaks down) is the same in
both arms of a pair and cancels in the difference: far fewer seeds show a difference than would be
needed between arms of different luck.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from flows.simulation.kpis import KPIS
from flows.whatif.result import Arm, Difference

#: Confidence of all intervals.
LEVEL = 0.95


def paired_differences(arms: list[Arm]) -> list[Difference]:
    """Return differences of every KPI for each pair of `partners`, where both arms have values."""
    found = []
    for arm, against in partners(arms):
        mine, theirs = ({run.seed: run.kpis for run in arms[i].runs} for i in (arm, against))
        for kpi in KPIS:
            changes = [
                value - other
                for seed, kpis in mine.items()
                if (value := _known(kpis.get(kpi.name))) is not None
                and (other := _known(theirs.get(seed, {}).get(kpi.name))) is not None
            ]
            if not changes:
                continue
            mean, low, high = interval(changes)
            found.append(
                Difference(
                    arm=arm,
                    against=against,
                    kpi=kpi.name,
                    mean=mean,
                    low=low,
                    high=high,
                    pairs=len(changes),
                )
            )
    return found


def partners(arms: Sequence[Arm]) -> Iterator[tuple[int, int]]:
    """Yield the arms compared, as (arm, against), each pair once.

    Every arm with the baseline; then, within a scenario, every policy with the first policy.
    """
    for arm in range(1, len(arms)):
        yield arm, 0
    for arm in range(1, len(arms)):
        against = first_of_scenario(arms, arm)
        if against not in (0, arm):
            yield arm, against


def first_of_scenario(arms: Sequence[Arm], arm: int) -> int:
    """Return the scenario's arm under the baseline's policy; else the scenario's first arm."""
    same = [i for i, other in enumerate(arms) if other.scenario == arms[arm].scenario]
    return next((i for i in same if arms[i].policy == arms[0].policy), same[0])


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the mean of `values` and the ends of Student's t interval; no ends with one value."""
    from scipy.stats import t  # slow to import, and only this needs it

    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, None, None
    spread = statistics.stdev(values) / math.sqrt(len(values))
    reach = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * spread
    return mean, mean - reach, mean + reach


def values_of(arm: Arm, kpi: str) -> list[float]:
    """Return a KPI's values over the seeds, without those where there was nothing to tell."""
    return [value for run in arm.runs if (value := _known(run.kpis.get(kpi))) is not None]


def mean_of(arm: Arm, kpi: str) -> float | None:
    """Return the mean of a KPI over the seeds; None where no run has it."""
    values = values_of(arm, kpi)
    return statistics.mean(values) if values else None


def _known(value: float | None) -> float | None:
    """Return the value, or None where it is missing or not a number."""
    return value if value is not None and math.isfinite(value) else None
