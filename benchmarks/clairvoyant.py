"""The clairvoyant bound: what serving all orders of a run costs at least, whoever decides.

No policy that does nothing but allocate (nodes, services, pickups, splits; no transfers between
nodes) has a lower total cost-to-serve in the same world, seed and scenario, because the bound
comes from a linear programme that knows the whole run in advance and grants every policy more than
the world does. What is exact, as the simulation has it:

- orders, promises, freight, handling, carbon, further parcels, lateness by the last arrival, lost
  sales by what is not sent, and which parcels a carrier and a node take at all;
- when a parcel may be begun, how long it is packed, when trucks come, how long each journey takes;
- stock by the moment of its arrival, places on trucks by the day.

What is granted, each of which can only lower the bound:

- Fractions: a part of an order may go one way and the rest another (the programme is linear).
- No unit is ever lost, miscounted, written off or burnt; nothing is picked short; no parcel is
  lost, damaged or refused; and nothing that a person or an alert does costs anything.
- A piece that is going to come back comes back as if it had arrived when it was ordered, the whole
  line of it, whether or not it was sold; a piece may be picked at the last moment that still meets
  the truck, so stock is never held longer than needed.
- A node works off its day's turns at any hour of the day, at the greatest capacity of that day, and
  on any day between order and pickup. It does not matter where in the line a parcel stands.
- A service's places of a day are as many as at the best moment between pickup and truck.
- Each of several parcels of an order has the best luck on the road that the order has with one of
  three parcel numbers; so has an only parcel, at the price of the fixed parts of another one, which
  must have been handed over before it. (A policy that sends the same order a fourth time could draw
  a better one; none does so on purpose.)
- A pickup more than two days after the promise stands for all later ones: no limit of capacity,
  stock of the whole run, the rates of the cheapest day, and it arrives with the first tour.
- An order of which pieces of a line are lost costs at least the cheapest parcel and one piece.

An order still open at the run's end, three weeks after the last, is booked as lost, as the ledger
has it. What the orders cost that customers take back at once is left out.

A policy that reroutes, ships again or compensates pays for that on top of an allocation. The bound
does not allow for a reroute as a way around a full service; that costs a second freight.
"""

from dataclasses import dataclass
from time import perf_counter

from benchmarks.clairvoyant_limits import Limits
from benchmarks.clairvoyant_model import solve
from benchmarks.clairvoyant_plans import Options
from benchmarks.clairvoyant_truth import Truth, find_truth
from flows.simulation.config import WorldConfig
from flows.simulation.prices import Prices
from flows.simulation.scenario import UNDISTURBED, Scenario

#: Beyond this distance (relative) of bound and programme, the bound is valid, but not all there is.
_CLOSE = 1e-4


@dataclass(frozen=True)
class Bound:
    """A lower bound on a run's cost-to-serve: `cents_total`, over `orders` as the measures count.

    `columns` are the ways considered (order, node, service, pickup), `rows` orders and limits.
    `status` is ``optimal``, or ``within x %`` of the programme's optimum.
    """

    cents_total: float
    orders: int
    cents_per_order: float
    seconds: float
    columns: int
    rows: int
    status: str


def clairvoyant_bound(
    world_config: WorldConfig,
    seed: int,
    days: float,
    scenario: Scenario = UNDISTURBED,
    prices: Prices | None = None,
    others: int = 0,
) -> Bound:
    """Bound the total cost-to-serve, in cents, of a run of `days` days from below.

    The same arguments give the same bound, but for its `seconds`. With `others`, it is no bound of
    a run, but of what is to be expected of whoever allocates without foreseeing what is drawn on
    the road, for a parcel and for a lane on a day: lateness is the mean over so many other draws.
    Demand, supply, weather, traffic and trouble are foreseen still.
    """
    begun = perf_counter()
    truth = find_truth(world_config, seed, days, scenario, others)
    bound = bound_of(truth, Limits(truth), prices or Prices())
    return Bound(**{**vars(bound), "seconds": perf_counter() - begun})


def bound_of(truth: Truth, limits: Limits, prices: Prices) -> Bound:
    """Bound the cost of a world whose truth is known, within limits that may not be the world's."""
    begun = perf_counter()
    options = [Options(truth, limits, order, prices) for order in truth.orders]
    solution = solve(options, limits)
    count = len(options)
    return Bound(
        cents_total=solution.bound_cents,
        orders=count,
        cents_per_order=solution.bound_cents / count if count else 0.0,
        seconds=perf_counter() - begun,
        columns=sum(len(option.node) for option in options),
        rows=solution.rows,
        status="optimal" if solution.gap <= _CLOSE else f"within {solution.gap:.2%}",
    )
