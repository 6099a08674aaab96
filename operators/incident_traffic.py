"""Incident traffic: which parcels went where of late, and so what one trouble does to another view.

A closed region slows every service in part, as each sends some of its parcels there.
"""

from collections.abc import Collection

from msgspec import Struct, field

from operators.incident_group import Traits
from state.events import ShipmentDispatched
from state.quantities import DAY_MS
from state.sums import int_sum

#: What is counted for so long is dropped after as long again; and no more ways than this are.
_PERIOD_MS = 7 * DAY_MS
_MOST_WAYS = 10_000

#: Service (with its carrier), node, region.
Way = tuple[str, str, str]


class Traffic(Struct):
    """Parcels by way (service, node and region, one a line), of this period and the last."""

    begun_ms: int = 0
    parcels: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    def note(self, shipped: ShipmentDispatched, now_ms: int) -> None:
        """Count a parcel that was handed over."""
        if now_ms >= self.begun_ms + _PERIOD_MS:
            self.begun_ms, self.parcels, self.before = now_ms, {}, self.parcels
        way = f"{shipped.carrier}/{shipped.service}\n{shipped.node}\n{shipped.region}"
        count = self.parcels.get(way)
        if count is not None or len(self.parcels) < _MOST_WAYS:
            self.parcels[way] = (count or 0) + 1

    def of(self, traits: Traits) -> list[tuple[Way, int]]:
        """The ways that have all `traits`, with their parcels."""
        found = []
        for counts in (self.parcels, self.before):
            for key, parcels in counts.items():
                service, node, region = key.split("\n")
                if has_all((service, node, region), traits):
                    found.append(((service, node, region), parcels))
        return found


def share_with(ways: list[tuple[Way, int]], traits: Traits) -> float:
    """Share of the parcels on `ways` that have all `traits` too; 0 if there are none."""
    total = int_sum(parcels for _, parcels in ways)
    return (
        int_sum(parcels for way, parcels in ways if has_all(way, traits)) / total if total else 0.0
    )


def share_of_any(ways: list[tuple[Way, int]], traits: Collection[tuple[str, str]]) -> float:
    """Share of the parcels on `ways` that have at least one of `traits`; 0 if there are none."""
    total = touched = 0
    for (service, node, region), parcels in ways:
        total += parcels
        if (
            ("service", service) in traits
            or ("node", node) in traits
            or ("region", region) in traits
            or ("carrier", service.partition("/")[0]) in traits
        ):
            touched += parcels
    return touched / total if total else 0.0


def has_all(way: Way, traits: Traits) -> bool:
    """Whether parcels that go this way have all `traits`; none has a category."""
    service, node, region = way
    return (
        traits.get("service", service) == service
        and traits.get("carrier", "") in ("", service.partition("/")[0])
        and traits.get("node", node) == node
        and traits.get("region", region) == region
        and "category" not in traits
    )
