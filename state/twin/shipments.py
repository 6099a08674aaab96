"""A shipment: its latest state is the same for any order of arrival of its scans."""

from typing import Literal

import msgspec
from msgspec import Struct

from state.events import ShipmentDispatched
from state.quantities import to_ms

_DISPATCHED = msgspec.msgpack.Decoder(ShipmentDispatched)

Terminal = Literal["delivered", "failed"]


class Shipment(Struct, array_like=True):
    """A parcel under way, or just arrived; what was dispatched is kept as bytes, as with orders.

    `status` is that of the latest scan by (time, event id); a terminal status is never overridden
    by one that is not.
    """

    order: str
    fact: bytes
    promised_ms: int
    dispatched_ms: int
    seq: int
    status: str = "dispatched"
    status_ms: int = 0
    status_by: str = ""
    is_terminal: bool = False
    p_late: float = 0.0
    #: Expected delivery when remedies were last priced, ms; 0 = never.
    priced_ms: int = 0
    #: Latest remedy of a delay; nothing is done twice.
    remedy: str = ""

    @classmethod
    def of(cls, dispatched: ShipmentDispatched, time_ms: int, seq: int) -> "Shipment":
        """Return a new shipment, handed over at `time_ms` by the journal record `seq`."""
        return cls(
            dispatched.order,
            msgspec.msgpack.encode(dispatched),
            to_ms(dispatched.promised),
            time_ms,
            seq,
        )

    @property
    def dispatched(self) -> ShipmentDispatched:
        """Return what was handed over; decoded at each call, so ask once."""
        return _DISPATCHED.decode(self.fact)

    def saw(self, status: str, time_ms: int, event: str, terminal: bool) -> bool:
        """Take in a scan; return whether it is the latest."""
        newer = (time_ms, event) > (self.status_ms, self.status_by)
        if self.is_terminal and not terminal:
            return False
        if newer or (terminal and not self.is_terminal):
            self.status, self.status_ms, self.status_by = status, time_ms, event
            self.is_terminal = self.is_terminal or terminal
            return True
        return False
