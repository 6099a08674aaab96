"""What is learned of demand and of lanes."""

import pytest

from operators.chain import build_operator, to_record
from operators.contract import Operator
from operators.derived import DemandLift, DemandOutlook, LaneOutlook
from operators.explanation import span
from state.events import CarrierService, ShipmentDelivered, SignalObserved
from state.geography import nominal_transit_s
from state.policy import Demand as DemandRules
from state.policy import Policy
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order, service

MANY = {("N-NORTH", "BOOK"): 10**6}


def days(units: list[int], log: Log | None = None) -> Log:
    """A log with so many units ordered a day; none on a day of 0."""
    log = log or Log().network_of(MANY)
    for count in units:
        if count:
            log.add(order(f"O-{len(log.events)}", {"BOOK": count}, placed_ms=log.now_ms))
        log.now_ms += DAY * 1000
    return log


def level(run: Run) -> float:
    outlook: DemandOutlook = run.facts(DemandOutlook)[-1]
    return outlook.units_per_day


def test_the_level_of_demand_follows_the_orders() -> None:
    steady = level(fold(days([5] * 20)))
    assert steady == pytest.approx(5)
    risen = level(fold(days([5] * 20 + [10] * 12)))
    assert 9 < risen <= 10
    fallen = level(fold(days([5] * 20 + [1] * 12)))
    assert 1 <= fallen < 2


def test_days_without_an_order_count() -> None:
    often, rarely = fold(days([6] * 24)), fold(days([6, 0, 0] * 8))
    assert level(rarely) < level(often) / 2


def test_a_forecast_is_made_before_the_day_it_is_compared_with() -> None:
    outlooks = fold(days([4] * 10 + [40])).facts(DemandOutlook)
    assert [o.observed for o in outlooks] == [4.0] * 9 + [4.0]
    assert outlooks[-1].forecast == pytest.approx(4)


def test_the_spread_is_at_least_that_of_a_poisson_count() -> None:
    outlook = fold(days([9] * 20)).facts(DemandOutlook)[-1]
    assert outlook.sd == pytest.approx(3, rel=0.01)
    wild = fold(days([1, 30] * 10)).facts(DemandOutlook)[-1]
    assert wild.sd > 10


def test_a_shorter_bucket_gives_the_same_level_per_day() -> None:
    log = Log().network_of(MANY)
    for _ in range(60):
        log.add(order(f"O-{len(log.events)}", {"BOOK": 2}), HOUR)
    run = fold(log, Policy(demand=DemandRules(bucket_s=HOUR)))
    assert level(run) == pytest.approx(48, rel=0.05)


def promoted(lifting: bool) -> Run:
    """Every fourth day a promotion an hour after the first order; more follow it, or do not."""
    log = Log().network_of(MANY)

    def signal(after_s: float) -> None:
        log.add(SignalObserved(kind="promotion", region="NORTH", sku="BOOK", ratio=2.7), after_s)

    for number in range(240):
        midnight_ms = log.now_ms
        log.add(order(f"A-{number}", {"BOOK": 8}, placed_ms=log.now_ms))
        if number % 4 == 0:
            signal(HOUR)
            more = 16 if lifting else 1
            log.add(order(f"B-{number}", {"BOOK": more}, placed_ms=log.now_ms), HOUR)
        log.now_ms = midnight_ms + DAY * 1000
    signal(0)
    return fold(log, Policy(demand=DemandRules(signal_memory_s=12 * HOUR)))


def test_a_signal_that_lifted_demand_is_expected_to_lift_it_again() -> None:
    lifts: list[DemandLift] = promoted(True).facts(DemandLift)
    assert lifts[0].factor == pytest.approx(1)
    assert lifts[-1].factor > 1.2
    assert promoted(False).facts(DemandLift)[-1].factor < lifts[-1].factor - 0.1


def test_a_signal_is_forgotten_after_its_time() -> None:
    log = Log().network_of(MANY)
    signal = log.add(SignalObserved(kind="search", ratio=3.0))
    (lift,) = fold(log).facts(DemandLift)
    assert lift.until_ms == signal.recorded_ms + Policy().demand.signal_memory_s * 1000
    assert (lift.region, lift.scope) == ("*", "*")


NOMINAL_S = nominal_transit_s(service("standard"), 0.0)


def delivered(log: Log, name: str, transit_s: float, region: str = "NORTH") -> None:
    log.add(
        dispatch(name, f"of-{name}", region=region, promised_ms=log.now_ms + 2 * DAY * 1000), HOUR
    )
    log.add(ShipmentDelivered(shipment=name), transit_s)


def lanes(run: Run, region: str = "NORTH") -> list[LaneOutlook]:
    return [o for o in run.facts(LaneOutlook) if o.region == region]


def test_a_lanes_ratio_is_learned() -> None:
    log = Log().network_of({})
    for number in range(40):
        delivered(log, f"S-{number}", 1.5 * NOMINAL_S)
    run = fold(log)
    outlook = lanes(run)[-1]
    assert outlook.ratio == pytest.approx(1.5, rel=0.01)
    assert outlook.seen == 40
    assert outlook.on_time == 1.0
    assert run.twin.geography.services["POST/standard"] == service("standard")
    orchestrate = run.operator("orchestrate")
    lane = "POST/standard\nN-NORTH\nNORTH"
    assert orchestrate._floor.outlook.transit_ratio("POST/standard", lane)[0] == outlook.ratio


def test_a_lane_with_little_history_borrows_from_its_service() -> None:
    log = Log().network_of({})
    for number in range(40):
        delivered(log, f"S-{number}", NOMINAL_S)
    distance_s = service_s(fold(log), "SOUTH")
    delivered(log, "S-slow", 3 * distance_s, "SOUTH")
    run = fold(log)
    (outlook,) = lanes(run, "SOUTH")
    (whole,) = [o for o in run.facts(LaneOutlook) if not o.region][-1:]
    assert outlook.ratio == pytest.approx((1 * 3 + 8 * whole.ratio) / 9)
    assert whole.ratio < 1.1


def service_s(run: Run, region: str) -> float:
    """Nominal transit of the standard service from the north."""
    geography = run.twin.geography
    distance = geography.distance_km("N-NORTH", region)
    assert distance is not None
    standard: CarrierService = geography.services["POST/standard"]
    return nominal_transit_s(standard, distance)


def test_the_on_time_rate_is_against_the_promise() -> None:
    log = Log().network_of({})
    for number in range(30):
        delivered(log, f"S-{number}", 3 * DAY)
    assert lanes(fold(log))[-1].on_time == 0.0


def test_a_delivery_without_a_known_dispatch_teaches_nothing() -> None:
    log = Log().network_of({})
    delivered(log, "S-1", NOMINAL_S)
    log.add(ShipmentDelivered(shipment="S-1"))
    assert len(fold(log).facts(LaneOutlook)) == 2


@pytest.mark.parametrize("name", ["demand", "lanes"])
def test_to_restore_is_exact_to_the_bit(name: str) -> None:
    log = days([3, 0, 7, 1] * 5)
    for number in range(20):
        log.add(SignalObserved(kind="search", region="NORTH", ratio=1 + number / 7))
        delivered(log, f"S-{number}", (1 + number / 10) * NOMINAL_S)
        days([number], log)
    whole: Operator = fold(log).operator(name)
    half = fold(Log(events=log.events[: len(log.events) // 2]))
    operator = half.operator(name)
    again = build_operator(name, "net", Policy())
    again.restore(operator.snapshot())
    chain = half.chains["net"]
    position = [o.name for o in chain.operators].index(name)
    operators = list(chain.operators)
    operators[position] = again
    restored = type(chain)(operators)
    for line in log.lines()[len(log.events) // 2 :]:
        restored.step(to_record(line))
    assert again.snapshot() == whole.snapshot()


def test_spans_are_told_in_the_unit_people_use() -> None:
    assert [span(s) for s in (600, 7_200, 3 * DAY)] == ["10 min", "2 h", "3.0 days"]
