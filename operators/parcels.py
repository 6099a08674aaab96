"""Parcels: the cheapest ways to send some lines of an order from one node, during one decision."""

from bisect import insort
from collections.abc import Iterable

from msgspec import Struct

from operators.outlook import Outlook
from operators.pricing import Option, Quote, RateBook, lateness, lateness_cents
from state.events import NodeRegistered, OrderPlaced
from state.policy import Policy
from state.quantities import DAY_MS, to_ms
from state.twin import Position, Twin

#: (SKU, units) of each line, in the order's order.
Lines = tuple[tuple[str, int], ...]
#: Constraint -> what it ruled out, in the order found.
Eliminations = dict[str, list[str]]

#: Days looked ahead for a pickup at which node and service have room.
_DAYS_AHEAD = 4
#: Units of a line whose displacement is priced one by one; more add little.
_DISPLACED_UNITS = 5


class Supply(Struct):
    """What one node can promise of an order: by line, units, when, and from which position."""

    units: list[int]
    ready_ms: list[int | None]
    positions: list[Position | None]


class _Parcel(Struct, frozen=True, gc=False):
    node: str
    ready_ms: int
    weight_g: int
    handling: int
    displacement: int


class Pricer:
    """Prices parcels of one order at one instant; changes nothing."""

    def __init__(
        self,
        twin: Twin,
        outlook: Outlook,
        rates: RateBook,
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
        self._rooms: dict[tuple[str, int], bool] = {}
        self._cheapest: dict[tuple[str, Lines], Option | None] = {}
        self.eliminated: Eliminations = {}
        self.considered = 0

    def cheapest(self, node: str, lines: Lines) -> Option | None:
        """The cheapest service for a parcel of `lines` from `node`; None if none can take it."""
        key = (node, lines)
        if key not in self._cheapest:
            best: list[Option] = []
            self.collect(node, lines, best, 1)
            self._cheapest[key] = best[0] if best else None
        return self._cheapest[key]

    def collect(self, node: str, lines: Lines, best: list[Option], keep: int) -> None:
        """Add the node's services to `best`, which stays sorted and at most `keep` long.

        Exact: a service is passed over only if its terms without lateness, which is never
        negative, are dearer than the last of `best` already.
        """
        lane = self._rates.lane(node, self._region)
        if lane.unreachable:
            self._rule_out("out of the service's reach", lane.unreachable)
        if lane.node is None or not lane.quotes:
            return
        self.considered += len(lane.quotes)
        if len(best) == keep and lane.least_cents > best[-1].score:
            return
        parcel = self._parcel(lane.node, lines)
        kg = parcel.weight_g / 1000
        carbon_cents = self._weights.carbon_kg_cents * kg
        fixed = parcel.handling + parcel.displacement
        for quote in lane.quotes:
            freight = round(quote.fixed_cents + quote.per_kg_cents * kg)
            carbon = round(quote.carbon_kg_per_kg * carbon_cents)
            if len(best) == keep and freight + carbon + fixed > best[-1].score:
                if quote.fixed_cents - 0.5 + fixed > best[-1].score:
                    break  # and so are all that follow: they come by what a parcel costs at least
                continue
            if parcel.weight_g > quote.max_weight_g:
                self._rule_out("over the service's weight limit", [f"{node} with {quote.name}"])
                continue
            hand_over_ms = self._hand_over(node, quote, parcel.ready_ms)
            if hand_over_ms is None:
                self._rule_out("no capacity within days", [f"{node} with {quote.name}"])
                continue
            option = self._option(parcel, quote, freight, carbon, hand_over_ms, kg)
            insort(best, option)
            if len(best) > keep:
                best.pop()

    def least(self, node: str) -> float:
        """What any parcel from `node` costs at least, in cents: a bound to prune splits by."""
        return self._rates.lane(node, self._region).least_cents

    def _option(
        self, parcel: _Parcel, quote: Quote, freight: int, carbon: int, at_ms: int, kg: float
    ) -> Option:
        ratios = self._outlook.transit_ratios(quote.name, quote.lane, at_ms)
        nominal_s = quote.nominal_s
        trouble_s = self._rates.disrupted_s(quote.carrier, quote.service, self._region)
        p50_s = nominal_s * ratios.p50 + trouble_s
        p_late, late_s = lateness(
            (self._promised_ms - at_ms) / 1000,
            nominal_s * ratios.p10 + trouble_s,
            p50_s,
            nominal_s * ratios.p90 + trouble_s,
        )
        late = lateness_cents(p_late, late_s, self._weights)
        return Option(
            freight + parcel.handling + late + parcel.displacement + carbon,
            parcel.node,
            quote.name,
            freight,
            parcel.handling,
            late,
            parcel.displacement,
            carbon,
            quote.carbon_kg_per_kg * kg,
            p_late,
            at_ms,
            at_ms + round(p50_s * 1000),
            quote.carrier,
        )

    def _parcel(self, node: NodeRegistered, lines: Lines) -> _Parcel:
        """What does not depend on the service: when it is ready, its weight, what it displaces."""
        supply = self._supplies[node.node]
        slip_ms = self._rules.inbound_slip_s * 1000
        weight_g = units = displacement = 0
        ready_ms = self._now_ms
        is_local = node.region == self._region
        for sku, quantity in lines:
            position = supply.positions[self._index[sku]]
            assert position is not None
            supplied_ms = position.promisable_ms(
                quantity, self._now_ms, self._rules.safety_stock, slip_ms
            )
            assert supplied_ms is not None
            ready_ms = max(ready_ms, supplied_ms)
            weight_g += self._twin.skus[sku].weight_g * quantity
            units += quantity
            if not is_local:
                displacement += self._displacement(node.region, sku, position, quantity)
        return _Parcel(
            node.node,
            ready_ms + node.handling_time_s * 1000 + self._outlook.node_delays_ms.get(node.node, 0),
            weight_g,
            node.handling_fixed_cents + node.handling_unit_cents * units,
            displacement,
        )

    def _displacement(self, region: str, sku: str, position: Position, quantity: int) -> int:
        """Cents that later customers of the node's own region are expected to cost extra."""
        left = position.on_hand - position.reserved
        category = self._twin.skus[sku].category
        horizon_s = self._rules.displacement_horizon_s
        risk = 0.0
        for taken in range(1, min(quantity, _DISPLACED_UNITS) + 1):
            risk += self._outlook.shortage_risk(
                region, sku, category, left - taken, horizon_s, self._now_ms
            )
        return round(self._weights.displacement_unit_cents * risk)

    def _hand_over(self, node: str, quote: Quote, ready_ms: int) -> int | None:
        """The first pickup after `ready_ms` on a day when node and service have room."""
        at_ms = ready_ms - ready_ms % DAY_MS + quote.cutoff_ms
        if at_ms < ready_ms:
            at_ms += DAY_MS
        for _ in range(_DAYS_AHEAD):
            day = at_ms // DAY_MS
            if self._has_room(quote.room, day) and self._has_room(f"node {node}", day):
                return at_ms
            at_ms += DAY_MS
        return None

    def _has_room(self, name: str, day: int) -> bool:
        key = (name, day)
        known = self._rooms.get(key)
        if known is None:
            known = self._rooms[key] = self._twin.capacity.has_room(name, day)
        return known

    def _rule_out(self, constraint: str, options: Iterable[str]) -> None:
        self.eliminated.setdefault(constraint, []).extend(options)
