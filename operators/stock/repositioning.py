"""Repositioning: moves stock to a node before it is ordered there.

Read `Repositioning.review` top-down: needs → candidates → eliminate → price → choose → explain.
A unit is worth moving if the chance that the destination needs one more unit, times the saving of
serving a customer locally, exceeds the same product at the origin plus the cost of transport (the
newsvendor's rule, at the margin, unit by unit).
"""

from math import inf

from msgspec import Struct
from msgspec.structs import replace

from operators.core.facts import DemandLift, Derived, Draft, LaneOutlook, NoAction
from operators.core.wording import money, span
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import PlanRestocks, Restock
from operators.prediction.demand_counts import exceeds
from operators.stock.serving import Serving
from operators.stock.transfer_desk import TransferDesk
from state.actions import Alternative, Benefit, Confidence, Switch, Transfer
from state.keys import Ref
from state.quantities import DAY_MS
from state.sums import float_sum
from state.twin import Position
from state.twin.stock import InboundKind

_RESTS_ON = ("inventory", "demand")
#: Label of the alternative to every transfer.
STAYING = "leaving it where it is"
#: Regions priced for a node, the most demand first: bounds the work of a review.
_MOST_REGIONS = 12
#: Nodes restocked at once, the most urgent first: bounds the work of a record.
_MOST_NEEDS = 2
#: Supply due within this time counts as there.
_SOON_MS = DAY_MS // 2
#: Inbound from another node, rather than from outside.
_MOVED: tuple[InboundKind, ...] = ("transfer", "asked")


class _Need(Struct):
    """Demand of the regions nearest to a node until its next supply.

    `free` units are there or due soon, and not reserved; demand is a count with `mean` and
    `variance`; a customer served from the second-best node costs `spared_cents` more.
    """

    node: str
    free: int
    mean: float
    variance: float
    spared_cents: float
    until_ms: int
    #: Demand by region, where there is any: mean, region, variance.
    regions: list[tuple[float, str, float]]

    def chance(self, units: int) -> float:
        """Return P(demand in time exceeds `units`)."""
        return exceeds(units, self.mean, self.variance)


class _Way(Struct):
    """A way to the destination from a node that may give up to `most` units, at a cost each."""

    origin: _Need
    most: int
    unit_cents: float


class _Offer(Struct):
    """A transfer priced, in cents: transport, displacement at the origin, and gain."""

    origin: str
    units: int
    cost: int
    displaced: int
    gain: int

    @property
    def terms(self) -> dict[str, int]:
        """Return cents by term; savings are negative."""
        return {
            "transfer": self.cost,
            "expected displacement at the origin": self.displaced,
            "expected savings at the destination": -self.gain,
        }

    @property
    def score(self) -> int:
        """Return the sum of the terms; less is better, and not moving is 0."""
        return self.cost + self.displaced - self.gain


class Repositioning(Desk):
    """Decisions on transfers of one SKU at a time; the transfer desk reserves their stock."""

    def __init__(self, context: Context, desk: TransferDesk) -> None:
        self._context, self._desk = context, desk
        self._serving = Serving(context)

    def facts(self) -> FactHandlers:
        """Return handlers of signals that lift demand, and of changes of transit."""
        return {
            DemandLift: lambda f, at, e: self.lifted(f),
            LaneOutlook: lambda f, at, e: self._learned(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of reviews of stock."""
        return {
            Restock: lambda due: self.review(due.sku, due.done),
            PlanRestocks: lambda due: self.plan(),
        }

    def plan(self) -> list[Derived]:
        """Schedule a review of each SKU that sells, the fastest first, over the review period."""
        context, rules = self._context, self._context.policy.repositioning
        context.deadlines.set(context.now_ms + rules.review_s * 1000, PlanRestocks())
        if not rules.enabled:
            return []
        speed: dict[str, float] = {}
        for sku, by_region in context.outlook.demand.items():
            speed[sku] = float_sum(demand.units_per_day for demand in by_region.values())
        fastest = sorted(speed, key=lambda sku: (-speed[sku], sku))[: rules.most_skus]
        waiting = context.deadlines.reviews()
        for number, sku in enumerate(fastest):
            if sku not in waiting:
                at_ms = context.now_ms + rules.review_s * 1000 * number // len(fastest)
                context.deadlines.set(at_ms, Restock(sku))
        return []

    def lifted(self, lift: DemandLift) -> list[Derived]:
        """Review the SKUs of a signal at once, ahead of the demand that it announces."""
        context, rules = self._context, self._context.policy.repositioning
        if not rules.enabled or lift.factor < rules.signal_above:
            return []
        skus, goods = context.twin.skus, lift.scope
        if goods.kind == "sku":
            if goods.name in skus:
                context.deadlines.set(context.now_ms, Restock(goods.name))
            return []
        is_all = goods.kind == "all"
        scope = [s for s in skus if is_all or goods.name == skus[s].category]
        speed = {sku: context.outlook.speed(sku, context.twin.geography.regions) for sku in scope}
        fastest = sorted(scope, key=lambda sku: (-speed[sku], sku))[: rules.signal_skus]
        for number, sku in enumerate(fastest):
            context.deadlines.set(context.now_ms + number * 1000, Restock(sku))
        return []

    def _learned(self, outlook: LaneOutlook) -> list[Derived]:
        """Have usual customers of a lane priced again; the re-evaluation desk took it in."""
        self._serving.learned(outlook)
        return []

    def review(self, sku: str, done: tuple[str, ...] = ()) -> list[Derived]:
        """Move stock of `sku` to the nodes that are likely to run short, where it pays.

        The nodes `done` are left out. The work of one record is bounded: another takes the rest.
        """
        context, rules = self._context, self._context.policy.repositioning
        stock = context.twin.stock.get(sku, {})
        if not rules.enabled or len(stock) < 2 or sku not in context.twin.skus:
            return []
        if Ref("sku", sku) in context.twin.holds:
            return [NoAction(kind="transfer", about=sku, reason="the SKU is on hold")]
        needs = self._needs(sku, stock)
        short = [
            need
            for need in needs.values()
            if need.mean > 0.0
            and need.node not in done
            and need.chance(need.free) > rules.least_risk
            and Ref("node", need.node) not in context.twin.holds
        ]
        short.sort(key=lambda need: (-need.chance(need.free) * need.mean, need.node))
        out: list[Derived] = []
        for need in short[:_MOST_NEEDS]:
            out += self._restock(sku, need, needs)
        if len(short) > _MOST_NEEDS:
            looked_at = (*done, *(need.node for need in short[:_MOST_NEEDS]))
            context.deadlines.set(context.now_ms, Restock(sku, looked_at))
        return out

    def _restock(self, sku: str, need: _Need, needs: dict[str, _Need]) -> list[Derived]:
        context, rules = self._context, self._context.policy.repositioning
        if self._desk.was_moved_out(need.node, sku):
            reason = "stock of it left here not long ago"
            return [NoAction(kind="transfer", about=f"{need.node}/{sku}", reason=reason)]
        ways = [way for o in needs.values() if (way := self._way(sku, need, o)) is not None]
        if not ways:
            return []
        priced = self._priced(sku, need, needs)
        offers = [offer for way in ways if (offer := self._offer(priced, way)) is not None]
        offers.sort(key=lambda offer: (offer.score, offer.origin))
        if not offers:
            return []
        best = offers[0]
        if -best.score < rules.least_gain_cents or best.gain < best.cost * rules.least_return:
            reason = "too little to gain"
            about = f"{need.node}/{sku}"
            return [NoAction(kind="transfer", about=about, reason=reason, prevented=True)]
        if context.policy.governance.is_off(Transfer.verb):  # nothing is reserved then
            reason = "switched off by the policy"
            return [NoAction(kind="transfer", about=f"{need.node}/{sku}", reason=reason)]
        needs[best.origin].free -= best.units
        need.free += best.units
        return [self._draft(sku, priced, best, offers[1:])]

    def _needs(self, sku: str, stock: dict[str, Position]) -> dict[str, _Need]:
        """Return by node its free units and its regions' demand until its next supply."""
        context, rules = self._context, self._context.policy.repositioning
        safety = context.policy.sourcing.safety_stock
        needs: dict[str, _Need] = {}
        for node, position in stock.items():
            if not position.counted_ms and position.on_hand <= position.reserved:
                continue  # its stock is all reserved
            until_ms = context.now_ms + rules.horizon_s * 1000
            free = position.unpromised(safety)
            free += self._desk.bound_for(node, sku)
            for key, due in position.inbound.items():
                # Supply that comes soon counts as there, and so do transfers, which answer this
                # need; other supply ends the shortage when it comes.
                if due.eta_ms <= context.now_ms + _SOON_MS or key.kind in _MOVED:
                    free += due.quantity
                else:
                    until_ms = min(until_ms, due.eta_ms)
            needs[node] = _Need(node, free, 0.0, 0.0, 0.0, until_ms, [])
        category = context.twin.skus[sku].category
        for region in context.outlook.regions_of(sku, context.twin.geography.regions):
            # The nearest node that has, or had, the SKU serves the region.
            home = next((node for node in context.rates.nearest(region) if node in needs), None)
            if home is None:
                continue
            need = needs[home]
            mean, variance = context.outlook.demand_until(
                region, sku, category, need.until_ms, context.now_ms
            )
            if mean > 0.0:
                need.mean += mean
                need.variance += variance
                need.regions.append((mean, region, variance))
        return needs

    def _priced(self, sku: str, need: _Need, needs: dict[str, _Need]) -> _Need:
        """Return the need with the extra cost of serving a customer from the next-best node.

        Only regions for which the node is cheaper count, and only their demand.
        """
        kg = self._context.twin.skus[sku].weight_g / 1000
        others = {n.node for n in needs.values() if n.node != need.node and n.free > 0}
        mean = variance = spared = 0.0
        for wanted, region, spread in sorted(need.regions, reverse=True)[:_MOST_REGIONS]:
            mine = self._serving.cents(need.node, region, kg)
            less = self._serving.least_cents(others, region, kg) - mine
            if not 0.0 < less < inf:  # not cheaper, or not both can send it there
                continue
            mean, variance = mean + wanted, variance + spread
            spared += wanted * less
        spared_cents = spared / mean if mean else 0.0
        return replace(need, mean=mean, variance=variance, spared_cents=spared_cents)

    def _way(self, sku: str, need: _Need, origin: _Need) -> _Way | None:
        """Return the way of units from `origin`; None if it can spare none, or not in time."""
        context, rules = self._context, self._context.policy.repositioning
        if (
            origin.node == need.node
            or origin.free <= 0
            or self._desk.was_moved_in(origin.node, sku)
            or Ref("node", origin.node) in context.twin.holds
            or context.twin.capacity.nodes.is_closed(origin.node)
        ):
            return None
        distance = context.twin.geography.distance_km(
            origin.node, context.twin.geography.nodes[need.node].region
        )
        if distance is None:
            return None
        lead_ms = round((rules.lead_s + distance / rules.road_km_h * 3600) * 1000)
        if context.now_ms + lead_ms >= need.until_ms:
            return None  # the next supply comes as soon
        # Inbound to the origin cannot be loaded yet.
        safety = context.policy.sourcing.safety_stock
        there = context.twin.stock[sku][origin.node].unpromised(safety)
        most = min(origin.free, there, rules.most_units)
        if most < rules.lot or origin.chance(origin.free - 1) > rules.origin_risk:
            return None
        kg = context.twin.skus[sku].weight_g / 1000
        unit_cents = rules.unit_cents + rules.kg_100km_cents * kg * distance / 100
        return _Way(origin, most, unit_cents)

    def _offer(self, need: _Need, way: _Way) -> _Offer | None:
        """Return an offer of the units that gain more than they cost; None if there are none."""
        rules = self._context.policy.repositioning
        origin, unit_cents = way.origin, way.unit_cents
        gain = displaced = 0.0
        units = 0
        for taken in range(1, way.most + 1):
            risk = origin.chance(origin.free - taken)
            if risk > rules.origin_risk:
                break
            chance = need.chance(need.free + taken - 1)
            # A unit lost at the origin is priced like one gained at the destination.
            if chance < rules.least_wanted:
                break
            if chance * need.spared_cents <= unit_cents + risk * need.spared_cents:
                break
            gain += chance * need.spared_cents
            displaced += risk * need.spared_cents
            units = taken
        if units < rules.lot:
            return None
        units -= units % rules.lot
        cost = round(unit_cents * units)
        return _Offer(origin.node, units, cost, round(displaced), round(gain))

    def _draft(self, sku: str, need: _Need, best: _Offer, others: list[_Offer]) -> Draft:
        context = self._context
        currency, rules = context.policy.currency, context.policy.repositioning
        before = need.chance(need.free)
        self._desk.reserve(best.origin, need.node, sku, best.units)
        wait = span((need.until_ms - context.now_ms) / 1000)
        runners_up = [
            Alternative(option=STAYING, score_cents=0, terms={}),
            *(
                Alternative(
                    option=f"{offer.units} from {offer.origin}",
                    score_cents=offer.score,
                    terms=offer.terms,
                )
                for offer in others[: context.policy.sourcing.alternatives]
            ),
        ]
        return Draft(
            decision=Transfer(
                origin=best.origin, destination=need.node, sku=sku, quantity=best.units
            ),
            subject=f"{need.node}/{sku}",
            correlation=None,
            summary=f"{best.units} unit{'s' * (best.units != 1)} of {sku} move from {best.origin} "
            f"to {need.node}, which has {need.free} free or on the way and is "
            f"{before:.0%} likely to be asked for more within {wait} ({need.mean:.1f} expected). "
            f"The way costs {money(best.cost, currency)}; serving its customers from elsewhere "
            f"would cost {money(best.gain, currency)} more.",
            terms=best.terms,
            value_cents=best.cost,
            causes=(context.seq,),
            alternatives=tuple(runners_up),
            confidence=Confidence(
                statement=f"{need.node} is asked for more of {sku} than it has, within {wait}",
                probability=round(before, 4),
            ),
            flips_if=(
                Switch(
                    when=f"a transfer had to save {money(1 - best.score, currency)} "
                    f"instead of {money(rules.least_gain_cents, currency)}",
                    then=STAYING,
                    quantity="repositioning.least_gain_cents",
                    by=float(1 - best.score - rules.least_gain_cents),
                ),
            ),
            benefit=Benefit(expected_cents=-best.score, nothing_cents=0),
            expires_ms=context.now_ms + rules.hold_s * 1000,
            rests_on=_RESTS_ON,
        )
