"""The last call: shortly before a promise, what has not arrived is judged once more.

A scan says how likely a parcel is late as of then. Time that passes without its arrival is news
too: of the ways in which it would have been in time, most are used up by the evening of its day.
"""

from msgspec import Struct

from operators.core.facts import DelayRisk
from operators.prediction.two_piece_normal import lateness


class Odds(Struct, array_like=True):
    """The latest prediction for a parcel under way; all but `p_late` in ms since epoch."""

    p_late: float
    said_ms: int
    earliest_ms: int
    expected_ms: int
    latest_ms: int

    @classmethod
    def of(cls, risk: DelayRisk, now_ms: int) -> "Odds":
        """Return the odds that a risk gives."""
        return cls(risk.p_late, now_ms, risk.earliest_ms, risk.expected_ms, risk.latest_ms)

    def p_late_by(self, now_ms: int, promised_ms: int) -> float:
        """Return P(late), given that the parcel has not arrived by `now_ms`.

        By Bayes: being late explains it fully, being in time only by what was to come after now.
        """
        in_time = 1.0 - self._beyond(promised_ms)
        to_come = self._beyond(now_ms) - self._beyond(promised_ms)
        left = min(1.0, max(0.0, to_come / in_time)) if in_time > 0 else 0.0
        undecided = (1.0 - self.p_late) * left
        return self.p_late / (self.p_late + undecided) if self.p_late + undecided > 0 else 1.0

    def _beyond(self, at_ms: int) -> float:
        """Probability of arriving after an instant, by the band alone."""
        p_beyond, _ = lateness(
            (at_ms - self.said_ms) / 1000,
            (self.earliest_ms - self.said_ms) / 1000,
            (self.expected_ms - self.said_ms) / 1000,
            (self.latest_ms - self.said_ms) / 1000,
        )
        return p_beyond

    def date_after(self, promised_ms: int) -> int | None:
        """Return when a late parcel is expected, as far as the band tells; None if it does not."""
        return next((ms for ms in (self.expected_ms, self.latest_ms) if ms > promised_ms), None)
