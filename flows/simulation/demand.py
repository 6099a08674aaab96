"""Demand: orders arrive at random, by the hour and the weekday, and where something pulls them.

What is ordered, and what is promised, does not depend on who fulfils it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flows.simulation.agenda import Agenda
from flows.simulation.catalogue import CATEGORIES
from flows.simulation.config import WorldConfig
from flows.simulation.feeds import SHOP, Outbox
from flows.simulation.luck import Luck, Weighted, stream
from flows.simulation.work import Line, Order, ServiceLevel
from flows.simulation.world import HEAVIEST_IN_PIECES_G, LINES_SHARES, PIECES_SHARES, World
from state.events import OrderCancelled, OrderLine, OrderPlaced
from state.quantities import DAY_MS, HOUR_MS, from_ms, weekday
from state.sums import float_sum

#: Orders by hour of the day (UTC), relative to the day's mean.
_HOURS = (
    0.35, 0.22, 0.15, 0.12, 0.15, 0.30, 0.55, 0.80, 1.05, 1.25, 1.35, 1.40,
    1.45, 1.35, 1.25, 1.20, 1.25, 1.35, 1.60, 1.85, 1.90, 1.60, 1.00, 0.55,
)  # fmt: skip
_HOURS_MEAN = float_sum(_HOURS) / 24
_WEEKDAYS = (1.08, 1.02, 1.00, 0.98, 0.94, 0.90, 1.08)
_PEAK = max(_HOURS) / _HOURS_MEAN * max(_WEEKDAYS)
_LEVELS: tuple[ServiceLevel, ...] = ("economy", "standard", "express")
_LEVEL_SHARES = (0.27, 0.55, 0.18)
_CUSTOMERS = 60_000
#: Promises end in the evening (UTC), and never on a Sunday.
_PROMISE_HOUR = 20
_PADDING_MS = {"economy": 14 * HOUR_MS, "standard": 8 * HOUR_MS, "express": 2 * HOUR_MS}
_CANCEL_REASONS = ("changed_mind", "found_cheaper", "payment_failed", "ordered_twice")
_MINUTE_MS = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pull:
    """A move of demand between two instants; None = every region, every SKU.

    `ratio` is orders over usual orders when it sets in; what exceeds 1 fades by half until the end,
    unless it is `steady`.
    """

    start_ms: int
    end_ms: int
    ratio: float
    region: int | None = None
    category: str | None = None
    sku: int | None = None
    steady: bool = False

    def at(self, now_ms: int) -> float:
        """Return orders over usual orders at `now_ms`."""
        passed = (now_ms - self.start_ms) / (self.end_ms - self.start_ms)
        if not 0.0 <= passed < 1.0:
            return 1.0
        return 1.0 + (self.ratio - 1.0) * (1.0 if self.steady else 1.0 - 0.5 * passed)


class Demand:
    """Places orders: a Poisson process, another one for each pull, and fewer where one pushes.

    `on_placed` gets (now, order) for each order, `on_withdrawn` of each that the customer takes
    back. Nothing is ordered from `closes_ms` on, if that is given. `prefix` begins orders' names.
    """

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        closes_ms: int | None = None,
        prefix: str = "O",
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._seed = seed
        self._closes_ms = closes_ms
        self.on_placed: Callable[[int, Order], None] = lambda now_ms, order: None
        self.on_withdrawn: Callable[[int, Order], None] = lambda now_ms, order: None
        self._luck = stream(seed, "demand")
        self._pulled_luck = stream(seed, "demand", "pulled")
        self._prefix = prefix
        self._placed = 0
        self._dampers: list[Pull] = []
        skus = world.skus
        self._skus = Weighted(range(len(skus)), [sku.weight for sku in skus])
        self._regions = Weighted(
            range(len(world.regions)), [region.weight for region in world.regions]
        )
        self._by_category: dict[str, Weighted[int]] = {}
        # Those of the catalogue in its order, then whatever else a network calls its categories.
        for category in dict.fromkeys((*CATEGORIES, *(sku.category for sku in skus))):
            members = [index for index, sku in enumerate(skus) if sku.category == category]
            if members:
                self._by_category[category] = Weighted(
                    members, [skus[index].weight for index in members]
                )
        self._levels = Weighted(_LEVELS, _LEVEL_SHARES)
        self._line_counts = Weighted(range(1, 6), LINES_SHARES)
        self._pieces = Weighted(range(1, 4), PIECES_SHARES)

    def start(self, now_ms: int) -> None:
        """Enter the first order."""
        self._agenda.at(self._next_ms(now_ms, 1.0), self._arrive)

    def draw_sku(self) -> int:
        """Draw a SKU, the more likely the more it is asked for."""
        return self._skus.draw(self._pulled_luck)

    def categories(self) -> list[str]:
        """Return categories that have any SKU."""
        return list(self._by_category)

    def pull(self, pull: Pull) -> None:
        """Move demand from `pull.start_ms` on."""
        if pull.ratio < 1.0:
            self._agenda.at(pull.start_ms, self._dampen, pull)
        elif pull.ratio > 1.0:
            self._agenda.at(pull.start_ms, self._pulled, pull, True)

    def _rate(self, now_ms: int) -> float:
        """Return usual orders at `now_ms` relative to an average moment of the week."""
        hour, past_ms = divmod(now_ms % DAY_MS, HOUR_MS)
        share = past_ms / HOUR_MS
        level = _HOURS[hour] * (1 - share) + _HOURS[(hour + 1) % 24] * share
        return level / _HOURS_MEAN * _WEEKDAYS[weekday(now_ms)]

    def _next_ms(self, now_ms: int, share: float) -> int:
        per_ms = self._config.orders_per_day * _PEAK * share / DAY_MS
        luck = self._luck if share == 1.0 else self._pulled_luck
        return now_ms + max(1, round(luck.expovariate(per_ms)))

    def _arrive(self, now_ms: int) -> None:
        """Thin the Poisson process of the busiest moment down to that of now."""
        if self._closes_ms is not None and now_ms >= self._closes_ms:
            return
        self._agenda.at(self._next_ms(now_ms, 1.0), self._arrive)
        luck = self._luck
        if luck.random() * _PEAK > self._rate(now_ms):
            return
        region, sku = self._regions.draw(luck), self._skus.draw(luck)
        for damper in self._dampers:
            if self._concerns(damper, region, sku) and luck.random() > damper.at(now_ms):
                return
        self._order(now_ms, region, sku)

    def _pulled(self, now_ms: int, pull: Pull, first: bool) -> None:
        """Place the orders on top of the usual, by the same thinning."""
        closed = self._closes_ms is not None and now_ms >= self._closes_ms
        if now_ms >= pull.end_ms or closed:
            return
        share = self._share(pull) * (pull.ratio - 1.0)
        self._agenda.at(self._next_ms(now_ms, share), self._pulled, pull, False)
        luck = self._pulled_luck
        strength = (pull.at(now_ms) - 1.0) / (pull.ratio - 1.0)
        if first or luck.random() * _PEAK > self._rate(now_ms) * strength:
            return
        region = self._regions.draw(luck) if pull.region is None else pull.region
        sku = pull.sku
        if sku is None:
            wanted = self._by_category[pull.category] if pull.category else self._skus
            sku = wanted.draw(luck)
        self._order(now_ms, region, sku)

    def _share(self, pull: Pull) -> float:
        """Return the share of usual orders that a pull concerns."""
        share = 1.0
        if pull.region is not None:
            share *= self._world.regions[pull.region].weight / self._regions.total
        if pull.sku is not None:
            share *= self._world.skus[pull.sku].weight / self._skus.total
        elif pull.category is not None:
            share *= self._by_category[pull.category].total / self._skus.total
        return share

    def _concerns(self, pull: Pull, region: int, sku: int) -> bool:
        return (
            pull.region in (None, region)
            and pull.sku in (None, sku)
            and pull.category in (None, self._world.skus[sku].category)
        )

    def _dampen(self, now_ms: int, pull: Pull) -> None:
        self._dampers.append(pull)
        self._agenda.at(pull.end_ms, lambda _: self._dampers.remove(pull))

    def _order(self, now_ms: int, region: int, first_sku: int) -> None:
        luck, skus = self._luck, self._world.skus
        wanted = [first_sku]
        for _ in range(self._line_counts.draw(luck) - 1):
            sku = self._skus.draw(luck)
            if sku not in wanted:
                wanted.append(sku)
        lines = [
            (sku, self._pieces.draw(luck) if skus[sku].weight_g <= HEAVIEST_IN_PIECES_G else 1)
            for sku in wanted
        ]
        level = self._levels.draw(luck)
        self._placed += 1
        name = f"{self._prefix}-{self._placed:06d}"
        order = Order(
            id=name,
            customer=f"C-{luck.randrange(_CUSTOMERS):05d}",
            region=region,
            lines=lines,
            placed_ms=now_ms,
            promised_ms=self._promise(now_ms, lines, region, level),
            level=level,
            luck=Luck(self._seed, "order", name),
        )
        placed = OrderPlaced(
            order=name,
            customer=order.customer,
            region=self._world.regions[region].id,
            lines=tuple(
                OrderLine(
                    sku=skus[sku].id, quantity=quantity, unit_price_cents=skus[sku].value_cents
                )
                for sku, quantity in lines
            ),
            promised=from_ms(order.promised_ms),
            service_level=level,
        )
        self._outbox.emit(SHOP, name, placed, now_ms, subject=name, correlation=name)
        self.on_placed(now_ms, order)
        if order.luck.share("withdrawn") < self._config.cancelled_share:
            after_ms = round(order.luck.uniform("withdrawn after", 1, 20) * _MINUTE_MS)
            reason = _CANCEL_REASONS[order.luck.integer("why", 0, len(_CANCEL_REASONS) - 1)]
            self._agenda.at(now_ms + after_ms, self.withdraw, order, reason)

    def withdraw(self, now_ms: int, order: Order, reason: str) -> None:
        """Have a customer take an order back, unless that has happened."""
        if order.cancelled:
            return
        order.cancelled = True
        cancelled = OrderCancelled(order=order.id, reason=reason)
        name = f"{order.id} withdrawn"
        self._outbox.emit(SHOP, name, cancelled, now_ms, subject=order.id, correlation=order.id)
        self.on_withdrawn(now_ms, order)

    def _promise(self, now_ms: int, lines: list[Line], region: int, level: ServiceLevel) -> int:
        """Return the promised delivery (ms) at checkout: published times, padded, by the evening.

        As if each line came from the nearest node that stocks it: a shop does not look at shelves,
        and takes orders that are too heavy, or go too far, for every service.
        """
        world = self._world
        weight_g, arrival_ms = world.weight_g(lines), 0
        for index in dict.fromkeys(world.home(sku, region) for sku, _ in lines):
            node, km = world.nodes[index], world.km[index][region]
            ready_ms = node.open_ms(now_ms) + node.registration.handling_time_s * 1_000
            services = [s for s in world.services if s.takes(km, weight_g)] or world.services
            arrivals = sorted(s.pickup_ms(ready_ms) + s.nominal_ms(km) for s in services)
            at = {"economy": -1, "standard": (len(arrivals) - 1) // 2, "express": 0}[level]
            arrival_ms = max(arrival_ms, arrivals[at])
        day, past_ms = divmod(arrival_ms + _PADDING_MS[level], DAY_MS)
        if past_ms > _PROMISE_HOUR * HOUR_MS:
            day += 1
        if weekday(day * DAY_MS) == 6:
            day += 1
        return day * DAY_MS + _PROMISE_HOUR * HOUR_MS
