"""The watch over demand: what is usual for the hour is no news, a rush is."""

from copy import deepcopy
from random import Random

from operators.core.facts import Alarm
from operators.forecasts.demand_watch import DemandWatch
from state.quantities import DAY_MS, HOUR_MS

_BEGIN_MS = 20_000 * DAY_MS
_REGIONS = ("NORTH", "SOUTH", "WEST")


def weeks(
    watch: DemandWatch, luck: Random, first_day: int, days: int, rush: str = ""
) -> list[Alarm]:
    """Orders by the hour, few by night and half as many on Sundays; twice as many in `rush`."""
    alarms: list[Alarm] = []
    for hour in range(first_day * 24, (first_day + days) * 24):
        now_ms = _BEGIN_MS + hour * HOUR_MS
        if now_ms >= watch.closes_ms:
            alarms += watch.close(now_ms)
        usual = (2 if hour % 24 < 8 else 8) * (0.5 if hour // 24 % 7 == 3 else 1.0)
        for region in _REGIONS:
            mean = usual * (2.0 if region == rush else 1.0)
            for _ in range(sum(luck.random() < mean / 20 for _ in range(20))):
                watch.ordered(region, "books", luck.choice((1, 1, 2)))
    return alarms


def test_nights_and_sundays_raise_no_alarm() -> None:
    watch, luck = DemandWatch(), Random(7)
    assert weeks(watch, luck, 0, 120) == []


def test_a_region_that_orders_twice_as_much_raises_an_alarm_within_days() -> None:
    watch, luck = DemandWatch(), Random(7)
    weeks(watch, luck, 0, 42)
    alarms = weeks(watch, luck, 42, 4, rush="SOUTH")
    first = next(alarm for alarm in alarms if alarm.region)
    assert first.region == "SOUTH" and first.measure == "demand"
    assert first.size > 0 and 1.3 < first.factor < 3.0
    assert first.since_ms >= _BEGIN_MS + 41 * DAY_MS


def test_a_watch_that_is_restored_goes_on_exactly() -> None:
    watch = DemandWatch()
    weeks(watch, Random(7), 0, 30)
    again = DemandWatch(deepcopy(watch.state()))
    for each in (watch, again):
        weeks(each, Random(8), 30, 10, rush="WEST")
    assert again.state() == watch.state()
