"""A change of level is found, soon and once; noise, wild values and spells are not one."""

import math
import random
from statistics import median

import msgspec
import pytest
from river.base import DriftDetector

from operators.prediction.drift import Adwin, Cusum, Monitor, MonitorState, Shift


def noise(count: int, level: float = 0.0, seed: int = 1) -> list[float]:
    luck = random.Random(seed)
    return [luck.gauss(level, 1) for _ in range(count)]


def shifts(values: list[float], monitor: Monitor | None = None, key: str = "k") -> list[Shift]:
    monitor = monitor or Monitor()
    found = (monitor.update(key, z, at) for at, z in enumerate(values))
    return [shift for shift in found if shift is not None]


@pytest.mark.parametrize(("by", "within"), [(1.0, 40), (2.0, 13), (4.0, 7)])
def test_a_shock_is_found_and_the_larger_the_sooner(by: float, within: int) -> None:
    for sign in (1.0, -1.0):
        firsts = [
            shifts(noise(500, seed=seed) + noise(100, sign * by, seed=99 - seed))[0]
            for seed in range(9)
        ]
        assert {shift.direction for shift in firsts} == {"up" if sign > 0 else "down"}
        assert median(shift.since_ms + shift.observations for shift in firsts) <= 500 + within
        assert median(shift.since_ms for shift in firsts) == pytest.approx(500, abs=5)


def test_a_shift_tells_how_large_it_is() -> None:
    first = shifts(noise(500) + noise(100, 2.0, seed=2))[0]
    assert first.size == pytest.approx(2.0, abs=0.6)


def test_noise_without_a_shift_is_not_one() -> None:
    assert shifts(noise(20_000)) == []


def test_heavy_tails_are_not_a_shift() -> None:
    luck = random.Random(3)
    assert len(shifts([math.exp(luck.gauss(0, 1)) - 1.65 for _ in range(20_000)])) <= 2


def test_spells_are_allowed_for() -> None:
    luck, last, values = random.Random(4), 0.0, []
    for _ in range(10_000):
        last = 0.5 * last + luck.gauss(0, math.sqrt(0.75))
        values.append(last)
    plain = Cusum()
    alarms = 0
    for z in values:
        plain.update(z)
        alarms += plain.drift_detected
    assert alarms > 10
    assert len(shifts(values)) <= 1


def test_one_wild_value_is_no_shift() -> None:
    assert shifts([*noise(500), 1e9, *noise(100, seed=5)]) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_left_out(value: float) -> None:
    monitor, other = Monitor(), Monitor()
    values = noise(500) + noise(50, 2.0, seed=2)
    holed = [each for z in values for each in (z, value)]
    assert any(shifts(holed, monitor))
    shifts(values, other)
    assert monitor.state().newer["k"].mean == other.state().newer["k"].mean


def test_a_model_that_is_always_off_by_as_much_is_no_shift() -> None:
    assert shifts([0.3 + 0.7 * z for z in noise(10_000)]) == []


def test_a_slow_shift_too_small_for_a_shock_is_found() -> None:
    found = [s for s in shifts(noise(2_000) + noise(800, 0.4, seed=3)) if s.kind == "slow"]
    assert found[0].direction == "up"
    assert 1_900 <= found[0].since_ms <= 2_300


def test_adwin_finds_what_rivers_finds_and_keeps_little() -> None:
    adwin = Adwin()
    for z in noise(100_000):
        adwin.update(z)
        assert not adwin.drift_detected
    assert len(msgspec.msgpack.encode(adwin.state())) < 2_500


@pytest.mark.parametrize("detector", [Cusum(), Adwin()])
def test_detectors_are_used_as_rivers_are(detector: DriftDetector) -> None:
    found = []
    for at, z in enumerate(noise(500) + noise(200, 3.0, seed=2)):
        detector.update(z)
        if detector.drift_detected:
            found.append(at)
    assert 500 <= found[0] < 600
    assert found[0] - 1 not in found


@pytest.mark.parametrize("at", [1, 31, 32, 333, 520, 563])
def test_a_restored_monitor_goes_on_to_the_bit(at: int) -> None:
    values = noise(500) + noise(200, 1.5, seed=2)
    whole = Monitor()
    expected = shifts(values, whole)
    first = Monitor()
    found = [s for t, z in enumerate(values[:at]) if (s := first.update("k", z, t))]
    kept = msgspec.msgpack.encode(first.state())
    second = Monitor(state=msgspec.msgpack.decode(kept, type=MonitorState[str]))
    found += [s for t, z in enumerate(values[at:], at) if (s := second.update("k", z, t))]
    assert found == expected
    assert second.state() == whole.state()


def test_keys_do_not_know_of_each_other() -> None:
    monitor = Monitor()
    assert shifts(noise(500), monitor, "a") == []
    assert shifts(noise(300, seed=7), monitor, "b") == []
    assert shifts(noise(60, 3.0, seed=2), monitor, "a")


def test_the_keys_used_last_are_the_ones_held() -> None:
    monitor = Monitor(most_keys=10)
    for z in noise(500):
        monitor.update("often", z, 0)
    for at in range(100):
        monitor.update(f"once {at}", 1.0, 0)
        monitor.update("often", 0.0, 0)
    state = monitor.state()
    assert len(state.newer) + len(state.older) <= 20
    assert {**state.newer, **state.older}["often"].seen == 500
