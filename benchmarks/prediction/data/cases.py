"""Shipments of a data set, as the delay models see them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moment:
    """Moment of a prediction: `left_s` is the published time to the end from here.

    `late_by_s` is how far behind its plan the shipment is; None if it has none yet. `further` are
    numbers that only the boosted trees are given.
    """

    stage: str
    time_ms: int
    left_s: float
    late_by_s: float | None = None
    further: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A shipment: what is known of it, the moments of prediction in order, and its end."""

    service: str
    node: str
    region: str
    promised_ms: int
    ended_ms: int
    moments: tuple[Moment, ...] = field(default=())

    @property
    def late(self) -> bool:
        """Return whether it ended after its promise."""
        return self.ended_ms > self.promised_ms

    @property
    def known_ms(self) -> int:
        """Return when that is known: at its end or just after its promise, whichever is first."""
        return min(self.ended_ms, self.promised_ms + 1)
