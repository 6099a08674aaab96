"""The shipped delay operator over a journal: its predictions at handover, and the outcomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from time import perf_counter

from benchmarks.prediction.forecasts import Codes, Forecasts, Naive, Row, collect
from operators.core.contract import Record
from operators.core.facts import DelayOutcome, DelayRisk
from operators.forecasts.delay_conditions import CONDITIONS, DISRUPTED, Conditions
from operators.forecasts.delays import Delays
from operators.prediction.late_rates import LateRateBook
from state.events import (
    Event,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
)
from state.geography import nominal_transit_s
from state.keys import ServiceId
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS, to_ms, weekday

_CONDITIONS = (*(each.name for each in CONDITIONS), DISRUPTED)
_TELEMETRY = (ShipmentDispatched, ShipmentScanned, ShipmentDelivered, ShipmentFailed)


@dataclass(slots=True)
class _Shipment:
    made_ms: int
    promised_ms: int
    way: tuple[ServiceId, str, str]
    lane: str
    hour: str
    said: tuple[float, float, float, float]
    naive: tuple[float, float]
    row: Row
    known_ms: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JournalRun:
    """Forecasts at handover; mean hours off of our estimate and the carrier's, where both spoke.

    `telemetry_us` is what a telemetry event takes in the operator, on average.
    """

    forecasts: Forecasts
    last_p: list[tuple[float, bool]]
    ours_off_h: float
    carrier_off_h: float
    compared: int
    telemetry_us: float


def run_journal(events: Iterable[Event]) -> JournalRun:
    """Fold the events of one network through the delay operator alone."""
    watched = _Watched()
    for event in events:
        watched.see(event)
    return watched.result()


class _Watched:
    def __init__(self) -> None:
        self._operator = Delays(Policy())
        self._conditions, self._rates = Conditions(), LateRateBook()
        self._naive, self._codes = Naive(), Codes()
        self._open: dict[str, _Shipment] = {}
        self._all: list[_Shipment] = []
        self._due: list[tuple[int, int, _Shipment]] = []
        self._off: list[tuple[float, float]] = []
        self._last: list[tuple[float, bool]] = []
        self._seq = self._events = self._now_ms = 0
        self._telemetry_s = 0.0

    def see(self, event: Event) -> None:
        self._seq += 1
        self._now_ms = max(self._now_ms, event.recorded_ms)
        self._labels_due()
        record = Record(event.network, self._seq, self._now_ms, event.fact, event)
        begun = perf_counter()
        out = self._operator.step(record)
        if isinstance(event.fact, _TELEMETRY):
            self._telemetry_s += perf_counter() - begun
            self._events += 1
        for each in out:
            if isinstance(each.fact, DelayOutcome) and each.fact.off_s is not None:
                assert each.fact.carrier_off_s is not None
                self._off.append((abs(each.fact.off_s), abs(each.fact.carrier_off_s)))
            if isinstance(each.fact, DelayOutcome):
                self._last.append((each.fact.p_last, each.fact.late))
        match event.fact:
            case ShipmentDispatched() as shipped:
                self._dispatched(shipped, event.time_ms, out)
            case ShipmentDelivered() as delivered:
                self._ended(delivered.shipment, event.time_ms)
            case ShipmentFailed() as failed:
                self._open.pop(failed.shipment, None)
            case _:
                self._conditions.learn(event.fact, event.time_ms)

    def _dispatched(self, shipped: ShipmentDispatched, time_ms: int, out: list[Record]) -> None:
        risks = [r.fact for r in out if isinstance(r.fact, DelayRisk)]
        risk = next((r for r in risks if r.shipment == shipped.shipment), None)
        if risk is None or shipped.shipment in self._open:
            return
        way = (ServiceId(shipped.carrier, shipped.service), shipped.node, shipped.region)
        lane, hour = "/".join(map(str, way)), str(time_ms % DAY_MS // HOUR_MS)
        band = (risk.earliest_ms, risk.expected_ms, risk.latest_ms)
        shipment = _Shipment(
            made_ms=time_ms,
            promised_ms=to_ms(shipped.promised),
            way=way,
            lane=lane,
            hour=hour,
            said=(risk.p_late, *((ms - time_ms) / 1000 for ms in band)),
            naive=(self._naive.lane(lane), self._naive.constant()),
            row=self._row(shipped, way, lane, time_ms),
        )
        self._open[shipped.shipment] = shipment
        self._all.append(shipment)
        heappush(self._due, (shipment.promised_ms, len(self._all), shipment))

    def _row(
        self, shipped: ShipmentDispatched, way: tuple[ServiceId, str, str], lane: str, time_ms: int
    ) -> Row:
        conditions, (service, node, region) = self._conditions, way
        distance = conditions.geography.distance_km(node, region) or 0.0
        nominal_s = nominal_transit_s(conditions.geography.services[service], distance)
        slack_s = (to_ms(shipped.promised) - time_ms) / 1000
        due = shipped.due_at_carrier
        hour = str(time_ms % DAY_MS // HOUR_MS)
        hindrances = dict(conditions.hindrances(service, node, region, time_ms))
        return [
            self._codes[f"service {service}"],
            self._codes[f"node {node}"],
            self._codes[f"region {region}"],
            float(time_ms % DAY_MS // HOUR_MS),
            float(weekday(time_ms)),
            nominal_s,
            slack_s,
            slack_s / max(nominal_s, 1.0),
            0.0 if due is None else (time_ms - to_ms(due)) / 1000,
            distance,
            float(shipped.weight_g),
            float(len(shipped.lines)),
            *(hindrances.get(name, 0.0) for name in _CONDITIONS),
            self._naive.lane(lane),
            *self._rates.rates(service, node, region, hour),
        ]

    def _ended(self, name: str, time_ms: int) -> None:
        shipment = self._open.pop(name, None)
        if shipment is None:
            return
        shipment.ended_ms = time_ms
        if shipment.known_ms is None:
            self._label(shipment, min(time_ms, shipment.promised_ms + 1))

    def _labels_due(self) -> None:
        """Label what is open when its promise has passed."""
        while self._due and self._due[0][0] < self._now_ms:
            promised_ms, _, shipment = heappop(self._due)
            if shipment.known_ms is None and shipment.ended_ms is None:
                self._label(shipment, promised_ms + 1)

    def _label(self, shipment: _Shipment, known_ms: int) -> None:
        shipment.known_ms = known_ms
        late = known_ms > shipment.promised_ms
        self._naive.learn(shipment.lane, late)
        self._rates.learn(*shipment.way, shipment.hour, late)

    def result(self) -> JournalRun:
        # Those whose promise is still to come are censored: only the punctual ones are known.
        judged = [s for s in self._all if s.known_ms and s.promised_ms < self._now_ms]
        found = [
            (
                float(s.made_ms),
                float(s.known_ms or 0),
                float("nan") if s.ended_ms is None else float(s.ended_ms),
                float((s.known_ms or 0) > s.promised_ms),
                float("nan") if s.ended_ms is None else (s.ended_ms - s.made_ms) / 1000,
                *s.said,
                *s.naive,
            )
            for s in judged
        ]
        forecasts = collect({"handover": found}, {"handover": [s.row for s in judged]})
        count = max(len(self._off), 1)
        return JournalRun(
            forecasts=forecasts["handover"],
            last_p=self._last,
            ours_off_h=sum(ours for ours, _ in self._off) / count / 3600,
            carrier_off_h=sum(theirs for _, theirs in self._off) / count / 3600,
            compared=len(self._off),
            telemetry_us=self._telemetry_s / max(self._events, 1) * 1e6,
        )
