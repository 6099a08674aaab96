"""Lanes as learned, and the lateness expected on them."""

from random import Random

import pytest

from operators.chain import build_operator, to_record
from operators.core.facts import LaneOutlook
from operators.prediction.lane_transit import LaneTransit
from operators.prediction.two_piece_normal import lateness
from state.events import CarrierService, ShipmentDelivered
from state.geography import nominal_transit_s
from state.keys import Lane, ServiceId
from state.policy import Policy
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, service

NOMINAL_S = nominal_transit_s(service("standard"), 0.0)
LANE = Lane(ServiceId("POST", "standard"), "N-NORTH", "NORTH")
SERVICE = ServiceId("C", "s")


def delivered(log: Log, name: str, transit_s: float, region: str = "NORTH") -> None:
    log.add(
        dispatch(name, f"of-{name}", region=region, promised_ms=log.now_ms + 2 * DAY * 1000), HOUR
    )
    log.add(ShipmentDelivered(shipment=name), transit_s)


def lanes(run: Run, region: str = "NORTH") -> list[LaneOutlook]:
    return [o for o in run.facts(LaneOutlook) if o.region == region]


def test_a_lanes_ratio_is_learned_and_reaches_sourcing() -> None:
    log = Log().network_of({})
    for number in range(60):
        delivered(log, f"S-{number}", 1.5 * NOMINAL_S)
    run = fold(log)
    outlook = lanes(run)[-1]
    assert outlook.p50 == pytest.approx(1.5, rel=0.1)
    assert outlook.p10 < outlook.p50 < outlook.p90
    assert outlook.seen == 60
    assert outlook.on_time == 1.0
    assert run.twin.geography.services[ServiceId("POST", "standard")] == service("standard")
    learned = run.operator("orchestrate").outlook.transit_ratios(LANE, log.now_ms)
    assert learned.p50 == pytest.approx(outlook.p50, rel=0.1)


def service_s(run: Run, region: str) -> float:
    """Nominal transit of the standard service from the north."""
    geography = run.twin.geography
    distance = geography.distance_km("N-NORTH", region)
    assert distance is not None
    standard: CarrierService = geography.services[ServiceId("POST", "standard")]
    return nominal_transit_s(standard, distance)


def test_a_lane_with_little_history_borrows_from_its_service() -> None:
    log = Log().network_of({})
    for number in range(60):
        delivered(log, f"S-{number}", NOMINAL_S)
    distance_s = service_s(fold(log), "SOUTH")
    delivered(log, "S-slow", 3 * distance_s, "SOUTH")
    (outlook,) = lanes(fold(log), "SOUTH")
    assert outlook.seen == 1
    assert 1.0 < outlook.p50 < 1.6


def test_the_band_of_a_lane_covers_what_it_says() -> None:
    luck = Random(3)
    transit = LaneTransit()
    lanes_of = [(Lane(SERVICE, f"N{n}", "R"), luck.uniform(0.8, 1.4)) for n in range(8)]
    inside = [0, 0, 0]
    for number in range(4_000):
        lane, pace = luck.choice(lanes_of)
        ratio = pace * luck.lognormvariate(0.0, 0.25)
        if number >= 1_000:
            band = transit.ratios(lane)
            assert band.p10 <= band.p50 <= band.p90
            for index, bound in enumerate((band.p10, band.p50, band.p90)):
                inside[index] += ratio <= bound
        transit.learn(lane, number % 7, ratio, number)
    assert [count / 3_000 for count in inside] == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_a_weekday_without_tours_is_known_to_take_longer() -> None:
    luck = Random(4)
    transit = LaneTransit()
    for number in range(1_400):
        weekday = number % 7
        ratio = (1.6 if weekday == 5 else 1.0) * luck.lognormvariate(0.0, 0.1)
        transit.learn(Lane(SERVICE, "N", "R"), weekday, ratio, number)
    weekdays = transit.weekdays(SERVICE)
    assert weekdays[5] / weekdays[2] == pytest.approx(1.6, rel=0.1)


def test_a_lane_that_shifts_is_covered_again_soon() -> None:
    luck = Random(5)
    transit, lane = LaneTransit(), Lane(SERVICE, "N", "R")
    for number in range(600):
        transit.learn(lane, 0, luck.lognormvariate(0.0, 0.2), number)
    covered = 0
    for number in range(40):
        ratio = 2.0 * luck.lognormvariate(0.0, 0.2)
        covered += number >= 20 and ratio <= transit.ratios(lane).p90
        transit.learn(lane, 0, ratio, 600 + number)
    assert covered >= 16


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


def test_to_restore_lanes_is_exact_to_the_bit() -> None:
    log = Log().network_of({})
    for number in range(60):
        delivered(log, f"S-{number}", (1 + number % 7 / 5) * NOMINAL_S)
    whole = fold(log).operator("lanes")
    half = fold(Log(events=log.events[: len(log.events) // 2]))
    again = build_operator("lanes", "net", Policy())
    again.restore(half.operator("lanes").snapshot())
    for line in log.lines()[len(log.events) // 2 :]:
        again.step(to_record(line))
    assert again.snapshot() == whole.snapshot()


@pytest.mark.parametrize("slack_s", [5_000.0, 50_000.0, 100_000.0, 130_000.0, 400_000.0])
def test_expected_lateness_is_the_mean_of_a_two_piece_normal(slack_s: float) -> None:
    low, mid, high = 60_000.0, 100_000.0, 200_000.0
    luck = Random(6)
    total = late = 0.0
    draws = 60_000
    for _ in range(draws):
        z = luck.gauss(0.0, 1.0)
        took = mid + z * ((high - mid) if z > 0 else (mid - low)) / 1.2816
        late += took > slack_s
        total += max(0.0, took - slack_s)
    p_late, late_s = lateness(slack_s, low, mid, high)
    assert p_late == pytest.approx(late / draws, abs=0.01)
    assert late_s == pytest.approx(total / draws, rel=0.03, abs=300)
