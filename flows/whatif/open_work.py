"""Open work of a twin, as a world takes it over: orders, parcels, inbound, trouble.

The twin keeps what it needs to decide, not all that a warehouse knows. So a parcel that was planned
is planned again, at the node that holds the units, with the cheapest service that is to be in time;
one that was packed is thought to be at such a node, or at the nearest; and a parcel's own luck from
the fork on is drawn again.
"""

from collections.abc import Sequence
from typing import assert_never

from flows.simulation.carriers import Service
from flows.simulation.disruptions import Disruption
from flows.simulation.journeys import Trip
from flows.simulation.luck import Luck
from flows.simulation.opening import Due, Move, Moving, OnTheRoad, Opening
from flows.simulation.work import Line, Order, Parcel
from flows.simulation.world import World
from state.actions import Action, Transfer
from state.geography import freight_cents
from state.keys import ServiceId, TroubleKey
from state.quantities import DAY_MS
from state.sums import int_sum
from state.twin import OpenOrder, Shipment, Twin


def opening_of(
    seed: int,
    world: World,
    twin: Twin,
    disruptions: dict[TroubleKey, tuple[int, int]],
    proposals: Sequence[Action],
    now_ms: int,
    prefix: str,
) -> Opening:
    """Return the state of a twin at `now_ms`, for a run of `world` under `seed`.

    `proposals` are open: what they hold is not being carried out. `prefix` begins new names.
    """
    taker = _Taker(seed, world, twin, proposals, now_ms)
    return taker.take(disruptions, prefix)


class _Taker:
    """Converter of names and things of the twin's to the world's."""

    def __init__(
        self, seed: int, world: World, twin: Twin, proposals: Sequence[Action], now_ms: int
    ) -> None:
        self._seed, self._world, self._twin, self._now_ms = seed, world, twin, now_ms
        self._proposals = proposals
        self._nodes = {node.id: node.index for node in world.nodes}
        self._skus = {sku.id: index for index, sku in enumerate(world.skus)}
        self._regions = {region.id: index for index, region in enumerate(world.regions)}
        self._services = {service.id: service for service in world.services}

    def take(self, disruptions: dict[TroubleKey, tuple[int, int]], prefix: str) -> Opening:
        opening = Opening(at_ms=self._now_ms, stock=self._stock(), prefix=prefix)
        opening.proposals = list(self._proposals)
        self._supply(opening)
        opening.troubles = self._troubles(disruptions)
        for held in self._twin.orders.values():
            order = self._order(held)
            if order is None:
                continue
            under_way = len(opening.under_way)
            for name in held.shipments:
                shipment = self._twin.shipments.get(name)
                if shipment is not None:
                    self._ship(opening, order, name, shipment)
            if len(opening.under_way) > under_way or not order.is_complete:
                opening.orders.append(order)
                self._plan(opening, order, held)
        return opening

    def _stock(self) -> dict[tuple[int, int], int]:
        return {
            (self._nodes[node], self._skus[sku]): max(0, position.on_hand)
            for node, sku, position in self._twin.positions()
            if node in self._nodes and sku in self._skus
        }

    def _supply(self, opening: Opening) -> None:
        """Take over what is due, by kind; and what no truck has yet."""
        for node, sku, position in self._twin.positions():
            if node not in self._nodes or sku not in self._skus:
                continue
            at = self._nodes[node], self._skus[sku]
            for key, due in position.inbound.items():
                match key.kind:
                    case "supplier":
                        opening.inbound.append(Due(key.name, *at, due.quantity, due.eta_ms))
                    case "transfer":
                        road = OnTheRoad(key.name, *at, due.quantity, due.eta_ms)
                        opening.on_the_road.append(road)
                    case "asked" | "supposed":
                        pass  # the one comes with the moves below, the other never outlives a step
                    case never:
                        assert_never(never)
        proposed = {
            (action.seq, transfer.origin, transfer.destination, transfer.sku)
            for action in self._proposals
            if isinstance(transfer := action.data.decision, Transfer)
        }
        for number, move in self._twin.transfer_requests.items():
            if (move.seq, move.origin, move.destination, move.sku) in proposed:
                continue
            if {move.origin, move.destination} <= self._nodes.keys() and move.sku in self._skus:
                ends = self._nodes[move.origin], self._nodes[move.destination]
                name = f"{opening.prefix}-T-{number}"
                asked = Move(name, *ends, self._skus[move.sku], move.quantity)
                opening.moves.append(asked)

    def _troubles(self, disruptions: dict[TroubleKey, tuple[int, int]]) -> list[Disruption]:
        found = []
        for number, (of, (delay_s, until_ms)) in enumerate(disruptions.items()):
            found.append(
                Disruption(
                    name=f"known-{number}",
                    carrier=of.carrier,
                    service=of.service or None,
                    region=self._regions.get(of.region) if of.region else None,
                    delay_ms=delay_s * 1000,
                    since_ms=self._now_ms,
                    until_ms=max(until_ms, self._now_ms + 1),
                    reason="reported before the fork",
                )
            )
        return found

    def _order(self, held: OpenOrder) -> Order | None:
        """Take over an open order; None if its place or a SKU is not registered."""
        placed = held.placed
        known = placed.region in self._regions and all(s in self._skus for s in held.lines)
        if not known:
            return None
        order = Order(
            id=held.name,
            customer=placed.customer,
            region=self._regions[placed.region],
            lines=[(self._skus[line.sku], line.quantity) for line in placed.lines],
            placed_ms=self._now_ms,
            promised_ms=held.promised_ms,
            level=placed.service_level,
            luck=Luck(self._seed, "order", held.name),
        )
        for sku, line in held.lines.items():
            order.owed[self._skus[sku]] = max(0, line.ordered - line.shipped)
        return order

    def _ship(self, opening: Opening, order: Order, name: str, shipment: Shipment) -> None:
        """Take over a shipment that has not ended: what is in it is still owed."""
        fact = shipment.dispatched
        if shipment.is_terminal:
            return
        lines = [
            (self._skus[line.sku], line.quantity) for line in fact.lines if line.sku in self._skus
        ]
        service = self._services.get(ServiceId(fact.carrier, fact.service))
        if service is None or fact.node not in self._nodes:
            return
        node = self._nodes[fact.node]
        number = int_sum(moving.parcel.order is order for moving in opening.under_way)
        parcel = Parcel(order, node, service, lines, shipment.dispatched_ms)
        parcel.number = number
        parcel.stage, parcel.found, parcel.shipment = "under_way", lines, name
        parcel.weight_g = fact.weight_g
        trip = Trip(
            luck=order.luck,
            number=parcel.number,
            service=service,
            origin=self._world.nodes[node].region,
            destination=order.region,
            km=self._world.km[node][order.region],
            handed_over_ms=shipment.dispatched_ms,
        )
        opening.under_way.append(Moving(parcel, trip))
        for sku, quantity in lines:
            order.owed[sku] = order.owed.get(sku, 0) + quantity

    def _proposed(self, name: str) -> dict[tuple[str, str], int]:
        """Return (node, SKU) -> units of an order reserved for open proposals."""
        found: dict[tuple[str, str], int] = {}
        for action in self._proposals:
            decision = action.data.decision
            if getattr(decision, "order", "") != name:
                continue
            for leg in decision.sends:
                for line in leg.lines:
                    at = leg.node, line.sku
                    found[at] = found.get(at, 0) + line.quantity
        return found

    def _plan(self, opening: Opening, order: Order, held: OpenOrder) -> None:
        """Plan again what is reserved; what was picked waits for its truck."""
        parts: dict[int, list[Line]] = {}
        packed: dict[int, list[Line]] = {}
        proposed = self._proposed(held.name)
        for (node_id, sku_id), quantity in held.reserved.items():
            quantity -= proposed.get((node_id, sku_id), 0)
            if node_id in self._nodes and quantity > 0:
                parts.setdefault(self._nodes[node_id], []).append((self._skus[sku_id], quantity))
        for sku_id, line in held.lines.items():
            units = line.picked - line.shipped
            if units > 0:
                sku = self._skus[sku_id]
                node = next(iter(parts), self._world.home(sku, order.region))
                packed.setdefault(node, []).append((sku, units))
        for parcels, by_node in ((opening.planned, parts), (opening.packed, packed)):
            for node, lines in by_node.items():
                found = self._service(order, node, lines)
                if found is not None:
                    service, due_ms = found
                    parcels.append(Parcel(order, node, service, lines, due_ms))

    def _service(self, order: Order, node: int, lines: list[Line]) -> tuple[Service, int] | None:
        """Return the cheapest service nominally in time, else the fastest, and its pickup."""
        km, weight_g = self._world.km[node][order.region], self._world.weight_g(lines)
        handling_ms = self._world.nodes[node].registration.handling_time_s * 1000
        best: tuple[tuple[bool, int, ServiceId], Service, int] | None = None
        for service in self._world.services:
            if not service.takes(km, weight_g) or not service.capacity.now:
                continue
            due_ms = service.pickup_ms(self._now_ms + handling_ms)
            arrives_ms = due_ms + service.nominal_ms(km)
            late = arrives_ms > order.promised_ms
            cost = arrives_ms // DAY_MS if late else freight_cents(service.spec, km, weight_g)
            rank = (late, cost, service.id)
            if best is None or rank < best[0]:
                best = rank, service, due_ms
        return None if best is None else best[1:]
