"""The truth of a world: all that a clairvoyant would know of it before it begins.

One run under a controller that does nothing shows it, since none of it depends on decisions:
orders, promises and withdrawals, what suppliers bring and when, the weather, trouble, capacities
and rates over time, and the luck of every order (see `flows.simulation.luck`).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np

from flows.simulation.carriers import Service
from flows.simulation.config import WorldConfig
from flows.simulation.controller import Idle
from flows.simulation.fulfilment import _MINUTE_MS, _PACKING_SHARE, _PACKING_SIGMA
from flows.simulation.history import History
from flows.simulation.journeys import _DAY_SHARE, Fate, Journeys, Trip, next_tour_ms
from flows.simulation.luck import Luck
from flows.simulation.prices import Prices
from flows.simulation.returns import _SELLABLE_SHARE
from flows.simulation.scenario import UNDISTURBED, Scenario
from flows.simulation.simulation import Simulation
from flows.simulation.stock import Shelf
from flows.simulation.work import Order
from state.events import CarrierService, Fact
from state.quantities import DAY_MS, HOUR_MS

#: A truck comes up to so long after its pickup's time, see `Fulfilment._wait_for_truck`.
_TRUCK_WITHIN_MS = 25 * _MINUTE_MS
#: Parcels of an order are numbered as they are handed over, and each number has its own luck on the
#: road. Whoever sends several is granted the best of so many for each.
_NUMBERS = 3

_Tables = dict[str, np.ndarray]


class _Arriving(Journeys):
    """Journeys on which no parcel is lost, damaged or refused."""

    def fate(self, trip: Trip) -> Fate:
        """Return the fate of a parcel that arrives."""
        return "arrives"


class _Drawn(_Arriving):
    """Journeys on which all lanes of a day draw the same: differences between ways stay exact."""

    def _day(self, trip: Trip, day: int) -> float:
        sigma = trip.service.character.spread * _DAY_SHARE
        return Luck(self._seed, "others").lognormal("day", 0, sigma)


@dataclass(frozen=True)
class Shelves:
    """Stock of one SKU arriving at one node: `units[i]` at `since_ms[i]`, ascending."""

    since_ms: list[int]
    units: list[int]

    def epoch(self, ms: int) -> int:
        """Return the index of the last arrival by `ms`."""
        return bisect_right(self.since_ms, ms) - 1


class Truth:
    """Events of one world under any policy. Days count from the run's begin.

    `orders` are those that a run is measured by: without those that the customer took back at once.
    `shelves` is keyed (SKU, node): the first fill, suppliers' lots, and, as early as can be, what
    customers send back. Tables are arrays by (service, day), or by (node, service, day) for trucks:
    `others`, if not 0, is by how many draws of luck on the road, of parcels and of lanes on a day,
    what was drawn is replaced: then it is not foreseen, only what is to be expected of it.
    `due_ms` is the pickup's time, `truck_ms` when the truck is there, `tour_ms` the first delivery
    tour after the pickup; `taken` and `begun` (node, day) are most parcels per day; `rates` are
    cents by ``base_cents``, ``per_kg_cents`` and ``per_100km_cents``.
    """

    def __init__(
        self,
        simulation: Simulation,
        orders: list[Order],
        shelves: dict[tuple[int, int], Shelves],
        rates: list[list[tuple[int, CarrierService]]],
        others: int = 0,
    ) -> None:
        config, world = simulation.config, simulation.world
        self._seed, self.config, self.world = simulation.seed, config, world
        self.orders, self.shelves, self.others = orders, shelves, others
        around = config, world, simulation.conditions, simulation.disruptions
        self._journeys = _Arriving(simulation.seed, *around)
        self._drawn = [
            (_Drawn(number, *around), Luck(number, "others")) for number in range(others)
        ]
        self.first_day = config.start_ms // DAY_MS
        self.days = simulation.now_ms // DAY_MS - self.first_day + 2
        self.due_ms = self._table(lambda service, due_ms: due_ms)
        self.truck_ms = np.array(
            [self._table(partial(self._truck_ms, node.index)) for node in world.nodes]
        )
        self.tour_ms = self._table(lambda s, due_ms: next_tour_ms(due_ms, s.spec.mode))
        self.taken = self._table(
            lambda s, due_ms: _most(s.capacity, due_ms, due_ms + _TRUCK_WITHIN_MS)
        )
        self.begun = np.array(
            [
                [
                    _most(
                        node.capacity,
                        (self.first_day + day) * DAY_MS,
                        (self.first_day + day + 1) * DAY_MS - 1,
                    )
                    for day in range(self.days)
                ]
                for node in world.nodes
            ]
        )
        self.rates: _Tables = {
            name: self._table(
                lambda s, due_ms, name=name: min(
                    getattr(spec, name) for spec in _specs(rates[s.index], due_ms)
                )
            )
            for name in ("base_cents", "per_kg_cents", "per_100km_cents")
        }

    def earliest_pick_ms(self, order: Order, node: int) -> int:
        """Return the earliest time at which a node can pick the first line of an order."""
        return self.world.nodes[node].open_ms(order.placed_ms + _MINUTE_MS)

    def packing_ms(self, order: Order, node: int) -> int:
        """Return the time a node takes to pack a parcel of the order, as in `Fulfilment._pick`."""
        registration = self.world.nodes[node].registration
        share = order.luck.lognormal(f"pack {registration.node}", 0, _PACKING_SIGMA)
        return round(registration.handling_time_s * 1_000 * _PACKING_SHARE * share)

    def late_cents(
        self, order: Order, node: int, service: int, truck_ms: int, prices: Prices
    ) -> tuple[float, float]:
        """Return the cost of a parcel's lateness by a truck, as the order's first and at best.

        A parcel that is on time with one number is not asked about those after it. Without
        foreseeing what is drawn, both are the mean over `others` draws.
        """
        way = node, service, truck_ms
        if self.others:
            mean = fmean(
                prices.lateness_cents(trip_ms - order.promised_ms)
                for trip_ms in (self._arrival_ms(order, *other, 0, way) for other in self._drawn)
            )
            return mean, mean
        first_ms = best_ms = self._arrival_ms(order, self._journeys, order.luck, 0, way)
        for number in range(1, _NUMBERS):
            if best_ms <= order.promised_ms:
                break
            best_ms = min(best_ms, self._arrival_ms(order, self._journeys, order.luck, number, way))
        return (
            prices.lateness_cents(first_ms - order.promised_ms),
            prices.lateness_cents(best_ms - order.promised_ms),
        )

    def _arrival_ms(
        self, order: Order, journeys: Journeys, luck: Luck, number: int, way: tuple[int, int, int]
    ) -> int:
        node, service, truck_ms = way
        return journeys.arrival_ms(
            Trip(
                luck=luck,
                number=number,
                service=self.world.services[service],
                origin=self.world.nodes[node].region,
                destination=order.region,
                km=self.world.km[node][order.region],
                handed_over_ms=truck_ms,
            )
        )

    def _truck_ms(self, node: int, service: Service, due_ms: int) -> int:
        """Return the arrival of a pickup's truck, as in `Fulfilment._wait_for_truck`."""
        luck = Luck(self._seed, "truck", service.name, node, due_ms)
        return due_ms + round(luck.triangular("comes", 0, 25, 3) * _MINUTE_MS)

    def _table(self, tell: Callable[[Service, int], int]) -> np.ndarray:
        """Return, by (service, day), `tell` of the service and its pickup's time."""
        return np.array(
            [
                [
                    tell(service, (self.first_day + day) * DAY_MS + service.spec.cutoff_s * 1_000)
                    for day in range(self.days)
                ]
                for service in self.world.services
            ]
        )


def find_truth(
    config: WorldConfig,
    seed: int,
    days: float,
    scenario: Scenario = UNDISTURBED,
    others: int = 0,
) -> Truth:
    """Run a world without decisions, and keep its history; `others` as in `Truth`."""
    simulation = Simulation(seed, config, days=days, scenario=scenario)
    simulation.conditions.remembers_all = True
    simulation.disruptions.remembers_all = True
    orders: list[Order] = []
    taken_back: set[str] = set()
    came: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for shelf in simulation.stock.all_shelves():
        came[shelf.sku, shelf.node].append((config.start_ms, shelf.physical))
    placed, withdrawn = simulation.demand.on_placed, simulation.demand.on_withdrawn
    receive = simulation.stock.receive

    def note_order(now_ms: int, order: Order) -> None:
        orders.append(order)
        placed(now_ms, order)

    def note_withdrawal(now_ms: int, order: Order) -> None:
        if now_ms <= order.placed_ms + HOUR_MS:
            taken_back.add(order.id)
        withdrawn(now_ms, order)

    def note_receipt(now_ms: int, shelf: Shelf, units: int, fact: Fact) -> None:
        came[shelf.sku, shelf.node].append((now_ms, units))
        receive(now_ms, shelf, units, fact)

    simulation.demand.on_placed = note_order
    simulation.demand.on_withdrawn = note_withdrawal
    simulation.stock.receive = note_receipt  # type: ignore[method-assign]
    services = simulation.world.services
    rates = [[(config.start_ms, service.spec)] for service in services]
    for _ in simulation.run(Idle()):
        for service, known in zip(services, rates, strict=True):
            if service.spec is not known[-1][1]:
                known.append((simulation.now_ms, service.spec))
    kept = [order for order in orders if order.id not in taken_back]
    for order in kept:
        _expect_return(simulation, order, came)
    shelves = {}
    for key, arrivals in came.items():
        arrivals.sort()
        shelves[key] = Shelves([ms for ms, _ in arrivals], [units for _, units in arrivals])
    return Truth(simulation, kept, shelves, rates, others)


def _expect_return(
    simulation: Simulation, order: Order, came: dict[tuple[int, int], list[tuple[int, int]]]
) -> None:
    """Add what a customer sends back, as in `Returns`, as if it had arrived when it was ordered.

    All pieces of the line: sent one by one, each might come back.
    """
    luck, config = order.luck, simulation.config
    if luck.share("returns") >= config.returned_share:
        return
    if luck.share("returns sellable") >= _SELLABLE_SHARE:
        return
    sku, units = order.lines[luck.integer("returns line", 0, len(order.lines) - 1)]
    after_ms = round(luck.triangular("returns after", 1, 6, 2) * DAY_MS)
    node = simulation.world.home(sku, order.region)
    came[sku, node].append((order.placed_ms + after_ms, units))


def _most(history: History, from_ms: int, until_ms: int) -> int:
    """Return the greatest value of a history between two instants, both included."""
    changes = (ms for ms in history._since if from_ms < ms <= until_ms)
    return max([history.at(from_ms), *map(history.at, changes)])


def _specs(known: list[tuple[int, CarrierService]], due_ms: int) -> list[CarrierService]:
    """Return what a service published about the time of a pickup; several if it changed then."""
    noticed = [since_ms for since_ms, _ in known]  # up to some minutes after the change
    until = bisect_right(noticed, due_ms + 2 * _TRUCK_WITHIN_MS)
    since = bisect_right(noticed, due_ms - _TRUCK_WITHIN_MS)
    return [spec for _, spec in known[max(0, since - 1) : max(1, until)]]
