"""Demand over price: elasticities by category, learned from prices that changed.

log demand is taken to be linear in log price. After a price changed, the units ordered in a window
are compared with what was expected at the old price: y = log(ordered ÷ expected) is a noisy
observation of elasticity × x, x = log(new ÷ old price). A category's elasticity is the Bayesian
mean of its observations and a normal prior, so that few sales move it little (conjugate normal,
known variance).
"""

from math import erfc, exp, log, pi, sqrt

from msgspec import Struct, field

from state.keys import SeriesKey
from state.policy import Pricing

#: Variance of log demand over a window for other reasons than price: drift of some 20 %.
_DRIFT = 0.04
#: Least change of log price that can be learned from.
_LEAST_CHANGE = 0.01
#: Bounds of a usable elasticity: demand never grows with the price.
_STEEPEST, _FLATTEST = -6.0, -0.1


class Trial(Struct, array_like=True):
    """A price since it changed: log of its ratio to the old one, and units since."""

    category: str
    log_price: float
    units_per_day: float
    scatter: float
    from_ms: int
    until_ms: int
    units: int = 0


class Elasticities(Struct):
    """By category: precision (1 ÷ variance) gathered from observations, and their weighted sum."""

    sights: dict[str, tuple[float, float]] = field(default_factory=dict)

    def learn(self, trial: Trial, days: float) -> None:
        """Take in what was ordered over the `days` that a price stood."""
        x, expected = trial.log_price, trial.units_per_day * days
        if abs(x) < _LEAST_CHANGE or expected <= 0.0:
            return
        y = log((trial.units + 0.5) / (expected + 0.5))
        variance = max(trial.scatter, 1.0) / (expected + 0.5) + _DRIFT
        precision, weighted = self.sights.get(trial.category, (0.0, 0.0))
        self.sights[trial.category] = (precision + x * x / variance, weighted + x * y / variance)

    def of(self, category: str, rules: Pricing) -> tuple[float, float]:
        """Return the elasticity of a category, and its standard deviation."""
        prior = 1.0 / rules.elasticity_sd**2
        precision, weighted = self.sights.get(category, (0.0, 0.0))
        total = prior + precision
        mean = (prior * rules.elasticity + weighted) / total
        return min(max(mean, _STEEPEST), _FLATTEST), sqrt(1.0 / total)


class Asked(Struct, array_like=True):
    """A price that was proposed, until it was followed for a window or another one came.

    `worth` is what a unit that is kept fetches later, in cents; `units` is the region's part of the
    stock, and `expected_cents` the gain that was expected.
    """

    price_cents: int
    from_cents: int
    worth: float
    units: float
    expected_cents: int

    def gained(self, trial: Trial, days: float, change_cents: int) -> int:
        """Return the cents earned in the `days` it stood, less those expected at the old price."""
        mean = trial.units_per_day * days
        otherwise = expected_sales(mean, mean * trial.scatter, self.units)
        new, old = self.price_cents - self.worth, self.from_cents - self.worth
        return round(new * trial.units - old * otherwise) - change_cents


class PriceState(Struct):
    """Prices as reported, the proposals for them, and the elasticities learned.

    A price that holds everywhere is of the SKU EVERYWHERE. `quiet` is when a price may be proposed
    again, `looked` when one was weighed last, both ms; `asked` is what was proposed.
    """

    prices: dict[SeriesKey, int] = field(default_factory=dict)
    trials: dict[SeriesKey, Trial] = field(default_factory=dict)
    quiet: dict[SeriesKey, int] = field(default_factory=dict)
    looked: dict[SeriesKey, int] = field(default_factory=dict)
    asked: dict[SeriesKey, Asked] = field(default_factory=dict)
    elasticities: Elasticities = field(default_factory=Elasticities)


def expected_sales(mean: float, variance: float, units: float) -> float:
    """Return E[min(D, units)] of a demand D, by the normal loss function."""
    if mean <= 0.0 or units <= 0.0:
        return 0.0
    sd = sqrt(max(variance, mean))
    z = (units - mean) / sd
    loss = sd * (exp(-0.5 * z * z) / sqrt(2.0 * pi) - z * 0.5 * erfc(z / sqrt(2.0)))
    return min(max(mean - loss, 0.0), mean, units)
