"""Carriers in trouble: strikes and closed hubs that cost hours, days of less capacity."""

from dataclasses import dataclass

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import CARRIERS, Outbox
from flows.simulation.luck import gap_ms, stream
from flows.simulation.world import World
from state.events import CarrierCapacityChanged, CarrierDisrupted
from state.quantities import DAY_MS, HOUR_MS, HOUR_S, from_ms

_REASONS = ("hub closed", "strike", "vehicle breakdown", "sorting system down", "staff shortage")


@dataclass(frozen=True, slots=True)
class Disruption:
    """Trouble of a carrier, in one region or everywhere (None), one service or all (None)."""

    carrier: str
    service: str | None
    region: int | None
    delay_ms: int
    until_ms: int

    def strikes(self, service: Service, origin: int, destination: int) -> bool:
        """Whether a parcel of `service` between two regions is in its way."""
        return (
            self.carrier == service.carrier
            and (self.service is None or self.service == service.spec.service)
            and (self.region is None or self.region in (origin, destination))
        )


class Disruptions:
    """Starts and ends disruptions and squeezes of capacity, and says so to the log."""

    def __init__(
        self, seed: int, config: WorldConfig, world: World, agenda: Agenda, outbox: Outbox
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._luck = stream(seed, "disruptions")
        self._going_on: list[Disruption] = []
        self._squeezed = [False] * len(world.services)

    def start(self, now_ms: int) -> None:
        """Enter the first disruption and the first squeeze."""
        for happening, per_day in (
            (self._begin, self._config.disruptions_per_day),
            (self._squeeze, self._config.carrier_squeezes_per_day),
        ):
            if per_day > 0:
                self._agenda.at(now_ms + gap_ms(self._luck, per_day), happening, per_day)

    def delay_ms(self, service: Service, origin: int, destination: int) -> int:
        """Worst extra transit time that a parcel meets now, in ms; 0 if its way is clear."""
        return max(
            (
                disruption.delay_ms
                for disruption in self._going_on
                if disruption.strikes(service, origin, destination)
            ),
            default=0,
        )

    def _begin(self, now_ms: int, per_day: float) -> None:
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._begin, per_day)
        service = luck.choice(self._world.services)
        everywhere = luck.random() < 0.35
        # Trouble weighs on regions where much is going on.
        regions = self._world.regions
        few = luck.sample(range(len(regions)), k=min(3, len(regions)))
        region = max(few, key=lambda index: regions[index].weight)
        disruption = Disruption(
            carrier=service.carrier,
            service=service.spec.service if luck.random() < 0.5 else None,
            region=None if everywhere else region,
            delay_ms=round(luck.uniform(4, 12 if everywhere else 26) * HOUR_MS),
            until_ms=now_ms + round(luck.uniform(8, 40) * HOUR_MS),
        )
        self._going_on.append(disruption)
        reason = luck.choice(_REASONS)
        # The carrier admits it after a while, and is too hopeful or too gloomy about its end.
        said_ms = now_ms + round(luck.uniform(0, 1.5) * HOUR_MS)
        expected_ms = now_ms + round((disruption.until_ms - now_ms) * luck.uniform(0.7, 1.3))
        expected_ms = max(expected_ms, said_ms + HOUR_MS)
        self._agenda.at(said_ms, self._say, disruption, disruption.delay_ms, expected_ms, reason)
        self._agenda.at(disruption.until_ms, self._end, disruption, reason)

    def _end(self, now_ms: int, disruption: Disruption, reason: str) -> None:
        self._going_on.remove(disruption)
        self._say(now_ms, disruption, 0, now_ms, reason)

    def _say(
        self, now_ms: int, disruption: Disruption, delay_ms: int, until_ms: int, reason: str
    ) -> None:
        region = disruption.region
        fact = CarrierDisrupted(
            carrier=disruption.carrier,
            service=disruption.service,
            region=None if region is None else self._world.regions[region].id,
            delay_s=round(delay_ms / HOUR_MS) * HOUR_S,
            until=from_ms(until_ms),
            reason=reason,
        )
        self._outbox.emit(CARRIERS, fact, now_ms, subject=disruption.carrier)

    def _squeeze(self, now_ms: int, per_day: float) -> None:
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._squeeze, per_day)
        service = luck.choice(self._world.services)
        if self._squeezed[service.index]:
            return
        self._squeezed[service.index] = True
        self._set_capacity(now_ms, service, luck.uniform(0.3, 0.7))
        self._agenda.at(now_ms + round(luck.uniform(0.7, 2.5) * DAY_MS), self._relax, service)

    def _relax(self, now_ms: int, service: Service) -> None:
        self._squeezed[service.index] = False
        self._set_capacity(now_ms, service, 1.0)

    def _set_capacity(self, now_ms: int, service: Service, share: float) -> None:
        service.capacity = round(service.usual * share)
        fact = CarrierCapacityChanged(
            carrier=service.carrier,
            service=service.spec.service,
            parcels_per_day=service.capacity,
        )
        self._outbox.emit(CARRIERS, fact, now_ms, subject=service.carrier)
