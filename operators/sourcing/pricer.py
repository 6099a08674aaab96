"""Pricer: the cheapest services for lines of an order from one node, within one decision."""

from bisect import insort
from collections.abc import Sequence

from msgspec import Struct

from operators.prediction.lane_transit import Ratios
from operators.sourcing.eliminations import (
    NO_ROOM,
    OUT_OF_REACH,
    TOO_HEAVY,
    Constraint,
    Eliminations,
    Way,
)
from operators.sourcing.outlook import Outlook
from operators.sourcing.rates import (
    HandOver,
    LaneRates,
    Lateness,
    Option,
    Parcel,
    Quote,
    Rates,
    carbon_cents,
    expected_lateness,
    handling_cents,
    price,
)
from state.events import NodeRegistered, OrderPlaced
from state.keys import ServiceId
from state.policy import Policy
from state.quantities import DAY_MS, to_ms
from state.sums import int_sum
from state.twin import Position, Twin

#: (SKU, units) of each line, in the order's order.
Lines = tuple[tuple[str, int], ...]

#: Days ahead in which a pickup is sought for which node and service have room.
_DAYS_AHEAD = 4
#: Units of a line whose displacement is priced; further units add little.
_DISPLACED_UNITS = 5
#: Above any price, cents.
_NO_LIMIT = 2**62


#: Handover of a parcel, and its lateness from there.
_Time = tuple[HandOver, Lateness]


def weigh(twin: Twin, lines: Lines) -> tuple[int, int]:
    """Return grams and units of `lines`."""
    grams = int_sum(twin.skus[sku].weight_g * quantity for sku, quantity in lines)
    return grams, int_sum(quantity for _, quantity in lines)


class Supply(Struct):
    """Supply of one node for an order: by line, units, instant ready and position."""

    units: list[int]
    ready_ms: list[int | None]
    positions: list[Position | None]


class Pricer:
    """Prices of one order's parcels at one instant; pricing changes nothing."""

    def __init__(
        self,
        twin: Twin,
        outlook: Outlook,
        rates: Rates,
        policy: Policy,
        order: OrderPlaced,
        lines: Lines,
        supplies: dict[str, Supply],
        now_ms: int,
    ) -> None:
        self._twin, self._outlook, self._rates = twin, outlook, rates
        self._weights, self._rules = policy.weights, policy.sourcing
        self._region = order.region
        self._promised_ms = to_ms(order.promised)
        self._index = {sku: index for index, (sku, _) in enumerate(lines)}
        self._supplies = supplies
        self._now_ms = now_ms
        self._lanes = rates.lanes_to(order.region)
        self._known_lanes = outlook.lanes
        # (service, day) -> (has room, transit ÷ nominal of lanes not known, weekday's factor)
        self._days: dict[tuple[ServiceId, int], tuple[bool, Ratios, float]] = {}
        # (node, instant ready) -> handover and lateness by service, None without a pickup
        self._times: dict[tuple[str, int], dict[ServiceId, _Time | None]] = {}
        self._rooms: dict[tuple[str, int], bool] = {}
        self._goods: dict[Lines, tuple[int, int]] = {}
        self._displaced: dict[tuple[str, str, int], int] = {}
        self._cheapest: dict[tuple[str, Lines], Option | None] = {}
        self._ruled_out: set[tuple[Constraint, Way]] = set()
        self.eliminated: Eliminations = {}

    def cheapest(self, node: str, lines: Lines) -> Option | None:
        """Return the cheapest option for a parcel of `lines` from `node`; None if none takes it."""
        key = (node, lines)
        if key not in self._cheapest:
            best: list[Option] = []
            self.collect(node, lines, best, 1)
            self._cheapest[key] = best[0] if best else None
        return self._cheapest[key]

    def collect(
        self, node: str, lines: Lines, best: list[Option], keep: int, most: int = _NO_LIMIT
    ) -> None:
        """Add the node's services to `best`, which stays sorted and at most `keep` long.

        Options that cost more than `most` cents are left out. The result is exact: a service is
        skipped only if some of its terms, none of which is negative, already exceed that or the
        last of `best`. Lateness and displacement, which are slow to compute, come last.
        """
        lane = self._lanes.get(node) or self.lane(node)
        if lane.unreachable:
            self._rule_out(OUT_OF_REACH, lane.unreachable)
        at = lane.node
        if at is None or not lane.quotes:
            return
        to_beat = best[-1].score if len(best) == keep else most
        if lane.least_cents > to_beat:
            return
        goods = self._goods.get(lines)
        if goods is None:
            goods = self._goods[lines] = self.weigh(lines)
        weight_g, units = goods
        weights = self._weights
        kg = weight_g / 1000
        handling = handling_cents(at, units)
        least_fixed = to_beat - handling
        ready_ms = displacement = -1
        times: dict[ServiceId, _Time | None] = {}
        for quote in lane.quotes:
            freight = quote.freight(kg)
            if freight > least_fixed:
                if quote.fixed_cents - 0.5 > least_fixed:
                    break  # all that follow are dearer still: quotes are sorted by their base
                continue
            sure = freight + carbon_cents(quote, kg, weights) + handling
            if sure > to_beat:
                continue
            if ready_ms < 0:
                ready_ms = self._ready_ms(node, lines) + self._work_ms(at)
                times = self._times.setdefault((node, ready_ms), {})
            is_light = weight_g <= quote.max_weight_g
            time = self._time(node, quote, ready_ms, times) if is_light else None
            if time is None:
                if displacement < 0:
                    displacement = self._displacement(at, lines)
                if sure + displacement <= to_beat:
                    why = NO_ROOM if is_light else TOO_HEAVY
                    self._rule_out(why, [Way(node, quote.service)])
                continue
            hand_over, late = time
            if sure + late.cents > to_beat:
                continue
            if displacement < 0:
                displacement = self._displacement(at, lines)
            if sure + late.cents + displacement > to_beat:
                continue
            parcel = Parcel(node, kg, handling, self._promised_ms, displacement)
            insort(best, price(quote, parcel, hand_over, weights, late))
            if len(best) > keep:
                best.pop()
            if len(best) == keep:
                to_beat = best[-1].score
                least_fixed = to_beat - handling

    def takes(self, node: str, lines: Lines) -> bool:
        """Return whether any service takes a parcel of `lines` from `node`, at any price."""
        lane = self.lane(node)
        if lane.node is None or not lane.quotes:
            return False
        weight_g, _ = self.weigh(lines)
        ready_ms = self._ready_ms(node, lines) + self._work_ms(lane.node)
        return any(
            weight_g <= quote.max_weight_g and self._hand_over(node, quote, ready_ms) is not None
            for quote in lane.quotes
        )

    def lane(self, node: str) -> LaneRates:
        """Return rates from `node` to the order's region."""
        return self._lanes.get(node) or self._rates.lane(node, self._region)

    def planned(self, node: str, service: ServiceId, lines: Lines, at_ms: int) -> Option | None:
        """Return the present cost of a parcel that waits for the pickup at `at_ms`.

        If its stock comes too late for that pickup, it takes the next one with room. None if the
        service is no longer offered, or no pickup has room.
        """
        lane = self._rates.lane(node, self._region)
        quote = next((each for each in lane.quotes if each.service == service), None)
        if lane.node is None or quote is None:
            return None
        weight_g, units = self.weigh(lines)
        supplied_ms = self._ready_ms(node, lines)
        ready_ms = supplied_ms + self._work_ms(lane.node)
        # A parcel whose stock is there keeps its pickup: handling may have begun.
        if supplied_ms > self._now_ms and ready_ms > at_ms:
            later = self._hand_over(node, quote, ready_ms)
            if later is None:
                return None
            at_ms = later.at_ms
        handling = handling_cents(lane.node, units)
        displacement = self._displacement(lane.node, lines)
        parcel = Parcel(node, weight_g / 1000, handling, self._promised_ms, displacement)
        ratios = self._outlook.transit_ratios(quote.lane, at_ms)
        trouble_s = self._rates.disrupted_s(quote.service, self._region)
        return price(quote, parcel, HandOver(at_ms, ratios, trouble_s), self._weights)

    def least(self, node: str) -> float:
        """Return a lower bound of any parcel's cost from `node`, in cents, to prune splits."""
        return self.lane(node).least_cents

    def weigh(self, lines: Lines) -> tuple[int, int]:
        """Return grams and units of `lines`."""
        return weigh(self._twin, lines)

    def _ready_ms(self, node: str, lines: Lines) -> int:
        """Return when the node can promise all of `lines`."""
        positions, index = self._supplies[node].positions, self._index
        now_ms, safety = self._now_ms, self._rules.safety_stock
        ready_ms = now_ms
        for sku, quantity in lines:
            position = positions[index[sku]]
            assert position is not None
            if position.on_hand - position.reserved - safety < quantity:
                slip_ms = self._rules.inbound_slip_s * 1000
                supplied_ms = position.promisable_ms(quantity, now_ms, safety, slip_ms)
                assert supplied_ms is not None
                ready_ms = max(ready_ms, supplied_ms)
        return ready_ms

    def _work_ms(self, node: NodeRegistered) -> int:
        """Return the node's handling time plus the delay learned for it."""
        return node.handling_time_s * 1000 + self._outlook.node_delays_ms.get(node.node, 0)

    def _displacement(self, node: NodeRegistered, lines: Lines) -> int:
        """Return the expected extra cents of later customers in the node's own region."""
        if node.region == self._region:
            return 0
        total = 0
        for sku, quantity in lines:
            key = (node.node, sku, quantity)
            known = self._displaced.get(key)
            if known is None:
                position = self._supplies[node.node].positions[self._index[sku]]
                assert position is not None
                known = self._displaced[key] = self._displaced_by(node, sku, position, quantity)
            total += known
        return total

    def _displaced_by(
        self, node: NodeRegistered, sku: str, position: Position, quantity: int
    ) -> int:
        risk = self._outlook.shortage_risks(
            node.region,
            sku,
            self._twin.skus[sku].category,
            position.on_hand - position.reserved,
            min(quantity, _DISPLACED_UNITS),
            self._rules.displacement_horizon_s,
            self._now_ms,
        )
        return round(self._weights.displacement_unit_cents * risk)

    def _time(
        self, node: str, quote: Quote, ready_ms: int, known: dict[ServiceId, _Time | None]
    ) -> _Time | None:
        """Return handover and lateness of what is ready at a node; None if there is no room."""
        service = quote.service
        if service in known:
            return known[service]
        hand_over, time = self._hand_over(node, quote, ready_ms), None
        if hand_over is not None:
            late = expected_lateness(quote, self._promised_ms, hand_over, self._weights)
            time = hand_over, late
        known[service] = time
        return time

    def _hand_over(self, node: str, quote: Quote, ready_ms: int) -> HandOver | None:
        """Return the first pickup after `ready_ms` on a day when node and service have room."""
        at_ms = quote.next_pickup(ready_ms)
        for _ in range(_DAYS_AHEAD):
            day = at_ms // DAY_MS
            on_day = self._days.get((quote.service, day))
            if on_day is None:
                on_day = self._days[quote.service, day] = self._on_day(quote, day, at_ms)
            if on_day[0]:
                has_room = self._rooms.get((node, day))
                if has_room is None:
                    has_room = self._twin.capacity.nodes.has_room(node, day)
                    self._rooms[node, day] = has_room
                if has_room:
                    _, usual, factor = on_day
                    ratios = self._known_lanes.get(quote.lane, usual).times(factor)
                    trouble_s = self._rates.disrupted_s(quote.service, self._region)
                    return HandOver(at_ms, ratios, trouble_s)
            at_ms += DAY_MS
        return None

    def _on_day(self, quote: Quote, day: int, at_ms: int) -> tuple[bool, Ratios, float]:
        usual, factor = self._outlook.usual_transit(quote.service, at_ms)
        return self._twin.capacity.services.has_room(quote.service, day), usual, factor

    def _rule_out(self, constraint: Constraint, options: Sequence[Way]) -> None:
        """Note options as ruled out, once however many parcels are priced."""
        key = (constraint, options[0])
        if key not in self._ruled_out:
            self._ruled_out.add(key)
            self.eliminated.setdefault(constraint, []).extend(options)
