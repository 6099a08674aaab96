"""The clairvoyant bound: valid, no looser than it says, and about the world that is simulated."""

import highspy
import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.clairvoyant import bound_of, clairvoyant_bound
from benchmarks.clairvoyant_limits import Limits
from benchmarks.clairvoyant_model import solve
from benchmarks.clairvoyant_plans import Options
from benchmarks.clairvoyant_truth import find_truth
from flows.simulation.config import WorldConfig
from flows.simulation.controller import Idle
from flows.simulation.prices import Prices
from flows.simulation.scenario import UNDISTURBED, find_scenario
from flows.simulation.simulation import Simulation
from flows.simulation.work import Parcel
from flows.whatif.trial import Trial, run_trial
from state.policies import BUILT_IN, find_policy
from state.quantities import DAY_MS

PRICES = Prices()
DAYS = 2
TINY = WorldConfig(
    network="tiny",
    nodes=4,
    regions=2,
    skus=3,
    carriers=2,
    orders_per_day=20.0,
    tick_s=3_600,
    traffic_every_h=24,
    weather_every_h=24,
)
#: Some 15 orders: few enough for whole numbers.
SMALLEST = replace(TINY, carriers=1, orders_per_day=10.0)


@pytest.fixture(scope="module")
def truth():
    return find_truth(SMALLEST, 1, 1)


def options_of(truth, limits):
    return [Options(truth, limits, order, PRICES) for order in truth.orders]


@pytest.mark.parametrize(
    ("seed", "scenario"),
    [
        (2, "price_shock"),
        pytest.param(1, "none", marks=pytest.mark.slow),
        pytest.param(1, "price_shock", marks=pytest.mark.slow),
        pytest.param(2, "none", marks=pytest.mark.slow),
    ],
)
def test_no_policy_beats_the_bound(seed, scenario):
    disturbed = UNDISTURBED if scenario == "none" else find_scenario(scenario)
    bound = clairvoyant_bound(TINY, seed, DAYS, disturbed, PRICES)
    assert bound.status == "optimal"
    for name in BUILT_IN:
        policy = find_policy(name)
        run = run_trial(Trial(seed=seed, world=TINY, days=DAYS, scenario=disturbed, policy=policy))
        assert run.kpis["orders"] == bound.orders
        assert run.kpis["cost"] >= bound.cents_per_order, name


def test_the_same_bound_again(truth):
    again = bound_of(find_truth(SMALLEST, 1, 1), Limits(truth), PRICES)
    assert again.cents_total == bound_of(truth, Limits(truth), PRICES).cents_total


def test_more_stock_or_capacity_never_raises_it(truth):
    def bound(stock, capacity):
        return bound_of(truth, Limits(truth, stock=stock, capacity=capacity), PRICES).cents_total

    usual, scarce, cramped = bound(1, 1), bound(0.3, 1), bound(1, 0.3)
    assert usual < scarce and usual < cramped
    assert max(scarce, cramped) < bound(0.3, 0.3)
    assert bound(100, 100) <= usual


@pytest.mark.slow
@pytest.mark.parametrize(("stock", "capacity"), [(1.0, 1.0), (0.5, 0.3)])
def test_it_is_below_the_whole_numbers_and_near_them(truth, stock, capacity):
    limits = Limits(truth, stock=stock, capacity=capacity)
    solution = solve(options_of(truth, limits), limits)
    whole = in_whole_numbers(truth, limits)
    assert solution.bound_cents <= solution.programme_cents + 1e-6
    assert 0.97 * whole <= solution.bound_cents <= whole


@pytest.mark.slow
def test_the_world_charges_what_a_plan_says_or_more():
    """Carry the programme's plans out; what goes as planned costs exactly what it says."""
    truth = find_truth(TINY, 1, DAYS)
    limits = Limits(truth)
    options = options_of(truth, limits)
    plans = dict(
        zip(
            [order.id for order in truth.orders],
            zip(options, solve(options, limits).chosen, strict=True),
            strict=True,
        )
    )
    simulation = Simulation(1, TINY, days=DAYS)
    world, ledger = simulation.world, simulation.ledger
    placed, close, charged = simulation.demand.on_placed, ledger.closed, {}

    def send(now_ms, order):
        placed(now_ms, order)
        if order.id not in plans:
            return
        option, plan = plans[order.id]
        for subset, way in plan.parcels:
            lines = [line for at, line in enumerate(order.lines) if subset >> at & 1]
            service = world.services[option.service[way]]
            day_ms = int(option.truck_ms[way]) // DAY_MS * DAY_MS
            due_ms = day_ms + service.spec.cutoff_s * 1_000
            node = int(option.node[way])
            simulation.fulfilment.plan(now_ms, Parcel(order, node, service, lines, due_ms))

    def charge(now_ms, order):
        account = ledger._open[order.id]
        close(now_ms, order)
        charged[order.id] = sum(account.costs.values())

    simulation.demand.on_placed, ledger.closed = send, charge
    for _ in simulation.run(Idle()):
        pass
    excess = [charged[name] - plan.cents for name, (_, plan) in plans.items() if name in charged]
    assert min(excess) > -0.6  # a freight's rounding
    assert np.mean(np.abs(excess) < 0.6) > 0.3


def in_whole_numbers(truth, limits):
    """The same problem in another form, solved in whole numbers: least cost in cents.

    One variable per parcel and per line in a parcel; freight not rounded but for half a cent more.
    """
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("mip_rel_gap", 0.005)
    used = {}
    total = 0.0
    for option in options_of(truth, limits):
        total += whole_order(solver, option, used)
    days = limits.turns.shape[1]
    turns = {}
    for row, amount in used.items():
        if row < limits.stock_rows or row == limits.free:
            continue
        if row < limits.free:
            solver.addConstr(amount <= float(limits.room[row]))
            continue
        node, first, more = np.unravel_index(row - limits.free - 1, (len(limits.turns), days, days))
        begun = [solver.addVariable(lb=0) for _ in range(more + 1)]
        solver.addConstr(amount <= sum(begun[1:], begun[0] + 0))
        for day, turn in enumerate(begun, int(first)):
            turns[node, day] = turns.get((node, day), 0) + turn
    for (node, day), amount in turns.items():
        solver.addConstr(amount <= float(limits.turns[node, day]))
    for first in set(range(limits.stock_rows)) - set(limits.following):
        there, taken, row = 0.0, 0, first
        while row >= 0:
            there += limits.room[row]
            taken = taken + used.get(row, 0)
            if row in used:
                solver.addConstr(taken <= float(there))
            row = limits.following[row]
    solver.minimize(total)
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return solver.getInfo().objective_function_value


def whole_order(solver, option, used):
    """Cost of an order in the other form; adds what it takes of which row to `used`."""
    lines, lost, ways = option.order.lines, option._lost, range(len(option.node))
    for way in ways:
        if not option._is_exact[way]:
            option._find_out(way)
    worst = float(option.late_cents.max())
    filled, late = solver.addBinary(), solver.addVariable(lb=0)
    cents = late + PRICES.lost_fixed_cents * (1 - filled)
    parcels, sent = {}, [0 * filled for _ in lines]
    for way in ways:
        allowed = [at for at in range(len(lines)) if np.isfinite(option._cents[1 << at, way])]
        if not allowed:
            continue
        parcel = parcels[way] = solver.addBinary()
        solver.addConstr(late >= float(option.late_cents[way]) * parcel - worst * (1 - filled))
        used[option.turn[way]] = used.get(option.turn[way], 0) + parcel
        used[option.place[way]] = used.get(option.place[way], 0) + parcel
        fixed = fixed_cents(option, way)
        cents = cents + (fixed + 0.5 + PRICES.further_parcel_cents) * parcel
        for at in allowed:
            inside = solver.addVariable(lb=0, ub=1)
            solver.addConstr(inside <= parcel)
            cents = cents + (float(option._cents[1 << at, way]) + 0.5 - fixed) * inside
            row = option.stock[at, way]
            used[row] = used.get(row, 0) + lines[at][1] * inside
            sent[at] = sent[at] + inside
    some = solver.addBinary()
    solver.addConstr(some <= sum(parcels.values(), 0 * filled))
    cents = cents - PRICES.further_parcel_cents * some
    for at, line in enumerate(sent):
        solver.addConstr(line <= 1)
        solver.addConstr(line >= filled)
        cents = cents + (lost[1 << at] - PRICES.lost_fixed_cents) * (1 - line)
    return cents


def fixed_cents(option, way):
    """Return the cost of a parcel besides its content: rates of its pickup's day, and handling."""
    truth, node, service = option._truth, option.node[way], option.service[way]
    day = int(option.truck_ms[way]) // DAY_MS - truth.first_day
    km = truth.world.km[node][option.order.region]
    base, far = truth.rates["base_cents"], truth.rates["per_100km_cents"]
    handling = truth.world.nodes[node].registration.handling_fixed_cents
    return float(base[service, day] + far[service, day] * km / 100 + handling)
