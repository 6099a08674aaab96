"""Actions are carried out in the world, or reported as failed."""

from collections.abc import Callable, Generator
from functools import partial

import pytest

from flows.simulation.prices import Prices
from flows.simulation.simulation import Simulation
from state.actions import (
    Action,
    ActionData,
    Allocate,
    Because,
    Cancel,
    Decision,
    Hold,
    Leg,
    LegLine,
    Release,
    Reroute,
    Reship,
    Transfer,
)
from state.events import (
    ActionApproved,
    ActionCompleted,
    ActionFailed,
    ClockTicked,
    Event,
    OrderPlaced,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentFailed,
    ShipmentScanned,
    StockPicked,
    StockReceived,
    StockReturned,
    TransferArrived,
    TransferDeparted,
)
from state.geography import freight_cents
from state.quantities import DAY_MS, HOUR_MS, from_ms, to_ms
from tests.worlds import (
    QUIET,
    F,
    Ran,
    engine_run,
    run,
    shelves_of,
)


def test_a_proposal_is_approved_by_people_at_work_and_then_done() -> None:
    ran = engine_run("proposing", "holiday_crunch", seed=6, days=6)
    proposed = {
        a.id: a.data.decision.order
        for a in ran.actions
        if isinstance(a.data.decision, Allocate) and a.data.mode == "propose"
    }
    approved = {fact.action: event for event, fact in ran.of(ActionApproved)}
    assert len(proposed) > 200
    assert set(proposed) <= set(approved)
    for event in approved.values():
        assert 6 <= event.time_ms % DAY_MS / HOUR_MS < 22
    acted = {
        a.data.approves: a.data.decision.order
        for a in ran.actions
        if isinstance(a.data.decision, Allocate) and a.data.mode == "act"
    }
    assert None not in acted
    assert all(proposed[name] == order for name, order in acted.items())
    assert len(acted) > 0.9 * len(proposed)
    assert {fact.order for _, fact in ran.of(ShipmentDispatched)} <= set(acted.values())
    assert ran.simulation.ledger.touches >= len(approved)


Play = Generator[list[Decision], Event, None]


class Script:
    """A controller that plays a script: given an event, it takes the next decisions."""

    def __init__(self, play: Play, *, mode: str = "act", expires_after_ms: int | None = None):
        self._play, self._mode, self._expires_after_ms = play, mode, expires_after_ms
        self._made = 0
        self.actions: list[Action] = []
        next(play)

    def take(self, event: Event) -> list[Action]:
        try:
            made = [self._action(decision, event) for decision in self._play.send(event)]
        except StopIteration:
            return []
        self.actions += made
        return made

    def _action(self, decision: Decision, event: Event) -> Action:
        self._made += 1
        lasts_ms = self._expires_after_ms
        return Action(
            id=f"quiet:{self._made}-1",
            source="script",
            type=f"crossdock.action.{decision.verb}",
            time=from_ms(event.recorded_ms),
            subject="script",
            partitionkey="quiet",
            expirytime=None if lasts_ms is None else from_ms(event.recorded_ms + lasts_ms),
            data=ActionData(
                mode=self._mode,  # type: ignore[arg-type]
                value_cents=0,
                decision=decision,
                because=Because(summary="it is in the script", score_cents=0, terms={}),
            ),
        )


def until(
    kind: type[F],
    *decisions: Decision,
    where: Callable[[F], bool] = lambda fact: True,
) -> Generator[list[Decision], Event, tuple[Event, F]]:
    """Decide, then wait for a fact of a kind; returns its event and it."""
    event = yield list(decisions)
    while not (isinstance(event.fact, kind) and where(event.fact)):
        event = yield []
    return event, event.fact


def played(
    play: Callable[[Simulation], Play],
    *,
    days: float = 12,
    mode: str = "act",
    expires_after_ms: int | None = None,
) -> Ran:
    """Return the run of a script in the quiet world."""
    simulation = Simulation(4, QUIET)
    script = Script(play(simulation), mode=mode, expires_after_ms=expires_after_ms)
    return run(simulation, script, days=days, checks=0.02)


def far_leg(
    simulation: Simulation, placed: OrderPlaced, now_ms: int, service: str = "economy"
) -> Leg:
    """Send a line from the node farthest away that has it, at the pickup of the next day."""
    world, stock = simulation.world, simulation.stock
    region = [r.id for r in world.regions].index(placed.region)
    sku = [s.id for s in world.skus].index(placed.lines[0].sku)
    having = [node for node, shelf in stock.shelves[sku].items() if shelf.physical >= 4]
    node = max(having, key=lambda index: world.km[index][region])
    found = next(s for s in world.services if s.name == f"NORDPOST/{service}")
    pickup_ms = found.pickup_ms(now_ms + DAY_MS)
    return Leg(
        node=world.nodes[node].id,
        carrier="NORDPOST",
        service=service,
        lines=(LegLine(sku=placed.lines[0].sku, quantity=placed.lines[0].quantity),),
        hand_over_by=from_ms(pickup_ms),
        expected_delivery=from_ms(pickup_ms + DAY_MS),
        p_late=0.1,
        cost_cents=0,
    )


def allocation(order: str, *legs: Leg) -> Allocate:
    return Allocate(order=order, legs=legs, reserved_until=from_ms(to_ms(legs[0].hand_over_by)))


def is_simple(simulation: Simulation) -> Callable[[OrderPlaced], bool]:
    """Orders of one line that some node can send from far away."""
    world, stock = simulation.world, simulation.stock

    def simple(placed: OrderPlaced) -> bool:
        region = [r.id for r in world.regions].index(placed.region)
        sku = [s.id for s in world.skus].index(placed.lines[0].sku)
        shelves = stock.shelves[sku].items()
        return len(placed.lines) == 1 and any(
            shelf.physical >= 4 and world.km[node][region] > 600 for node, shelf in shelves
        )

    return simple


def begin(
    simulation: Simulation, service: str = "economy"
) -> Generator[list[Decision], Event, tuple[OrderPlaced, Leg]]:
    """Wait for an order that can be sent from far away; returns it and how."""
    event, placed = yield from until(OrderPlaced, where=is_simple(simulation))
    return placed, far_leg(simulation, placed, event.recorded_ms, service)


def test_an_allocation_is_picked_handed_over_and_delivered() -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        yield [allocation(placed.order, leg)]
        plan.append((placed, leg))

    plan: list[tuple[OrderPlaced, Leg]] = []
    ran = played(play)
    ((placed, leg),) = plan
    ((picked, pick),) = ran.of(StockPicked)
    ((event, parcel),) = ran.of(ShipmentDispatched)
    ((arrived, _),) = ran.of(ShipmentDelivered)
    assert (pick.order, pick.node, pick.sku) == (placed.order, leg.node, leg.lines[0].sku)
    assert (parcel.order, parcel.node) == (placed.order, leg.node)
    assert (parcel.carrier, parcel.service) == (leg.carrier, leg.service)
    assert [(line.sku, line.quantity) for line in parcel.lines] == [
        (line.sku, line.quantity) for line in leg.lines
    ]
    assert 0 <= event.time_ms - to_ms(leg.hand_over_by) < HOUR_MS // 2
    assert picked.time_ms < event.time_ms < arrived.time_ms
    assert ran.closed[placed.order] == 1
    assert ran.simulation.ledger.paid["freight"] > 0


@pytest.mark.parametrize("stage", ["planned", "packed"])
def test_a_cancellation_stops_what_is_under_way(stage: str) -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        allocate = allocation(placed.order, leg)
        if stage == "planned":
            yield from until(ClockTicked, allocate)
        else:
            yield from until(StockPicked, allocate)
        yield from until(ActionCompleted, Cancel(order=placed.order, reason="told to"))

    ran = played(play, days=6)
    assert not ran.of(ShipmentDispatched)
    picked = [(f.node, f.sku, f.quantity) for _, f in ran.of(StockPicked)]
    back = [(f.node, f.sku, f.quantity) for _, f in ran.of(StockReturned)]
    assert picked == back
    assert bool(picked) == (stage == "packed")
    assert [fact.action for _, fact in ran.of(ActionCompleted)] == ["quiet:2-1"]


def test_a_release_takes_lines_out_of_what_is_not_begun() -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        release = Release(
            order=placed.order, node=leg.node, lines=leg.lines, reason="shipped_elsewhere"
        )
        yield from until(ClockTicked, allocation(placed.order, leg))
        yield from until(ClockTicked, release)

    ran = played(play, days=6)
    assert not ran.of(StockPicked, ShipmentDispatched, ActionFailed)


def test_a_reroute_changes_the_service_and_costs_its_freight() -> None:
    def play(simulation: Simulation, *, is_rerouted: bool) -> Play:
        placed, leg = yield from begin(simulation)
        _, scan = yield from until(ShipmentScanned, allocation(placed.order, leg))
        faster = Reroute(
            order=placed.order,
            shipment=scan.shipment,
            carrier="NORDPOST",
            from_service="economy",
            to_service="standard",
            expected_delivery=leg.expected_delivery,
        )
        yield [faster] if is_rerouted else []

    usual = played(partial(play, is_rerouted=False))
    ran = played(partial(play, is_rerouted=True))
    assert len(usual.of(ActionCompleted)) == 0
    assert len(ran.of(ActionCompleted)) == 1
    assert usual.of(ShipmentDispatched) == ran.of(ShipmentDispatched)

    def at_the_last_hub_h(each: Ran) -> float:
        return max(each.hour(e) for e, f in each.of(ShipmentScanned) if f.status == "in_transit")

    assert at_the_last_hub_h(ran) < at_the_last_hub_h(usual) - 6
    assert ran.of(ShipmentDelivered)[0][0].time_ms <= usual.of(ShipmentDelivered)[0][0].time_ms
    ((_, parcel),) = ran.of(ShipmentDispatched)
    world = ran.simulation.world
    node = next(n for n in world.nodes if n.id == parcel.node)
    region = [r.id for r in world.regions].index(parcel.region)
    standard = next(s for s in world.services if s.name == "NORDPOST/standard")
    price = freight_cents(standard.spec, world.km[node.index][region], parcel.weight_g)
    assert ran.simulation.ledger.paid["expedite"] == price
    assert usual.simulation.ledger.paid["expedite"] == 0


def test_a_recalled_parcel_comes_back_as_stock_and_its_content_is_sent_again() -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        event, scan = yield from until(ShipmentScanned, allocation(placed.order, leg))
        again = far_leg(simulation, placed, event.recorded_ms, "standard")
        yield [Reship(order=placed.order, shipment=scan.shipment, leg=again)]

    ran = played(play)
    (first_event, first), (_, second) = ran.of(ShipmentDispatched)
    ((turned_event, turned),) = ran.of(ShipmentFailed)
    ((back_event, back),) = ran.of(StockReturned)
    ((_, delivered),) = ran.of(ShipmentDelivered)
    assert (turned.shipment, turned.reason, turned.party) == (
        first.shipment,
        "returned",
        "retailer",
    )
    assert delivered.shipment == second.shipment
    assert second.lines == first.lines
    assert second.service == "standard"
    assert (back.node, back.sku, back.quantity, back.sellable) == (
        first.node,
        first.lines[0].sku,
        first.lines[0].quantity,
        True,
    )
    out_ms = turned_event.time_ms - first_event.time_ms
    assert back_event.time_ms == turned_event.time_ms + out_ms
    paid = ran.simulation.ledger.paid
    assert paid["expedite"] > paid["freight"] > 0
    assert ran.closed[first.order] == 1


def test_a_transfer_moves_stock_and_costs_money() -> None:
    def play(simulation: Simulation) -> Play:
        yield from until(ClockTicked)
        stock, world = simulation.stock, simulation.world
        everywhere = range(len(world.nodes))
        shelf, other = next(
            (shelf, node)
            for shelf in reversed(list(stock.all_shelves()))
            for node in everywhere
            if node not in stock.shelves[shelf.sku] and shelf.physical >= 5
        )
        move = Transfer(
            origin=world.nodes[shelf.node].id,
            destination=world.nodes[other].id,
            sku=world.skus[shelf.sku].id,
            quantity=3,
        )
        moved.append((move, shelf.physical))
        yield [move]

    moved: list[tuple[Transfer, int]] = []
    ran = played(play, days=3)
    ((move, before),) = moved
    ((gone, departed),) = ran.of(TransferDeparted)
    ((there, arrived),) = ran.of(TransferArrived)
    assert (departed.origin, departed.destination) == (move.origin, move.destination)
    assert (departed.sku, departed.quantity) == (move.sku, 3)
    assert (arrived.transfer, arrived.node, arrived.sku) == (
        departed.transfer,
        move.destination,
        move.sku,
    )
    assert arrived.quantity == 3
    assert gone.time_ms < there.time_ms
    shelves = dict(shelves_of(ran))
    assert shelves[move.destination, move.sku].physical == 3
    received = sum(
        f.quantity for _, f in ran.of(StockReceived) if (f.node, f.sku) == (move.origin, move.sku)
    )
    assert shelves[move.origin, move.sku].physical == before - 3 + received
    assert ran.simulation.ledger.paid["transfer"] > 3 * Prices().transfer_unit_cents
    assert ran.simulation.ledger.units_moved == 3
    assert len(ran.of(ActionCompleted)) == 1


def test_what_cannot_be_done_is_reported_as_failed() -> None:
    def play(simulation: Simulation) -> Play:
        event, placed = yield from until(OrderPlaced, where=is_simple(simulation))
        leg = far_leg(simulation, placed, event.recorded_ms)
        nowhere = Leg(**{f: getattr(leg, f) for f in leg.__struct_fields__} | {"node": "N-X"})
        bogus = Leg(**{f: getattr(leg, f) for f in leg.__struct_fields__} | {"service": "sled"})
        sku, node = placed.lines[0].sku, leg.node
        move = {"origin": node, "destination": node, "sku": sku, "quantity": 1}
        way = {"order": "O-1", "carrier": "NORDPOST", "from_service": "economy"}
        way |= {"to_service": "standard", "expected_delivery": leg.expected_delivery}
        no_sled = "nobody here knows the service NORDPOST/sled"
        for decision, problem in (
            (allocation("O-999999", leg), "the order is not open"),
            (allocation(placed.order, nowhere), "nobody here knows the node N-X"),
            (allocation(placed.order, bogus), no_sled),
            (Reroute(**way, shipment="SH-9"), "it is not under way"),
            (Reship(order="O-999999", shipment="SH-9", leg=leg), "the order is not open"),
            (
                Reship(order=placed.order, shipment="SH-9", leg=nowhere),
                "nobody here knows the node N-X",
            ),
            (Transfer(**move), "it is there already"),
            (Transfer(**move | {"sku": "S-X"}), "nobody here knows the SKU S-X"),
            (Hold(scope=placed.order, reason="for fun"), "nothing here carries out hold"),
        ):
            expected.append(problem)
            yield from until(ActionFailed, decision)
        yield []

    expected: list[str] = []
    ran = played(play, days=2)
    assert [fact.reason for _, fact in ran.of(ActionFailed)] == expected
    assert not ran.of(StockPicked, ActionCompleted)


def test_an_action_that_came_too_late_is_not_done() -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        yield [allocation(placed.order, leg)]

    ran = played(play, days=3, expires_after_ms=0)
    assert [fact.reason for _, fact in ran.of(ActionFailed)] == ["it has expired"]
    assert not ran.of(StockPicked)


def test_a_proposal_is_not_done_before_anybody_approves() -> None:
    def play(simulation: Simulation) -> Play:
        placed, leg = yield from begin(simulation)
        yield [allocation(placed.order, leg)]

    ran = played(play, days=3, mode="propose")
    assert [fact.action for _, fact in ran.of(ActionApproved)] == ["quiet:1-1"]
    assert not ran.of(StockPicked)
    assert ran.simulation.ledger.touches == 1
