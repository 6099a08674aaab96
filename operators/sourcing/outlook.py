"""Outlook: the demand and transit that the orchestrator expects, from records up the chain.

Only the latest of each is kept; the models live in `operators.forecasts.demand` and `lanes`.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from operators.core.facts import DemandLift, DemandOutlook, LaneOutlook
from operators.prediction.demand_counts import exceeds
from operators.prediction.lane_transit import Ratios
from operators.prediction.levels import Level
from state.keys import ALL_GOODS, EVERYWHERE, Goods, Lane, ServiceId
from state.quantities import DAY_MS, DAY_S, HOUR_S, weekday
from state.sums import float_sum

#: Transit ÷ nominal before a service has delivered anything.
_UNSEEN = Ratios(0.75, 1.0, 1.35)


#: Promises kept, and after how many the usual one is looked at again.
_MOST_SLACKS, _SLACKS_APART = 1024, 256
#: Waits from an order to a pickup, which is made once a day: mid-quartiles of a uniform wait, s.
_WAITS_S = tuple(DAY_S * eighth // 8 for eighth in (1, 3, 5, 7))
#: Least changes of a usual lane's transit, as a share of the nominal, and of a usual promise, s.
_RATIO_STEP, _LEAD_STEP_S = 0.15, 6 * HOUR_S

#: Seconds from a pickup to the promise, at four mid-quartiles.
Leads = tuple[int, int, int, int]


class _Demand(Struct, array_like=True):
    """Units per day without signals: usual, in the current bucket, and their variance ÷ mean.

    `evidence_ms` and `from_ms` determine how it fades.
    """

    units_per_day: float
    now_per_day: float
    scatter: float
    bucket_ms: int
    evidence_ms: float
    from_ms: int


class _Lift(Struct, array_like=True):
    factor: float
    until_ms: int


class Outlook(Struct):
    """Latest outlooks by key; that of a whole service is kept under the lane `Lane(service)`."""

    # By SKU, then by region.
    demand: dict[str, dict[str, _Demand]] = field(default_factory=dict)
    # By region, EVERYWHERE among them, and goods.
    lifts: dict[tuple[str, Goods], _Lift] = field(default_factory=dict)
    lanes: dict[Lane, Ratios] = field(default_factory=dict)
    # Factors of transit by weekday of handover, by service, Monday first.
    weekdays: dict[ServiceId, tuple[float, ...]] = field(default_factory=dict)
    # Lanes as of their last change by a step: what is computed from them holds until the next.
    usual_lanes: dict[Lane, Ratios] = field(default_factory=dict)
    # Seconds from order to promise, for the latest orders, and of how many in all.
    slacks: list[int] = field(default_factory=list)
    promises: int = 0
    # Seconds from a pickup to the promise at four mid-quartiles; two days before any order.
    leads_s: Leads = (2 * DAY_S,) * 4
    # By node: seconds by which handovers were late, share of short picks, and the delay from both.
    handovers: dict[str, Level] = field(default_factory=dict)
    short_picks: dict[str, Level] = field(default_factory=dict)
    node_delays_ms: dict[str, int] = field(default_factory=dict)

    def learn_demand(self, outlook: DemandOutlook) -> None:
        """Take in the outlook of a (region, SKU)."""
        bucket_ms = outlook.bucket_s * 1000
        per_day = DAY_MS / bucket_ms
        self.demand.setdefault(outlook.sku, {})[outlook.region] = _Demand(
            outlook.level * per_day,
            outlook.level * outlook.season * per_day,
            outlook.sd * outlook.sd / outlook.units if outlook.units > 0.0 else 1.0,
            bucket_ms,
            outlook.evidence * bucket_ms,
            outlook.from_ms,
        )

    def learn_lift(self, lift: DemandLift) -> None:
        """Take in the factor by which signals multiply demand."""
        self.lifts[lift.region, lift.scope] = _Lift(lift.factor, lift.until_ms)

    def learn_lane(self, outlook: LaneOutlook) -> None:
        """Take in the transit outlook of a lane, or of a service as a whole."""
        lane = outlook.lane
        self.lanes[lane] = ratios = Ratios(outlook.p10, outlook.p50, outlook.p90)
        usual = self.usual_lanes.get(lane)
        if usual is None or usual.differs(ratios, _RATIO_STEP):
            self.usual_lanes[lane] = ratios
        self.weekdays[lane.service] = outlook.weekdays

    def transit_ratios(self, lane: Lane, at_ms: int) -> Ratios:
        """Return quantiles of transit ÷ nominal: of the lane, else the service, else a default.

        `at_ms` is the handover.
        """
        usual, factor = self.usual_transit(lane.service, at_ms)
        return self.lanes.get(lane, usual).times(factor)

    def usual_ratios(self, lane: Lane) -> Ratios:
        """Return a lane's quantiles on an average weekday; they change in steps.

        Those of the service where the lane is not known, else a default. It is the same object
        until the next step.
        """
        known = self.usual_lanes.get(lane)
        return known if known is not None else self.usual_lanes.get(Lane(lane.service), _UNSEEN)

    def usual_transit(self, service: ServiceId, at_ms: int) -> tuple[Ratios, float]:
        """Return quantiles for unused lanes of a service, and the factor of the weekday.

        The factor applies to all lanes of the service; `at_ms` is the handover.
        """
        weekdays = self.weekdays.get(service)
        factor = weekdays[weekday(at_ms)] if weekdays else 1.0
        return self.lanes.get(Lane(service), _UNSEEN), factor

    def shortage_risks(
        self,
        region: str,
        sku: str,
        category: str,
        there: int,
        taken: int,
        horizon_s: int,
        now_ms: int,
    ) -> float:
        """Return the expected units that the region lacks later if `taken` of `there` are taken.

        This is the sum, over the units taken, of P(demand within the horizon exceeds the stock
        left after that unit). Demand is a negative binomial count: the rate of the current bucket,
        then the usual rate. Without an order since that bucket it fades by the Gamma-Poisson rule:
        evidence ÷ (evidence + time without an order).
        """
        mean, variance = self.demand_until(region, sku, category, now_ms + horizon_s * 1000, now_ms)
        if taken == 1:
            return exceeds(there - 1, mean, variance)
        return float_sum(exceeds(there - nth, mean, variance) for nth in range(1, taken + 1))

    def demand_until(
        self, region: str, sku: str, category: str, until_ms: int, now_ms: int
    ) -> tuple[float, float]:
        """Return mean and variance of a region's demand from now on, units; (0, 0) if unknown."""
        of_sku = self.demand.get(sku)
        demand = of_sku.get(region) if of_sku is not None else None
        if demand is None:
            return 0.0, 0.0
        horizon_ms = until_ms - now_ms
        silent_ms = now_ms - demand.from_ms - demand.bucket_ms
        if silent_ms > 0:
            faded = demand.evidence_ms / (demand.evidence_ms + silent_ms)
            mean = demand.units_per_day * faded * horizon_ms
        else:
            soon_ms = min(horizon_ms, demand.bucket_ms)
            mean = demand.now_per_day * soon_ms + demand.units_per_day * (horizon_ms - soon_ms)
        mean *= self._lift(region, sku, category, now_ms) / DAY_MS
        return mean, mean * demand.scatter

    def regions_of(self, sku: str, regions: Iterable[str]) -> list[str]:
        """Return those of `regions` that have a demand outlook of a SKU."""
        of_sku = self.demand.get(sku, {})
        return [region for region in regions if region in of_sku]

    def speed(self, sku: str, regions: Iterable[str]) -> float:
        """Return the usual demand of `regions` for a SKU, in units per day."""
        of_sku = self.demand.get(sku, {})
        known = (of_sku.get(region) for region in regions)
        return float_sum(demand.units_per_day for demand in known if demand is not None)

    def learn_promise(self, slack_s: int) -> None:
        """Take in the time from an order to its promise.

        The usual promise may change with the first orders, then with every 256th, by hours:
        much is computed from it.
        """
        self.slacks.append(slack_s)
        if len(self.slacks) > _MOST_SLACKS:
            del self.slacks[0]
        self.promises += 1
        if self.promises % _SLACKS_APART and self.promises & (self.promises - 1):
            return
        ranked = sorted(slack - wait for slack in self.slacks for wait in _WAITS_S)
        a, b, c, d = (ranked[len(ranked) * eighth // 8] for eighth in (1, 3, 5, 7))
        usual = zip((a, b, c, d), self.leads_s, strict=True)
        if any(abs(now_s - before_s) >= _LEAD_STEP_S for now_s, before_s in usual):
            self.leads_s = a, b, c, d

    def _lift(self, region: str, sku: str, category: str, now_ms: int) -> float:
        if not self.lifts:
            return 1.0
        scopes = (Goods("sku", sku), Goods("category", category), ALL_GOODS)
        for place in (region, EVERYWHERE):
            for scope in scopes:
                lift = self.lifts.get((place, scope))
                if lift is not None and lift.until_ms >= now_ms:
                    return lift.factor
        return 1.0
