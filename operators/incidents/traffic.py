"""Incident traffic: parcels by lane of late, and the share of one trouble in another view.

A closed region slows every service in part, as each sends some of its parcels there.
"""

from collections.abc import Collection

from msgspec import Struct, field

from operators.incidents.group import Trait, Traits
from state.events import ShipmentDispatched
from state.keys import Lane, ServiceId
from state.quantities import DAY_MS
from state.sums import int_sum

#: Period of the counts, kept for one more; and the most lanes that are counted.
_PERIOD_MS = 7 * DAY_MS
_MOST_WAYS = 10_000


class Traffic(Struct):
    """Parcels by lane, of this period and the last."""

    begun_ms: int = 0
    parcels: dict[Lane, int] = field(default_factory=dict)
    before: dict[Lane, int] = field(default_factory=dict)

    def note(self, shipped: ShipmentDispatched, now_ms: int) -> None:
        """Count a parcel that was handed over."""
        if now_ms >= self.begun_ms + _PERIOD_MS:
            self.begun_ms, self.parcels, self.before = now_ms, {}, self.parcels
        lane = Lane(ServiceId(shipped.carrier, shipped.service), shipped.node, shipped.region)
        count = self.parcels.get(lane)
        if count is not None or len(self.parcels) < _MOST_WAYS:
            self.parcels[lane] = (count or 0) + 1

    def of(self, traits: Traits) -> list[tuple[Lane, int]]:
        """Return the lanes that have all `traits`, with their parcels."""
        return [
            (lane, parcels)
            for counts in (self.parcels, self.before)
            for lane, parcels in counts.items()
            if has_all(lane, traits)
        ]


def share_with(lanes: list[tuple[Lane, int]], traits: Traits) -> float:
    """Return the share of parcels on `lanes` that have all `traits`; 0 without parcels."""
    total = int_sum(parcels for _, parcels in lanes)
    return (
        int_sum(parcels for lane, parcels in lanes if has_all(lane, traits)) / total
        if total
        else 0.0
    )


def share_of_any(lanes: list[tuple[Lane, int]], traits: Collection[tuple[str, Trait]]) -> float:
    """Return the share of parcels on `lanes` that have any of `traits`; 0 without parcels."""
    total = touched = 0
    for lane, parcels in lanes:
        total += parcels
        if (
            ("service", lane.service) in traits
            or ("node", lane.node) in traits
            or ("region", lane.region) in traits
            or ("carrier", lane.service.carrier) in traits
        ):
            touched += parcels
    return touched / total if total else 0.0


def has_all(lane: Lane, traits: Traits) -> bool:
    """Return whether parcels that go this way have all `traits`; none has a category."""
    return (
        traits.get("service", lane.service) == lane.service
        and traits.get("carrier", "") in ("", lane.service.carrier)
        and traits.get("node", lane.node) == lane.node
        and traits.get("region", lane.region) == lane.region
        and "category" not in traits
    )
