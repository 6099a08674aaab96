"""Forecasts of shipments as arrays: what was predicted, beside what became of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.prediction.levels import Levels

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
#: Input of the boosted trees for one prediction.
Row = list[float]
#: Categories of a row, by position: service, node, region.
CATEGORIES = (0, 1, 2)


@dataclass(slots=True)
class Forecasts:
    """Predictions of one stage in the order they were made; seconds and ms since the epoch.

    `p_late` is ours; `low_s`, `mid_s`, `high_s` our P10, P50 and P90 of `took_s`, the time from the
    prediction to the end. `lane_rate` and `constant` are the naive baselines at the time.
    `known_ms` is when lateness was known, `ended_ms` when the end was.
    """

    made_ms: Floats
    known_ms: Floats
    ended_ms: Floats
    late: Booleans
    took_s: Floats
    p_late: Floats
    low_s: Floats
    mid_s: Floats
    high_s: Floats
    lane_rate: Floats
    constant: Floats
    rows: Floats

    @property
    def half(self) -> int:
        """Return where the second half begins: all scores are of it."""
        return len(self.late) // 2


class Naive:
    """Late rates as anyone would keep them: of everything so far, and lately of each lane."""

    def __init__(self) -> None:
        self._seen, self._late = 0, 0
        self._lanes: Levels[str] = Levels(0.02)

    def constant(self) -> float:
        """Return the share late so far, never quite 0 or 1."""
        return (self._late + 1) / (self._seen + 2)

    def lane(self, lane: str) -> float:
        """Return the exponentially weighted share late on a lane; the constant if unknown."""
        level = self._lanes.get(lane)
        return self.constant() + level.trust * (level.mean - self.constant())

    def learn(self, lane: str, late: bool) -> None:
        """Count one label."""
        self._seen += 1
        self._late += late
        self._lanes.update(lane, float(late))


class Codes(dict[str, float]):
    """A number for each name, given when it is first asked for."""

    def __missing__(self, name: str) -> float:
        code = self[name] = float(len(self))
        return code


def collect(
    found: dict[str, list[tuple[float, ...]]], rows: dict[str, list[Row]]
) -> dict[str, Forecasts]:
    """Return arrays of tuples in the order of the fields, by stage."""
    made: dict[str, Forecasts] = {}
    for stage, tuples in found.items():
        order = sorted(range(len(tuples)), key=lambda i: (tuples[i][0], i))
        columns = np.array([tuples[i] for i in order], dtype=float).T
        given = np.array([rows[stage][i] for i in order], dtype=float)
        made[stage] = Forecasts(
            columns[0],
            columns[1],
            columns[2],
            columns[3].astype(bool),
            *columns[4:],
            rows=given,
        )
    return made
