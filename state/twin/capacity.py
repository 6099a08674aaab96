"""Capacity: parcels per day against the limits of nodes and services. Days are UTC."""

from typing import Generic, TypeVar

from msgspec import Struct, field

from state.errors import InvariantBroken
from state.keys import ServiceId
from state.quantities import DAY_MS

K = TypeVar("K")


class Rooms(Struct, Generic[K]):
    """Limits and rooms taken of nodes, or of services, by day since the epoch.

    A room is `planned` while its parcel may still be given up, and `used` once work on the parcel
    began: then it is never free again. Both count against the limit of the day.
    """

    limits: dict[K, int] = field(default_factory=dict)
    planned: dict[K, dict[int, int]] = field(default_factory=dict)
    used: dict[K, dict[int, int]] = field(default_factory=dict)

    def limit(self, of: K, parcels_per_day: int) -> None:
        """Set what `of` takes per day from now on."""
        self.limits[of] = parcels_per_day

    def is_closed(self, of: K) -> bool:
        """Return whether it takes nothing at all; what has no limit is open."""
        return self.limits.get(of) == 0

    def has_room(self, of: K, day: int) -> bool:
        """Return whether one more parcel fits on `day` (since the epoch), or no limit is set."""
        limit = self.limits.get(of)
        if limit is None:
            return True
        if not limit:
            return False
        planned, used = self.planned.get(of), self.used.get(of)
        taken = 0 if planned is None else planned.get(day, 0)
        return limit > taken + (0 if used is None else used.get(day, 0))

    def plan(self, of: K, at_ms: int) -> None:
        """Take one room on the day of `at_ms`."""
        days, day = self.planned.setdefault(of, {}), at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1

    def give_back(self, of: K, at_ms: int) -> None:
        """Free a planned room on the day of `at_ms`; raises InvariantBroken if none was planned."""
        days, day = self.planned.get(of, {}), at_ms // DAY_MS
        left = days.get(day, 0) - 1
        if left < 0:
            raise InvariantBroken(f"expected a room planned at {of} on day {day}, was none")
        if left:
            days[day] = left
        else:
            del days[day]

    def use(self, of: K, at_ms: int, now_ms: int) -> None:
        """Turn a planned room into a used one; days before yesterday are dropped.

        Raises InvariantBroken if none was planned.
        """
        self.give_back(of, at_ms)
        days, day = self.used.setdefault(of, {}), at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1
        if len(days) > 8:
            today = now_ms // DAY_MS
            for old in [d for d in days if d < today - 1]:
                del days[old]


class Capacity(Struct):
    """Limits and rooms of nodes and of services."""

    nodes: Rooms[str] = field(default_factory=Rooms[str])
    services: Rooms[ServiceId] = field(default_factory=Rooms[ServiceId])
