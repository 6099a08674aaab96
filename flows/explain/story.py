"""The story of an order or a parcel: events, decisions, and reasons why nothing was done."""

from typing import Any

from msgspec import Struct

from flows.explain.explain import Evidence
from flows.wiring.progress import Progress
from flows.wiring.records import records
from operators.chain import NO_NETWORK, Chains
from operators.core.contract import Record
from operators.core.facts import Anomaly, DelayRisk, NoAction, OrderMoved, ProposalClosed
from operators.core.wording import day
from state.actions import DECISIONS, Action
from state.events import (
    OrderCancelled,
    OrderPlaced,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    StockPicked,
    StockShortPicked,
)

#: Kinds about shelves, SKUs and the like, which may be called like an order.
_NOT_OF_ORDERS = frozenset(kind.verb for kind in DECISIONS if not kind.is_of_order)


class Chapter(Struct, frozen=True):
    """One thing that happened: when (ms), at which journal position, of what sort, in words.

    `sort` is ``event``, ``state``, ``belief``, ``action``, ``person`` or ``nothing``.
    """

    at_ms: int
    network: str
    seq: int
    sort: str
    text: str
    action: str = ""


class Story(Struct, frozen=True):
    """All of it in the journal's order; `parcels` are those that were sent for it."""

    about: str
    parcels: tuple[str, ...]
    chapters: tuple[Chapter, ...]


def story_of(evidence: Evidence, about: str, progress: Progress) -> Story:
    """Fold the whole journal, and keep what concerns `about`; raises JournalError."""
    teller = _Teller(about)
    chains = Chains(evidence.policy)
    for record in records(evidence.logs, progress):
        if record.network != NO_NETWORK:
            for each in chains[record.network].step(record):
                teller.take(each)
    return Story(about, tuple(teller.names)[1:], tuple(teller.chapters))


class _Teller:
    """Collector of what concerns a name, and the parcels sent for it."""

    def __init__(self, about: str) -> None:
        self.names: dict[str, None] = {about: None}
        self.chapters: list[Chapter] = []

    def take(self, record: Record) -> None:
        fact = record.fact
        if isinstance(fact, ShipmentDispatched) and fact.order in self.names:
            self.names[fact.shipment] = None
        if self._concerns(fact):
            found = _sort_and_text(fact)
            if found is not None:
                sort, text = found
                name = fact.id if isinstance(fact, Action) else ""
                self.chapters.append(
                    Chapter(record.now_ms, record.network, record.seq, sort, text, name)
                )

    def _concerns(self, fact: Any) -> bool:
        match fact:
            case Action():
                return fact.correlationid in self.names or self._names(fact.data.decision)
            case ProposalClosed():
                return self._names(fact.decision)
            case NoAction():
                return fact.kind not in _NOT_OF_ORDERS and fact.about in self.names
            case Anomaly():
                of_order = fact.family == "demand" and fact.kind == "wild_quantity"
                return (of_order or fact.family == "telemetry") and fact.about in self.names
            case _:
                return self._names(fact)

    def _names(self, fact: Any) -> bool:
        """Return whether a fact or decision is of an order or parcel that the story is about."""
        return any(getattr(fact, field, None) in self.names for field in ("order", "shipment"))


def _sort_and_text(fact: Any) -> tuple[str, str] | None:
    """Return the sort of a fact and its words; None for facts outside of stories."""
    match fact:
        case OrderPlaced():
            goods = ", ".join(f"{line.quantity} {line.sku}" for line in fact.lines)
            return "event", f"{fact.order} placed: {goods} to {fact.region}"
        case OrderCancelled():
            return "event", f"{fact.order} cancelled" + (f": {fact.reason}" if fact.reason else "")
        case ShipmentDispatched():
            how = f"{fact.node} with {fact.carrier}/{fact.service}"
            return "event", f"{fact.shipment} handed over at {how}"
        case ShipmentScanned():
            return "event", f"{fact.shipment} scanned: {fact.status}"
        case ShipmentDelivered():
            return "event", f"{fact.shipment} delivered"
        case ShipmentFailed():
            return "event", f"{fact.shipment} failed: {fact.reason}, fault of the {fact.party}"
        case StockPicked():
            return "event", f"{fact.quantity} {fact.sku} picked at {fact.node}"
        case StockShortPicked():
            return "event", f"{fact.picked} of {fact.expected} {fact.sku} found at {fact.node}"
        case OrderMoved():
            return "state", f"{fact.order} is {fact.after}" + (
                f", was {fact.before}" if fact.before else ""
            )
        case DelayRisk():
            expected = day(fact.expected_ms)
            return "belief", f"{fact.shipment} late with {fact.p_late:.0%}, expected {expected}"
        case Anomaly():
            return "belief", f"not believed: {fact.reason}"
        case Action():
            proposed = " (proposed)" if fact.data.mode == "propose" else ""
            return "action", f"{fact.kind}{proposed}: {fact.data.because.summary}"
        case ProposalClosed():
            by = f" by {fact.by}" if fact.by else ""
            why = f": {fact.why}" if fact.why else ""
            return "person", f"proposal {fact.action} {fact.outcome}{by}{why}"
        case NoAction():
            return "nothing", f"no {fact.kind} for {fact.about}: {fact.reason}"
        case _:
            return None
