"""Parcels per day against what a node packs and a service accepts. Days are UTC."""

from msgspec import Struct, field

from state.errors import InvariantBroken
from state.quantities import DAY_MS


class Capacity(Struct):
    """Limits and rooms taken, by name (``node N``, ``service C/S``) and day since the epoch.

    A room is `planned` while its parcel may still be given up, and `used` once work on the parcel
    began: then it is never free again. Both count against the limit of the day.
    """

    limits: dict[str, int] = field(default_factory=dict)
    planned: dict[str, dict[int, int]] = field(default_factory=dict)
    used: dict[str, dict[int, int]] = field(default_factory=dict)

    def limit(self, name: str, parcels_per_day: int) -> None:
        """Set what `name` takes per day from now on."""
        self.limits[name] = parcels_per_day

    def has_room(self, name: str, day: int) -> bool:
        """Return whether one more parcel fits on `day` (since the epoch), or no limit is set."""
        limit = self.limits.get(name)
        if limit is None:
            return True
        if not limit:
            return False
        planned, used = self.planned.get(name), self.used.get(name)
        taken = 0 if planned is None else planned.get(day, 0)
        return limit > taken + (0 if used is None else used.get(day, 0))

    def plan(self, name: str, at_ms: int) -> None:
        """Take one room on the day of `at_ms`."""
        days, day = self.planned.setdefault(name, {}), at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1

    def give_back(self, name: str, at_ms: int) -> None:
        """Free a planned room on the day of `at_ms`; raises InvariantBroken if none was planned."""
        days, day = self.planned.get(name, {}), at_ms // DAY_MS
        left = days.get(day, 0) - 1
        if left < 0:
            raise InvariantBroken(f"expected a room planned at {name} on day {day}, was none")
        if left:
            days[day] = left
        else:
            del days[day]

    def use(self, name: str, at_ms: int, now_ms: int) -> None:
        """Turn a planned room into a used one; days before yesterday are dropped.

        Raises InvariantBroken if none was planned.
        """
        self.give_back(name, at_ms)
        days, day = self.used.setdefault(name, {}), at_ms // DAY_MS
        days[day] = days.get(day, 0) + 1
        if len(days) > 8:
            today = now_ms // DAY_MS
            for old in [d for d in days if d < today - 1]:
                del days[old]
