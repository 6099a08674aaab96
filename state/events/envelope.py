"""The CloudEvents 1.0 envelope inside the process."""

from msgspec import Struct

from state.events.base import Fact


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One decoded event: the envelope's attributes, and the payload as a typed `Fact`.

    `time_ms` is when it happened, `recorded_ms` when it entered the journal (both ms since epoch).
    `id` is unique within `source`. `subject`, `correlation`, `causation` and `sequence` are None
    where the producer gave none.
    """

    id: str
    source: str
    type: str
    network: str
    time_ms: int
    recorded_ms: int
    fact: Fact
    subject: str | None = None
    correlation: str | None = None
    causation: str | None = None
    sequence: str | None = None
