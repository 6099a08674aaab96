"""What the orchestrator believes of the near future: demand and transit, from records up the chain.

It keeps only the latest of each; the models themselves live in `demand` and `lanes`.
"""

from math import erfc, sqrt

from msgspec import Struct, field

from operators.derived import DemandLift, DemandOutlook, LaneOutlook
from state.quantities import DAY_S

_SQRT_2 = sqrt(2.0)
#: Ratio of transit to nominal before a service has delivered anything: mean and spread.
_UNSEEN = (1.0, 0.25)
#: Deliveries after which a learned spread is believed.
_SPREAD_AFTER = 5


class _Demand(Struct, array_like=True):
    units_per_day: float
    sd: float


class _Lift(Struct, array_like=True):
    factor: float
    until_ms: int


class Outlook(Struct):
    """Latest outlooks by key; all keys join their parts with a newline."""

    demand: dict[str, _Demand] = field(default_factory=dict)
    lifts: dict[str, _Lift] = field(default_factory=dict)
    lanes: dict[str, tuple[float, float]] = field(default_factory=dict)

    def learn_demand(self, outlook: DemandOutlook) -> None:
        """Take in the outlook of a (region, SKU)."""
        self.demand[f"{outlook.region}\n{outlook.sku}"] = _Demand(outlook.units_per_day, outlook.sd)

    def learn_lift(self, lift: DemandLift) -> None:
        """Take in what signals multiply demand by."""
        self.lifts[f"{lift.region}\n{lift.scope}"] = _Lift(lift.factor, lift.until_ms)

    def learn_lane(self, outlook: LaneOutlook) -> None:
        """Take in the transit outlook of a lane, or of a service as a whole."""
        key = f"{outlook.carrier}/{outlook.service}\n{outlook.node}\n{outlook.region}"
        spread = outlook.sd if outlook.seen >= _SPREAD_AFTER else max(outlook.sd, _UNSEEN[1])
        self.lanes[key] = (outlook.ratio, spread)

    def transit_ratio(self, service: str, lane: str) -> tuple[float, float]:
        """Mean and sd of transit ÷ nominal: of the lane, else the service, else a usual one.

        `lane` is the service, node and region, joined by newlines.
        """
        return self.lanes.get(lane) or self.lanes.get(f"{service}\n\n") or _UNSEEN

    def shortage_risk(
        self, region: str, sku: str, category: str, left: int, horizon_s: int, now_ms: int
    ) -> float:
        """P(demand of the region within the horizon exceeds `left` units), by a normal tail."""
        demand = self.demand.get(f"{region}\n{sku}")
        if demand is None:
            return 0.0
        days = horizon_s / DAY_S
        mean = demand.units_per_day * days * self._lift(region, sku, category, now_ms)
        sd = max(demand.sd * sqrt(days), 1e-6)
        return 0.5 * erfc((left + 0.5 - mean) / sd / _SQRT_2)

    def _lift(self, region: str, sku: str, category: str, now_ms: int) -> float:
        if not self.lifts:
            return 1.0
        for place in (region, "*"):
            for scope in (sku, category, "*"):
                lift = self.lifts.get(f"{place}\n{scope}")
                if lift is not None and lift.until_ms >= now_ms:
                    return lift.factor
        return 1.0
