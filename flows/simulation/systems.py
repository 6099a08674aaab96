"""Systems and people that carry actions out, and report it: completed, failed or approved."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from flows.simulation.agenda import Agenda
from flows.simulation.carriers import Service
from flows.simulation.feeds import PEOPLE, SYSTEMS, Outbox
from flows.simulation.fulfilment import Fulfilment
from flows.simulation.ledger import Ledger
from flows.simulation.luck import Luck
from flows.simulation.transfers import Transfers
from flows.simulation.transport import Transport
from flows.simulation.work import Line, Parcel
from flows.simulation.world import World, next_open_ms
from state.actions import (
    Action,
    Allocate,
    Cancel,
    Escalate,
    Leg,
    LegLine,
    Notify,
    Refund,
    Release,
    Reroute,
    Reship,
    Transfer,
)
from state.events import ActionApproved, ActionCompleted, ActionFailed
from state.geography import freight_cents
from state.keys import ServiceId
from state.quantities import HOUR_MS, to_ms

K = TypeVar("K")
T = TypeVar("T")

#: From an action to its being carried out.
_AT_ONCE_MS = 50
#: People work from and to (hours, UTC), and take so long, from and to.
_OFFICE_H = (6, 21)
_APPROVED_MS = (5 * 60_000, 45 * 60_000)
_ESCALATED_MS = (HOUR_MS, 4 * HOUR_MS)


class Systems:
    """Executor of what `execute` is given, in the world and at its time."""

    def __init__(
        self,
        seed: int,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        fulfilment: Fulfilment,
        transport: Transport,
        transfers: Transfers,
        ledger: Ledger,
    ) -> None:
        self._seed = seed
        self._agenda = agenda
        self._outbox = outbox
        self._world = world
        self._fulfilment = fulfilment
        self._transport = transport
        self._transfers = transfers
        self._ledger = ledger
        self._nodes = {node.id: node.index for node in world.nodes}
        self._skus = {sku.id: index for index, sku in enumerate(world.skus)}
        self._services = {service.id: service for service in world.services}
        self._handlers: dict[type, Callable[[int, Action], str]] = {
            Allocate: self._allocate,
            Release: self._release,
            Cancel: self._cancel,
            Reroute: self._reroute,
            Reship: self._reship,
            Transfer: self._transfer,
            Refund: self._refund,
            Notify: self._notify,
            Escalate: self._escalate,
        }

    def execute(self, now_ms: int, action: Action) -> None:
        """Carry an action out shortly, or have a person decide on a proposal."""
        if action.data.mode == "act":
            self._agenda.at(now_ms + _AT_ONCE_MS, self._carry_out, action)
            return
        luck = Luck(self._seed, "approval", action.id)
        at_ms = next_open_ms(now_ms, *_OFFICE_H) + round(luck.uniform("after", *_APPROVED_MS))
        self._agenda.at(at_ms, self._approve, action)

    def _carry_out(self, now_ms: int, action: Action) -> None:
        handler = self._handlers.get(type(action.data.decision))
        if handler is None:
            problem = f"nothing here carries out {action.kind}"
            if action.data.decision.is_statement:
                return
        elif action.expirytime is not None and to_ms(action.expirytime) < now_ms:
            problem = "it has expired"
        else:
            try:
                problem = handler(now_ms, action)
            except _Unknown as unknown:
                problem = f"nobody here knows the {unknown}"
        if problem:
            failed = ActionFailed(
                action=action.id, reason=problem, kind=action.kind, order=action.correlationid
            )
            self._outbox.emit(SYSTEMS, f"{action.id} failed", failed, now_ms)
        elif action.data.decision.needs_report:
            done = ActionCompleted(action=action.id)
            self._outbox.emit(SYSTEMS, f"{action.id} completed", done, now_ms)

    def _approve(self, now_ms: int, action: Action) -> None:
        self._ledger.touches += 1
        approved = ActionApproved(action=action.id, by="operations", reason="")
        self._outbox.emit(PEOPLE, f"{action.id} approved", approved, now_ms)

    def _allocate(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Allocate)
        order = self._fulfilment.orders.get(decision.order)
        if order is None or order.cancelled:
            return "the order is not open"
        parcels = [
            Parcel(order, *self._read(leg), to_ms(leg.hand_over_by)) for leg in decision.legs
        ]
        for parcel in parcels:
            self._fulfilment.plan(now_ms, parcel)
        return ""

    def _release(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Release)
        order = self._fulfilment.orders.get(decision.order)
        if order is None:
            return ""  # all that was held for it is free already
        node, lines = self._node(decision.node), self._lines(decision.lines)
        return self._fulfilment.release(now_ms, order, node, lines)

    def _cancel(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Cancel)
        order = self._fulfilment.orders.get(decision.order)
        if order is not None:
            self._fulfilment.cancel(now_ms, order)
        return ""

    def _reroute(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Reroute)
        service = self._service(decision.carrier, decision.to_service)
        parcel = self._transport.parcel(decision.shipment)
        problem = self._transport.reroute(decision.shipment, service)
        if not problem:
            assert parcel is not None
            self._pay_way(parcel, service)
        return problem

    def _reship(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Reship)
        order = self._fulfilment.orders.get(decision.order)
        if order is None or order.cancelled:
            return "the order is not open"
        node, service, lines = self._read(decision.leg)
        given_up = self._transport.parcel(decision.shipment)
        if given_up is not None:
            problem = self._transport.recall(decision.shipment)
            if problem:
                return problem
            self._pay_way(given_up, given_up.service)
        elif any(
            parcel.shipment == decision.shipment and parcel.outcome == "delivered"
            for parcel in order.parcels
        ):
            return "it was delivered"
        due_ms = to_ms(decision.leg.hand_over_by)
        again = Parcel(order, node, service, lines, due_ms, is_again=True)
        self._fulfilment.plan(now_ms, again)
        return ""

    def _transfer(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Transfer)
        origin, destination = self._node(decision.origin), self._node(decision.destination)
        sku = self._sku(decision.sku)
        return self._transfers.send(
            now_ms, action.entry_id, origin, destination, sku, decision.quantity
        )

    def _refund(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Refund)
        order = self._fulfilment.orders.get(decision.order)
        if not decision.lines:
            self._ledger.refunded(decision.order, decision.cents)
        elif order is not None:
            self._fulfilment.pay_back(now_ms, order, self._lines(decision.lines))
        return ""

    def _notify(self, now_ms: int, action: Action) -> str:
        decision = action.data.decision
        assert isinstance(decision, Notify)
        self._ledger.notified(now_ms, decision.order, decision.topic)
        return ""

    def _escalate(self, now_ms: int, action: Action) -> str:
        self._ledger.touches += 1
        luck = Luck(self._seed, "escalation", action.subject)
        at_ms = next_open_ms(now_ms, *_OFFICE_H) + round(luck.uniform("after", *_ESCALATED_MS))
        self._agenda.at(at_ms, self._look_into, action.correlationid or action.subject)
        return ""

    def _look_into(self, now_ms: int, name: str) -> None:
        """Have a person end an order of which nothing is under way any more."""
        order = self._fulfilment.orders.get(name)
        if order is not None and not order.open_parcels():
            self._fulfilment.give_up(now_ms, order)

    def _pay_way(self, parcel: Parcel, service: Service) -> None:
        """Pay a service's freight for a parcel that is under way, in either direction."""
        km = self._world.km[parcel.node][parcel.order.region]
        cents = freight_cents(service.spec, km, parcel.weight_g)
        self._ledger.expedited(parcel.order.id, cents)

    def _read(self, leg: Leg) -> tuple[int, Service, list[Line]]:
        service = self._service(leg.carrier, leg.service)
        return self._node(leg.node), service, self._lines(leg.lines)

    def _lines(self, lines: tuple[LegLine, ...]) -> list[Line]:
        return [(self._sku(line.sku), line.quantity) for line in lines]

    def _node(self, name: str) -> int:
        return _look_up(self._nodes, name, "node")

    def _sku(self, name: str) -> int:
        return _look_up(self._skus, name, "SKU")

    def _service(self, carrier: str, service: str) -> Service:
        return _look_up(self._services, ServiceId(carrier, service), "service")


class _Unknown(Exception):
    """An action that names what is not there."""


def _look_up(known: Mapping[K, T], name: K, kind: str) -> T:
    if name not in known:
        raise _Unknown(f"{kind} {name}")
    return known[name]
