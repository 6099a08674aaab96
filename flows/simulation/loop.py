"""The loop: builds the network, enters its first happenings, and lets time flow."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from flows.simulation.agenda import Agenda
from flows.simulation.conditions import Conditions
from flows.simulation.config import WorldConfig
from flows.simulation.demand import Demand
from flows.simulation.dispatcher import Dispatcher
from flows.simulation.disruptions import Disruptions
from flows.simulation.feeds import CLOCK, WAREHOUSE, Outbox
from flows.simulation.returns import Returns
from flows.simulation.signals import Signals
from flows.simulation.transport import Transport
from flows.simulation.upkeep import Upkeep
from flows.simulation.warehouse import Stock
from flows.simulation.world import build_world
from state.events import ClockTicked, Event
from state.quantities import DAY_MS

#: How long a run is if nothing is said of it.
DEFAULT_DAYS = 7
#: All of the beginning is recorded within the first minute: reference data, then counts.
_REFERENCE_WITHIN_MS = 10_000
_COUNTS_FROM_MS = 12_000
_COUNTS_WITHIN_MS = 40_000
_TIME_FLOWS_FROM_MS = 60_000


def simulate(
    *,
    seed: int,
    events: int | None = None,
    days: int | None = None,
    config: WorldConfig | None = None,
) -> Iterator[Event]:
    """Events of a network that does not exist, in nondecreasing recorded time.

    Exactly the first `events` of them, or those recorded within `days` days (7 if neither is
    given). The same seed and config give the same events, on any machine and in any process; a
    longer run begins with the shorter one. Raises ValueError if both or a negative number are
    given.
    """
    if events is not None and days is not None:
        raise ValueError(f"expected events or days, was both ({events} and {days})")
    for name, number in (("events", events), ("days", days)):
        if number is not None and number < 0:
            raise ValueError(f"expected {name} of at least 0, was {number}")
    config = config or WorldConfig()
    if events is not None:
        return islice(_run(seed, config, None), events)
    end_ms = config.start_ms + (DEFAULT_DAYS if days is None else days) * DAY_MS
    return _run(seed, config, end_ms)


def count_by_type(events: Iterable[Event]) -> dict[str, int]:
    """How many of `events` there are of each wire type, the most frequent first."""
    return dict(Counter(event.type for event in events).most_common())


def _run(seed: int, config: WorldConfig, end_ms: int | None) -> Iterator[Event]:
    agenda = Agenda()
    outbox = Outbox(seed, config.network, config.duplicate_share)
    _compose(seed, config, agenda, outbox)
    while True:
        for event in outbox.recorded_until(agenda.next_ms()):
            if end_ms is not None and event.recorded_ms >= end_ms:
                return
            yield event
        agenda.happen()


def _compose(seed: int, config: WorldConfig, agenda: Agenda, outbox: Outbox) -> None:
    """Build everything, record the beginning, and enter what happens first."""
    world = build_world(seed, config)
    stock = Stock(seed, world, agenda, outbox)
    start_ms = config.start_ms
    # The seed is in the very first line: logs of different worlds differ from there on.
    source = f"sim/reference?seed={seed}"
    reference = world.reference()
    for n, fact in enumerate(reference):
        at_ms = start_ms + n * _REFERENCE_WITHIN_MS // len(reference)
        outbox.emit_reference(source, fact, start_ms, at_ms)
    for n, count in enumerate(stock.initial_counts()):
        at_ms = start_ms + _COUNTS_FROM_MS + n * _COUNTS_WITHIN_MS // len(stock.all_shelves)
        outbox.emit_reference(WAREHOUSE.source, count, start_ms, at_ms)

    conditions = Conditions(seed, config, world, agenda, outbox)
    disruptions = Disruptions(seed, config, world, agenda, outbox)
    transport = Transport(seed, config, world, agenda, outbox, conditions, disruptions)
    dispatcher = Dispatcher(seed, config, world, agenda, outbox, stock, transport.hand_over)
    demand = Demand(seed, config, world, agenda, outbox, dispatcher)
    signals = Signals(seed, config, world, agenda, outbox, conditions, demand)
    Returns(seed, config, agenda, stock, transport)
    upkeep = Upkeep(seed, config, world, agenda, outbox, stock)

    now_ms = start_ms + _TIME_FLOWS_FROM_MS
    tick_ms = config.tick_s * 1_000

    def tick(now_ms: int) -> None:
        agenda.at(now_ms + tick_ms, tick)
        outbox.emit(CLOCK, ClockTicked(), now_ms)

    agenda.at(now_ms, tick)
    signals.start(now_ms)
    conditions.start(now_ms)
    disruptions.start(now_ms)
    demand.start(now_ms)
    upkeep.start(now_ms)
