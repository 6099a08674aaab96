"""The hold desk: puts orders and parts of the network on hold, and resumes what waited.

People place and lift holds; the engine places them on orders whose quantity is not believed.
"""

from operators.core.facts import Anomaly, Derived, Draft, NoAction
from operators.core.wording import day
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import HoldEnds
from operators.network.messages import Doubted
from operators.orders.order_desk import OrderDesk
from state.actions import Hold, Lift
from state.events import HoldLifted, HoldPlaced, OrderPlaced
from state.keys import ARROW, SLASH, Ref, ServiceId
from state.quantities import HoldKind, from_ms, to_ms
from state.spoken import readings
from state.sums import int_sum
from state.twin.holds import Held

#: Name under which the engine places its own holds.
_ENGINE = "crossdock"
#: Effect of a hold, by its kind, as a clause.
_MEANS: dict[HoldKind, str] = {
    "order": "it is not sourced, and what is reserved for it stays so",
    "node": "nothing is sourced from there",
    "sku": "no unit of it is promised",
    "service": "no parcel is planned with it",
    "lane": "no parcel is planned on it",
    "region": "nothing is sourced for it",
}


class HoldDesk(Desk):
    """Desk that places and lifts holds. Methods return derived facts, in order."""

    def __init__(self, context: Context, orders: OrderDesk) -> None:
        self._context, self._orders = context, orders

    def facts(self) -> FactHandlers:
        """Return handlers of holds, and of orders that are not believed."""
        return {
            HoldPlaced: lambda f, at, e: self.place(f),
            HoldLifted: lambda f, at, e: self.lift(f),
            OrderPlaced: lambda f, at, e: self.suspect(f),
            Anomaly: lambda f, at, e: self.doubt(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of holds that end."""
        return {
            HoldEnds: lambda due: self.expire(due.of),
        }

    def place(self, placed: HoldPlaced) -> list[Derived]:
        """Put a scope on hold, from now until it is lifted or ends."""
        context = self._context
        longest_ms = context.now_ms + context.policy.holds.longest_s * 1000
        until_ms = longest_ms if placed.until is None else min(to_ms(placed.until), longest_ms)
        if until_ms <= context.now_ms:
            reason = "it has ended already"
            return [NoAction(kind="hold", about=placed.scope, reason=reason)]
        meant = [each for each in _readings(placed.kind, placed.scope) if self._is_known(each)]
        if len(meant) != 1:
            return [_unclear("hold", placed.scope, meant, "it is not registered")]
        kind, scope = placed.kind, placed.scope
        held = Held(kind, meant[0], scope, placed.reason, placed.by, until_ms, context.seq)
        return [self._hold(held, 0)]

    def doubt(self, anomaly: Anomaly) -> list[Derived]:
        """Post that the order that follows is not believed."""
        if anomaly.kind == "wild_quantity" and anomaly.family == "demand":
            self._context.messages.post(Doubted(anomaly.about, anomaly.reason))
        return []

    def suspect(self, placed: OrderPlaced) -> list[Derived]:
        """Hold an order that is not believed, before it is sourced; pass over all others."""
        context = self._context
        rules = context.policy.holds
        reasons = [
            doubt.reason for doubt in context.messages.take(Doubted) if doubt.order == placed.order
        ]
        if not reasons or not rules.suspect_orders or placed.order in context.twin.orders:
            return []
        if context.policy.governance.is_off("hold"):
            return []
        until_ms = context.now_ms + min(rules.suspect_s, rules.longest_s) * 1000
        of = Ref("order", placed.order)
        if until_ms <= context.now_ms or of in context.twin.holds:
            return []
        held = Held("order", of, placed.order, reasons[-1], _ENGINE, until_ms, context.seq)
        return [self._hold(held, placed.price_cents)]

    def lift(self, lifted: HoldLifted) -> list[Derived]:
        """End a hold, and try again what waited for it."""
        meant = self._in_force(lifted.kind, lifted.scope)
        if len(meant) != 1:
            return [_unclear("lift", lifted.scope, meant, "it is not on hold")]
        return self._over(self._context.twin.holds[meant[0]], lifted.by, lifted.reason)

    def withdraw(self, hold: Hold, seq: int) -> list[Derived]:
        """End a hold of the engine's that record `seq` proposed and that was not approved.

        A later one stands, and so does a person's, which no proposal can end.
        """
        holds = self._context.twin.holds
        ours = [holds[each] for each in self._in_force(hold.kind, hold.scope)]
        ours = [held for held in ours if held.seq == seq and held.by == _ENGINE]
        return self._over(ours[0], "", "it was not approved") if ours else []

    def expire(self, of: Ref) -> list[Derived]:
        """End a hold whose time is over; a later hold on the same scope stands."""
        held = self._context.twin.holds.get(of)
        if held is None or held.until_ms > self._context.now_ms:
            return []
        return self._over(held, "", "")

    def _hold(self, held: Held, value_cents: int) -> Draft:
        context = self._context
        context.twin.holds[held.of] = held
        context.deadlines.set(held.until_ms, HoldEnds(held.of))
        if held.kind == "service":
            context.rates.forget_all()
        because = f": {held.reason}" if held.reason else ""
        return Draft(
            decision=Hold(
                kind=held.kind,
                scope=held.scope,
                reason=held.reason,
                by=held.by,
                until=from_ms(held.until_ms),
            ),
            subject=held.scope,
            correlation=held.scope if held.kind == "order" else None,
            summary=f"{_named(held)} is on hold by {held.by} until {day(held.until_ms)} "
            f"at the latest{because}. Until then {_MEANS[held.kind]}{self._extent(held)}.",
            terms={},
            value_cents=value_cents,
            causes=(context.seq,),
            expires_ms=held.until_ms,
        )

    def _extent(self, held: Held) -> str:
        """Return in words how much of it is reserved already: that stays reserved."""
        twin, name = self._context.twin, held.of.name
        match held.kind:
            case "node":
                shelves = (nodes.get(name) for nodes in twin.stock.values())
                units = int_sum(shelf.reserved for shelf in shelves if shelf is not None)
            case "sku":
                units = int_sum(shelf.reserved for shelf in twin.stock.get(name, {}).values())
            case _:
                return ""
        return f"; {units} unit{'s' * (units != 1)} promised before stay promised"

    def _over(self, held: Held, by: str, reason: str) -> list[Derived]:
        context = self._context
        del context.twin.holds[held.of]
        if held.kind == "service":
            context.rates.forget_all()
        how = f"was lifted by {by}" if by else "has ended"
        draft = Draft(
            decision=Lift(
                kind=held.kind, scope=held.scope, reason="lifted" if by else "expired", by=by
            ),
            subject=held.scope,
            correlation=held.scope if held.kind == "order" else None,
            summary=f"The hold on {_named(held, '')} {how}{f': {reason}' if reason else ''}. "
            "What waited for it is tried again.",
            terms={},
            value_cents=0,
            causes=(held.seq, context.seq),
        )
        return [draft, *self._try_again(held)]

    def _try_again(self, held: Held) -> list[Derived]:
        twin, name = self._context.twin, held.of.name
        match held.kind:
            case "order":
                return self._orders.let_go(name)
            case "sku":
                skus = [name]
            case "node":
                skus = [sku for sku in twin.waiting if name in twin.stock.get(sku, ())]
            case _:
                skus = list(twin.waiting)
        self._context.free(skus)
        return []

    def _is_known(self, of: Ref) -> bool:
        """Return whether a reading is registered; hygiene has waited for what has to be."""
        geography = self._context.twin.geography
        if of.kind == "service":
            return ServiceId(of.name, of.part) in geography.services
        return of.kind != "lane" or (of.name in geography.nodes and of.part in geography.regions)

    def _in_force(self, kind: HoldKind, scope: str) -> list[Ref]:
        """Return the holds in force that a scope may name."""
        return [each for each in _readings(kind, scope) if each in self._context.twin.holds]


def _readings(kind: HoldKind, scope: str) -> list[Ref]:
    """Return the readings of a scope: names may hold the mark of services and lanes."""
    match kind:
        case "service":
            return [Ref(kind, carrier, name) for carrier, name in readings(scope, SLASH)]
        case "lane":
            return [Ref(kind, node, region) for node, region in readings(scope, ARROW)]
        case _:
            return [Ref(kind, scope)]


def _unclear(kind: str, scope: str, meant: list[Ref], if_none: str) -> NoAction:
    """Return the decision to do nothing about a scope that has no reading, or several."""
    several = "it may mean several: give both names as a JSON list"
    return NoAction(kind=kind, about=scope, reason=several if meant else if_none)


def _named(held: Held, first: str = "T") -> str:
    """Return the scope as the beginning of a sentence, or within one."""
    if held.kind == "order":
        return held.scope
    what = {"sku": "SKU"}.get(held.kind, held.kind)
    return f"{'The' if first else 'the'} {what} {held.scope}"
