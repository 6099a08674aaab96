"""Measures: the KPIs of a finished run, by the names of `flows.simulation.kpis`."""

from flows.simulation.kpis import COST_TERMS
from flows.simulation.ledger import Window
from flows.simulation.simulation import Simulation
from state.sums import float_sum


def measure(simulation: Simulation) -> dict[str, float | None]:
    """Return KPIs of a run; None where there was nothing to measure.

    Orders that the customer took back at once are in none of them but the costs. Orders that are
    still open at the end are counted as orders, and as neither filled nor on time.
    """
    ledger = simulation.ledger
    total = ledger.total()
    orders = total.orders + ledger.open_orders()
    terms = {term.name: _per(ledger.paid[term.name], orders) for term in COST_TERMS}
    return {
        "cost": _per(float_sum(ledger.paid.values()), orders),
        **terms,
        "on_time": _per(total.on_time, orders),
        "fill": _per(total.filled, orders),
        "split_excess": _less_one(_per(total.parcels, total.shipped)),
        "local": _per(total.local, orders),
        "told": _per(total.notified, total.late),
        "false_alarms": _per(total.false_alarms, total.warned),
        "transfer_yield": _per(ledger.units_moved_sold, ledger.units_moved),
        "carbon_g": _per(total.carbon_g, orders),
        "touches": _per(1_000 * ledger.touches, orders),
        "orders": float(orders),
    }


def cost_per_order(window: Window) -> float | None:
    """Return cost-to-serve in cents of a window's orders, per order; None without any."""
    return _per(float_sum(window.costs.values()), window.orders)


def on_time(window: Window) -> float | None:
    """Return the share of a window's orders that arrived in full by promise; None without any."""
    return _per(window.on_time, window.orders)


def _per(amount: float, count: float) -> float | None:
    return amount / count if count else None


def _less_one(ratio: float | None) -> float | None:
    return None if ratio is None else ratio - 1.0
