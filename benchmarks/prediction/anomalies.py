"""Measure anomalies: how many faults in a simulated journal are found, and what is doubted wrongly.

``python -m benchmarks.prediction.anomalies``. A fault changes one fact, or adds one. It is found if
its fact is marked as suspect; a mark on any other fact is false. Scans get coordinates near their
hub, which the simulated carriers omit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from flows.simulation import simulate
from flows.simulation.config import find_world
from operators.chain import to_record
from operators.hygiene.anomalies import Anomalies
from operators.hygiene.hygiene import Hygiene
from state.codec import JournalLine, encode, make_event
from state.events import (
    Event,
    OrderPlaced,
    RegionRegistered,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentScanned,
    SignalObserved,
    StockAdjusted,
    StockCounted,
    StockReceived,
)
from state.policy import Anomalies as Rules
from state.policy import Policy
from state.quantities import HOUR_MS

#: Share of the facts of a kind that become faults; more where there are few.
_SHARE = 0.02
_SHARE_OF = {"misadjusted": 0.3, "miscounted": 0.1, "misreceived": 0.05}
#: Hubs lie within so many degrees of their region's centre.
_SCATTER = 0.2


@dataclass(frozen=True)
class Found:
    """Detection of faults of one kind; `clean` has no faults, only false marks."""

    fault: str
    injected: int
    found: int
    false: int
    false_per_10k: float

    @property
    def recall(self) -> float:
        """Return the share of the faults that were marked; 1 if there were none."""
        return self.found / self.injected if self.injected else 1.0

    @property
    def precision(self) -> float:
        """Return the share of the marks that were on faults; 1 if there were none."""
        marked = self.found + self.false
        return self.found / marked if marked else 1.0


class Faults:
    """Faults of facts; each method returns the wrong event, or None where it does not apply."""

    def __init__(self, luck: random.Random) -> None:
        self._luck = luck
        self._handed_ms: dict[str, int] = {}

    def note(self, event: Event) -> None:
        """Remember handovers, which some faults are about."""
        if isinstance(event.fact, ShipmentDispatched):
            self._handed_ms[event.fact.shipment] = event.time_ms

    def scan_elsewhere(self, event: Event) -> Event | None:
        """Return a scan somewhere on another continent."""
        if not isinstance(event.fact, ShipmentScanned):
            return None
        luck = self._luck
        wrong = replace(event.fact, latitude=luck.uniform(-40, 20), longitude=luck.uniform(60, 170))
        return replace(event, fact=wrong)

    def delivered_at_once(self, event: Event) -> Event | None:
        """Return a delivery within minutes of the handover (not at the time it was recorded)."""
        if not isinstance(event.fact, ShipmentDelivered):
            return None
        handed_ms = self._handed_ms[event.fact.shipment]
        return replace(event, time_ms=handed_ms + round(self._luck.uniform(1, 8) * 60_000))

    def seen_too_early(self, event: Event) -> Event | None:
        """Return a scan or delivery from before the handover."""
        if not isinstance(event.fact, ShipmentScanned | ShipmentDelivered):
            return None
        handed_ms = self._handed_ms[event.fact.shipment]
        return replace(event, time_ms=handed_ms - round(self._luck.uniform(2, 48) * HOUR_MS))

    def miscounted(self, event: Event) -> Event | None:
        """Return a count of two to five times the stock, or a fifth to a half of it."""
        if not isinstance(event.fact, StockCounted) or event.fact.quantity < 4:
            return None
        factor = self._luck.uniform(2, 5)
        factor = factor if self._luck.random() < 0.5 else 1 / factor
        return replace(
            event, fact=replace(event.fact, quantity=round(event.fact.quantity * factor))
        )

    def misadjusted(self, event: Event) -> Event | None:
        """Return an adjustment with a digit or two too many."""
        if not isinstance(event.fact, StockAdjusted):
            return None
        return replace(
            event, fact=replace(event.fact, delta=event.fact.delta * self._luck.choice((30, 300)))
        )

    def misreceived(self, event: Event) -> Event | None:
        """Return a receipt with a digit or two too many."""
        if not isinstance(event.fact, StockReceived):
            return None
        times = self._luck.choice((10, 100))
        return replace(event, fact=replace(event.fact, quantity=event.fact.quantity * times))

    def mistyped(self, event: Event) -> Event | None:
        """Return an order with a digit or two too many in one line."""
        if not isinstance(event.fact, OrderPlaced):
            return None
        first, *others = event.fact.lines
        wrong = replace(first, quantity=first.quantity * self._luck.choice((10, 100)))
        return replace(event, fact=replace(event.fact, lines=(wrong, *others)))

    def wild_signal(self, event: Event) -> Event | None:
        """Return a signal of 30 to 900 times the usual."""
        if not isinstance(event.fact, SignalObserved):
            return None
        ratio = 30 ** self._luck.uniform(1, 2)
        return replace(event, fact=replace(event.fact, ratio=ratio))

    def scanned_after_delivery(self, event: Event) -> Event | None:
        """Return a further scan, an hour or two after a delivery."""
        if not isinstance(event.fact, ShipmentDelivered):
            return None
        later_ms = event.recorded_ms + round(self._luck.uniform(1.1, 1.8) * HOUR_MS)
        return make_event(
            ShipmentScanned(shipment=event.fact.shipment, status="in_transit"),
            id=f"{event.id} again",
            source=event.source,
            network=event.network,
            time_ms=later_ms,
            recorded_ms=later_ms,
        )


def journal(seed: int, days: int, world: str) -> list[Event]:
    """Simulate a journal in which scans have coordinates."""
    luck = random.Random(seed)
    centres: dict[str, tuple[float, float]] = {}
    events = []
    for event in simulate(seed=seed, days=days, config=find_world(world)):
        fact = event.fact
        if isinstance(fact, RegionRegistered):
            centres[fact.region] = (fact.latitude, fact.longitude)
        if isinstance(fact, ShipmentScanned) and fact.place in centres:
            latitude, longitude = (
                c + luck.uniform(-_SCATTER, _SCATTER) for c in centres[fact.place]
            )
            event = replace(event, fact=replace(fact, latitude=latitude, longitude=longitude))
        events.append(event)
    return events


def measure(seed: int = 1, days: int = 30, world: str = "small") -> list[Found]:
    """Measure false marks on the clean journal, then each fault on its own."""
    clean = journal(seed, days, world)
    marked = _marked(clean)
    found = [Found("clean", 0, 0, len(marked), 1e4 * len(marked) / len(clean))]
    for name in (
        "scan_elsewhere",
        "delivered_at_once",
        "seen_too_early",
        "scanned_after_delivery",
        "miscounted",
        "misadjusted",
        "misreceived",
        "mistyped",
        "wild_signal",
    ):
        events, wrong = _inject(clean, name, random.Random(f"{seed} {name}"))
        marked = _marked(events)
        false = len(marked - wrong)
        found.append(Found(name, len(wrong), len(marked & wrong), false, 1e4 * false / len(events)))
    return found


def _inject(
    clean: list[Event], name: str, luck: random.Random
) -> tuple[list[Event], set[tuple[str, str]]]:
    """Return the journal with faults of a kind, and the events that are wrong."""
    faults = Faults(luck)
    make: Callable[[Event], Event | None] = getattr(faults, name)
    is_added = name == "scanned_after_delivery"
    share = _SHARE_OF.get(name, _SHARE)
    events: list[Event] = []
    wrong: set[tuple[str, str]] = set()
    # The first tenth is left as it is: something must be usual before anything is not.
    begin = len(clean) // 10
    for number, event in enumerate(clean):
        faults.note(event)
        fault = make(event) if number > begin and luck.random() < share else None
        if fault is None or is_added:
            events.append(event)
        if fault is not None:
            events.append(fault)
            wrong.add((fault.source, fault.id))
    return sorted(events, key=lambda event: event.recorded_ms), wrong


def _marked(events: list[Event]) -> set[tuple[str, str]]:
    hygiene = Hygiene(Policy())
    marked = set()
    for seq, event in enumerate(events, 1):
        raw = encode(event)
        record = to_record(JournalLine(seq, "simulated", seq, raw, len(raw)))
        for passed in hygiene.step(record):
            if passed.suspect:
                assert passed.event is not None
                marked.add((passed.event.source, passed.event.id))
    return marked


def cost_us(events: list[Event]) -> dict[str, float]:
    """Return the µs (median) of a look by class of fact, in a journal without faults."""
    anomalies, rules, took = Anomalies(), Rules(), dict[str, list[int]]()
    for event in events:
        begun = perf_counter_ns()
        anomalies.look(event, rules)
        took.setdefault(type(event.fact).__name__, []).append(perf_counter_ns() - begun)
    begun = perf_counter_ns()
    for _ in events:
        perf_counter_ns()
    clock = (perf_counter_ns() - begun) / max(len(events), 1)
    return {kind: (median(some) - clock) / 1e3 for kind, some in took.items()}


def anomalies(
    seed: Annotated[int, typer.Option(help="Luck of the world and of the faults.")] = 1,
    days: Annotated[int, typer.Option(min=3, help="Days to simulate.")] = 30,
    world: Annotated[str, typer.Option(help="World to simulate.")] = "small",
) -> None:
    """Print how well faults are found, and what looking costs."""
    console = Console(highlight=False)
    table = Table("fault", "injected", "found", "recall", "precision", "false per 10 k")
    for each in measure(seed, days, world):
        shown = (each.injected, each.found, f"{each.recall:.3f}", f"{each.precision:.3f}")
        table.add_row(each.fault, *map(str, shown), f"{each.false_per_10k:.2f}")
    console.print(table)
    for kind, us in sorted(cost_us(journal(seed, 5, world)).items(), key=lambda pair: -pair[1]):
        if us > 0.15:
            console.print(f"{kind}: {us:.2f} µs")


if __name__ == "__main__":
    typer.run(anomalies)
