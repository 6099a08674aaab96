"""Gain by each signal: the error with all signals, without each of them, and without any.

On Walmart the signals are the holidays, weather, fuel and markdowns of the store. The simulated
world has searches, promotions, sentiment and weather, whose effect is known to be there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import numpy as np

from benchmarks.prediction.data.panel import Panel
from benchmarks.prediction.demand_run import run
from benchmarks.prediction.demand_scores import wape
from flows.simulation import simulate
from operators.prediction.demand_model import DemandModel
from state.events import Event, OrderPlaced, SignalObserved, SkuRegistered
from state.keys import ALL_GOODS, EVERYWHERE, Goods
from state.quantities import DAY_MS, DAY_S

_KINDS = ("search", "promotion", "sentiment", "weather")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """WAPE over the second half, and over what the signals concern (NaN where not separate)."""

    data: str
    signals: str
    wape: float
    wape_signalled: float


def of_panel(panel: Panel) -> list[Ablation]:
    """Measure a panel with all signals, without each, without any."""
    half, units = panel.half, panel.units
    names = tuple(panel.signals)
    made = []
    for label, without in _left_out(names):
        mean = run(panel, without).mean
        error = wape(units[:, half:], mean[:, half:])
        made.append(
            Ablation(data=panel.name, signals=label, wape=error, wape_signalled=float("nan"))
        )
    return made


def of_simulation(seed: int = 5, days: int = 42) -> list[Ablation]:
    """Measure the same in a simulated world of 48 regions and 1,200 SKUs.

    Scored are the days of series with an order, which are those an outlook is made of, and among
    them those that a strong signal (ratio above 1.5) of the SKU or its category concerned.
    """
    kept = (OrderPlaced, SignalObserved, SkuRegistered)
    events = [e for e in simulate(seed=seed, days=days) if isinstance(e.fact, kept)]
    half_ms = events[0].recorded_ms + days * DAY_MS // 2
    return [_simulated(events, half_ms, label, out) for label, out in _left_out(_KINDS)]


def _left_out(names: tuple[str, ...]) -> list[tuple[str, frozenset[str]]]:
    each = [(f"without {name}", frozenset({name})) for name in names]
    return [("all", frozenset()), *each, ("none", frozenset(names))]


def _simulated(
    events: Iterable[Event], half_ms: int, label: str, without: frozenset[str]
) -> Ablation:
    model = DemandModel(DAY_S, 0.05, 2 * DAY_S)
    categories: dict[str, str] = {}
    strong: dict[tuple[str, Goods], int] = {}
    scored: list[tuple[float, float, bool]] = []
    concerned: dict[tuple[str, str], bool] = {}
    for event in events:
        now_ms = event.recorded_ms
        match event.fact:
            case SkuRegistered() as sku:
                categories[sku.sku] = sku.category
                model.register(sku.sku, now_ms)
            case SignalObserved() as signal:
                scope = ALL_GOODS
                if signal.sku or signal.category:
                    kind = "sku" if signal.sku else "category"
                    scope = Goods(kind, signal.sku or signal.category or "")
                if signal.ratio > 1.5:
                    strong[signal.region or EVERYWHERE, scope] = now_ms + 2 * DAY_MS
                if signal.kind not in without:
                    ratio = log(signal.ratio + 1e-3)
                    model.signalled(signal.region or EVERYWHERE, scope, signal.kind, ratio, now_ms)
            case OrderPlaced() as order:
                for line in order.lines:
                    key, category = (order.region, line.sku), categories[line.sku]
                    made = model.ordered(*key, category, float(line.quantity), now_ms)
                    if made is None:
                        continue
                    if made.observed is not None and now_ms >= half_ms:
                        scored.append((made.observed, made.forecast, concerned.get(key, False)))
                    concerned[key] = any(
                        strong.get((region, scope), 0) > now_ms
                        for region in (EVERYWHERE, order.region)
                        for scope in (Goods("category", category), Goods("sku", line.sku))
                    )
            case _:
                pass
    observed, forecast = (np.array(column, float) for column in list(zip(*scored, strict=True))[:2])
    signalled = np.array([flag for *_, flag in scored])
    return Ablation(
        data="simulated world",
        signals=label,
        wape=wape(observed, forecast),
        wape_signalled=wape(observed[signalled], forecast[signalled]),
    )
