"""The disturber: a scenario's disturbances happen to a world, and the feeds report them."""

import math

from msgspec.structs import replace

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.conditions import Conditions, Front
from flows.simulation.demand import Demand, Pull
from flows.simulation.disruptions import Disruption, Disruptions
from flows.simulation.feeds import CARRIERS, TRANSPORT, Outbox
from flows.simulation.luck import Luck
from flows.simulation.scenario import (
    CarrierStrike,
    Closure,
    Crunch,
    DemandSpike,
    NodeFire,
    PriceShock,
    Scenario,
    SilentFeed,
    StockCorruption,
    Storm,
)
from flows.simulation.signals import Signals
from flows.simulation.stock import Stock
from flows.simulation.supply import Supply
from flows.simulation.upkeep import Upkeep
from flows.simulation.world import World
from state.errors import SettingsError
from state.events import CarrierRegistered, CarrierService
from state.geography import great_circle_km
from state.quantities import HOUR_MS


class Disturber:
    """Disturbances of a scenario; raises SettingsError if one names what is not there.

    `start` looks all names up, so that a mistake shows before anything has run.
    """

    def __init__(
        self,
        seed: int,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        *,
        conditions: Conditions,
        disruptions: Disruptions,
        demand: Demand,
        signals: Signals,
        supply: Supply,
        stock: Stock,
        upkeep: Upkeep,
    ) -> None:
        self._seed = seed
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._conditions = conditions
        self._disruptions = disruptions
        self._demand = demand
        self._signals = signals
        self._supply = supply
        self._stock = stock
        self._upkeep = upkeep

    def start(self, begin_ms: int, scenario: Scenario) -> None:
        """Enter the disturbances; hours of the scenario count from `begin_ms`."""
        for number, disturbance in enumerate(scenario.disturbances):
            start_ms = begin_ms + round(disturbance.start_h * HOUR_MS)
            end_ms = begin_ms + round(disturbance.end_h * HOUR_MS)
            name = f"{scenario.name}-{number + 1}"
            match disturbance:
                case CarrierStrike():
                    carrier = self._carrier(disturbance.carrier)
                    self._agenda.at(start_ms, self._strike, name, disturbance, carrier, end_ms)
                case NodeFire():
                    node = self._node(disturbance.node)
                    self._agenda.at(start_ms, self._burn, name, disturbance, node, end_ms)
                case Closure():
                    region = self._region(disturbance.region)
                    self._agenda.at(start_ms, self._close, name, disturbance, region, end_ms)
                case DemandSpike():
                    self._spike(begin_ms, start_ms, end_ms, disturbance)
                case Storm():
                    region = self._region(disturbance.region)
                    front = self._front(disturbance, region, start_ms, end_ms)
                    self._agenda.at(begin_ms, self._conditions.add, front)
                case SilentFeed():
                    carrier = self._carrier(disturbance.carrier)
                    self._agenda.at(start_ms, self._silence, carrier, end_ms)
                case StockCorruption():
                    node = self._node(disturbance.node)
                    self._agenda.at(start_ms, self._corrupt, name, disturbance, node)
                    self._agenda.at(end_ms, self._recount, node)
                case Crunch():
                    self._agenda.at(start_ms, self._crunch, name, disturbance, end_ms)
                case PriceShock():
                    services = self._services(disturbance)
                    usual = [(service, service.spec) for service in services]
                    changed = [(s, _at_rates(spec, disturbance.factor)) for s, spec in usual]
                    self._agenda.at(start_ms, self._reprice, name, changed)
                    self._agenda.at(end_ms, self._reprice, name, usual)

    def _strike(
        self, now_ms: int, name: str, strike: CarrierStrike, carrier: str, end_ms: int
    ) -> None:
        for service in self._of(carrier):
            share = 1.0 - strike.strength
            self._disruptions.cut(now_ms, service, share, end_ms, name)
        reported_ms = now_ms + round(strike.announced_h * HOUR_MS)
        trouble = Disruption(
            name, carrier, None, None, round(strike.delay_h * HOUR_MS), now_ms, end_ms, "strike"
        )
        self._disruptions.begin(now_ms, trouble, reported_ms, end_ms)

    def _burn(self, now_ms: int, name: str, fire: NodeFire, node: int, end_ms: int) -> None:
        self._upkeep.cut(now_ms, node, 1.0 - fire.strength, end_ms, name)
        for shelf in list(self._stock.all_shelves()):
            if shelf.node == node:
                burnt = round(fire.stock_lost * shelf.physical)
                self._stock.write_off(now_ms, shelf, burnt, "damage")

    def _close(self, now_ms: int, name: str, closure: Closure, region: int, end_ms: int) -> None:
        delay_ms = round(closure.delay_h * HOUR_MS)
        for carrier in self._world.carriers:
            trouble = Disruption(
                f"{name} {carrier.carrier}",
                carrier.carrier,
                None,
                region,
                delay_ms,
                now_ms,
                end_ms,
                "region closed",
            )
            self._disruptions.begin(now_ms, trouble, now_ms + HOUR_MS, end_ms)
        for node in self._world.nodes:
            if node.region == region:
                self._supply.hold_up(node.index, end_ms)

    def _spike(self, begin_ms: int, start_ms: int, end_ms: int, spike: DemandSpike) -> None:
        everywhere = spike.region == "everywhere"
        pull = Pull(
            start_ms=start_ms,
            end_ms=end_ms,
            ratio=spike.ratio,
            region=None if everywhere else self._region(spike.region),
            category=spike.category,
            steady=True,
        )
        if spike.category is not None and spike.category not in self._demand.categories():
            known = ", ".join(self._demand.categories())
            raise SettingsError(f"expected one of {known} as the category, was {spike.category}")
        if spike.signal is None:
            self._demand.pull(pull)
            return
        seen_ms = max(begin_ms, start_ms - round(spike.foretold_h * HOUR_MS))
        self._agenda.at(seen_ms, self._signals.foretell, spike.signal, pull)

    def _front(self, storm: Storm, region: int, start_ms: int, end_ms: int) -> Front:
        centre = self._world.regions[region]
        peaks = []
        for place in self._world.regions:
            away_km = great_circle_km(
                centre.latitude, centre.longitude, place.latitude, place.longitude
            )
            peaks.append(storm.severity * math.exp(-0.5 * (away_km / storm.radius_km) ** 2))
        return Front("storm", peaks, [start_ms] * len(peaks), end_ms - start_ms)

    def _silence(self, now_ms: int, carrier: str, end_ms: int) -> None:
        self._outbox.silence(TRANSPORT, carrier, end_ms)

    def _corrupt(self, now_ms: int, name: str, corruption: StockCorruption, node: int) -> None:
        for shelf in list(self._stock.all_shelves()):
            if shelf.node != node:
                continue
            luck = Luck(self._seed, name, shelf.sku)
            if luck.share("wrong") < corruption.strength:
                believed = shelf.physical * luck.uniform("factor", 0, corruption.factor)
                self._stock.miscount(now_ms, shelf, round(believed))

    def _recount(self, now_ms: int, node: int) -> None:
        for shelf in list(self._stock.all_shelves()):
            if shelf.node == node:
                self._stock.count(now_ms, shelf)

    def _crunch(self, now_ms: int, name: str, crunch: Crunch, end_ms: int) -> None:
        for service in self._world.services:
            self._disruptions.cut(now_ms, service, 1.0 - crunch.carriers, end_ms, name)
        for node in self._world.nodes:
            self._upkeep.cut(now_ms, node.index, 1.0 - crunch.nodes, end_ms, name)

    def _reprice(self, now_ms: int, name: str, rates: list[tuple[Service, CarrierService]]) -> None:
        for service, spec in rates:
            service.spec = spec
        affected = rates[0][0].carrier
        carrier = next(c for c in self._world.carriers if c.carrier == affected)
        registered = CarrierRegistered(
            carrier=carrier.carrier,
            services=tuple(
                replace(service.spec, parcels_per_day=service.capacity.now)
                for service in self._of(carrier.carrier)
            ),
            claimed_on_time=carrier.claimed_on_time,
            name=carrier.name,
        )
        about = carrier.carrier
        self._outbox.emit(CARRIERS, f"{name} rates@{now_ms}", registered, now_ms, subject=about)

    def _services(self, shock: PriceShock) -> list[Service]:
        services = self._of(self._carrier(shock.carrier))
        if shock.service is None:
            return services
        found = [s for s in services if s.spec.service == shock.service]
        if not found:
            known = ", ".join(s.spec.service for s in services)
            raise SettingsError(f"expected one of {known} as the service, was {shock.service}")
        return found

    def _of(self, carrier: str) -> list[Service]:
        return [service for service in self._world.services if service.carrier == carrier]

    def _carrier(self, name: str) -> str:
        sizes: dict[str, int] = {}
        for service in self._world.services:
            sizes[service.carrier] = sizes.get(service.carrier, 0) + service.usual
        return _find(name, "busiest", sizes, "carrier")

    def _node(self, name: str) -> int:
        sizes = {node.id: node.usual for node in self._world.nodes}
        return list(sizes).index(_find(name, "largest", sizes, "node"))

    def _region(self, name: str) -> int:
        sizes = {region.id: region.weight for region in self._world.regions}
        return list(sizes).index(_find(name, "busiest", sizes, "region"))


def _find(name: str, most: str, sizes: dict[str, int] | dict[str, float], kind: str) -> str:
    """Return `name` if it is known, or the greatest of all if it asks for `most`."""
    if name == most:
        return max(sizes, key=lambda key: (sizes[key], key))
    if name not in sizes:
        raise SettingsError(f"expected {most} or a {kind} ({', '.join(sizes)}), was {name}")
    return name


def _at_rates(spec: CarrierService, factor: float) -> CarrierService:
    return replace(
        spec,
        base_cents=round(spec.base_cents * factor),
        per_kg_cents=round(spec.per_kg_cents * factor),
        per_100km_cents=round(spec.per_100km_cents * factor),
    )
