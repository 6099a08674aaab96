"""Probability that demand exceeds the stock: negative binomial, Poisson at the least.

A normal tail is wrong where little is sold: at a mean of 0.1 and a spread of 0.3 it never
exceeds 3 units, where orders of two pieces make it 1 in 3,000 times.
"""

from math import exp

from scipy.special import betainc, gammainc

#: Variance ÷ mean from which a count is more scattered than a Poisson count.
_POISSON = 1.001


def exceeds(left: int, mean: float, variance: float) -> float:
    """Return P(count > `left`) at this mean and variance; a lower variance counts as the mean.

    The tails are incomplete beta and gamma functions (DLMF 8.17, 8.4).
    """
    if left < 0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    scatter = variance / mean
    if scatter < _POISSON:
        return float(gammainc(left + 1.0, mean))
    return float(betainc(left + 1.0, mean / (scatter - 1.0), 1.0 - 1.0 / scatter))


def as_count(
    quantiles: tuple[float, ...], levels: tuple[float, ...], mean: float
) -> tuple[float, ...]:
    """Return quantiles of rare demand, at least as wide as those of a Poisson count.

    What sells once a month has no history to learn a band from: nearly all errors are those of a
    day without an order, and a band around them would leave out both 0 and 1.
    """
    found = []
    for quantile, level in zip(quantiles, levels, strict=True):
        count, term = 0, exp(-mean)
        below = term
        while below < level:
            count += 1
            term *= mean / count
            below += term
        if level != 0.5:
            quantile = min(quantile, count) if level < 0.5 else max(quantile, count)
        found.append(quantile)
    return tuple(found)
