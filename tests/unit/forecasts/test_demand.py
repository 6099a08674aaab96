"""The demand outlook: levels, cold starts, signals, shifts; nothing looks ahead."""

from random import Random

import pytest
from msgspec.structs import replace

from operators.chain import build_operator, to_record
from operators.core.contract import Operator, Record
from operators.core.facts import DemandLift, DemandOutlook
from operators.forecasts.demand import explain
from operators.prediction.demand_counts import as_count, exceeds
from operators.prediction.demand_model import LEVELS, DemandModel, Expectation
from operators.prediction.demand_series import season_of
from operators.sourcing.outlook import Outlook
from state.events import PolicyChanged, SignalObserved
from state.keys import ALL_GOODS, EVERYWHERE, Goods
from state.policy import Demand as DemandRules
from state.policy import Policy
from state.quantities import DAY_MS
from tests.builders import DAY, HOUR, Log, Run, fold, order

MANY = {("N-NORTH", "BOOK"): 10**6}


def days(units: list[int], log: Log | None = None) -> Log:
    """A log with so many units ordered a day; none on a day of 0."""
    log = log or Log().network_of(MANY)
    for count in units:
        if count:
            log.add(order(f"O-{len(log.events)}", {"BOOK": count}, placed_ms=log.now_ms))
        log.now_ms += DAY * 1000
    return log


def outlooks(run: Run) -> list[DemandOutlook]:
    return run.facts(DemandOutlook)


def units_per_day(run: Run) -> float:
    return outlooks(run)[-1].units_per_day


def counts(luck: Random, mean: float, number: int) -> list[float]:
    """Poisson counts, as arrivals of an exponential clock."""
    found = []
    for _ in range(number):
        count, at = 0, luck.expovariate(mean)
        while at < 1.0:
            count, at = count + 1, at + luck.expovariate(mean)
        found.append(float(count))
    return found


def run_model(
    model: DemandModel, units: dict[tuple[str, str], list[float | None]], day: int = 0
) -> dict[tuple[str, str], list[Expectation | None]]:
    """Feed series to a model, day by day; returns what was expected of each day of each."""
    expected: dict[tuple[str, str], list[Expectation | None]] = {key: [] for key in units}
    for at in range(max(map(len, units.values()))):
        for (region, sku), values in units.items():
            made = model.ordered(region, sku, "goods", values[at], (day + at) * DAY_MS)
            expected[region, sku].append(made)
    return expected


def new_model() -> DemandModel:
    return DemandModel(DAY, 0.05, 2 * DAY)


def test_the_level_of_demand_follows_the_orders() -> None:
    assert units_per_day(fold(days([5] * 20))) == pytest.approx(5, rel=0.01)
    assert units_per_day(fold(days([5] * 20 + [10] * 12))) == pytest.approx(10, rel=0.1)
    assert units_per_day(fold(days([5] * 20 + [1] * 12))) == pytest.approx(1, rel=0.3)


def test_days_without_an_order_count() -> None:
    outlook = outlooks(fold(days([6, 0, 0] * 12)))[-1]
    assert outlook.level == pytest.approx(2, rel=0.2)
    model = new_model()
    run_model(model, {("NORTH", "BOOK"): [6.0] * 20})
    faded = model.ordered("NORTH", "BOOK", "goods", 6.0, 80 * DAY_MS)
    assert faded is not None and faded.level < 1


def test_a_forecast_is_made_before_the_day_it_is_compared_with() -> None:
    made = outlooks(fold(days([4] * 10 + [6, 4])))
    assert (made[-1].observed, made[-2].observed) == (6.0, 4.0)
    assert made[-1].forecast == pytest.approx(4)
    assert made[-2].units == made[-1].forecast


def test_the_future_changes_no_earlier_prediction() -> None:
    luck = Random(1)
    keys = [(f"R-{n % 3}", f"SKU-{n // 3}") for n in range(12)]
    past = {key: counts(luck, 3.0, 30) for key in keys}
    calm = run_model(new_model(), {key: values + [3.0] * 10 for key, values in past.items()})
    wild = run_model(new_model(), {key: values + [90.0] * 10 for key, values in past.items()})
    first = keys[0]
    for key in keys:
        assert calm[key][:30] == wild[key][:30]
    # The first series of a day is predicted before any order of that day is known.
    assert replace_seen(calm[first][30]) == replace_seen(wild[first][30])
    assert calm[first][32] != wild[first][32]


def replace_seen(made: Expectation | None) -> tuple[float, tuple[float, ...]]:
    assert made is not None
    return made.mean, made.quantiles


def test_bands_cover_what_they_promise_in_slow_and_quick_series() -> None:
    luck, model = Random(2), new_model()
    means = {("NORTH", f"SKU-{n}"): 0.4 * 1.5**n for n in range(12)}
    units: dict[tuple[str, str], list[float | None]] = {}
    for key, mean in means.items():
        units[key] = [*counts(luck, mean, 160)]
    made = run_model(model, units)
    inside = total = 0
    for key, values in units.items():
        for value, one in list(zip(values, made[key], strict=True))[60:]:
            assert one is not None and value is not None
            assert list(one.quantiles) == sorted(one.quantiles)
            inside += one.quantiles[1] <= value <= one.quantiles[3]
            total += 1
    assert inside / total == pytest.approx(0.8, abs=0.05)


def test_a_new_series_borrows_from_its_sku_elsewhere_and_its_regions_size() -> None:
    model = new_model()
    sizes = {"SMALL": 1.0, "USUAL": 2.0, "LARGE": 6.0}
    popular = {"HIT": 5.0, **{f"DULL-{n}": 1.0 for n in range(9)}}
    run_model(
        model,
        {
            (region, sku): [size * liked] * 20
            for region, size in sizes.items()
            for sku, liked in popular.items()
            if (region, sku) != ("LARGE", "HIT")
        },
    )
    hit = model.ordered("LARGE", "HIT", "goods", 1.0, 20 * DAY_MS)
    assert hit is not None and hit.observed is None
    dull = model.ordered("LARGE", "DULL-1", "goods", 1.0, 20 * DAY_MS)
    assert dull is not None
    assert 2 * dull.level < hit.level < 60


def test_a_sku_that_nobody_ordered_for_long_starts_low() -> None:
    levels = []
    for after in (1, 40):
        model = new_model()
        model.register("RARE", 0)
        run_model(model, {("NORTH", "USUAL"): [5.0] * after})
        model.ordered("NORTH", "RARE", "goods", 1.0, after * DAY_MS)
        made = model.ordered("NORTH", "RARE", "goods", 1.0, (after + 1) * DAY_MS)
        assert made is not None
        levels.append(made.level)
    assert levels[1] < 0.2 < levels[0]


def test_the_season_of_the_week_is_learned_from_all_series() -> None:
    week = [5, 5, 5, 5, 5, 20, 1]
    made = outlooks(fold(days(week * 12)))[-7:]
    units = [outlook.units for outlook in made]
    assert units[5] > 2 * units[4] and units[6] < units[4] / 2


def test_an_unobserved_day_neither_counts_nor_is_learned_from() -> None:
    censored = run_model(new_model(), {("NORTH", "BOOK"): [4.0] * 20 + [None] * 10 + [4.0]})
    last = censored["NORTH", "BOOK"][-1]
    assert last is not None and last.level == pytest.approx(4, rel=0.03)
    assert last.observed is None


def test_after_a_shift_the_series_hurries_and_its_band_widens() -> None:
    luck = Random(3)
    keys = [("NORTH", f"SKU-{n}") for n in range(8)]
    units: dict[tuple[str, str], list[float | None]] = {
        key: [*counts(luck, 20.0, 60), *(2 * v for v in counts(luck, 20.0, 12))] for key in keys
    }
    made = run_model(new_model(), units)
    widths, levels = [], []
    for key in keys:
        before, after = made[key][59], made[key][68]
        assert before is not None and after is not None
        widths.append((after.quantiles[3] - after.quantiles[1]) / after.sd)
        widths[-1] /= (before.quantiles[3] - before.quantiles[1]) / before.sd
        levels.append(after.mean)
    assert sum(levels) / len(levels) == pytest.approx(40, rel=0.15)
    assert sum(widths) / len(widths) > 1.2


@pytest.mark.parametrize(("bucket_s", "season"), [(HOUR, 24), (DAY, 7), (7 * DAY, 52), (60, 1)])
def test_a_season_fits_its_buckets(bucket_s: int, season: int) -> None:
    assert season_of(bucket_s) == season


def test_the_spread_is_at_least_that_of_a_poisson_count() -> None:
    assert outlooks(fold(days([9] * 20)))[-1].sd == pytest.approx(3, rel=0.01)
    luck = Random(4)
    wild = [luck.choice((1.0, 30.0)) for _ in range(60)]
    made = run_model(new_model(), {("NORTH", "BOOK"): [*wild]})["NORTH", "BOOK"][-1]
    assert made is not None and made.sd > 10


def test_a_shorter_bucket_gives_the_same_level_per_day() -> None:
    log = Log().network_of(MANY)
    for _ in range(60):
        log.add(order(f"O-{len(log.events)}", {"BOOK": 2}), HOUR)
    run = fold(log, Policy(demand=DemandRules(bucket_s=HOUR)))
    assert units_per_day(run) == pytest.approx(48, rel=0.05)


def test_levels_outlive_a_change_of_the_buckets_length() -> None:
    log = days([4] * 30)
    log.add(PolicyChanged(policy={"demand": {"bucket_s": HOUR}}))
    log.add(order("O-late", {"BOOK": 4}, placed_ms=log.now_ms))
    log.add(order("O-later", {"BOOK": 4}, placed_ms=log.now_ms), HOUR)
    assert outlooks(fold(log))[-1].level == pytest.approx(4 / 24, rel=0.4)


def promoted(lifting: bool) -> Run:
    """Every fourth day a promotion an hour after the first order; more follow it, or do not."""
    log = Log().network_of(MANY)

    def signal(after_s: float) -> None:
        log.add(SignalObserved(kind="promotion", region="NORTH", sku="BOOK", ratio=2.7), after_s)

    for number in range(120):
        midnight_ms = log.now_ms
        log.add(order(f"A-{number}", {"BOOK": 8}, placed_ms=log.now_ms))
        if number % 4 == 0:
            signal(HOUR)
            more = 16 if lifting else 1
            log.add(order(f"B-{number}", {"BOOK": more}, placed_ms=log.now_ms), HOUR)
        log.now_ms = midnight_ms + DAY * 1000
    signal(0)
    return fold(log, Policy(demand=DemandRules(signal_memory_s=12 * HOUR)))


def test_a_signal_that_lifted_demand_is_expected_to_lift_it_again() -> None:
    lifts: list[DemandLift] = promoted(True).facts(DemandLift)
    assert lifts[0].factor == pytest.approx(1)
    assert lifts[-1].factor > 1.2
    assert promoted(False).facts(DemandLift)[-1].factor < lifts[-1].factor - 0.1


def test_a_signal_is_forgotten_after_its_time() -> None:
    log = Log().network_of(MANY)
    signal = log.add(SignalObserved(kind="search", ratio=3.0))
    (lift,) = fold(log).facts(DemandLift)
    assert lift.until_ms == signal.recorded_ms + Policy().demand.signal_memory_s * 1000
    assert (lift.region, lift.scope) == (EVERYWHERE, ALL_GOODS)


def test_what_is_suspect_teaches_nothing() -> None:
    log = days([5] * 10)
    demand = fold(log).operator("demand")
    quiet = log.lines()[-1]
    log.add(order("O-wild", {"BOOK": 5_000}, placed_ms=log.now_ms))
    record = to_record(log.lines()[-1])
    demand.step(replace(to_record(quiet), suspect=True, now_ms=record.now_ms))
    before = demand.snapshot()
    suspect = replace(record, suspect=True)
    assert demand.step(suspect) == [suspect]
    assert demand.snapshot() == before


def test_to_restore_is_exact_to_the_bit() -> None:
    log = days([3, 0, 7, 1] * 5)
    for number in range(20):
        log.add(SignalObserved(kind="search", region="NORTH", ratio=1 + number / 7))
        days([number], log)
    whole: Operator = fold(log).operator("demand")
    half = fold(Log(events=log.events[: len(log.events) // 2])).operator("demand")
    again = build_operator("demand", "net", Policy())
    again.restore(half.snapshot())
    assert again.snapshot() == half.snapshot()
    for line in log.lines()[len(log.events) // 2 :]:
        again.step(to_record(line))
    assert again.snapshot() == whole.snapshot()


def test_a_hundred_thousand_series_fit_into_twenty_megabytes() -> None:
    operator = build_operator("demand", "net", Policy())
    empty, luck = len(operator.snapshot()), Random(5)
    log = Log()
    for day in range(9):
        for number in range(400):
            placed = order(
                "O-1", {"BOOK": luck.randrange(1, 40)}, region=f"REGION-{number % 20:03}"
            )
            (line,) = placed.lines
            named = replace(placed, lines=(replace(line, sku=f"SKU-{number // 20:06}"),))
            event = log.add(named, 0)
            operator.step(Record("net", 1, day * DAY_MS, event.fact, event))
    assert (len(operator.snapshot()) - empty) / 400 < 200


def test_counts_have_the_tails_that_small_means_have() -> None:
    assert exceeds(0, 0.1, 0.1) == pytest.approx(0.0951626)
    assert exceeds(2, 1.0, 1.0) == pytest.approx(0.0803014)
    # Geometric with mean 1, which is a negative binomial of shape 1: P(X > n) = 2^-(n+1).
    assert exceeds(3, 1.0, 2.0) == pytest.approx(1 / 16)
    assert exceeds(-1, 0.5, 1.0) == 1.0
    assert exceeds(0, 0.0, 0.0) == 0.0
    assert exceeds(10**7, 16_000.0, 4e6) == pytest.approx(0.0)


def made_outlook(log: Log | None = None) -> DemandOutlook:
    return outlooks(fold(log or days([4] * 30)))[-1]


def test_the_risk_of_a_shortage_grows_with_time_and_falls_with_stock() -> None:
    outlook, now = made_outlook(), Outlook()
    now.learn_demand(outlook)
    at_ms = outlook.from_ms + DAY_MS // 2

    def risk(left: int, days: float) -> float:
        return now.shortage_risks("NORTH", "BOOK", "goods", left + 1, 1, round(days * DAY), at_ms)

    assert risk(0, 1) > risk(4, 1) > risk(8, 1) > risk(12, 1)
    assert risk(4, 1) < risk(4, 2) < risk(4, 4)
    assert now.shortage_risks("SOUTH", "BOOK", "goods", 1, 1, DAY, at_ms) == 0.0
    before = risk(8, 1)
    goods = Goods("category", "goods")
    now.learn_lift(DemandLift(region=EVERYWHERE, scope=goods, factor=2.0, until_ms=at_ms))
    assert risk(8, 1) > 2 * before


def test_an_outlook_fades_while_nothing_is_ordered() -> None:
    outlook, now = made_outlook(), Outlook()
    now.learn_demand(outlook)
    risks = [
        now.shortage_risks("NORTH", "BOOK", "goods", 5, 1, DAY, outlook.from_ms + after * DAY_MS)
        for after in (0, 10, 40, 400)
    ]
    assert risks == sorted(risks, reverse=True)
    assert risks[0] > 0.3 and risks[-1] < 0.01


def test_an_outlook_is_explained_in_words_with_units() -> None:
    outlook = DemandOutlook(
        region="NORTH",
        sku="BOOK",
        from_ms=0,
        bucket_s=DAY,
        units=5.4,
        level=3.2,
        season=1.4,
        signals={"promotion": 1.2},
        sd=2.4,
        quantiles=(0.4, 1.0, 5.1, 9.0, 12.0),
        evidence=21.2,
        observed=4.0,
        forecast=3.0,
    )
    assert explain(outlook) == (
        "3.2 a day usually; this day 1.4 × for its time, promotion 1.2 ×: 5.4 units expected, "
        "80 % band 1 to 9, from 21 days of evidence"
    )


def test_a_seldom_sellers_band_holds_nothing_and_one() -> None:
    band = as_count((0.67, 0.68, 0.7, 0.72, 0.8), LEVELS, 0.7)
    assert band[:3] == (0.0, 0.0, 0.7)
    assert band[3:] == (2.0, 3.0)
    assert list(as_count((0.0, 1.0, 2.0, 9.0, 12.0), LEVELS, 2.0)) == [0.0, 0.0, 2.0, 9.0, 12.0]
