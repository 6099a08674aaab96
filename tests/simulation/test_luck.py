"""Luck: the numbers have the distributions they claim, and each belongs to its name alone."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from math import exp, isclose, log
from statistics import fmean, pstdev

import pytest

from flows.simulation.luck import Luck, Weighted, gap_ms, stream
from state.quantities import DAY_MS
from tests.places import ROOT

DRAWS = 20_000


def drawn(draw: Callable[[Luck, str], float], entity: str = "order") -> list[float]:
    luck = Luck(11, entity)
    return [draw(luck, f"draw {number}") for number in range(DRAWS)]


def near(values: list[float], mean: float, deviation: float) -> bool:
    """Return whether mean and deviation are within some standard errors of the given ones."""
    error = deviation / DRAWS**0.5
    return abs(fmean(values) - mean) < 4 * error and isclose(
        pstdev(values), deviation, rel_tol=0.05
    )


def test_a_share_is_uniform_and_never_0_or_1() -> None:
    shares = drawn(Luck.share)
    assert 0 < min(shares) < 0.001
    assert 0.999 < max(shares) < 1
    assert near(shares, 1 / 2, (1 / 12) ** 0.5)
    tenths = Counter(int(10 * share) for share in shares)
    assert all(0.9 < 10 * tenths[tenth] / DRAWS < 1.1 for tenth in range(10))


@pytest.mark.parametrize("word", [b"\x00" * 8, b"\xff" * 8])
def test_the_outermost_words_still_make_a_share_between_0_and_1(
    word: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hash:
        def digest(self) -> bytes:
            return word

    monkeypatch.setattr("flows.simulation.luck.blake2b", lambda data, digest_size: Hash())
    luck = Luck(1, "any")
    assert 0 < luck.share("x") < 1
    assert luck.normal("x", 1.0) != 0
    assert luck.exponential("x", 1.0) >= 0
    assert luck.integer("x", 1, 6) in (1, 6)


def test_uniform_numbers_fill_their_range() -> None:
    values = drawn(lambda luck, name: luck.uniform(name, -3, 5))
    assert -3 < min(values) < -2.99
    assert 4.99 < max(values) < 5
    assert near(values, 1, 8 / 12**0.5)


@pytest.mark.parametrize(("low", "high", "mode"), [(0, 25, 3), (-2, 2, 0), (1, 6, 6), (0, 1, 0)])
def test_triangular_numbers_peak_at_their_mode(low: float, high: float, mode: float) -> None:
    values = drawn(lambda luck, name: luck.triangular(name, low, high, mode))
    assert low <= min(values) < max(values) <= high
    variance = low**2 + high**2 + mode**2 - low * high - low * mode - high * mode
    assert near(values, (low + high + mode) / 3, (variance / 18) ** 0.5)
    below = fmean(value < mode for value in values)
    assert abs(below - (mode - low) / (high - low)) < 0.015


def test_normal_numbers_are_around_0() -> None:
    values = drawn(lambda luck, name: luck.normal(name, 2.5))
    assert near(values, 0, 2.5)
    assert abs(fmean(abs(value) < 2.5 for value in values) - 0.683) < 0.012


def test_lognormal_numbers_have_normal_logarithms() -> None:
    values = drawn(lambda luck, name: luck.lognormal(name, 0.5, 0.4))
    assert min(values) > 0
    assert near([log(value) for value in values], 0.5, 0.4)
    assert isclose(fmean(values), exp(0.5 + 0.4**2 / 2), rel_tol=0.02)


def test_exponential_numbers_have_their_mean() -> None:
    values = drawn(lambda luck, name: luck.exponential(name, 7.0))
    assert min(values) >= 0
    assert near(values, 7, 7)
    assert abs(fmean(value > 7 for value in values) - exp(-1)) < 0.012


def test_whole_numbers_are_all_as_likely_both_ends_included() -> None:
    values = Counter(drawn(lambda luck, name: luck.integer(name, 3, 7)))
    assert set(values) == {3, 4, 5, 6, 7}
    assert all(0.9 < 5 * count / DRAWS < 1.1 for count in values.values())
    assert Luck(1, "any").integer("only one", 4, 4) == 4


def test_a_number_does_not_depend_on_what_was_drawn_before() -> None:
    names = [f"draw {number}" for number in range(50)]
    luck, other = Luck(3, "order", "O-1"), Luck(3, "order", "O-1")
    in_order = {name: luck.share(name) for name in names}
    shuffled = random.Random(1).sample(names, len(names))
    assert {name: other.share(name) for name in shuffled} == in_order
    assert {name: luck.share(name) for name in shuffled} == in_order
    luck.normal("something else", 1.0)
    assert luck.share("draw 7") == in_order["draw 7"]


def test_seeds_entities_and_names_all_make_a_difference() -> None:
    shares = [
        Luck(1, "order", "O-1").share("fate"),
        Luck(2, "order", "O-1").share("fate"),
        Luck(1, "order", "O-2").share("fate"),
        Luck(1, "shelf", "O-1").share("fate"),
        Luck(1, "order", "O-1").share("fate 1"),
        Luck(1, "order", "O-1", "fate").share(""),
        Luck(1, "order").share("O-1fate"),
        Luck(11, "order", "O-1").share("fate"),
        Luck(1, 1, "order").share("fate"),
    ]
    assert len(set(shares)) == len(shares)


def test_numbers_of_different_names_and_entities_go_their_own_ways() -> None:
    def correlation(left: list[float], right: list[float]) -> float:
        mean_left, mean_right = fmean(left), fmean(right)
        products = ((a - mean_left) * (b - mean_right) for a, b in zip(left, right, strict=True))
        return fmean(products) / (pstdev(left) * pstdev(right))

    one, two = drawn(Luck.share, "one"), drawn(Luck.share, "two")
    assert abs(correlation(one, two)) < 4 / DRAWS**0.5
    assert abs(correlation(one[:-1], one[1:])) < 4 / DRAWS**0.5


def test_streams_depend_on_the_seed_and_their_names_alone() -> None:
    script = (
        "from flows.simulation.luck import Luck, stream;"
        "print(stream(5, 'fronts').random(), Luck(5, 'order', 'O-1').normal('x', 1.0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    here = f"{stream(5, 'fronts').random()} {Luck(5, 'order', 'O-1').normal('x', 1.0)}"
    assert done.stdout.strip() == here
    assert stream(5, "fronts").random() != stream(5, "demand").random()
    assert stream(5, "fronts").random() != stream(6, "fronts").random()


def test_gaps_are_those_of_a_poisson_process() -> None:
    luck = stream(1, "gaps")
    gaps = [float(gap_ms(luck, 24.0)) for _ in range(DRAWS)]
    assert near(gaps, DAY_MS / 24, DAY_MS / 24)
    assert min(gap_ms(luck, 1e12) for _ in range(100)) == 1


def test_weighted_items_are_drawn_by_their_weight() -> None:
    bag = Weighted(["rare", "never", "common"], [1.0, 0.0, 3.0])
    luck = stream(2, "bag")
    counts = Counter(bag.draw(luck) for _ in range(DRAWS))
    assert bag.total == 4.0
    assert set(counts) == {"rare", "common"}
    assert abs(counts["common"] / DRAWS - 0.75) < 0.012
