"""Sums whose bytes are the same on every Python.

Since 3.12 the built-in `sum` adds floats with compensation, so that the last bits of a sum, and all
that is decided and published from it, depend on the interpreter. What is folded adds with these two
instead; the type checker refuses floats to the one, and a test refuses `sum` itself.
"""

from collections.abc import Iterable


def int_sum(values: Iterable[int]) -> int:
    """Return the sum of integers: units, cents, ms, counts."""
    return sum(values)


def float_sum(values: Iterable[float]) -> float:
    """Return the sum of floats, each added to the sum of those before it and rounded."""
    result = 0.0
    for value in values:
        result += value
    return result
