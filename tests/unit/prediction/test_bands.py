"""Prediction bands: what they cover, what a new key borrows, what an alarm does."""

from random import Random
from statistics import fmean

import msgspec
import pytest

from operators.prediction.bands import Bands, BandsState

LEVELS = (0.025, 0.1, 0.9, 0.975)
NORMAL = (-1.96, -1.28, 1.28, 1.96)


def covered(bands: Bands, key: str, residuals: list[float]) -> float:
    """Return the share of residuals within the 80 % band as it was before each of them."""
    hits = []
    for residual in residuals:
        _, low, high, _ = bands.offsets(key)
        hits.append(low < residual <= high)
        bands.update(key, residual)
    return fmean(hits)


def skewed(luck: Random, number: int, spread: float = 1.0) -> list[float]:
    return [spread * (luck.expovariate(1.0) - 1.0) for _ in range(number)]


def test_a_band_covers_what_it_promises_though_nothing_is_normal() -> None:
    luck, bands = Random(1), Bands(LEVELS, NORMAL)
    for round_ in range(20):
        share = covered(bands, f"key {round_ % 4}", skewed(luck, 500))
    assert share == pytest.approx(0.8, abs=0.03)


def test_a_key_that_errs_more_than_the_others_gets_a_wider_band() -> None:
    luck, bands = Random(2), Bands(LEVELS, NORMAL, kept=0.999)
    for _ in range(300):
        for key, spread in (("calm", 0.5), ("wild", 2.0), ("usual", 1.0)):
            share = covered(bands, key, skewed(luck, 1, spread))
    share = covered(bands, "wild", skewed(luck, 500, 2.0))
    assert share == pytest.approx(0.8, abs=0.04)
    assert bands.offsets("wild")[2] > bands.offsets("usual")[2] > bands.offsets("calm")[2]


def test_a_new_key_starts_from_what_new_keys_were_like() -> None:
    luck, bands = Random(3), Bands(LEVELS, NORMAL)
    for number in range(400):
        covered(bands, f"key {number}", skewed(luck, 3, 1.6))
    assert fmean(covered(bands, f"new {n}", skewed(luck, 3, 1.6)) for n in range(400)) == (
        pytest.approx(0.8, abs=0.06)
    )
    for _ in range(300):
        covered(bands, "old", skewed(luck, 10, 1.0))
    assert bands.offsets("brand new")[2] > 1.3 * bands.offsets("old")[2]


def test_offsets_rise_with_the_level_whatever_comes() -> None:
    luck, bands = Random(4), Bands(LEVELS, NORMAL)
    for number in range(2_000):
        bands.update("key", luck.choice((-50.0, 0.0, 0.0, 50.0)))
        if number % 97 == 0:
            bands.alarm("key")
        offsets = bands.offsets("key")
        assert list(offsets) == sorted(offsets)


def test_an_alarm_widens_the_band_for_ten_residuals_and_hurries_it() -> None:
    calm, alarmed = Bands(LEVELS, NORMAL), Bands(LEVELS, NORMAL)
    for bands in (calm, alarmed):
        covered(bands, "key", skewed(Random(5), 300))
    alarmed.alarm("key")
    before, at_once = calm.offsets("key"), alarmed.offsets("key")
    assert at_once[0] < before[0] and at_once[1] < before[1]
    assert at_once[2] > before[2] and at_once[3] > before[3]
    for bands in (calm, alarmed):
        covered(bands, "key", [6.0] * 10)
    assert alarmed.offsets("key")[2] - before[2] > 1.5 * (calm.offsets("key")[2] - before[2])


def test_what_is_not_a_number_teaches_nothing() -> None:
    bands = Bands(LEVELS, NORMAL)
    for residual in (float("nan"), float("inf"), float("-inf")):
        bands.update("key", residual)
    assert bands.state().keys == {}
    assert bands.offsets("key") == Bands(LEVELS, NORMAL).offsets("key")


def test_a_forgotten_key_is_a_new_key() -> None:
    bands = Bands(LEVELS, NORMAL)
    covered(bands, "key", [5.0] * 50)
    bands.forget("key")
    bands.forget("never seen")
    assert bands.offsets("key") == bands.offsets("another")


def test_to_restore_bands_is_exact_to_the_bit() -> None:
    luck, bands = Random(6), Bands(LEVELS, NORMAL)
    for number in range(200):
        covered(bands, f"key {number % 7}", skewed(luck, 2))
    bands.alarm("key 3")
    data = msgspec.msgpack.encode(bands.state())
    again = Bands(LEVELS, NORMAL, msgspec.msgpack.decode(data, type=BandsState[str]))
    rest = skewed(luck, 100)
    for each in (bands, again):
        covered(each, "key 3", rest)
    assert msgspec.msgpack.encode(again.state()) == msgspec.msgpack.encode(bands.state())
