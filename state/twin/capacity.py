"""Parcels planned per day against what a node packs and a service accepts. Days are UTC."""

from msgspec import Struct, field

from state.quantities import DAY_MS


class Capacity(Struct):
    """Limits and plans, by name (``node N``, ``service C/S``) and day since the epoch."""

    limits: dict[str, int] = field(default_factory=dict)
    planned: dict[str, dict[int, int]] = field(default_factory=dict)

    def limit(self, name: str, parcels_per_day: int) -> None:
        """Set what `name` takes per day from now on."""
        self.limits[name] = parcels_per_day

    def has_room(self, name: str, day: int) -> bool:
        """Whether one more parcel fits on `day` (since the epoch); no limit set means none."""
        limit = self.limits.get(name)
        if limit is None:
            return True
        days = self.planned.get(name)
        return limit > 0 if days is None else days.get(day, 0) < limit

    def plan(self, name: str, at_ms: int, now_ms: int) -> None:
        """Count one parcel on the day of `at_ms`; days before yesterday are dropped."""
        days = self.planned.setdefault(name, {})
        day = at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1
        if len(days) > 8:
            today = now_ms // DAY_MS
            for old in [d for d in days if d < today - 1]:
                del days[old]

    def give_back(self, name: str, at_ms: int) -> None:
        """Count one parcel less on the day of `at_ms`: it goes another way."""
        days, day = self.planned.get(name, {}), at_ms // DAY_MS
        if days.get(day, 0) > 0:
            days[day] -= 1
