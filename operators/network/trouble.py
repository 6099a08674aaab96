"""Trouble: a node, or services of a carrier, that takes no parcels or is slow."""

from typing import Literal

from msgspec import Struct

from operators.network.case_book import About
from state.keys import TroubleKey
from state.quantities import DAY_MS
from state.twin import PlannedLeg


class Trouble(Struct, frozen=True, array_like=True, gc=False):
    """Trouble of a node, or of a carrier's services in a region or everywhere."""

    node: str
    of: TroubleKey
    delay_ms: int
    until_ms: int

    @property
    def about(self) -> About:
        """Return the subject of its case."""
        return self.node or self.of

    @property
    def kind(self) -> Literal["node_down", "carrier_down"]:
        """Return the kind of its case."""
        return "node_down" if self.node else "carrier_down"

    def concerns(self, leg: PlannedLeg) -> bool:
        """Return whether a planned parcel meets it, as far as the leg tells."""
        if self.node:
            return leg.node == self.node
        of, service = self.of, leg.service
        return service.carrier == of.carrier and of.service in ("", service.service)

    def late_ms(self, leg: PlannedLeg, start_ms: int) -> int:
        """Return the delay of a parcel that waits for the trouble to pass, ms.

        `start_ms` is the latest start of work at its node.
        """
        needed_ms = start_ms if self.node else leg.hand_over_ms
        if needed_ms >= self.until_ms:
            return 0
        if self.delay_ms:
            return self.delay_ms
        days = -((needed_ms - self.until_ms) // DAY_MS)
        return days * DAY_MS  # pickups come once a day
