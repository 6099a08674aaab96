"""Watch over transit, for parcels of a service, node, region or lane that become slower.

Each parcel counts once, by how far its transit was off what was predicted at handover: at its
delivery, or when it is overdue, whichever is first. Waiting for the late ones to arrive would
show a closed hub only by the parcels that it did not stop.
"""

from math import erfc, exp, pi, sqrt

from msgspec import Struct, field

from operators.core.facts import Alarm
from operators.prediction.drift import Monitor, MonitorState
from operators.prediction.transit import Z90, Remaining
from state.keys import ANY_SERVICE, Lane, ServiceId

_MOST_KEYS = 5_000
_MOST_SURPRISE = 8.0


class WatchState(Struct):
    """The watch as plain values."""

    monitor: MonitorState[Lane] | None = field(default=None)


class TransitWatch:
    """Standardised residuals by service, node, region and lane, and the alarms they raise."""

    def __init__(self, state: WatchState | None = None) -> None:
        self._monitor: Monitor[Lane] = Monitor(_MOST_KEYS, state.monitor if state else None)

    def observe(
        self,
        service: ServiceId,
        node: str,
        region: str,
        predicted: Remaining,
        surprise: float,
        now_ms: int,
    ) -> list[Alarm]:
        """Fold in a delivery that was `surprise` standard deviations off what was predicted."""
        alarms: list[Alarm] = []
        for scope in (
            Lane(service),
            Lane(ANY_SERVICE, node),
            Lane(ANY_SERVICE, "", region),
            Lane(service, "", region),
        ):
            shift = self._monitor.update(scope, surprise, now_ms)
            if shift is None:
                continue
            spread = (predicted.p90_s - predicted.p50_s) / Z90
            factor = 1.0 + shift.size * spread / max(predicted.p50_s, 1.0)
            alarms.append(
                Alarm(
                    measure="transit",
                    kind=shift.kind,
                    carrier=scope.service.carrier,
                    service=scope.service.service,
                    node=scope.node,
                    region=scope.region,
                    size=shift.size,
                    factor=max(factor, 0.0),
                    since_ms=shift.since_ms,
                    observations=shift.observations,
                )
            )
        return alarms

    def overdue(
        self,
        service: ServiceId,
        node: str,
        region: str,
        predicted: Remaining,
        took_s: float,
        now_ms: int,
    ) -> list[Alarm]:
        """Fold in a parcel not delivered after `took_s`, by the mean surprise of such parcels.

        E[Z | Z > z] = φ(z) ÷ (1 − Φ(z)), the inverse Mills ratio.
        """
        z = min(max(predicted.surprise(took_s), 0.0), _MOST_SURPRISE)
        beyond = exp(-0.5 * z * z) / sqrt(2.0 * pi) / (0.5 * erfc(z / sqrt(2.0)))
        return self.observe(service, node, region, predicted, beyond, now_ms)

    def state(self) -> WatchState:
        """Return the plain values that restore it."""
        return WatchState(self._monitor.state())
