"""Windows, totals and scores."""

import random

import pytest

from operators.core.facts import KpiWindow
from operators.prediction.scores import ForecastScore
from state.events import OrderCancelled, ShipmentDelivered, StockPicked
from state.policy import Policy, Reporting
from tests.builders import DAY, HOUR, START_MS, Log, dispatch, fold, order

STOCK = {("N-NORTH", "BOOK"): 2}
HOUR_MS = HOUR * 1000


def test_a_window_closes_when_the_journal_passes_its_end() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.tick(HOUR - (log.now_ms - START_MS) / 1000 - 1)
    assert fold(log).facts(KpiWindow) == []
    log.tick(1)
    (window,) = fold(log).facts(KpiWindow)
    assert (window.start_ms, window.end_ms) == (START_MS, START_MS + HOUR_MS)
    assert window.values["orders placed"] == 1
    assert window.values["actions allocate"] == 1
    assert window.values["parcels planned"] == 1


def test_what_happens_at_a_windows_end_counts_in_the_next() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.add(order("O-2"), HOUR - (log.now_ms - START_MS) / 1000)
    log.tick(HOUR)
    first, second = fold(log).facts(KpiWindow)
    assert first.values["orders placed"] == second.values["orders placed"] == 1
    assert second.start_ms == first.end_ms


def test_empty_windows_are_not_reported() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.tick(9 * HOUR)
    log.add(order("O-2"))
    log.tick(9 * HOUR)
    assert [(w.start_ms - START_MS) // HOUR_MS for w in fold(log).facts(KpiWindow)] == [0, 9]


def test_the_policy_sets_the_windows_length() -> None:
    log = Log().network_of(STOCK)
    log.add(order("O-1"))
    log.tick(DAY)
    (window,) = fold(log, Policy(reporting=Reporting(window_s=DAY))).facts(KpiWindow)
    assert window.end_ms - window.start_ms == DAY * 1000
    assert window.start_ms % (DAY * 1000) == 0


def test_order_totals_are_disjoint_and_sum_to_the_orders_placed() -> None:
    log = Log().network_of(STOCK)
    for number in range(4):  # two are allocated, two wait
        log.add(order(f"O-{number}"))
    log.add(order("O-4", {"NEW": 1}))
    log.add(OrderCancelled(order="O-3"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=1, order="O-0"))
    log.add(dispatch("S-0", "O-0"))
    log.add(ShipmentDelivered(shipment="S-0"), 2 * DAY)
    totals = fold(log).totals
    orders = totals.orders
    assert (orders.allocated, orders.backordered, orders.unfillable, orders.cancelled) == (
        2,
        1,
        1,
        1,
    )
    assert orders.placed == 5
    assert (totals.delivered, totals.late) == (1, 0)


def test_on_time_is_measured_against_the_promise() -> None:
    log = Log().network_of(STOCK)
    for name, after_s in (("1", 0), ("2", 5 * DAY)):
        log.add(order(f"O-{name}"))
        log.add(dispatch(f"S-{name}", f"O-{name}"))
        log.add(ShipmentDelivered(shipment=f"S-{name}"), after_s)
    totals = fold(log).totals
    assert (totals.delivered, totals.late) == (2, 1)
    assert totals.at_handover.seen == 2


def test_every_line_is_an_event_a_dead_letter_or_waits() -> None:
    log = Log().network_of(STOCK)
    log.add(dispatch("S-1", "O-1", region="NORTH"))
    log.add(ShipmentDelivered(shipment="S-2"))
    run = fold(log)
    assert run.totals.events + run.totals.dead_letters + run.parked == len(log.events)


def auc_by_hand(forecasts: list[tuple[float, bool]]) -> float:
    """The share of (event, none) pairs that are ranked right; ties count half."""
    hits = [p for p, happened in forecasts if happened]
    misses = [p for p, happened in forecasts if not happened]
    right = sum((h > m) + (h == m) / 2 for h in hits for m in misses)
    return right / (len(hits) * len(misses))


def forecasts(seed: int, count: int = 600) -> list[tuple[float, bool]]:
    luck = random.Random(seed)
    return [(p, luck.random() < p) for p in (luck.betavariate(1, 4) for _ in range(count))]


def scored(pairs: list[tuple[float, bool]]) -> ForecastScore:
    score = ForecastScore()
    for p, happened in pairs:
        score.update(p, happened)
    return score


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_the_curve_is_that_of_all_pairs(seed: int) -> None:
    pairs = forecasts(seed)
    area = scored(pairs).roc_auc()
    assert area == pytest.approx(auc_by_hand(pairs), abs=1e-3)


def test_scores_add_up_to_the_score_of_both() -> None:
    ours, theirs = forecasts(1), forecasts(2)
    total = scored(ours)
    total.add(scored(theirs))
    both = scored(ours + theirs)
    assert (total.hits, total.misses) == (both.hits, both.misses)
    assert total.log_loss() == pytest.approx(both.log_loss())
    assert total.seen == len(ours) + len(theirs)


def test_a_certain_and_wrong_forecast_has_a_finite_loss() -> None:
    score = scored([(1.0, False), (0.0, True)])
    loss = score.log_loss()
    assert loss is not None and 10 < loss < 20
    assert score.roc_auc() == 0.0


def test_nothing_to_score_is_no_score() -> None:
    assert ForecastScore().roc_auc() is None
    assert ForecastScore().log_loss() is None
    assert scored([(0.5, True)]).roc_auc() is None
