"""Off-policy evaluation: the cost under another policy, from a log that explored.

Each order whose action carries a `draw` is weighed by target chance ÷ logged chance of the option
that was taken. IPS is the mean of weighted costs, unbiased; SNIPS divides by the weights, which is
steadier (A. Swaminathan and T. Joachims, The self-normalized estimator, 2015).
"""

from collections.abc import Callable, Iterable, Mapping
from math import sqrt

from msgspec import Struct

from operators.sourcing.rates import lateness_cents
from state.actions import Action, Allocate, Draw
from state.events import Event, OrderPlaced, ShipmentDelivered, ShipmentDispatched
from state.policy import Weights
from state.quantities import to_ms
from state.sums import float_sum

#: 97.5 % quantile of the normal distribution.
_Z = 1.959964

#: A policy to judge: the chance that it takes each option of a draw, by the option's place in it.
Target = Callable[[Draw], Mapping[int, float]]


class Logged(Struct, frozen=True):
    """One decision: the logged and target chances of the option taken, and its cost."""

    propensity: float
    target: float
    cents: float


class Estimate(Struct, frozen=True, kw_only=True):
    """Mean cents per order under the target; `low` and `high` bound `snips` with 95 %.

    `effective` is how many orders of the target's own the log is worth. None where no order that
    the target would have served so was logged.
    """

    n: int
    effective: float
    ips: float | None
    snips: float | None
    low: float | None
    high: float | None


def estimate(logged: Iterable[Logged]) -> Estimate:
    """Return IPS and SNIPS of the target, with the interval of the latter by linearisation."""
    rows = list(logged)
    weights = [row.target / row.propensity for row in rows]
    total = float_sum(weights)
    if not total:
        return Estimate(n=len(rows), effective=0.0, ips=None, snips=None, low=None, high=None)
    weighted = float_sum(w * row.cents for w, row in zip(weights, rows, strict=True))
    snips = weighted / total
    spread = float_sum((w * (row.cents - snips)) ** 2 for w, row in zip(weights, rows, strict=True))
    off = _Z * sqrt(spread) / total
    return Estimate(
        n=len(rows),
        effective=total * total / float_sum(w * w for w in weights),
        ips=weighted / len(rows),
        snips=snips,
        low=snips - off,
        high=snips + off,
    )


def cheapest(draw: Draw) -> Mapping[int, float]:
    """Return the target that never explores."""
    return {0: 1.0}


def decisions(
    actions: Iterable[Action], costs: Mapping[str, float], target: Target
) -> list[Logged]:
    """Return the drawn allocations among `actions` whose order's cost in cents is known."""
    found = []
    for action in actions:
        draw, decision = action.data.because.draw, action.data.decision
        if draw is None or not isinstance(decision, Allocate) or decision.order not in costs:
            continue
        chance = target(draw).get(draw.place, 0.0)
        found.append(Logged(draw.propensity, chance, costs[decision.order]))
    return found


def realised_costs(
    actions: Iterable[Action], events: Iterable[Event], weights: Weights
) -> dict[str, float]:
    """Return cents by order: its first allocation as planned, with actual lateness instead.

    Only orders all of whose dispatched parcels were delivered; `events` are the log's.
    """
    promised: dict[str, int] = {}
    parcels: dict[str, list[str]] = {}
    arrived: dict[str, int] = {}
    for event in events:
        match event.fact:
            case OrderPlaced() as placed:
                promised[placed.order] = to_ms(placed.promised)
            case ShipmentDispatched() as shipped:
                parcels.setdefault(shipped.order, []).append(shipped.shipment)
            case ShipmentDelivered() as delivered:
                arrived[delivered.shipment] = event.time_ms
            case _:
                pass
    costs: dict[str, float] = {}
    for action in actions:
        decision = action.data.decision
        if not isinstance(decision, Allocate) or decision.order in costs:
            continue
        sent = parcels.get(decision.order, [])
        if decision.order not in promised or not sent or any(s not in arrived for s in sent):
            continue
        because = action.data.because
        late_s = (max(arrived[s] for s in sent) - promised[decision.order]) / 1000
        late = lateness_cents(1.0, late_s, weights) if late_s > 0 else 0
        planned = because.terms.get("expected lateness", 0)
        costs[decision.order] = float(because.score_cents - planned + late)
    return costs
