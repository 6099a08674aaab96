"""Builders of small networks, logs and runs; tests speak through them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from operators.chain import build_chain, to_record
from operators.core.contract import Chain, Record
from operators.hygiene.hygiene import Hygiene
from operators.orchestrate import Orchestrate
from operators.reporting.rollups import Rollups, Totals
from state.actions import Action
from state.codec import DeadLetter, JournalLine, encode, encode_action, make_event
from state.events import (
    CarrierRegistered,
    CarrierService,
    ClockTicked,
    Event,
    Fact,
    NodeRegistered,
    OrderLine,
    OrderPlaced,
    RegionRegistered,
    ShipmentDispatched,
    SkuRegistered,
    StockCounted,
)
from state.events.telemetry import ShippedLine
from state.policy import Policy
from state.quantities import from_ms, to_ms
from state.twin import Twin

#: A Monday, 08:00 UTC.
START_MS = to_ms(datetime(2026, 1, 5, 8, tzinfo=UTC))
HOUR = 3600
DAY = 24 * HOUR

PLACES = {
    "NORTH": (53.5, 10.0),
    "SOUTH": (48.1, 11.6),
}
NODES = {"N-NORTH": "NORTH", "N-SOUTH": "SOUTH", "N-SPARE": "SOUTH"}
SKUS = {"BOOK": 500, "LAMP": 2_000, "SOFA": 40_000}


def region(name: str) -> RegionRegistered:
    latitude, longitude = PLACES[name]
    return RegionRegistered(region=name, latitude=latitude, longitude=longitude)


def node(name: str, **changes: Any) -> NodeRegistered:
    place = NODES[name]
    latitude, longitude = PLACES[place]
    values: dict[str, Any] = {
        "node": name,
        "kind": "fulfilment_centre",
        "region": place,
        "latitude": latitude,
        "longitude": longitude,
        "handling_fixed_cents": 150 if name != "N-SPARE" else 400,
        "handling_unit_cents": 20,
        "handling_time_s": 2 * HOUR,
        "parcels_per_day": 1_000,
    }
    return NodeRegistered(**{**values, **changes})


def service(name: str, **changes: Any) -> CarrierService:
    fast = name == "express"
    values: dict[str, Any] = {
        "service": name,
        "mode": "air" if fast else "road",
        "base_cents": 1_200 if fast else 400,
        "per_kg_cents": 60 if fast else 20,
        "per_100km_cents": 40 if fast else 10,
        "transit_base_s": 12 * HOUR if fast else 30 * HOUR,
        "transit_s_per_100km": 1_800,
        "cutoff_s": 17 * HOUR,
        "parcels_per_day": 10_000,
        "max_weight_g": 31_500,
        "gco2e_per_tonne_km": 961.0 if fast else 125.0,
    }
    return CarrierService(**{**values, **changes})


def carrier(name: str = "POST", *services: CarrierService) -> CarrierRegistered:
    offered = services or (service("standard"), service("express"))
    return CarrierRegistered(carrier=name, services=offered)


def sku(name: str) -> SkuRegistered:
    return SkuRegistered(sku=name, category="goods", weight_g=SKUS[name], value_cents=2_500)


def order(
    name: str,
    lines: dict[str, int] | None = None,
    *,
    region: str = "NORTH",
    placed_ms: int = START_MS,
    promised_s: int = 4 * DAY,
) -> OrderPlaced:
    wanted = {"BOOK": 1} if lines is None else lines
    return OrderPlaced(
        order=name,
        customer=f"customer-of-{name}",
        region=region,
        lines=tuple(
            OrderLine(sku=s, quantity=quantity, unit_price_cents=2_500)
            for s, quantity in wanted.items()
        ),
        promised=from_ms(placed_ms + promised_s * 1000),
    )


def dispatch(
    shipment: str,
    of: str,
    lines: dict[str, int] | None = None,
    *,
    node: str = "N-NORTH",
    region: str = "NORTH",
    service: str = "standard",
    promised_ms: int = START_MS + 4 * DAY * 1000,
) -> ShipmentDispatched:
    shipped = {"BOOK": 1} if lines is None else lines
    return ShipmentDispatched(
        shipment=shipment,
        order=of,
        node=node,
        carrier="POST",
        service=service,
        region=region,
        promised=from_ms(promised_ms),
        lines=tuple(ShippedLine(sku=s, quantity=q) for s, q in shipped.items()),
        weight_g=sum(SKUS[s] * q for s, q in shipped.items()),
    )


@dataclass(repr=False)
class Log:
    """A log in the making: each fact is recorded `after_s` after the one before."""

    network: str = "net"
    now_ms: int = START_MS
    events: list[Event] = field(default_factory=list)

    def __repr__(self) -> str:
        return "".join(f"\n  {(e.recorded_ms - START_MS) // 1000} s: {e.fact}" for e in self.events)

    def add(
        self, fact: Fact, after_s: float = 1, *, happened_s_ago: float = 0, id: str | None = None
    ) -> Event:
        self.now_ms += round(after_s * 1000)
        event = make_event(
            fact,
            id=id or f"e-{len(self.events)}",
            source="test",
            network=self.network,
            time_ms=self.now_ms - round(happened_s_ago * 1000),
            recorded_ms=self.now_ms,
        )
        self.events.append(event)
        return event

    def network_of(self, stock: dict[tuple[str, str], int], *carriers: CarrierRegistered) -> "Log":
        """Register the whole world and count `stock`, {(node, SKU): units}."""
        for name in PLACES:
            self.add(region(name))
        for name in NODES:
            self.add(node(name))
        for name in SKUS:
            self.add(sku(name))
        for each in carriers or (carrier(),):
            self.add(each)
        for (at, of), units in stock.items():
            self.add(StockCounted(node=at, sku=of, quantity=units))
        return self

    def tick(self, after_s: float) -> Event:
        return self.add(ClockTicked(), after_s)

    def lines(self) -> list[JournalLine]:
        return [line(encode(event), seq) for seq, event in enumerate(self.events, 1)]


def line(raw: bytes, seq: int = 1) -> JournalLine:
    return JournalLine(seq, "test.jsonl", seq, raw, len(raw))


@dataclass
class Run:
    """Result of folding a log."""

    chains: dict[str, Chain]
    records: list[Record]

    @property
    def actions(self) -> list[Action]:
        return [r.fact for r in self.records if isinstance(r.fact, Action)]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [r.fact for r in self.records if isinstance(r.fact, DeadLetter)]

    def of(self, kind: str) -> list[Action]:
        return [action for action in self.actions if action.kind == kind]

    def facts(self, kind: type) -> list[Any]:
        return [r.fact for r in self.records if isinstance(r.fact, kind)]

    def bytes(self) -> list[bytes]:
        return [encode_action(action) for action in self.actions]

    def operator(self, name: str, network: str = "net") -> Any:
        return next(o for o in self.chains[network].operators if o.name == name)

    @property
    def twin(self) -> Twin:
        orchestrate = self.operator("orchestrate")
        assert isinstance(orchestrate, Orchestrate)
        return orchestrate.twin

    @property
    def totals(self) -> Totals:
        rollups = self.operator("rollups")
        assert isinstance(rollups, Rollups)
        return rollups.totals

    @property
    def parked(self) -> int:
        hygiene = self.operator("hygiene")
        assert isinstance(hygiene, Hygiene)
        return hygiene.parked


def fold(
    log: Log | Sequence[JournalLine],
    policy: Policy | None = None,
    each: Callable[[Run], None] | None = None,
) -> Run:
    """Fold a log through the whole chain; `each` gets the run after every line."""
    run = Run({}, [])
    lines: Iterable[JournalLine] = log.lines() if isinstance(log, Log) else log
    for one in lines:
        record = to_record(one)
        chain = run.chains.get(record.network)
        if chain is None:
            chain = run.chains[record.network] = build_chain(record.network, policy or Policy())
        run.records += chain.step(record)
        if each is not None and "net" in run.chains:
            each(run)
    return run
