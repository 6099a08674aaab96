"""Trouble: a node, or a carrier's services, that take nothing or are slow, and what meets it."""

from typing import Literal

from msgspec import Struct

from operators.network.case_book import About
from state.keys import TroubleKey
from state.quantities import DAY_MS
from state.twin import PlannedLeg


class Trouble(Struct, frozen=True, array_like=True, gc=False):
    """What is in trouble: a node, or a carrier's service(s), in a region or everywhere."""

    node: str
    of: TroubleKey
    delay_ms: int
    until_ms: int

    @property
    def about(self) -> About:
        """What a case is about."""
        return self.node or self.of

    @property
    def kind(self) -> Literal["node_down", "carrier_down"]:
        """What a case of it is."""
        return "node_down" if self.node else "carrier_down"

    def concerns(self, leg: PlannedLeg) -> bool:
        """Whether a planned parcel meets it, as far as the leg tells."""
        if self.node:
            return leg.node == self.node
        of, service = self.of, leg.service
        return service.carrier == of.carrier and of.service in ("", service.service)

    def late_ms(self, leg: PlannedLeg, start_ms: int) -> int:
        """By how much a parcel comes later that waits for the trouble to pass.

        `start_ms` is when its node has to begin it.
        """
        needed_ms = start_ms if self.node else leg.hand_over_ms
        if needed_ms >= self.until_ms:
            return 0
        if self.delay_ms:
            return self.delay_ms
        days = -((needed_ms - self.until_ms) // DAY_MS)
        return days * DAY_MS  # pickups come once a day
