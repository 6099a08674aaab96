"""Consolidation: a split order goes in one parcel, once transfers bring the rest to its node.

Read `find_consolidation` top-down: candidates → eliminate → price → choose. A candidate is a node
that has a line of the order; the units it lacks are brought from the split's other nodes. Moving a
few units between nodes costs little beside a second parcel, but takes about a day. The price of the
parcel shows whether the promise leaves that time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from operators.core.facts import Draft
from operators.core.wording import money
from operators.network.context import Context
from operators.network.legs import lifted
from operators.network.movable import may_take
from operators.network.replan import elsewhere, lines_of, price
from operators.reallocation.swap import Side
from operators.sourcing.pricer import Lines, weigh
from operators.stock.transfer_desk import TransferDesk
from state.actions import Benefit, Switch, Transfer
from state.events import OrderPlaced
from state.keys import Ref
from state.sums import int_sum
from state.twin import OpenOrder
from state.twin.orders import PlannedLeg
from state.twin.stock import Inbound, InboundKey

_RESTS_ON = ("inventory",)


class Brought(Struct):
    """Units to be brought from `origin`, with the cost of transport and the arrival, ms."""

    origin: str
    sku: str
    units: int
    cents: int
    there_ms: int


class Consolidation(Struct):
    """One parcel from `home` instead of several; it saves `gain` cents net of transport."""

    side: Side
    home: str
    brought: list[Brought]
    gain: int


def find_consolidation(
    context: Context, desk: TransferDesk, order: OpenOrder, legs: list[PlannedLeg]
) -> Consolidation | None:
    """Return the consolidation that saves most over a split, if any pays; changes nothing."""
    rules = context.policy.reevaluation
    if not rules.consolidate or context.policy.governance.autonomy_of(Transfer.verb) != "act":
        return None
    placed, lines, sourcing = order.placed, lines_of(order, legs), context.sourcing
    best: Consolidation | None = None
    bound = rules.churn_cents
    with lifted(context, legs):
        old = price(context, placed, legs)
        if old is None:
            return None
        homes = _homes(context, lines)
        for least, home in sorted((_least_cents(context, at, placed, lines), at) for at in homes):
            if old.score - least <= bound:
                break
            brought = _brought(context, desk, home, legs)
            if not brought:
                continue
            way_cents = int_sum(each.cents for each in brought)
            excluded = elsewhere(context, order, home)
            to_beat = old.score - way_cents - bound
            with _planned(context, home, brought):
                if not sourcing.beats(placed, lines, context.now_ms, to_beat, excluded):
                    continue
                choice = sourcing.decide(placed, lines, context.now_ms, excluded)
            if choice.plan is not None and may_take(context, order, old, choice.plan):
                gain = old.score - choice.plan.score - way_cents
                side = Side(order, legs, old, choice, choice.plan)
                best, bound = Consolidation(side, home, brought, gain), gain
    return best


def _least_cents(context: Context, home: str, placed: OrderPlaced, lines: Lines) -> float:
    """Return a lower bound of the cost of one parcel from `home`."""
    grams, units = weigh(context.twin, lines)
    return context.rates.lane(home, placed.region).least(grams / 1000, units)


def bring(context: Context, desk: TransferDesk, found: Consolidation) -> list[Draft]:
    """Reserve the units to be brought, add them as inbound, and return the transfers."""
    return [_draft(context, desk, found, each) for each in found.brought]


def _homes(context: Context, lines: Lines) -> list[str]:
    """Return open nodes that have all units of at least one line on their shelf."""
    twin, safety = context.twin, context.policy.sourcing.safety_stock
    homes = {
        node: None
        for sku, units in lines
        for node, position in twin.stock.get(sku, {}).items()
        if position.unpromised(safety) >= units and not twin.capacity.nodes.is_closed(node)
    }
    return list(homes)


def _brought(
    context: Context, desk: TransferDesk, home: str, legs: list[PlannedLeg]
) -> list[Brought] | None:
    """Return the units that `home` lacks of the split's lines; None if some cannot be brought."""
    twin, safety = context.twin, context.policy.sourcing.safety_stock
    found = []
    for leg in legs:
        if leg.node == home:
            continue
        for sku, units in leg.lines:
            shelf = twin.stock[sku].get(home)
            if shelf is not None and shelf.unpromised(safety) >= units:
                continue
            position = twin.position(leg.node, sku)
            is_there = position.unpromised(safety) >= units
            # Stock that a transfer brought does not leave with another one.
            if not is_there or desk.was_moved_in(leg.node, sku):
                return None
            way = _way(context, leg.node, home, sku, units)
            if way is None:
                return None
            found.append(way)
    return found


def _way(context: Context, origin: str, home: str, sku: str, units: int) -> Brought | None:
    """Return the transport of units from `origin`; None if none can leave there."""
    twin, rules = context.twin, context.policy.repositioning
    distance = twin.geography.distance_km(origin, twin.geography.nodes[home].region)
    if distance is None or Ref("node", origin) in twin.holds:
        return None
    way_s = rules.lead_s + distance / rules.road_km_h * 3600
    way_s *= 1.0 + context.policy.reevaluation.consolidation_margin
    kg = twin.skus[sku].weight_g / 1000
    per_unit = rules.unit_cents + rules.kg_100km_cents * kg * distance / 100
    there_ms = context.now_ms + round(way_s * 1000)
    return Brought(origin, sku, units, round(per_unit * units), there_ms)


@contextmanager
def _planned(context: Context, home: str, brought: list[Brought]) -> Iterator[None]:
    """Treat all of it as due at `home` on the twin, and restore it exactly."""
    stock = context.twin.stock
    known = {each.sku: home in stock.get(each.sku, {}) for each in brought}
    for number, each in enumerate(brought):
        position = context.twin.position(home, each.sku)
        key = InboundKey("supposed", str(number))
        position.inbound[key] = Inbound(_due_ms(context, each), each.units)
    try:
        yield
    finally:
        for number, each in enumerate(brought):
            key = InboundKey("supposed", str(number))
            context.twin.position(home, each.sku).inbound.pop(key, None)
        for sku, is_known in known.items():
            if not is_known:
                del stock[sku][home]


def _due_ms(context: Context, brought: Brought) -> int:
    """Return its due time, set so that it is promisable only once its picking may begin."""
    ahead_s = context.policy.reevaluation.freeze_s - context.policy.sourcing.inbound_slip_s
    return brought.there_ms + ahead_s * 1000


def _draft(context: Context, desk: TransferDesk, found: Consolidation, each: Brought) -> Draft:
    order, home = found.side.order, found.home
    currency, churn = context.policy.currency, context.policy.reevaluation.churn_cents
    desk.reserve_for(order.name, each.origin, home, each.sku, each.units, _due_ms(context, each))
    return Draft(
        decision=Transfer(
            origin=each.origin,
            destination=home,
            sku=each.sku,
            quantity=each.units,
            order=order.name,
        ),
        subject=f"{home}/{each.sku}",
        correlation=order.name,
        summary=f"{each.units} unit{'s' * (each.units != 1)} of {each.sku} "
        f"{'are' if each.units != 1 else 'is'} brought from {each.origin} to {home} for "
        f"{order.name}, which then goes in one parcel instead of {len(found.side.legs)}. The way "
        f"costs {money(each.cents, currency)}; all in all {money(found.gain, currency)} are saved.",
        terms={"way": each.cents},
        value_cents=each.cents,
        causes=tuple(sorted({order.seq, context.seq})),
        flips_if=(
            Switch(
                when=f"a move had to save {money(found.gain, currency)} "
                f"instead of {money(churn, currency)}",
                then="the order is split",
                quantity="reevaluation.churn_cents",
                by=found.gain - churn,
            ),
        ),
        expires_ms=context.now_ms + context.policy.repositioning.hold_s * 1000,
        rests_on=_RESTS_ON,
        benefit=Benefit(expected_cents=found.gain, nothing_cents=found.side.old.score)
        if each is found.brought[0]
        else None,
    )
