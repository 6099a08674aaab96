"""Lanes: transit quantiles and on-time rate per (carrier service, origin node, destination region).

Transit is learned as a ratio to the service's nominal time, so that an unused lane can borrow
from its service.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import LaneOutlook
from operators.prediction.lane_transit import LaneTransit, LaneTransitState
from operators.prediction.levels import Level, Levels
from state.events import (
    Fact,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
)
from state.geography import GEOGRAPHIC, Geography, nominal_transit_s
from state.keys import Lane, ServiceId
from state.policy import Policy
from state.quantities import DAY_MS, to_ms, weekday

_VERSION = "lanes/3"
#: Weight of the newest delivery in on-time rates.
_FADING = 0.02
#: Open shipments are given up after this long; their truth will not come.
_OPEN_MS = 90 * DAY_MS


class _Open(Struct, array_like=True):
    lane: Lane
    dispatched_ms: int
    promised_ms: int
    nominal_s: float


class _State(Struct):
    geography: Geography = field(default_factory=Geography)
    open: dict[str, _Open] = field(default_factory=dict)
    on_time: dict[Lane, Level] = field(default_factory=dict)
    transit: LaneTransitState | None = None


class Lanes(Operator):
    """Emitter of a LaneOutlook for the service and one for the lane at every delivery."""

    name = "lanes"

    def __init__(self, policy: Policy) -> None:
        del policy  # nothing to tune yet
        self._open(_State())

    def _open(self, state: _State) -> None:
        self._state = state
        self._transit = LaneTransit(state.transit)
        self._on_time = Levels(_FADING, state.on_time)
        state.transit = None

    def step(self, record: Record) -> list[Record]:
        """Fold in dispatches and deliveries; everything is passed on."""
        take_in = _TAKE_IN.get(type(record.fact))
        if take_in is None:
            return [record]
        return [record, *map(record.derive, take_in(self, record, record.fact))]

    def _registered(self, record: Record, registered: Fact) -> Sequence[LaneOutlook]:
        self._state.geography.learn(registered)
        return ()

    def _failed(self, record: Record, failed: ShipmentFailed) -> Sequence[LaneOutlook]:
        self._state.open.pop(failed.shipment, None)
        return ()

    def _dispatched(self, record: Record, shipped: ShipmentDispatched) -> Sequence[LaneOutlook]:
        assert record.event is not None
        state, time_ms = self._state, record.event.time_ms
        lane = Lane(ServiceId(shipped.carrier, shipped.service), shipped.node, shipped.region)
        service = state.geography.services.get(lane.service)
        distance = state.geography.distance_km(shipped.node, shipped.region)
        if service is None or distance is None or shipped.shipment in state.open:
            return ()
        state.open[shipped.shipment] = _Open(
            lane,
            time_ms,
            to_ms(shipped.promised),
            nominal_transit_s(service, distance),
        )
        while state.open:
            oldest = next(iter(state.open))
            if state.open[oldest].dispatched_ms >= record.now_ms - _OPEN_MS:
                break
            del state.open[oldest]
        return ()

    def _delivered(self, record: Record, delivered: ShipmentDelivered) -> Sequence[LaneOutlook]:
        assert record.event is not None
        shipped, time_ms = self._state.open.pop(delivered.shipment, None), record.event.time_ms
        if shipped is None or record.suspect:
            return ()
        ratio = max(0.0, (time_ms - shipped.dispatched_ms) / 1000) / max(shipped.nominal_s, 1.0)
        lane = shipped.lane
        whole = Lane(lane.service)
        self._transit.learn(lane, weekday(shipped.dispatched_ms), ratio, time_ms)
        in_time = 1.0 if time_ms <= shipped.promised_ms else 0.0
        for each in (whole, lane):
            self._on_time.update(each, in_time)
        return [self._outlook(whole, whole), self._outlook(lane, whole)]

    def _outlook(self, lane: Lane, whole: Lane) -> LaneOutlook:
        """Return the outlook of a lane of the service `whole`, or of the service itself."""
        on_time = self._on_time.get(whole).mean
        if lane is not whole:
            of_lane = self._on_time.get(lane)
            on_time += of_lane.trust * (of_lane.mean - on_time)
        ratios = self._transit.ratios(lane)
        return LaneOutlook(
            carrier=lane.service.carrier,
            service=lane.service.service,
            node=lane.node,
            region=lane.region,
            p10=ratios.p10,
            p50=ratios.p50,
            p90=ratios.p90,
            weekdays=self._transit.weekdays(lane.service),
            on_time=on_time,
            seen=self._transit.seen(lane),
        )

    def snapshot(self) -> bytes:
        """Return levels, bands and open shipments as plain values."""
        state = self._state
        state.transit = self._transit.state()
        data = pack(_VERSION, state)
        state.transit = None
        return data

    def restore(self, data: bytes) -> None:
        """Rebuild the models from plain values."""
        self._open(unpack(_VERSION, data, _State))


#: Facts that concern lanes. A table, not a match: it is read at every record.
_TAKE_IN: dict[type, Callable[[Lanes, Record, Any], Sequence[LaneOutlook]]] = {
    ShipmentDispatched: Lanes._dispatched,
    ShipmentDelivered: Lanes._delivered,
    ShipmentFailed: Lanes._failed,
    **dict.fromkeys(GEOGRAPHIC, Lanes._registered),
}
