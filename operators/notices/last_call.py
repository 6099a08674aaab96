"""Last call: shortly before a promise, P(late) of parcels that have not arrived is updated.

A scan gives P(late) as of its time. Time that passes without arrival is evidence too: by the
evening of the promised day, most of the chance to be in time is used up.
"""

from msgspec import Struct

from operators.core.facts import DelayRisk
from operators.prediction.two_piece_normal import lateness


class Odds(Struct, array_like=True):
    """The latest prediction for a parcel under way; all but `p_late` in ms since epoch."""

    p_late: float
    predicted_ms: int
    earliest_ms: int
    expected_ms: int
    latest_ms: int

    @classmethod
    def of(cls, risk: DelayRisk, now_ms: int) -> "Odds":
        """Return the odds of a risk."""
        return cls(risk.p_late, now_ms, risk.earliest_ms, risk.expected_ms, risk.latest_ms)

    def p_late_by(self, now_ms: int, promised_ms: int) -> float:
        """Return P(late), given that the parcel has not arrived by `now_ms`.

        By Bayes: a late parcel has surely not arrived yet; one in time has, unless its arrival
        falls after now.
        """
        in_time = 1.0 - self._beyond(promised_ms)
        to_come = self._beyond(now_ms) - self._beyond(promised_ms)
        left = min(1.0, max(0.0, to_come / in_time)) if in_time > 0 else 0.0
        undecided = (1.0 - self.p_late) * left
        return self.p_late / (self.p_late + undecided) if self.p_late + undecided > 0 else 1.0

    def _beyond(self, at_ms: int) -> float:
        """Return the probability of arriving after an instant, by the band alone."""
        p_beyond, _ = lateness(
            (at_ms - self.predicted_ms) / 1000,
            (self.earliest_ms - self.predicted_ms) / 1000,
            (self.expected_ms - self.predicted_ms) / 1000,
            (self.latest_ms - self.predicted_ms) / 1000,
        )
        return p_beyond

    def date_after(self, promised_ms: int) -> int | None:
        """Return the expected arrival of a late parcel, by its band; None if the band has none."""
        return next((ms for ms in (self.expected_ms, self.latest_ms) if ms > promised_ms), None)
