"""Parcels planned per day against what a node packs and a service accepts. Days are UTC."""

from typing import Generic, TypeVar

from msgspec import Struct, field

from state.keys import ServiceId
from state.quantities import DAY_MS

K = TypeVar("K")


class Rooms(Struct, Generic[K]):
    """Limits and plans of nodes, or of services, by day since the epoch."""

    limits: dict[K, int] = field(default_factory=dict)
    planned: dict[K, dict[int, int]] = field(default_factory=dict)

    def limit(self, of: K, parcels_per_day: int) -> None:
        """Set what `of` takes per day from now on."""
        self.limits[of] = parcels_per_day

    def is_closed(self, of: K) -> bool:
        """Whether it takes nothing at all; what has no limit is open."""
        return self.limits.get(of) == 0

    def has_room(self, of: K, day: int) -> bool:
        """Whether one more parcel fits on `day` (since the epoch); no limit set means none."""
        limit = self.limits.get(of)
        if limit is None:
            return True
        days = self.planned.get(of)
        return limit > 0 if days is None else days.get(day, 0) < limit

    def plan(self, of: K, at_ms: int, now_ms: int) -> None:
        """Count one parcel on the day of `at_ms`; days before yesterday are dropped."""
        days = self.planned.setdefault(of, {})
        day = at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1
        if len(days) > 8:
            today = now_ms // DAY_MS
            for old in [d for d in days if d < today - 1]:
                del days[old]

    def give_back(self, of: K, at_ms: int) -> None:
        """Count one parcel less on the day of `at_ms`: it goes another way."""
        days, day = self.planned.get(of, {}), at_ms // DAY_MS
        if days.get(day, 0) > 0:
            days[day] -= 1


class Capacity(Struct):
    """What nodes pack and services accept."""

    nodes: Rooms[str] = field(default_factory=Rooms[str])
    services: Rooms[ServiceId] = field(default_factory=Rooms[ServiceId])
