"""Lanes: transit time and on-time rate per (carrier service, origin node, destination region).

Transit is learned as a ratio to the service's nominal time, so that a lane nobody has used yet can
borrow from its service. Means and spreads are River's exponentially weighted ones. A lane's own
history counts with n ÷ (n + k), its service's with the rest (empirical-Bayes shrinkage).
"""

from msgspec import Struct, field

from operators.contract import Operator, Record, pack, unpack
from operators.derived import LaneOutlook
from operators.moments import Moments, MomentsState
from state.events import (
    CarrierRegistered,
    NodeRegistered,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
)
from state.geography import Geography, nominal_transit_s
from state.policy import Policy
from state.quantities import DAY_MS, to_ms

_VERSION = "lanes/1"
#: Deliveries after which a lane's own history weighs as much as its service's.
_SHRINKAGE = 8.0
#: Weight of the newest delivery: a lane remembers about 30, a service about 200.
_LANE_FADING = 0.03
_SERVICE_FADING = 0.005
#: Open shipments are given up after this long; their truth will not come.
_OPEN_MS = 90 * DAY_MS
#: Ratios beyond this say more about the record than about the lane.
_LARGEST_RATIO = 20.0


class _Open(Struct, array_like=True):
    carrier: str
    service: str
    node: str
    region: str
    dispatched_ms: int
    promised_ms: int
    nominal_s: float


class _HistoryState(Struct, array_like=True):
    transit: MomentsState
    on_time: MomentsState


class _State(Struct):
    geography: Geography = field(default_factory=Geography)
    open: dict[str, _Open] = field(default_factory=dict)
    lanes: dict[str, _HistoryState] = field(default_factory=dict)


class _History:
    """Transit ratio and on-time share of a lane or a service."""

    __slots__ = ("on_time", "transit")

    def __init__(self, fading: float, state: _HistoryState | None = None) -> None:
        self.transit = Moments(fading, state.transit if state else (0, 0.0, 0.0))
        self.on_time = Moments(fading, state.on_time if state else (0, 0.0, 0.0))


class Lanes(Operator):
    """Emits a LaneOutlook for the lane and one for its service at every delivery."""

    name = "lanes"

    def __init__(self, policy: Policy) -> None:
        del policy  # nothing to tune yet
        self._state = _State()
        self._histories: dict[str, _History] = {}
        # Histories changed since the last snapshot: only these are written anew.
        self._touched: dict[str, None] = {}

    def step(self, record: Record) -> list[Record]:
        """Fold in dispatches and deliveries; everything is passed on."""
        match record.fact:
            case ShipmentDispatched() as dispatched:
                assert record.event is not None
                self._dispatched(dispatched, record.event.time_ms, record.now_ms)
            case ShipmentDelivered() as delivered:
                assert record.event is not None
                outlooks = self._delivered(delivered.shipment, record.event.time_ms)
                return [record, *(record.derive(outlook) for outlook in outlooks)]
            case ShipmentFailed() as failed:
                self._state.open.pop(failed.shipment, None)
            case NodeRegistered() | RegionRegistered() | CarrierRegistered():
                self._state.geography.learn(record.fact)
            case _:
                pass
        return [record]

    def _dispatched(self, shipped: ShipmentDispatched, time_ms: int, now_ms: int) -> None:
        state = self._state
        service = state.geography.services.get(f"{shipped.carrier}/{shipped.service}")
        distance = state.geography.distance_km(shipped.node, shipped.region)
        if service is None or distance is None or shipped.shipment in state.open:
            return
        state.open[shipped.shipment] = _Open(
            shipped.carrier,
            shipped.service,
            shipped.node,
            shipped.region,
            time_ms,
            to_ms(shipped.promised),
            nominal_transit_s(service, distance),
        )
        while state.open:
            oldest = next(iter(state.open))
            if state.open[oldest].dispatched_ms >= now_ms - _OPEN_MS:
                break
            del state.open[oldest]

    def _delivered(self, shipment: str, time_ms: int) -> list[LaneOutlook]:
        shipped = self._state.open.pop(shipment, None)
        if shipped is None:
            return []
        transit_s = max(0.0, (time_ms - shipped.dispatched_ms) / 1000)
        ratio = min(transit_s / max(shipped.nominal_s, 1.0), _LARGEST_RATIO)
        on_time = 1.0 if time_ms <= shipped.promised_ms else 0.0
        service_key = f"{shipped.carrier}\n{shipped.service}"
        lane_key = f"{service_key}\n{shipped.node}\n{shipped.region}"
        service = self._history(service_key, _SERVICE_FADING)
        lane = self._history(lane_key, _LANE_FADING)
        self._touched[service_key] = self._touched[lane_key] = None
        for history in (service, lane):
            history.transit.update(ratio)
            history.on_time.update(on_time)
        own = lane.transit.seen / (lane.transit.seen + _SHRINKAGE)
        return [
            LaneOutlook(
                carrier=shipped.carrier,
                service=shipped.service,
                node="",
                region="",
                ratio=service.transit.mean,
                sd=service.transit.sd,
                on_time=service.on_time.mean,
                seen=service.transit.seen,
            ),
            LaneOutlook(
                carrier=shipped.carrier,
                service=shipped.service,
                node=shipped.node,
                region=shipped.region,
                ratio=own * lane.transit.mean + (1 - own) * service.transit.mean,
                sd=own * lane.transit.sd + (1 - own) * service.transit.sd,
                on_time=own * lane.on_time.mean + (1 - own) * service.on_time.mean,
                seen=lane.transit.seen,
            ),
        ]

    def _history(self, key: str, fading: float) -> _History:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = _History(fading)
        return history

    def snapshot(self) -> bytes:
        """Histories and open shipments as plain values."""
        for key in self._touched:
            history = self._histories[key]
            self._state.lanes[key] = _HistoryState(history.transit.state(), history.on_time.state())
        self._touched.clear()
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Rebuild the River statistics from plain values."""
        self._state = unpack(_VERSION, data, _State)
        self._histories = {
            key: _History(_LANE_FADING if key.count("\n") == 3 else _SERVICE_FADING, h)
            for key, h in self._state.lanes.items()
        }
        self._touched = {}
