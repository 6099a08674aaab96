"""Anomalies: facts that are not believable, found before anything is learned from them.

A part of hygiene. Parcels cannot outrun an aeroplane, nor be seen before their handover or after
their delivery, and they keep to their route; a count should agree with the ledger, up to what
counts of its node are usually off by; quantities and signals should be near what is usual for their
SKU or kind. The usual value is a median; the distance from it is a robust z, of logs for ratios.
"""

from collections.abc import Callable
from math import log, sqrt
from typing import Any

from msgspec import Struct, field

from operators.core.facts import Anomaly
from operators.hygiene.parcel_anomalies import PARCEL_CHECKS, Parcels
from operators.prediction.recent import Recent
from operators.prediction.robust import RobustScales
from state.events import (
    Event,
    InboundScheduled,
    OrderPlaced,
    SignalObserved,
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
)
from state.keys import ShelfKey
from state.policy import Anomalies as Rules

#: Shelf positions and inbounds held; the longest unused are not checked any more.
_POSITIONS = 100_000
#: Least spreads: of log quantities, of log signals (promotions of a SKU are rare and large), and of
#: what a count is off by, in √units.
_LEAST_QUANTITY, _LEAST_SIGNAL, _LEAST_OFF = 0.25, 0.35, 0.25


class _Shelf(Struct, array_like=True):
    """Units by all facts; and by all but the last count, while that one is doubted."""

    book: int
    undoubted: int | None = None

    def add(self, units: int) -> None:
        """Put units on the shelf, or take them off."""
        self.book = max(0, self.book + units)
        if self.undoubted is not None:
            self.undoubted = max(0, self.undoubted + units)


class _SignalOf(Struct, frozen=True, array_like=True, gc=False):
    """Subject of a signal; an empty field means all."""

    kind: str
    sku: str
    category: str
    region: str


class Anomalies(Struct):
    """Usual values, and the positions of parcels and stock; mutated by `look` alone."""

    parcels: Parcels = field(default_factory=Parcels)
    shelves: Recent[ShelfKey, _Shelf] = field(default_factory=lambda: Recent(_POSITIONS))
    inbounds: Recent[str, int] = field(default_factory=lambda: Recent(_POSITIONS))
    # By SKU.
    orders: RobustScales[str] = field(default_factory=lambda: RobustScales(_LEAST_QUANTITY))
    # By SKU; what was scheduled, against that, under no SKU.
    receipts: RobustScales[str] = field(default_factory=lambda: RobustScales(_LEAST_QUANTITY))
    signals: RobustScales[_SignalOf] = field(default_factory=lambda: RobustScales(_LEAST_SIGNAL))
    # By kind of change to the book, and node.
    jumps: RobustScales[tuple[str, str]] = field(default_factory=lambda: RobustScales(_LEAST_OFF))

    def look(self, event: Event, rules: Rules) -> Anomaly | None:
        """Fold one fact in; returns what is wrong with it, if anything is."""
        kind = type(event.fact)
        check = _CHECKS.get(kind)
        if check is not None:
            return check(self, event.fact, event.time_ms, rules)
        of_parcel = PARCEL_CHECKS.get(kind)
        if of_parcel is not None:
            return of_parcel(self.parcels, event.fact, event.time_ms, rules)
        return None

    # Stock

    def _counted(self, fact: StockCounted, time_ms: int, rules: Rules) -> Anomaly | None:
        position = ShelfKey(fact.node, fact.sku)
        shelf = self.shelves.get(position)
        self.shelves.set(position, _Shelf(fact.quantity))
        if shelf is None:
            return None
        book, undoubted = shelf.book, shelf.undoubted
        if undoubted is not None and abs(fact.quantity - undoubted) < abs(fact.quantity - book):
            book = undoubted  # the count before was wrong, not this one
        score = self._jump("count", fact.node, book, fact.quantity) / rules.jump_above
        if score <= 1.0:
            return None
        self.shelves.set(position, _Shelf(fact.quantity, book))
        reason = f"{fact.quantity} units of {fact.sku} were counted at {fact.node}, not {book}"
        return _anomaly("stock_jump", "inventory", f"{fact.node}/{fact.sku}", score, reason)

    def _adjusted(self, fact: StockAdjusted, time_ms: int, rules: Rules) -> Anomaly | None:
        shelf = self.shelves.get(ShelfKey(fact.node, fact.sku))
        if shelf is None:
            return None
        book = shelf.book
        shelf.add(fact.delta)
        score = self._jump("adjustment", fact.node, book, book + fact.delta) / rules.jump_above
        if score <= 1.0:
            return None
        shelf.undoubted = book
        about = f"{fact.node}/{fact.sku}"
        reason = f"{about} was adjusted by {fact.delta:+} units, with {book} on the book"
        return _anomaly("stock_jump", "inventory", about, score, reason)

    def _jump(self, kind: str, node: str, book: int, now: int) -> float:
        """Return the size of a ledger's jump in √units, against the node's usual one."""
        off = (now - book) / (1.0 + sqrt(max(book, now, 0)))
        return self.jumps.judge((kind, node), off)

    def _received(self, fact: StockReceived, time_ms: int, rules: Rules) -> Anomaly | None:
        shelf = self.shelves.get(ShelfKey(fact.node, fact.sku))
        before = 0 if shelf is None else shelf.book
        if shelf is not None:
            shelf.add(fact.quantity)
        score = self._surprise(fact) / rules.wild_above
        if score <= 1.0:
            return None
        if shelf is not None:
            shelf.undoubted = before
        reason = f"{fact.quantity} units of {fact.sku} were received at once"
        return _anomaly("wild_quantity", "inventory", f"{fact.node}/{fact.sku}", score, reason)

    def _surprise(self, fact: StockReceived) -> float:
        """Return the surprise of a receipt, against its schedule or else the SKU's usual one."""
        scheduled = self.inbounds.get(fact.inbound or "")
        if scheduled:
            return self.receipts.judge("", log(fact.quantity / scheduled))
        return self.receipts.judge(fact.sku, log(fact.quantity))

    def _scheduled(self, fact: InboundScheduled, *_: object) -> None:
        self.inbounds.set(fact.inbound, fact.quantity)

    def _picked(self, fact: StockPicked, *_: object) -> None:
        self._add(fact.node, fact.sku, -fact.quantity)

    def _short_picked(self, fact: StockShortPicked, *_: object) -> None:
        self.shelves.set(ShelfKey(fact.node, fact.sku), _Shelf(0))

    def _returned(self, fact: StockReturned, *_: object) -> None:
        if fact.sellable:
            self._add(fact.node, fact.sku, fact.quantity)

    def _departed(self, fact: TransferDeparted, *_: object) -> None:
        self._add(fact.origin, fact.sku, -fact.quantity)

    def _arrived(self, fact: TransferArrived, *_: object) -> None:
        self._add(fact.node, fact.sku, fact.quantity)

    def _add(self, node: str, sku: str, units: int) -> None:
        shelf = self.shelves.get(ShelfKey(node, sku))
        if shelf is not None:
            shelf.add(units)

    # Demand

    def _ordered(self, fact: OrderPlaced, time_ms: int, rules: Rules) -> Anomaly | None:
        found = None
        for line in fact.lines:
            score = self.orders.judge(line.sku, log(line.quantity)) / rules.wild_above
            if score > 1.0 and found is None:
                reason = f"{fact.order} asks for {line.quantity} units of {line.sku}"
                found = _anomaly("wild_quantity", "demand", fact.order, score, reason)
        return found

    def _signalled(self, fact: SignalObserved, time_ms: int, rules: Rules) -> Anomaly | None:
        about = f"{fact.kind} of {fact.sku or fact.category or '*'} in {fact.region or '*'}"
        of = _SignalOf(fact.kind, fact.sku or "", fact.category or "", fact.region or "")
        ratio = log(fact.ratio + 1e-3)
        score = self.signals.judge(of, ratio) / rules.wild_above
        if score <= 1.0:
            return None
        reason = f"{about} is {fact.ratio:g} x the usual"
        return _anomaly("wild_signal", "demand", about, score, reason)


#: Check by class of fact. A table, not a match: it is read at every event.
_CHECKS: dict[type, Callable[[Anomalies, Any, int, Rules], Anomaly | None]] = {
    StockCounted: Anomalies._counted,
    StockAdjusted: Anomalies._adjusted,
    StockReceived: Anomalies._received,
    InboundScheduled: Anomalies._scheduled,
    StockPicked: Anomalies._picked,
    StockShortPicked: Anomalies._short_picked,
    StockReturned: Anomalies._returned,
    TransferDeparted: Anomalies._departed,
    TransferArrived: Anomalies._arrived,
    OrderPlaced: Anomalies._ordered,
    SignalObserved: Anomalies._signalled,
}


def _anomaly(kind: Any, family: str, about: str, score: float, reason: str) -> Anomaly:
    return Anomaly(kind=kind, family=family, about=about, score=round(score, 2), reason=reason)
