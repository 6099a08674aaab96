"""Time is charged to the call that spends it, not to those that wait for it."""

from benchmarks.meter import Meter


class Clock:
    """A clock that moves only as it is told."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_a_call_is_charged_without_what_it_has_others_do() -> None:
    clock = Clock()
    meter = Meter(clock)

    def spend(time: int) -> None:
        clock.now += time

    sourcing = meter.charge("sourcing", spend)

    def place() -> None:
        spend(1)
        sourcing(10)
        spend(2)
        sourcing(20)

    orders = meter.charge("order desk", place)
    orders()
    meter.charge("re-evaluation", lambda: (spend(5), orders()))()
    assert {part: meter.of_part(part) for part, _ in meter.spent} == {
        "sourcing": 60,
        "order desk": 6,
        "re-evaluation": 5,
    }


def test_an_occasion_holds_for_what_it_calls_and_no_longer() -> None:
    clock = Clock()
    meter = Meter(clock)

    def spend() -> None:
        clock.now += 7

    sourcing = meter.charge("sourcing", spend)
    meter.charge("order desk", sourcing, "facts")()
    meter.charge("re-evaluation", sourcing, "deadlines")()
    sourcing()
    assert {
        occasion: meter.spent["sourcing", occasion] for occasion in ("facts", "deadlines", "")
    } == {
        "facts": 7,
        "deadlines": 7,
        "": 7,
    }


def test_time_is_charged_even_if_the_call_fails() -> None:
    clock = Clock()
    meter = Meter(clock)

    def fail() -> None:
        clock.now += 3
        raise ValueError

    metered = meter.charge("stock", fail)
    for _ in range(2):
        try:
            metered()
        except ValueError:
            continue
    assert meter.of_part("stock") == 6
