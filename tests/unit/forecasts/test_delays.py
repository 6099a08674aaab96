"""The delay operator: what it learns and when; nothing later changes a prediction."""

from itertools import product
from math import log
from random import Random

import pytest

from operators.core.contract import Record
from operators.core.facts import Alarm, DelayOutcome, DelayRisk
from operators.forecasts.delay_conditions import CONDITIONS, DISRUPTED
from operators.forecasts.delays import Delays
from operators.prediction.late_rates import LateRates
from operators.prediction.lateness import LateModel
from operators.prediction.linear import Slots
from operators.prediction.situation import Situation, Stage, features_of, in_words
from operators.prediction.transit import Remaining, Transit
from state.codec import make_event
from state.events import (
    CarrierRegistered,
    CarrierService,
    Fact,
    NodeRegistered,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentScanned,
)
from state.events.telemetry import ParcelStatus, ShippedLine
from state.keys import ServiceId
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS, from_ms

_START_MS = 20_000 * DAY_MS
_BOUND_MS = Policy().hygiene.lateness_s * 1000
_SERVICES = ("good", "bad")


def _service(name: str) -> CarrierService:
    return CarrierService(
        service=name,
        mode="road",
        base_cents=400,
        per_kg_cents=30,
        per_100km_cents=10,
        transit_base_s=86_400,
        transit_s_per_100km=3_600,
        cutoff_s=61_200,
        parcels_per_day=500,
        max_weight_g=30_000,
        max_distance_km=0,
        gco2e_per_tonne_km=100.0,
        factor_source="test",
    )


class _Network:
    """A node, a region and a carrier with two services; feeds one operator."""

    def __init__(self) -> None:
        self.delays = Delays(Policy())
        self.seq = 0
        self.emitted: list[Record] = []
        self.send(_START_MS, RegionRegistered(region="R", latitude=50.0, longitude=8.0))
        node = NodeRegistered(
            node="N",
            kind="fulfilment_centre",
            region="R",
            latitude=51.0,
            longitude=9.0,
            handling_fixed_cents=100,
            handling_unit_cents=10,
            handling_time_s=3_600,
            parcels_per_day=500,
        )
        self.send(_START_MS, node)
        services = tuple(_service(name) for name in _SERVICES)
        carrier = CarrierRegistered(carrier="C", services=services, claimed_on_time=0.9)
        self.send(_START_MS, carrier)

    def send(self, time_ms: int, fact: Fact, now_ms: int | None = None) -> list[Record]:
        now_ms = time_ms if now_ms is None else now_ms
        self.seq += 1
        event = make_event(
            fact,
            id=f"e-{self.seq}",
            source="test",
            network="n",
            time_ms=time_ms,
            recorded_ms=now_ms,
        )
        out = self.delays.step(Record("n", self.seq, now_ms, fact, event))
        self.emitted += out
        return out

    def dispatch(self, time_ms: int, name: str, promised_ms: int, service: str = "good") -> float:
        dispatched = ShipmentDispatched(
            shipment=name,
            order=f"O-{name}",
            node="N",
            carrier="C",
            service=service,
            region="R",
            promised=from_ms(promised_ms),
            lines=(ShippedLine(sku="S", quantity=1),),
            weight_g=500,
            due_at_carrier=from_ms(time_ms),
        )
        return _risks(self.send(time_ms, dispatched))[-1].p_late

    def scan(
        self, time_ms: int, name: str, status: ParcelStatus, now_ms: int | None = None
    ) -> list[Record]:
        return self.send(time_ms, ShipmentScanned(shipment=name, status=status, code="x"), now_ms)

    def deliver(self, time_ms: int, name: str) -> list[Record]:
        return self.send(time_ms, ShipmentDelivered(shipment=name))

    def live(self, days: int, first: int = 0) -> list[Record]:
        """Days on which both services get a parcel an hour; the bad one is late for half of them.

        Scans come in between; returns all that left the operator.
        """
        agenda: list[tuple[int, int, str, str]] = []
        for number in range(first * 10, days * 10):
            at_ms = _START_MS + number // 10 * DAY_MS + number % 10 * HOUR_MS
            for service in _SERVICES:
                name = f"{service}-{number}"
                takes_ms = (60 if service == "bad" and number % 2 else 30) * HOUR_MS
                agenda.append((at_ms, len(agenda), "dispatch", name))
                agenda.append((at_ms + takes_ms // 2, len(agenda), "scan", name))
                agenda.append((at_ms + takes_ms, len(agenda), "deliver", name))
        out: list[Record] = []
        for at_ms, _, what, name in sorted(agenda):
            if what == "dispatch":
                self.dispatch(at_ms, name, at_ms + 2 * DAY_MS, name.partition("-")[0])
            elif what == "scan":
                out += self.scan(at_ms, name, "in_transit")
            else:
                out += self.deliver(at_ms, name)
        return out


def _risks(records: list[Record]) -> list[DelayRisk]:
    return [record.fact for record in records if isinstance(record.fact, DelayRisk)]


def _alarms(records: list[Record]) -> list[Alarm]:
    return [record.fact for record in records if isinstance(record.fact, Alarm)]


def _outcomes(records: list[Record]) -> list[DelayOutcome]:
    return [record.fact for record in records if isinstance(record.fact, DelayOutcome)]


def test_a_shipment_delivered_in_time_is_learned_when_its_promise_has_passed_too() -> None:
    network = _Network()
    promised_ms = _START_MS + 2 * DAY_MS
    network.dispatch(_START_MS, "A", promised_ms)
    (outcome,) = _outcomes(network.deliver(_START_MS + DAY_MS, "A"))
    assert not outcome.late
    assert network.delays.learned == 0
    region = RegionRegistered(region="R", latitude=50.0, longitude=8.0)
    network.send(promised_ms + _BOUND_MS, region)
    assert network.delays.learned == 1


def test_a_late_shipment_is_learned_when_its_promise_and_the_bound_have_passed() -> None:
    network = _Network()
    promised_ms = _START_MS + 2 * DAY_MS
    network.dispatch(_START_MS, "A", promised_ms)
    region = RegionRegistered(region="R", latitude=50.0, longitude=8.0)
    network.send(promised_ms + _BOUND_MS - 1, region)
    assert network.delays.learned == 0
    (risk,) = _risks(network.send(promised_ms + _BOUND_MS, region))
    assert risk.p_late == 1.0
    assert network.delays.learned == 1
    (outcome,) = _outcomes(network.deliver(promised_ms + DAY_MS, "A"))
    assert outcome.late
    assert network.delays.learned == 1


def test_the_future_changes_no_earlier_prediction() -> None:
    one, other = _Network(), _Network()
    for network in (one, other):
        network.live(6)
    told = []
    for network, ends_ms in ((one, 8 * DAY_MS), (other, 30 * DAY_MS)):
        now_ms = _START_MS + 9 * DAY_MS
        told.append(network.dispatch(now_ms, "A", now_ms + 2 * DAY_MS))
        network.deliver(now_ms + ends_ms, "A")
    assert told[0] == told[1]


def test_restoring_midway_continues_bit_by_bit() -> None:
    whole = _Network()
    whole.live(6)
    restored = _Network()
    restored.delays.restore(whole.delays.snapshot())
    restored.seq = whole.seq
    assert restored.delays.snapshot() == whole.delays.snapshot()
    assert restored.live(12, 9) == whole.live(12, 9)
    assert restored.delays.snapshot() == whole.delays.snapshot()


def test_a_scan_out_of_order_does_not_move_the_stage_back() -> None:
    network = _Network()
    network.dispatch(_START_MS, "A", _START_MS + 2 * DAY_MS)
    network.scan(_START_MS + 9 * HOUR_MS, "A", "out_for_delivery")
    before = network.delays.snapshot()
    straggler = network.scan(_START_MS + 5 * HOUR_MS, "A", "picked_up", _START_MS + 10 * HOUR_MS)
    assert len(straggler) == 1
    assert network.delays.snapshot() == before


def test_a_service_that_is_often_late_gets_a_higher_probability() -> None:
    network = _Network()
    outcomes = _outcomes(network.live(20))
    assert all(0.0 <= p <= 1.0 for o in outcomes for p in (o.p_at_handover, o.p_last))
    now_ms = _START_MS + 25 * DAY_MS
    good = network.dispatch(now_ms, "A", now_ms + 2 * DAY_MS, "good")
    bad = network.dispatch(now_ms, "B", now_ms + 2 * DAY_MS, "bad")
    assert bad > good + 0.15


def situation(
    stage: str = "dispatched", slack_h: float = 30.0, due_h: float | None = 1.0, day: int = 0
) -> Situation:
    time_ms = _START_MS + day * DAY_MS
    return Situation(
        stage=stage,
        service=ServiceId("C", "a @ b"),
        node="N",
        region="R @ 1",
        time_ms=time_ms,
        promised_ms=time_ms + round(slack_h * HOUR_MS),
        nominal_s=80_000.0,
        remaining_s=90_000.0,
        forecast=-1.0,
        handover_late_s=None if due_h is None else due_h * 3_600.0,
        eta_slack_s=None if due_h is None else due_h * 3_600.0,
        conditions=(*((each.name, 0.5) for each in CONDITIONS), (DISRUPTED, 1.0)),
    )


@pytest.mark.parametrize("stage", ["dispatched", "in_transit", "delivery_failed"])
def test_every_feature_has_words_and_a_finite_value(stage: str) -> None:
    hours = (-2_000, -1, 0, 1, 20, 30, 50, 200, 2_000)
    rates = LateRates(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    for slack_h, due_h, day in product(hours, (None, *hours), range(7)):
        now = situation(stage, slack_h, due_h, day)
        features, of_transit = features_of(now, rates, Stage(Slots().features, stage))
        assert 0 < len(of_transit) < len(features)
        for feature, value in features:
            assert abs(value) < 10
            words = in_words(feature.name)
            assert words and "_" not in words


def test_contributions_sum_to_the_log_odds() -> None:
    model = LateModel(0.1)
    for number in range(200):
        now = situation(slack_h=float(number % 50), day=number % 7)
        late = number % 50 < 20
        model.learn(model.features(now)[0], late)
        model.note(now.service, now.node, now.region, now.hour, late)
        p_late = model.p_late(model.features(now)[0])
        total = sum(each.log_odds for each in model.contributions(now))
        assert total == pytest.approx(log(p_late / (1 - p_late)), abs=1e-3)
    assert model.contributions(now)[-1].feature.endswith("smaller ones together")


def test_features_that_share_a_slot_still_sum_to_the_log_odds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("operators.prediction.linear.SLOTS", 7)
    model = LateModel(0.1)
    now = situation()
    for number in range(50):
        model.learn(model.features(now)[0], number % 3 == 0)
    p_late = model.p_late(model.features(now)[0])
    total = sum(each.log_odds for each in model.contributions(now))
    assert total == pytest.approx(log(p_late / (1 - p_late)), abs=1e-3)
    assert len(model.state().regression.weights) <= 7 + 2


def test_the_band_covers_what_it_says_and_the_median_halves() -> None:
    luck = Random(1)
    transit = Transit()
    inside = [0, 0, 0]
    for number in range(6_000):
        now_ms = _START_MS + number * HOUR_MS
        usual = transit.usual(ServiceId("C", "s"), "N", "R", "dispatched", 90_000.0, now_ms)
        remaining = transit.remaining({}, usual, 0.1, "dispatched")
        took_s = 100_000.0 * luck.lognormvariate(0.0, 0.3)
        bounds = (remaining.p10_s, remaining.p50_s, remaining.p90_s)
        assert list(bounds) == sorted(bounds)
        if number >= 2_000:
            for index, bound in enumerate(bounds):
                inside[index] += took_s <= bound
        transit.learn({1: 1.0}, usual, remaining, took_s)
        ended_ms = now_ms + round(took_s * 1000)
        transit.learn_usual(
            ServiceId("C", "s"), "N", "R", 90_000.0, {"dispatched": took_s}, ended_ms
        )
    assert inside[0] / 4_000 == pytest.approx(0.1, abs=0.02)
    assert inside[2] / 4_000 == pytest.approx(0.9, abs=0.02)


def test_of_one_still_under_way_only_its_side_of_the_median_is_learned() -> None:
    whole, told = Transit(), Transit()
    usual = whole.usual(ServiceId("C", "s"), "N", "R", "dispatched", 90_000.0, _START_MS)
    remaining = whole.remaining({1: 1.0}, usual, 0.1, "dispatched")
    whole.learn({1: 1.0}, usual, remaining, 400_000.0)
    told.learn_underway({1: 1.0}, usual, remaining, 120_000.0)
    told.learn({1: 1.0}, usual, remaining, 400_000.0, 120_000.0)
    assert told.state().median.weights == whole.state().median.weights
    told.learn_underway({1: 1.0}, usual, remaining, 1_000.0)
    assert told.state().median.learned == 1


def test_a_service_that_becomes_slow_raises_an_alarm_before_its_parcels_arrive() -> None:
    network = _Network()
    network.live(30)
    network.emitted.clear()
    start_ms = _START_MS + 32 * DAY_MS
    for number in range(80):
        at_ms = start_ms + number * HOUR_MS
        network.dispatch(at_ms, f"stuck-{number}", at_ms + 2 * DAY_MS, "good")
    alarms = _alarms(network.emitted)
    assert any(a.service == "good" and a.size > 0 and a.factor > 1 for a in alarms)


def test_the_estimate_is_scored_beside_the_carriers() -> None:
    network = _Network()
    network.live(10)
    at_ms = _START_MS + 12 * DAY_MS
    network.dispatch(at_ms, "A", at_ms + 2 * DAY_MS)
    said = from_ms(at_ms + 20 * HOUR_MS)
    scan = ShipmentScanned(shipment="A", status="in_transit", code="x", carrier_eta=said)
    network.send(at_ms + 5 * HOUR_MS, scan)
    (outcome,) = _outcomes(network.deliver(at_ms + 26 * HOUR_MS, "A"))
    assert outcome.carrier_off_s == 6 * 3_600
    assert outcome.off_s is not None and abs(outcome.off_s) < 20 * 3_600


def test_an_estimate_is_published_again_only_if_it_moved_materially() -> None:
    network = _Network()
    network.live(20)
    at_ms = _START_MS + 22 * DAY_MS
    network.dispatch(at_ms, "A", at_ms + 9 * DAY_MS)
    network.scan(at_ms + 14 * HOUR_MS, "A", "in_transit")
    assert not _risks(network.scan(at_ms + 14 * HOUR_MS + 60_000, "A", "in_transit"))
    (risk,) = _risks(network.scan(at_ms + 70 * HOUR_MS, "A", "in_transit"))
    assert risk.earliest_ms <= risk.expected_ms <= risk.latest_ms


def test_a_surprise_is_measured_by_the_half_of_the_band_it_is_in() -> None:
    remaining = Remaining(50.0, 100.0, 300.0)
    assert remaining.surprise(100.0) == 0.0
    assert remaining.surprise(300.0) == pytest.approx(1.2816)
    assert remaining.surprise(50.0) == pytest.approx(-1.2816)


def test_nothing_is_learned_from_a_suspect_delivery() -> None:
    network = _Network()
    network.dispatch(_START_MS, "A", _START_MS + 2 * DAY_MS)
    event = make_event(
        ShipmentDelivered(shipment="A"),
        id="x",
        source="test",
        network="n",
        time_ms=_START_MS + DAY_MS,
        recorded_ms=_START_MS + DAY_MS,
    )
    record = Record("n", 99, _START_MS + DAY_MS, event.fact, event, suspect=True)
    assert _outcomes(network.delays.step(record))
    region = RegionRegistered(region="R", latitude=50.0, longitude=8.0)
    network.send(_START_MS + 3 * DAY_MS, region)
    assert network.delays.learned == 0
