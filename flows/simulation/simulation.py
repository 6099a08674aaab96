"""The simulation: a world wired up, and the loop in which decisions come back to it.

What happens is recorded; what is recorded is decided upon; what is decided is carried out, and so
happens. The events, in the order in which they were recorded, are the journal of the run: replayed
through the engine under the same policy they give the same actions.
"""

from collections.abc import Callable, Iterator

from flows.simulation.agenda import Agenda
from flows.simulation.conditions import Conditions
from flows.simulation.config import WorldConfig
from flows.simulation.controller import Controller
from flows.simulation.demand import Demand
from flows.simulation.disruptions import Disruptions
from flows.simulation.disturber import Disturber
from flows.simulation.feeds import CLOCK, REFERENCE, WAREHOUSE, Outbox
from flows.simulation.fulfilment import Fulfilment
from flows.simulation.journeys import Journeys
from flows.simulation.ledger import WINDOW_MS, Ledger
from flows.simulation.opening import Opening
from flows.simulation.prices import Prices
from flows.simulation.returns import Returns
from flows.simulation.scenario import UNDISTURBED, Scenario
from flows.simulation.signals import Signals
from flows.simulation.stock import Stock
from flows.simulation.supply import Supply
from flows.simulation.systems import Systems
from flows.simulation.tracking import Tracking
from flows.simulation.transfers import Transfers
from flows.simulation.transport import Transport
from flows.simulation.upkeep import Upkeep
from flows.simulation.work import Order
from flows.simulation.world import World, build_world
from state.actions import Action
from state.events import ClockTicked, Event
from state.quantities import DAY_MS
from state.sums import int_sum

#: All of the beginning is recorded within the first minute: reference data, then counts.
_REFERENCE_WITHIN_MS = 10_000
_COUNTS_FROM_MS = 12_000
_COUNTS_WITHIN_MS = 40_000
_TIME_FLOWS_FROM_MS = 60_000
#: Orders that are open at the end get so long to be finished.
_DRAIN_MS = 21 * DAY_MS


class Simulation:
    """One run of one world; `run` may be called once.

    With `days`, customers order for so many days, and the run ends when all orders are finished
    (or, at the latest, three weeks after the last day). Without, it runs for as long as events are
    asked for. The same seed, config, scenario and policy give the same events; another policy gives
    other decisions in the same demand, weather, supply and luck.
    """

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        *,
        days: float | None = None,
        scenario: Scenario = UNDISTURBED,
        prices: Prices | None = None,
        world: World | None = None,
        opening: Opening | None = None,
        stamp: str = "",
    ) -> None:
        self.seed, self.config = seed, config
        self.world = world = world or build_world(config)
        self.begin_ms = start_ms = config.start_ms if opening is None else opening.at_ms
        self._opening = opening
        self._closes_ms = None if days is None else start_ms + round(days * DAY_MS)
        self._stamp = stamp
        self.agenda = agenda = Agenda()
        self.outbox = Outbox(seed, config.network, config.origin, config.duplicate_share)
        outbox = self.outbox
        self.ledger = Ledger(world, prices or Prices(), start_ms)
        units = None if opening is None else opening.stock
        self.stock = Stock(seed, config, world, agenda, outbox, units)
        self.conditions = Conditions(seed, config, world, agenda, outbox)
        self.disruptions = Disruptions(seed, config, world, agenda, outbox)
        self.journeys = Journeys(seed, config, world, self.conditions, self.disruptions)
        tracking = Tracking(seed, config, world, outbox)
        prefixes = ("O", "SH", "IN") if opening is None else opening.prefixes()
        orders, shipments, deliveries = prefixes
        self.transport = Transport(world, agenda, self.journeys, tracking, shipments)
        self.demand = Demand(seed, config, world, agenda, outbox, self._closes_ms, orders)
        self.supply = Supply(seed, config, world, agenda, self.stock, deliveries)
        self.fulfilment = Fulfilment(
            seed,
            config,
            world,
            agenda,
            self.stock,
            self.transport,
            self.ledger,
            self.demand.withdraw,
        )
        self.transfers = Transfers(seed, world, agenda, self.stock, self.ledger)
        self.returns = Returns(config, world, agenda, self.stock)
        self._signals = Signals(seed, config, world, agenda, outbox, self.conditions, self.demand)
        self._upkeep = Upkeep(seed, config, world, agenda, outbox, self.stock)
        self._systems = Systems(
            seed,
            world,
            agenda,
            outbox,
            self.fulfilment,
            self.transport,
            self.transfers,
            self.ledger,
        )
        self.demand.on_placed = self._placed
        self.demand.on_withdrawn = self.fulfilment.withdrawn
        self.fulfilment.on_delivered = self.returns.delivered
        self.now_ms = start_ms
        #: Instant (ms) -> backlog in orders, and units by node, at the end of each window.
        self.samples: list[tuple[int, int, list[int]]] = []
        self._disturb(scenario)

    def run(
        self,
        controller: Controller,
        observer: Callable[[Event, list[Action]], object] = lambda event, actions: None,
    ) -> Iterator[Event]:
        """Let time flow; yields events as they are recorded.

        `observer` gets each event and the actions that followed from it.
        """
        self._begin()
        outbox, agenda = self.outbox, self.agenda
        while not self._is_over():
            recorded_ms, happens_ms = outbox.next_ms(), agenda.next_ms()
            assert happens_ms is not None, "a world's clock never stops"
            if recorded_ms is None or happens_ms < recorded_ms:
                self.now_ms = happens_ms
                agenda.happen()
                continue
            event = outbox.take()
            self.now_ms = recorded_ms
            actions = controller.take(event)
            for action in actions:
                self._systems.execute(recorded_ms, action)
            observer(event, actions)
            yield event
        self.fulfilment.end(self.now_ms)

    def check(self) -> None:
        """Raise AssertionError unless every unit and every cent is accounted for."""
        self.stock.check()
        self.ledger.check()
        ledger, units = self.ledger, self.stock.units
        packed = int_sum(
            quantity
            for order in self.fulfilment.orders.values()
            for parcel in order.parcels
            if parcel.stage == "packed"
            for _, quantity in parcel.found
        )
        back = units.returned - self.returns.units
        gone = ledger.units_delivered + ledger.units_lost + ledger.units_under_way
        picked = units.picked + ledger.units_resumed
        if picked != packed + gone + back:
            raise AssertionError(
                f"expected {picked} picked units, was {packed} packed, {gone} handed over "
                f"and {back} put back"
            )
        if units.departed - units.arrived != self.transfers.units_under_way:
            raise AssertionError("expected transfers under way to be what departed")

    def _is_over(self) -> bool:
        closes_ms = self._closes_ms
        if closes_ms is None or self.now_ms < closes_ms:
            return False
        return not self.fulfilment.orders or self.now_ms >= closes_ms + _DRAIN_MS

    def _placed(self, now_ms: int, order: Order) -> None:
        self.fulfilment.placed(now_ms, order)
        self.supply.ordered(now_ms, order)

    def _disturb(self, scenario: Scenario) -> None:
        disturber = Disturber(
            self.seed,
            self.world,
            self.agenda,
            self.outbox,
            conditions=self.conditions,
            disruptions=self.disruptions,
            demand=self.demand,
            signals=self._signals,
            supply=self.supply,
            stock=self.stock,
            upkeep=self._upkeep,
        )
        disturber.start(self.begin_ms + _TIME_FLOWS_FROM_MS, scenario)

    def _begin(self) -> None:
        """Record the beginning, and enter what happens first."""
        now_ms = self.begin_ms + _TIME_FLOWS_FROM_MS
        if self._opening is None:
            self._introduce(self.begin_ms)
        else:
            self._take_over(self._opening)
        self.agenda.at(now_ms, self._tick)
        self.agenda.at(self.begin_ms + WINDOW_MS, self._sample)
        self._signals.start(now_ms)
        self.conditions.start(now_ms)
        self.disruptions.start(now_ms)
        self.demand.start(now_ms)
        self._upkeep.start(now_ms)

    def _introduce(self, start_ms: int) -> None:
        """Record reference data and a count of every shelf."""
        reference = self.world.reference()
        for number, fact in enumerate(reference):
            at_ms = start_ms + number * _REFERENCE_WITHIN_MS // len(reference)
            # Seed and policy are in the first id: journals of other runs differ from there on.
            name = f"seed {self.seed}{self._stamp}" if number == 0 else f"reference {number}"
            self.outbox.record(REFERENCE, name, fact, start_ms, at_ms)
        counts = list(self.stock.first_counts())
        for number, (name, count) in enumerate(counts):
            at_ms = start_ms + _COUNTS_FROM_MS + number * _COUNTS_WITHIN_MS // len(counts)
            self.outbox.record(WAREHOUSE, name, count, start_ms, at_ms)

    def _take_over(self, opening: Opening) -> None:
        """Go on with what was under way; listeners know of it already."""
        for number, fact in enumerate(opening.first_facts):
            name = f"opening {number} of seed {self.seed}{self._stamp}"
            self.outbox.record(REFERENCE, name, fact, self.begin_ms, self.begin_ms)
        for order in opening.orders:
            self.fulfilment.placed(self.begin_ms, order)
        for moving in opening.under_way:
            self.fulfilment.resume(moving)
            self.transport.resume(self.begin_ms, moving)
        for parcel in opening.planned:
            self.fulfilment.plan(self.begin_ms, parcel)
        for parcel in opening.packed:
            self.fulfilment.resume_packed(self.begin_ms, parcel)
        for inbound in opening.inbound:
            self.supply.expect(self.begin_ms, inbound)
        for road in opening.on_the_road:
            self.transfers.resume(self.begin_ms, road)
        for move in opening.moves:
            self.transfers.load(self.begin_ms, move)
        for proposal in opening.proposals:
            self._systems.execute(self.begin_ms, proposal)
        for trouble in opening.troubles:
            until_ms = trouble.until_ms
            self.disruptions.begin(self.begin_ms, trouble, until_ms, until_ms)

    def _tick(self, now_ms: int) -> None:
        self.agenda.at(now_ms + self.config.tick_s * 1_000, self._tick)
        self.outbox.emit(CLOCK, f"tick {now_ms}", ClockTicked(), now_ms)

    def _sample(self, now_ms: int) -> None:
        self.agenda.at(now_ms + WINDOW_MS, self._sample)
        units = [0] * len(self.world.nodes)
        for shelf in self.stock.all_shelves():
            units[shelf.node] += shelf.physical
        self.samples.append((now_ms, self.ledger.backlog, units))
