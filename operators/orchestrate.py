"""Orchestrate: owns the twin, and hands each fact to the desk that it concerns."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import (
    Derived,
    Draft,
    Duplicate,
    ProposalClosed,
    Refused,
)
from operators.network.agenda import MOST_CHORES
from operators.network.context import Context, ContextState
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import (
    PlanRestocks,
    Sweep,
)
from operators.network.messages import CaseChanged, SupplyFreed, Uncovered
from operators.network.pickups import Pickups
from operators.network.registry import Registry
from operators.orders.hold_desk import HoldDesk
from operators.orders.order_desk import OrderDesk
from operators.reallocation.reevaluation import ReevaluationDesk
from operators.recovery.cancellations import Cancellations
from operators.recovery.compensation import Compensation
from operators.recovery.outages import Outages
from operators.recovery.rejections import Rejections, record_of
from operators.recovery.shipment_desk import ShipmentDesk
from operators.sourcing.outlook import Outlook
from operators.stock.price_desk import PriceDesk
from operators.stock.repositioning import Repositioning
from operators.stock.stock_desk import StockDesk
from operators.stock.transfer_desk import TransferDesk
from state.actions import Hold, Reprice, Transfer
from state.keys import TroubleKey
from state.policy import Policy
from state.quantities import DAY_MS
from state.twin import Twin

H = TypeVar("H")

_VERSION = "orchestrate/7"
#: Interval, in journal time, of searching open work for what will not finish.
_SWEEP_MS = DAY_MS


class Orchestrate(Operator, Desk):
    """Emits drafts of actions, OrderMoved, and NoAction where nothing was to be done."""

    name = "orchestrate"

    def __init__(self, policy: Policy) -> None:
        self._open(ContextState(policy=policy))
        self._context.deadlines.set(0, Sweep())
        self._context.deadlines.set(0, PlanRestocks())

    def _open(self, state: ContextState) -> None:
        self._context = Context(state)
        self._chores_seq = -1
        self._orders = OrderDesk(self._context)
        self._transfers = TransferDesk(self._context)
        self._stock = StockDesk(self._context, self._orders, self._transfers)
        self._repositioning = Repositioning(self._context, self._transfers)
        self._again = ReevaluationDesk(self._context, self._orders, self._transfers)
        self._compensation = Compensation(self._context, self._orders)
        self._shipments = ShipmentDesk(self._context, self._orders, self._stock, self._compensation)
        self._cancellations = Cancellations(self._context, self._orders, self._shipments)
        self._rejections = Rejections(self._context, self._orders)
        self._outages = Outages(self._context, self._orders)
        self._holds = HoldDesk(self._context, self._orders)
        self._prices = PriceDesk(self._context, state.prices)
        # In this order they handle a fact or a deadline that concerns several.
        desks: tuple[Desk, ...] = (
            *(Registry(self._context), self._prices, self._holds, self._again, self._orders),
            *(self._cancellations, self._transfers, self._stock, self._repositioning),
            *(self._shipments, self._compensation, self._outages, self),
        )
        self._facts = _in_order(desk.facts() for desk in desks)
        self._deadlines = _in_order(desk.deadlines() for desk in desks)

    def facts(self) -> FactHandlers:
        """Return handlers of closed proposals and refusals, which concern the desk that decided."""
        return {
            ProposalClosed: lambda f, at, e: self._closed(f),
            Refused: lambda f, at, e: self._refused(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return the handler that looks through open work."""
        return {Sweep: lambda due: self._sweep()}

    @property
    def twin(self) -> Twin:
        """Return the twin, only to be read."""
        return self._context.twin

    @property
    def context(self) -> Context:
        """Return what its desks share: to be read, or to put a witness in place of its sourcing."""
        return self._context

    @property
    def outlook(self) -> Outlook:
        """Return its outlook on the near future, only to be read."""
        return self._context.outlook

    @property
    def late_ms(self) -> int:
        """Return for how long the next chore has been due, ms; 0 if none is."""
        return self._context.deadlines.late_ms(self._context.now_ms)

    @property
    def pickups(self) -> Pickups:
        """Return the orders that may still move, by pickup, only to be read."""
        return self._context.state.pickups

    @property
    def disruptions(self) -> dict[TroubleKey, tuple[int, int]]:
        """Return trouble that carriers reported, see `ContextState`, only to be read."""
        return self._context.state.disruptions

    def step(self, record: Record) -> list[Record]:
        """Fire what is due, then let the record's fact take effect."""
        if type(record.fact) is Duplicate:
            return [record]  # nothing falls due by it either: redelivery changes nothing
        context = self._context
        context.turn_to(record)
        out: list[Record] = []
        # Of the facts that a journal record gives, the first comes with its chores.
        most_chores = MOST_CHORES if record.seq != self._chores_seq else 0
        self._chores_seq = record.seq
        if context.deadlines.is_due(record.now_ms, most_chores):
            out += map(record.derive, self._note(self._fire(most_chores)))
        out.append(record)
        derived = self._handle(record)
        if context.messages.waiting:
            derived += self._handle_messages()
        if derived or context.messages.waiting:
            out += map(record.derive, self._note(derived))
        return out

    def _handle(self, record: Record) -> list[Derived]:
        derived: list[Derived] = []
        handlers = self._facts.get(type(record.fact))
        if handlers is None:
            return derived
        event = record.event
        time_ms, name = (record.now_ms, "") if event is None else (event.time_ms, event.id)
        for handler in handlers:
            derived += handler(record.fact, time_ms, name)
        return derived

    def _handle_messages(self) -> list[Derived]:
        """Hand posted messages to the desks that take them; changes of cases wait for `_note`."""
        messages = self._context.messages
        out: list[Derived] = []
        while shelves := messages.take(Uncovered):
            for shelf in shelves:
                out += self._stock.uncovered(shelf)
        freed = {each.sku: None for each in messages.take(SupplyFreed)}
        if freed:
            out += self._orders.serve_waiting(freed) + self._again.supplied(freed)
        return out

    def _note(self, derived: list[Derived]) -> list[Derived]:
        """Remember decisions by their record, and add the changes of their cases."""
        cases, rules = self._context.cases, self._context.policy.governance
        self._rejections.decided(derived)
        for each in derived:
            if isinstance(each, Draft) and each.correlation:
                kind = each.decision.verb
                is_asked = each.decision.calls_a_person or rules.asks_a_person(
                    kind, each.value_cents
                )
                cases.act_of(each.correlation, needs_person=is_asked)
        return [*derived, *(each.case for each in self._context.messages.take(CaseChanged))]

    def _closed(self, closed: ProposalClosed) -> list[Derived]:
        """Act on an approved proposal, or undo what a closed one had reserved.

        The gate closes proposals: it alone knows which action of a record an id names.
        """
        seq = record_of(closed.action, self._context.network)
        is_approved = closed.outcome == "approved"
        match closed.decision:
            case Transfer() as transfer if is_approved:
                self._transfers.approved(transfer, seq)
            case Transfer() as transfer:
                self._transfers.give_up(transfer, seq)
            case Hold() as hold if not is_approved:
                return self._holds.withdraw(hold, seq)
            case Reprice() as reprice if closed.outcome == "rejected":
                self._prices.dropped(reprice)
            case _:
                return self._rejections.closed(closed)
        return []

    def _refused(self, refused: Refused) -> list[Derived]:
        refusal = refused.refusal
        seq = record_of(refusal.action, self._context.network)
        is_unnamed = not refusal.kind and refusal.order is None
        # Where the record decided on orders as well, only the refusal's kind tells them apart.
        is_transfer = refusal.kind == Transfer.verb or (
            is_unnamed and seq not in self._context.state.decided
        )
        if is_transfer and self._transfers.failed(seq):
            return []
        return self._rejections.refused(refused)

    def _fire(self, most_chores: int) -> list[Derived]:
        """Fire what falls due by now, see `Agenda`."""
        out: list[Derived] = []
        for due in self._context.deadlines.due(self._context.now_ms, most_chores):
            for handler in self._deadlines[type(due)]:
                out += handler(due)
        return out

    def _sweep(self) -> list[Derived]:
        """Look through open work for what will not finish."""
        out = self._shipments.sweep() + self._orders.sweep()
        self._transfers.sweep()
        self._context.deadlines.set(self._context.now_ms + _SWEEP_MS, Sweep())
        return out

    def snapshot(self) -> bytes:
        """Return the twin and everything beside it, as versioned plain values."""
        return pack(_VERSION, self._context.state)

    def restore(self, data: bytes) -> None:
        """Restore the state of a snapshot; quotes are made from it on use."""
        self._open(unpack(_VERSION, data, ContextState))


def _in_order(tables: Iterable[Mapping[Any, H]]) -> dict[type, tuple[H, ...]]:
    """Return the handlers of each kind, those of earlier tables first."""
    handlers: dict[type, tuple[H, ...]] = {}
    for table in tables:
        for kind, handler in table.items():
            handlers[kind] = (*handlers.get(kind, ()), handler)
    return handlers
