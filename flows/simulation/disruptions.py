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
#: Trouble is forgotten this long after its end: longer than any parcel's leg.
_REMEMBERED_MS = 15 * DAY_MS


@dataclass(frozen=True, slots=True)
class Disruption:
    """Trouble of a carrier, in one region or everywhere (None), one service or all (None)."""

    name: str
    carrier: str
    service: str | None
    region: int | None
    delay_ms: int
    since_ms: int
    until_ms: int
    reason: str

    def strikes(self, service: Service, origin: int, destination: int) -> bool:
        """Return whether a parcel of `service` between two regions is in its way."""
        return (
            self.carrier == service.carrier
            and (self.service is None or self.service == service.spec.service)
            and (self.region is None or self.region in (origin, destination))
        )


class Disruptions:
    """Disruptions and squeezes of capacity, which start, end and are reported to the log.

    What a parcel met at any past instant can be asked for as long as trouble is remembered; with
    `remembers_all` none is forgotten.
    """

    remembers_all = False

    def __init__(
        self, seed: int, config: WorldConfig, world: World, agenda: Agenda, outbox: Outbox
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._luck = stream(seed, "disruptions")
        self._known: list[Disruption] = []
        self._begun = 0
        # Service -> shares that its capacity is cut to at present; the smallest holds.
        self._cuts: dict[int, list[float]] = {}

    def start(self, now_ms: int) -> None:
        """Enter the first disruption and the first squeeze."""
        for happening, per_day in (
            (self._strike, self._config.disruptions_per_day),
            (self._squeeze, self._config.carrier_squeezes_per_day),
        ):
            if per_day > 0:
                self._agenda.at(now_ms + gap_ms(self._luck, per_day), happening, per_day)

    def delay_ms(self, service: Service, origin: int, destination: int, now_ms: int) -> int:
        """Return the worst extra transit time of a parcel at `now_ms`; 0 if its way is clear."""
        return max(
            (
                trouble.delay_ms
                for trouble in self._known
                if trouble.since_ms <= now_ms < trouble.until_ms
                and trouble.strikes(service, origin, destination)
            ),
            default=0,
        )

    def begin(self, now_ms: int, trouble: Disruption, reported_ms: int, expected_ms: int) -> None:
        """Begin trouble; the carrier reports it at `reported_ms`, to be over at `expected_ms`.

        If it is over before that, the carrier admits it just before its end.
        """
        if not self.remembers_all:
            self._known = [t for t in self._known if t.until_ms > now_ms - _REMEMBERED_MS]
        self._known.append(trouble)
        reported_ms = min(reported_ms, trouble.until_ms - 1)
        self._agenda.at(reported_ms, self._report, trouble, trouble.delay_ms, expected_ms)
        self._agenda.at(trouble.until_ms, self._end, trouble)

    def cut(self, now_ms: int, service: Service, share: float, until_ms: int, why: str) -> None:
        """Cut a service's capacity to `share` of the usual until `until_ms`."""
        self._cuts.setdefault(service.index, []).append(share)
        self._set_capacity(now_ms, service, why)
        self._agenda.at(until_ms, self._relax, service, share, why)

    def _strike(self, now_ms: int, per_day: float) -> None:
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._strike, per_day)
        service = luck.choice(self._world.services)
        everywhere = luck.random() < 0.35
        # Trouble weighs on regions where much is going on.
        regions = self._world.regions
        few = luck.sample(range(len(regions)), k=min(3, len(regions)))
        region = max(few, key=lambda index: regions[index].weight)
        self._begun += 1
        trouble = Disruption(
            name=f"trouble-{self._begun}",
            carrier=service.carrier,
            service=service.spec.service if luck.random() < 0.5 else None,
            region=None if everywhere else region,
            delay_ms=round(luck.uniform(4, 12 if everywhere else 26) * HOUR_MS),
            since_ms=now_ms,
            until_ms=now_ms + round(luck.uniform(8, 40) * HOUR_MS),
            reason=luck.choice(_REASONS),
        )
        # The carrier admits it after a while, and is too hopeful or too gloomy about its end.
        reported_ms = now_ms + round(luck.uniform(0, 1.5) * HOUR_MS)
        expected_ms = now_ms + round((trouble.until_ms - now_ms) * luck.uniform(0.7, 1.3))
        self.begin(now_ms, trouble, reported_ms, max(expected_ms, reported_ms + HOUR_MS))

    def _end(self, now_ms: int, trouble: Disruption) -> None:
        self._report(now_ms, trouble, 0, now_ms)

    def _report(self, now_ms: int, trouble: Disruption, delay_ms: int, until_ms: int) -> None:
        region = trouble.region
        fact = CarrierDisrupted(
            carrier=trouble.carrier,
            service=trouble.service,
            region=None if region is None else self._world.regions[region].id,
            delay_s=round(delay_ms / HOUR_MS) * HOUR_S,
            until=from_ms(until_ms),
            reason=trouble.reason,
        )
        name = f"{trouble.name}@{now_ms}"
        self._outbox.emit(CARRIERS, name, fact, now_ms, subject=trouble.carrier)

    def _squeeze(self, now_ms: int, per_day: float) -> None:
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._squeeze, per_day)
        service = luck.choice(self._world.services)
        share, days = luck.uniform(0.3, 0.7), luck.uniform(0.7, 2.5)
        if not self._cuts.get(service.index):
            self.cut(now_ms, service, share, now_ms + round(days * DAY_MS), "squeeze")

    def _relax(self, now_ms: int, service: Service, share: float, why: str) -> None:
        self._cuts[service.index].remove(share)
        self._set_capacity(now_ms, service, why)

    def _set_capacity(self, now_ms: int, service: Service, why: str) -> None:
        share = min(self._cuts[service.index], default=1.0)
        service.capacity.set(now_ms, round(service.usual * share))
        fact = CarrierCapacityChanged(
            carrier=service.carrier,
            service=service.spec.service,
            parcels_per_day=service.capacity.now,
        )
        name = f"{service.name} {why}@{now_ms}"
        self._outbox.emit(CARRIERS, name, fact, now_ms, subject=service.carrier)
