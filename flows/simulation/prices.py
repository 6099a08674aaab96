"""Prices: costs and losses of a world's owner for what happens; the same for every policy.

What carriers and nodes charge is in their rate cards. These are the rest: costs without an invoice.
"""

from typing import Annotated

from msgspec import Meta, Struct

from state.quantities import Share, doc

Money = Annotated[float, Meta(ge=0, le=1e9)]


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The yardstick of a run. The usual values are those of the usual policy's weights."""

    late_fixed_cents: Annotated[Money, doc("an order that arrives late at all")] = 400.0
    late_hour_cents: Annotated[Money, doc("each hour that it is late")] = 12.0
    further_parcel_cents: Annotated[Money, doc("each parcel of an order beyond the first")] = 80.0
    carbon_kg_cents: Annotated[Money, doc("each kg CO2e, well-to-wheel")] = 10.0
    margin: Annotated[Share, doc("part of the value that is lost with a sale")] = 0.3
    lost_fixed_cents: Annotated[Money, doc("an order that is not served, besides")] = 1_000.0
    transfer_unit_cents: Annotated[Money, doc("handling of each unit moved between nodes")] = 30.0
    transfer_kg_100km_cents: Annotated[Money, doc("truck space, per kg and 100 km of road")] = 2.0

    def lateness_cents(self, late_ms: int) -> float:
        """Return the cost of an order that arrives `late_ms` after its promise."""
        if late_ms <= 0:
            return 0.0
        return self.late_fixed_cents + self.late_hour_cents * late_ms / 3_600_000
