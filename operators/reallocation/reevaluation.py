"""Re-evaluation desk: reviews allocations until their picking begins.

An allocation moves only if that saves more than the cost of moving, keeps the promise about as
well, and does not return to a plan that the order gave up. A split order may also swap legs with
another order (`operators.reallocation.swap`).
"""

from collections.abc import Callable

from operators.core.facts import Derived, LaneOutlook
from operators.core.wording import money
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import Freeze, Look, LookSplit
from operators.network.legs import commit, leave, lifted
from operators.network.movable import may_take, movable, moves_alone
from operators.network.replan import (
    beats,
    decide,
    lines_of,
    nodes_and_lines,
    planned,
    price,
    ways,
)
from operators.orders.allocation import allocation
from operators.orders.order_desk import OrderDesk
from operators.reallocation.consolidation import Consolidation, bring, find_consolidation
from operators.reallocation.swap import Side, Swap, find_swap
from operators.sourcing.eliminations import BARRED
from operators.sourcing.plan import Choice, Plan
from operators.stock.transfer_desk import TransferDesk
from state.actions import Switch
from state.events import OrderPlaced
from state.keys import ANY_SERVICE, Pickup, ServiceId
from state.policy import Policy
from state.twin import OpenOrder


class ReevaluationDesk(Desk):
    """Desk that moves movable legs. Methods return derived facts, in order."""

    def __init__(self, context: Context, orders: OrderDesk, transfers: TransferDesk) -> None:
        self._context, self._orders, self._transfers = context, orders, transfers

    def facts(self) -> FactHandlers:
        """Return handlers of orders and lanes."""
        return {
            OrderPlaced: lambda f, at, e: self._orders.place(f, self.unite),
            LaneOutlook: lambda f, at, e: self.learn_lane(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of looks before a pick."""
        return {
            Look: lambda due: self.look(due.pickup, due.after),
            LookSplit: lambda due: self.look_split(due.sku, due.after),
            Freeze: lambda due: self.freeze(due.pickup),
        }

    def look(self, pickup: Pickup, after: str) -> list[Derived]:
        """Re-evaluate the orders of a pickup, from behind the order `after`."""
        names = list(self._context.state.pickups.orders.get(pickup, ()))
        return self._look_on(names, after, lambda last: Look(pickup, last))

    def supplied(self, skus: dict[str, None]) -> list[Derived]:
        """Re-evaluate split orders with any of `skus`, of which there is more now.

        The next record continues with the second SKU.
        """
        context, split = self._context, self._context.state.pickups.split
        in_splits = [sku for sku in skus if sku in split]
        for sku in in_splits[1:]:
            context.deadlines.set(context.now_ms, LookSplit(sku))
        return self.look_split(in_splits[0], "") if in_splits else []

    def look_split(self, sku: str, after: str) -> list[Derived]:
        """Re-evaluate split orders with a SKU, from behind the order `after`."""
        names = list(self._context.state.pickups.split.get(sku, ()))
        return self._look_on(names, after, lambda last: LookSplit(sku, last))

    def unite(self, order: OpenOrder) -> list[Derived] | None:
        """Allocate a new order by a swap or a consolidation if one is cheaper than its split.

        The split is committed, but not published: it is replaced, not released.
        """
        if len(order.legs) < 2 or not self._is_on:
            return None
        legs = list(order.legs)
        swap = find_swap(self._context, order, legs, is_new=True)
        if swap is not None:
            return self._swap(order, swap, is_new=True)
        whole = find_consolidation(self._context, self._transfers, order, legs)
        return None if whole is None else self._consolidate(order, whole)

    def learn_lane(self, outlook: LaneOutlook) -> list[Derived]:
        """Take in a lane's outlook; if it is suddenly much slower, re-evaluate its pickups soon."""
        before = self._context.outlook.lanes.get(outlook.lane)
        self._context.outlook.learn_lane(outlook)
        bound = 1.0 + self._context.policy.reevaluation.slower_by
        if before is not None and outlook.p50 > before.p50 * bound:
            self.troubled(outlook.lane.service, outlook.node)
        return []

    def troubled(self, service: ServiceId = ANY_SERVICE, node: str = "") -> None:
        """Re-evaluate, from the next record on, orders for pickups of a node or service."""
        context = self._context
        for pickup in context.state.pickups.touched(service, node):
            context.deadlines.set(context.now_ms, Look(pickup))

    def freeze(self, pickup: Pickup) -> list[Derived]:
        """Stop watching the orders of a pickup: from here on nodes pick them."""
        pickups = self._context.state.pickups
        for name in pickups.orders.pop(pickup, ()):
            order = self._context.twin.orders.get(name)
            if order is not None and len(movable(self._context, order)) < 2:
                pickups.drop_split(name, list(order.lines))
        return []

    @property
    def _is_on(self) -> bool:
        """Return whether orders are re-evaluated."""
        return self._context.policy.reevaluation.enabled and moves_alone(self._context.policy)

    def _look_on(
        self, names: list[str], after: str, rest: Callable[[str], Look | LookSplit]
    ) -> list[Derived]:
        """Look at the orders `names` behind the order `after`, as many as one record may.

        The next record continues where this one stopped.
        """
        if not self._is_on:
            return []
        begin = names.index(after) + 1 if after in names else 0
        end = begin + self._context.policy.reevaluation.most_looked
        out = [each for name in names[begin:end] for each in self._look_at(name)]
        if len(names) > end:
            self._context.deadlines.set(self._context.now_ms, rest(names[end - 1]))
        return out

    def _look_at(self, name: str) -> list[Derived]:
        order = self._context.twin.orders.get(name)
        if order is None or order.status != "allocated":
            return []
        out = self._move(order)
        open_legs = movable(self._context, order)
        if len(open_legs) > 1:
            found = find_swap(self._context, order, open_legs)
            if found is not None:
                out += self._swap(order, found, is_new=False)
        return out

    def _move(self, order: OpenOrder) -> list[Derived]:
        """Source an order's movable legs again, and move them if that pays."""
        context, rules = self._context, self._context.policy.reevaluation
        old_legs = movable(context, order)
        if not old_legs or order.moves >= rules.most_moves:
            return []
        placed = order.placed
        with lifted(context, old_legs):
            old = price(context, placed, old_legs)
            if old is None:
                return []
            lines = lines_of(order, old_legs)
            if not beats(context, order, placed, lines, old.score - rules.churn_cents):
                return []
            choice = decide(context, order, placed, lines)
        plan = best_move(context, order, old, choice)
        if plan is None:
            return []
        saved = money(old.score - plan.score, context.policy.currency)
        why = f"looked at again before its pick: saves {saved} over {old.describe()}"
        out = leave(context, order, old_legs, "reassigned")
        return out + self._take(
            order, Side(order, old_legs, old, choice, plan), why, old.score - plan.score
        )

    def _swap(self, order: OpenOrder, found: Swap, is_new: bool) -> list[Derived]:
        """Carry out a swap: release both orders' legs first, then allocate both."""
        currency = self._context.policy.currency
        mine, theirs = found.mine, found.theirs
        other = theirs.order.name
        saved, movers = money(found.gain, currency), 1 if is_new else 2
        order.follows(theirs.order.seq)
        theirs.order.follows(order.seq)
        out: list[Derived] = []
        out += leave(self._context, theirs.order, theirs.legs, "reassigned")
        dropped = leave(self._context, order, mine.legs, "reassigned")
        if is_new:
            order.moves = 0
        else:
            out += dropped
        made_room = f"{other} makes room at {found.node}: saves {saved} over both"
        out += self._take(order, mine, made_room, found.gain / movers, is_new, begins=other)
        makes_room = f"makes room at {found.node} for {order.name}: saves {saved} over both"
        out += self._take(theirs.order, theirs, makes_room, found.gain / movers)
        return out

    def _consolidate(self, order: OpenOrder, found: Consolidation) -> list[Derived]:
        """Bring the rest of a new order to one node, and allocate it there."""
        leave(self._context, order, found.side.legs, "reassigned")
        out: list[Derived] = [*bring(self._context, self._transfers, found)]
        whole = f"the rest is brought to {found.home} first, so that it goes in one parcel"
        out += self._take(order, found.side, whole, found.gain, is_new=True)
        order.moves = self._context.policy.reevaluation.most_moves  # its transfers stay for it
        return out

    def _take(
        self,
        order: OpenOrder,
        side: Side,
        why: str,
        gain: float,
        is_new: bool = False,
        begins: str = "",
    ) -> list[Derived]:
        """Commit to a plan; return its allocation, which saves `gain` cents for each order moved.

        `begins` is the name with which `why` begins, if any: names keep their case.
        """
        context = self._context
        old, choice, plan = side.old, side.choice, side.plan
        commit(context, order, plan)
        order.given_up = [each for each in order.given_up if each != nodes_and_lines(planned(plan))]
        others = sorted(
            {
                ways(planned(each)): each
                for each in (choice.plan, *choice.runners_up, old)
                if each is not None and each is not plan
            }.values(),
            key=lambda each: (each.score, each.ways),
        )
        barred = [each.ways for each in others if each.score < plan.score]
        ruled_out = choice.eliminated | ({BARRED: [*barred]} if barred else {})
        dearer = others[len(barred) :][: max(context.policy.sourcing.alternatives, 1)]
        shown = Choice(plan, tuple(dearer), ruled_out, {})
        return [
            allocation(
                context,
                order,
                lines_of(order, planned(plan)),
                plan,
                shown,
                (f"{why if begins else why[0].upper() + why[1:]}.",),
                None if is_new else why,
                (_stays(context.policy, gain, old),),
            )
        ]


def _stays(policy: Policy, gain: float, old: Plan) -> Switch:
    """Return the switch point: the least saving asked of a move at which this one is not made."""
    churn = policy.reevaluation.churn_cents
    return Switch(
        when=f"a move had to save {money(round(gain), policy.currency)} "
        f"instead of {money(round(churn), policy.currency)}",
        then=f"this move is not made, from {old.describe()}",
        quantity="reevaluation.churn_cents",
        by=gain - churn,
    )


def best_move(context: Context, order: OpenOrder, old: Plan, choice: Choice) -> Plan | None:
    """Return the best plan that the order may move to and that pays; None if none does."""
    rules = context.policy.reevaluation
    if choice.plan is None:
        return None
    bound = old.score - rules.churn_cents
    for plan in (choice.plan, *choice.runners_up):
        if plan.score >= bound:
            return None
        if may_take(context, order, old, plan):
            return plan
    return None
