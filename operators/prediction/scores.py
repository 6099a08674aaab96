"""Progressive scores of a probability forecast, in bounded memory."""

from math import log

from msgspec import Struct, field

from state.sums import int_sum

#: Bins of the forecast's range; ties within a bin count half, so the area is exact to about 1e-4.
_BINS = 2_000
_SMALLEST = 1e-6


class ForecastScore(Struct):
    """ROC-AUC and log loss of P(event) against what happened, each forecast made before it."""

    hits: list[int] = field(default_factory=lambda: [0] * _BINS)
    misses: list[int] = field(default_factory=lambda: [0] * _BINS)
    loss: float = 0.0

    def update(self, probability: float, happened: bool) -> None:
        """Score one forecast."""
        position = min(int(probability * _BINS), _BINS - 1)
        (self.hits if happened else self.misses)[position] += 1
        likelihood = probability if happened else 1.0 - probability
        self.loss -= log(max(likelihood, _SMALLEST))

    def add(self, other: "ForecastScore") -> None:
        """Take in the forecasts that `other` scored."""
        self.hits = [a + b for a, b in zip(self.hits, other.hits, strict=True)]
        self.misses = [a + b for a, b in zip(self.misses, other.misses, strict=True)]
        self.loss += other.loss

    @property
    def seen(self) -> int:
        """Return the number of forecasts scored."""
        return int_sum(self.hits) + int_sum(self.misses)

    def roc_auc(self) -> float | None:
        """Return P(forecast before an event > one before none); None without both kinds."""
        positives, negatives = int_sum(self.hits), int_sum(self.misses)
        if not positives or not negatives:
            return None
        below = 0
        area = 0.0
        for hit, miss in zip(self.hits, self.misses, strict=True):
            area += hit * (below + miss / 2)
            below += miss
        return area / (positives * negatives)

    def log_loss(self) -> float | None:
        """Return the mean negative log likelihood in nats; None before the first forecast."""
        return self.loss / self.seen if self.seen else None
