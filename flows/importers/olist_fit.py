"""Robust straight-line fits, for an assumed carrier's rate card and speed."""

from collections.abc import Sequence
from operator import mul
from statistics import StatisticsError, correlation, fmean

from msgspec import Struct

_ITERATIONS = 20


class Fit(Struct, frozen=True):
    """``target ≈ intercept + Σ slopes × features``; `correlation` of fitted and true targets."""

    intercept: float
    slopes: tuple[float, ...]
    correlation: float
    rows: int


def fit_medians(
    features: Sequence[Sequence[float]], targets: Sequence[float], minimum_rows: int
) -> Fit | None:
    """Fit least absolute deviations: the plane through the middle of the targets.

    By iteratively reweighted least squares (Schlossmacher 1973). `features` holds one sequence per
    feature. Returns None for fewer than `minimum_rows` rows or features that do not tell apart.
    """
    if len(targets) < minimum_rows:
        return None
    columns = [[1.0] * len(targets), *map(list, features)]
    smallest = max(1e-9, 1e-3 * fmean(map(abs, targets)))
    weights = [1.0] * len(targets)
    coefficients: list[float] = []
    fitted: list[float] = []
    for _ in range(_ITERATIONS):
        weighted = [list(map(mul, weights, column)) for column in columns]
        solved = _solve(
            [[sum(map(mul, left, right)) for right in columns] for left in weighted],
            [sum(map(mul, left, targets)) for left in weighted],
        )
        if solved is None:
            return None
        coefficients = solved
        fitted = [sum(map(mul, coefficients, row)) for row in zip(*columns, strict=True)]
        weights = [
            1.0 / max(smallest, abs(target - guess))
            for target, guess in zip(targets, fitted, strict=True)
        ]
    try:
        agreement = correlation(fitted, list(targets))
    except StatisticsError:  # one of them does not vary
        agreement = 0.0
    return Fit(coefficients[0], tuple(coefficients[1:]), agreement, len(targets))


def _solve(matrix: list[list[float]], right: list[float]) -> list[float] | None:
    """Solve by Gauss-Jordan with pivoting; return None if the matrix is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for place in range(len(rows)):
        pivot = max(range(place, len(rows)), key=lambda row: abs(rows[row][place]))
        if abs(rows[pivot][place]) <= 1e-9 * abs(matrix[place][place]):
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        for other in range(len(rows)):
            if other != place:
                factor = rows[other][place] / rows[place][place]
                rows[other] = [
                    value - factor * above
                    for value, above in zip(rows[other], rows[place], strict=True)
                ]
    return [row[-1] / row[place] for place, row in enumerate(rows)]
