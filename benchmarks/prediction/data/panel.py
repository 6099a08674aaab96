"""A panel: many demand series over the same buckets, with what is known of each bucket before."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Series in rows, buckets in columns, in time order; all arrays have that shape.

    `units` is NaN where demand was not observed: before a series begins, and out of stock. `season`
    is the season's length in buckets. `signals` are log ratios by name, 0 = as usual or not known.
    """

    name: str
    season: int
    regions: tuple[str, ...]
    skus: tuple[str, ...]
    units: Floats
    signals: dict[str, Floats] = field(default_factory=dict)

    @property
    def half(self) -> int:
        """Return the first bucket of the second half, on which everything is scored."""
        return self.units.shape[1] // 2

    def key(self, row: int) -> str:
        """Return the series' name, as the operator has it."""
        return f"{self.regions[row]}\n{self.skus[row]}"
