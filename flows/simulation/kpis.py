"""KPIs of a run: names, units, and which way is better."""

from msgspec import Struct


class Kpi(Struct, frozen=True):
    """One figure. `unit` is ``cents``, ``share``, ``g``, ``orders`` or ``count``.

    `better` is -1 where less is better, 1 where more is, 0 where neither is.
    """

    name: str
    title: str
    unit: str
    better: int


#: Terms of cost-to-serve, in the order in which they are shown; each per order, in cents.
COST_TERMS: tuple[Kpi, ...] = (
    Kpi("freight", "freight", "cents", -1),
    Kpi("handling", "handling", "cents", -1),
    Kpi("split", "further parcels", "cents", -1),
    Kpi("lateness", "lateness", "cents", -1),
    Kpi("expedite", "reroutes and parcels sent again", "cents", -1),
    Kpi("transfer", "transfers", "cents", -1),
    Kpi("compensation", "compensation", "cents", -1),
    Kpi("carbon", "carbon", "cents", -1),
    Kpi("lost_sale", "lost sales", "cents", -1),
)

KPIS: tuple[Kpi, ...] = (
    Kpi("cost", "cost-to-serve per order", "cents", -1),
    *COST_TERMS,
    Kpi("on_time", "on time, in full, original promise", "share", 1),
    Kpi("fill", "orders filled", "share", 1),
    Kpi("split_excess", "parcels ÷ orders − 1", "share", -1),
    Kpi("local", "filled by their nearest nodes", "share", 1),
    Kpi("told", "late orders told in time", "share", 1),
    Kpi("false_alarms", "delay notices that were wrong", "share", -1),
    Kpi("transfer_yield", "transferred units sold there", "share", 1),
    Kpi("carbon_g", "carbon per order", "g", -1),
    Kpi("touches", "cases for a person, per 1,000 orders", "count", -1),
    Kpi("orders", "orders", "orders", 0),
)
