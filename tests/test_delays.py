"""The delay operator: what it learns and when, and that nothing later changes what it said."""

from itertools import product

import pytest

from operators.contract import Record
from operators.delay_features import LateRates, Situation, features_of, in_words
from operators.delays import Delays
from operators.derived import DelayOutcome, DelayRisk
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
        return self.delays.step(Record("n", self.seq, now_ms, fact, event))

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


def _outcomes(records: list[Record]) -> list[DelayOutcome]:
    return [record.fact for record in records if isinstance(record.fact, DelayOutcome)]


def test_a_shipment_delivered_in_time_is_learned_at_its_delivery() -> None:
    network = _Network()
    network.dispatch(_START_MS, "A", _START_MS + 2 * DAY_MS)
    assert network.delays.learned == 0
    (outcome,) = _outcomes(network.deliver(_START_MS + DAY_MS, "A"))
    assert not outcome.late
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


@pytest.mark.parametrize("stage", ["dispatched", "in_transit", "delivery_failed"])
def test_every_feature_has_words_and_a_finite_value(stage: str) -> None:
    hours = (-2_000, -1, 0, 1, 20, 30, 50, 200, 2_000)
    for slack_h, due_h, day in product(hours, (None, *hours), range(7)):
        time_ms = _START_MS + day * DAY_MS
        now = Situation(
            stage=stage,
            service="C/a @ b",
            node="N",
            region="R @ 1",
            time_ms=time_ms,
            promised_ms=time_ms + slack_h * HOUR_MS,
            remaining_s=90_000.0,
            forecast=-1.0,
            handover_late_s=None if due_h is None else due_h * 3_600.0,
            weather=0.5,
            origin_weather=0.5,
            congestion=9.0,
            disrupted=True,
        )
        for name, value in features_of(now, LateRates(0.1, 0.2, 0.3, 0.4)).items():
            assert abs(value) < 10
            words = in_words(name)
            assert words and "_" not in words
