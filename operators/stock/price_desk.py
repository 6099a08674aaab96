"""Price desk: proposes prices for stock that is about to run out, or does not sell.

Read `PriceDesk.weigh` top-down: situation → candidates → price each → choose → explain. Each price
is weighed against leaving it: earnings until the next inbound, plus the worth of the units left
then. A price stands for a window, in which no other is proposed for its SKU and region.
"""

from math import log

from msgspec import Struct

from operators.core.facts import BenefitRealised, DemandOutlook, Derived, Draft, NoAction
from operators.core.wording import money, span
from operators.network.context import Context
from operators.network.desk import Desk, DueHandlers, FactHandlers
from operators.network.due import PriceEnds
from operators.prediction.demand_counts import exceeds
from operators.prediction.price_elasticity import Asked, PriceState, Trial, expected_sales
from state.actions import Alternative, Benefit, Confidence, Reprice, Switch
from state.events import OrderPlaced, PriceChanged
from state.keys import EVERYWHERE, Ref, SeriesKey
from state.quantities import DAY_MS, from_ms
from state.sums import int_sum

#: Most days of holding priced: stock that lasts longer is not written off here.
_MOST_HELD_DAYS = 365.0


class _Situation(Struct, frozen=True):
    """Stock and demand of a SKU over the network, and a region's part in both."""

    reason: str
    p_short: float
    units: float
    cover_days: float
    mean: float
    variance: float
    horizon_s: float


class _Priced(Struct, frozen=True):
    cents: int
    terms: dict[str, int]
    sales: float

    @property
    def score(self) -> int:
        return int_sum(self.terms.values())


class PriceDesk(Desk):
    """Desk that weighs prices. Methods return derived facts, in order."""

    def __init__(self, context: Context, state: PriceState) -> None:
        self._context, self._state = context, state

    def facts(self) -> FactHandlers:
        """Return handlers of prices, orders and demand."""
        return {
            PriceChanged: lambda f, at, e: self.changed(f),
            OrderPlaced: lambda f, at, e: self.ordered(f),
            DemandOutlook: lambda f, at, e: self.weigh(f),
        }

    def deadlines(self) -> DueHandlers:
        """Return handlers of prices that have stood for their window."""
        return {
            PriceEnds: lambda due: self.due(due.series),
        }

    def changed(self, fact: PriceChanged) -> list[Derived]:
        """Apply a price from now on, and follow its effect on demand for a window."""
        context, state = self._context, self._state
        known = list(context.twin.geography.regions)
        regions = [fact.region] if fact.region is not None else known
        out: list[Derived] = []
        for region in regions:
            key = SeriesKey(region, fact.sku)
            before = self._price(region, fact.sku)
            out += self._end(key)
            asked = state.asked.get(key)
            if asked is not None and asked.price_cents != fact.price_cents:
                del state.asked[key]  # people chose another price: the proposal is over
            window_ms = context.policy.pricing.window_s * 1000
            state.quiet[key] = context.now_ms + window_ms
            demand = context.outlook.demand.get(fact.sku, {}).get(key.region)
            if demand is None or not before or before == fact.price_cents:
                continue
            state.trials[key] = Trial(
                context.twin.skus[fact.sku].category,
                log(fact.price_cents / before),
                demand.units_per_day,
                demand.scatter,
                context.now_ms,
                context.now_ms + window_ms,
            )
            context.deadlines.set(context.now_ms + window_ms, PriceEnds(key))
        if fact.region is None:
            for region in known:
                state.prices.pop(SeriesKey(region, fact.sku), None)
        state.prices[SeriesKey(fact.region or EVERYWHERE, fact.sku)] = fact.price_cents
        return out

    def dropped(self, reprice: Reprice) -> None:
        """Forget a proposed price that was rejected, so that it is credited with no gain."""
        key = SeriesKey(reprice.region, reprice.sku)
        asked = self._state.asked.get(key)
        if asked is not None and asked.price_cents == reprice.price_cents:
            del self._state.asked[key]

    def ordered(self, placed: OrderPlaced) -> list[Derived]:
        """Count units sold at prices that are followed, except those of a suspect order."""
        if not self._state.trials or self._context.suspect:
            return []
        for line in placed.lines:
            trial = self._state.trials.get(SeriesKey(placed.region, line.sku))
            if trial is not None:
                trial.units += line.quantity
        return []

    def due(self, key: SeriesKey) -> list[Derived]:
        """Learn from a price whose window is over."""
        trial = self._state.trials.get(key)
        if trial is None or trial.until_ms > self._context.now_ms:
            return []
        return self._end(key)

    def weigh(self, outlook: DemandOutlook) -> list[Derived]:
        """Propose the price that earns most for a SKU in a region, if any beats the present one."""
        context, state, region, sku = self._context, self._state, outlook.region, outlook.sku
        rules, key = context.policy.pricing, SeriesKey(region, sku)
        if (
            not rules.enabled
            or sku not in context.twin.skus
            or Ref("sku", sku) in context.twin.holds
        ):
            return []
        if state.quiet.get(key, 0) > context.now_ms:
            return []
        if context.now_ms < state.looked.get(key, 0) + rules.check_s * 1000:
            return []
        state.looked[key] = context.now_ms
        situation = self._situation(region, sku)
        if situation is None:
            return []
        now_cents = self._price(region, sku)
        elasticity, sd = state.elasticities.of(context.twin.skus[sku].category, rules)
        options = [
            self._priced(cents, now_cents, sku, elasticity, situation)
            for cents in self._candidates(sku, now_cents, situation)
        ]
        options.sort(key=lambda option: (option.score, abs(option.cents - now_cents)))
        if not options or options[0].score >= 0:
            reason, about = "no price pays better", f"{region}/{sku}"
            return [NoAction(kind="reprice", about=about, reason=reason, prevented=True)]
        state.quiet[key] = context.now_ms + rules.window_s * 1000
        worth = self._worth(sku, now_cents, situation)
        gain = -options[0].score
        state.asked[key] = Asked(options[0].cents, now_cents, worth, situation.units, gain)
        return [self._propose(region, sku, now_cents, options, situation, elasticity, sd)]

    def _price(self, region: str, sku: str) -> int:
        return self._state.prices.get(SeriesKey(region, sku)) or self._list_price(sku)

    def _list_price(self, sku: str) -> int:
        """Return the price of all regions: the latest reported, else the registered value."""
        everywhere = self._state.prices.get(SeriesKey(EVERYWHERE, sku))
        return everywhere or self._context.twin.skus[sku].value_cents

    def _end(self, key: SeriesKey) -> list[Derived]:
        """Learn from a price that was followed; return its gain, if it was proposed."""
        trial = self._state.trials.pop(key, None)
        if trial is None:
            return []
        days = (min(self._context.now_ms, trial.until_ms) - trial.from_ms) / DAY_MS
        self._state.elasticities.learn(trial, days)
        asked = self._state.asked.pop(key, None)
        if asked is None:
            return []
        change_cents = self._context.policy.pricing.change_cents
        return [
            BenefitRealised(
                kind="reprice",
                action="",
                expected_cents=asked.expected_cents,
                realised_cents=asked.gained(trial, days, change_cents),
                unnecessary=False,
            )
        ]

    def _situation(self, region: str, sku: str) -> _Situation | None:
        """Return the scarcity or glut of a SKU; None if neither, or if no demand is expected."""
        context = self._context
        rules, twin = context.policy.pricing, context.twin
        category, slip_ms = twin.skus[sku].category, context.policy.sourcing.inbound_slip_s * 1000
        free = 0
        end_ms = context.now_ms + rules.horizon_s * 1000
        for position in twin.stock.get(sku, {}).values():
            free += max(0, position.on_hand - position.reserved)
            for inbound in position.inbound.values():
                end_ms = min(end_ms, max(inbound.eta_ms + slip_ms, context.now_ms + 3_600_000))
        horizon_s = (end_ms - context.now_ms) // 1000
        mean = variance = of_region = its_variance = 0.0
        for each in twin.geography.regions:
            demand = context.outlook.demand_until(each, sku, category, end_ms, context.now_ms)
            mean, variance = mean + demand[0], variance + demand[1]
            if each == region:
                of_region, its_variance = demand
        if of_region <= 0.0 or not free:
            return None  # no stock or no demand: a price changes neither
        cover_days = free / mean * horizon_s * 1000 / DAY_MS
        p_short = exceeds(free, mean, variance)
        if p_short >= rules.scarce_above:
            reason = "scarcity"
        elif cover_days * DAY_MS / 1000 >= rules.glut_s:
            reason = "glut"
        else:
            return None
        units = free * of_region / mean
        return _Situation(
            reason, p_short, units, cover_days, of_region, its_variance, float(horizon_s)
        )

    def _candidates(self, sku: str, now_cents: int, situation: _Situation) -> list[int]:
        """Return prices within the policy's bounds, above or below by the situation."""
        rules, list_cents = self._context.policy.pricing, self._list_price(sku)
        up, step = situation.reason == "scarcity", rules.step_share
        most = rules.most_up_share if up else rules.most_down_share
        steps = range(1, int(most / step + 1e-9) + 1)
        prices = [round(list_cents * (1 + (n if up else -n) * step)) for n in steps]
        low, high = list_cents * (1 - rules.most_down_share), list_cents * (1 + rules.most_up_share)
        prices = [price for price in prices if low <= price <= high]
        prices.append(list_cents)  # a changed price may also go back
        return [p for p in dict.fromkeys(prices) if (p > now_cents if up else 0 < p < now_cents)]

    def _priced(
        self, cents: int, now_cents: int, sku: str, elasticity: float, at: _Situation
    ) -> _Priced:
        """Return a price with its cost against leaving it, in cents; below 0 it earns more."""
        rules = self._context.policy.pricing
        unit_cost = self._unit_cost(sku)
        left_worth = self._worth(sku, now_cents, at) - unit_cost
        earned, left, sold = [], [], []
        for price in (now_cents, cents):
            factor = (price / now_cents) ** elasticity
            sales = expected_sales(at.mean * factor, at.variance * factor, at.units)
            sold.append(sales)
            earned.append((price - unit_cost) * sales)
            left.append(left_worth * (at.units - sales))
        terms = {
            "margin of units sold": round(earned[0] - earned[1]),
            "worth of units left": round(left[0] - left[1]),
            "changing the price": rules.change_cents,
        }
        return _Priced(cents, terms, sold[1])

    def _unit_cost(self, sku: str) -> float:
        return self._list_price(sku) * (1.0 - self._context.policy.margin_share)

    def _worth(self, sku: str, now_cents: int, at: _Situation) -> float:
        """Return the worth of a unit left: the present price less the cost of holding it."""
        held_days = min(at.cover_days, _MOST_HELD_DAYS)
        day_share = self._context.policy.pricing.holding_day_share
        return now_cents - self._unit_cost(sku) * day_share * held_days

    def _propose(
        self,
        region: str,
        sku: str,
        now_cents: int,
        options: list[_Priced],
        at: _Situation,
        elasticity: float,
        sd: float,
    ) -> Draft:
        context = self._context
        currency, until_ms = context.policy.currency, context.now_ms + self._window_ms
        best, others = options[0], options[1:]
        risk = (
            f"is {at.p_short:.0%} likely to be sold out within {span(at.horizon_s)}"
            if at.reason == "scarcity"
            else f"is there for {at.cover_days:.0f} days"
        )
        gap = -best.score if not others else min(others[0].score, 0) - best.score
        then = _label(others[0], currency) if others and others[0].score < 0 else "leaving it"
        return Draft(
            decision=Reprice(
                region=region,
                sku=sku,
                price_cents=best.cents,
                from_cents=now_cents,
                reason="scarcity" if at.reason == "scarcity" else "glut",
                until=from_ms(until_ms),
            ),
            subject=f"{region}/{sku}",
            correlation=None,
            summary=f"{sku} {risk}. In {region}, {money(best.cents, currency)} instead of "
            f"{money(now_cents, currency)} is expected to earn {money(-best.score, currency)} more "
            f"than leaving it, selling {best.sales:.1f} units at an elasticity of "
            f"{elasticity:.1f} ± {sd:.1f}.",
            terms=best.terms,
            value_cents=round(abs(best.cents - now_cents) * best.sales),
            causes=(context.seq,),
            alternatives=tuple(
                Alternative(option=_label(o, currency), score_cents=o.score, terms=o.terms)
                for o in others[: context.policy.sourcing.alternatives]
            ),
            confidence=Confidence(
                statement=f"{sku} is sold out within {span(at.horizon_s)} at the prices of now",
                probability=round(at.p_short, 4),
            ),
            flips_if=(
                Switch(
                    when=f"it earned {money(gap + 1, currency)} less",
                    then=then,
                    quantity="cents of expected gain",
                    by=float(-gap - 1),
                ),
            ),
            deadline_ms=context.now_ms + round(at.horizon_s * 1000),
            expires_ms=until_ms,
            rests_on=("inventory", "demand"),
            benefit=Benefit(expected_cents=-best.score, nothing_cents=0),
        )

    @property
    def _window_ms(self) -> int:
        return self._context.policy.pricing.window_s * 1000


def _label(option: _Priced, currency: str) -> str:
    return f"a price of {money(option.cents, currency)}"
