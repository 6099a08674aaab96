"""The presentation of a what-if: statistics by hand, and pages and tables that always come out."""

import io
import math
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from flows.simulation.kpis import KPIS
from flows.whatif.report import report, write_report
from flows.whatif.result import Arm, Result, Run, Series
from flows.whatif.statistics import interval, paired_differences, partners
from flows.whatif.table import comparison
from flows.whatif.wording import change_text, standing, value_text, verdict


def a_run(
    seed: int,
    *,
    harm: float = 0.0,
    dear: float = 0.0,
    points: int = 80,
    nodes: int = 36,
    days: int = 20,
) -> Run:
    """A run whose luck comes from its seed; a scenario harms it, a policy makes it dear."""
    shared = random.Random(seed)
    luck = random.Random(f"{seed} {harm} {dear}")
    cost = 780 + shared.gauss(0, 25) + 140 * harm + 60 * dear + luck.gauss(0, 8)
    on_time = min(
        1.0, 0.95 + shared.gauss(0, 0.01) + luck.gauss(0, 0.004) - 0.11 * harm - 0.002 * dear
    )
    kpis: dict[str, float | None] = {
        "cost": cost,
        "freight": cost * 0.61,
        "handling": cost * 0.2,
        "split": cost * 0.05,
        "lateness": cost * 0.07,
        "expedite": cost * 0.02 * harm,
        "transfer": 0.0,
        "compensation": cost * 0.02,
        "carbon": cost * 0.03,
        "lost_sale": 0.0,
        "on_time": on_time,
        "fill": 0.985 + luck.gauss(0, 0.002),
        "split_excess": 0.06 + luck.gauss(0, 0.003) + 0.03 * harm,
        "local": 0.71 - 0.1 * harm,
        "told": 0.8 - 0.1 * dear,
        "false_alarms": 0.12,
        "transfer_yield": None,
        "carbon_g": 412 + 30 * dear + luck.gauss(0, 3),
        "touches": 2.1 + luck.gauss(0, 0.2) + harm * 3,
        "orders": 8000.0 + shared.randrange(500),
    }
    hours = [days * 24 * (i + 1) / points for i in range(points)]
    hit = [harm * math.exp(-(((i / points - 0.5) / 0.15) ** 2)) for i in range(points)]
    stock = {
        f"node-{n:02}": [
            500 * (1 + 0.3 * math.sin(n + i / 9) * (i / points) + 0.9 * hit[i] * math.cos(n))
            for i in range(points)
        ]
        for n in range(nodes)
    }
    return Run(
        seed=seed,
        digest=luck.randbytes(32).hex(),
        events=100_000 + luck.randrange(9000),
        actions={"allocate": 8000, "reroute": 120, "reship": 14},
        kpis=kpis,
        series=Series(
            hours=hours,
            cost_per_order_cents=[cost + 300 * h + luck.gauss(0, 20) for h in hit],
            on_time=[min(1.0, on_time - 0.3 * h + luck.gauss(0, 0.01)) for h in hit],
            backlog=[120 + 500 * h + luck.gauss(0, 12) for h in hit],
            stock=stock,
        ),
    )


def a_result(
    scenarios: tuple[str, ...] = ("none", "hub-fire"),
    policies: tuple[str, ...] = ("ours", "nearest", "cheapest"),
    seeds: int = 10,
    **sizes: int,
) -> Result:
    """Every scenario under every policy."""
    arms = [
        Arm(
            scenario=scenario,
            policy=policy,
            runs=[
                a_run(seed, harm=float(s), dear=float(p), **sizes) for seed in range(1, seeds + 1)
            ],
        )
        for s, scenario in enumerate(scenarios)
        for p, policy in enumerate(policies)
    ]
    return Result(
        title="What if a hub burned down?",
        world="national.toml: 36 nodes, 4 carriers",
        days=20,
        currency="EUR",
        seeds=list(range(1, seeds + 1)),
        arms=arms,
        differences=paired_differences(arms),
        shaded=[
            ("hub-fire", 192.0, 264.0),
            ("carrier north slows down", 230.0, 330.0),
            ("sale", 400.0, 430.0),
        ],
        notes=["The world is simulated.", "Lost sales are valued at their margin."],
    )


_KPI = {kpi.name: kpi for kpi in KPIS}


def an_arm(scenario: str, policy: str, **kpis: dict[int, float | None]) -> Arm:
    """An arm of runs without curves, from each KPI's values by seed."""
    nothing = Series(hours=[], cost_per_order_cents=[], on_time=[], backlog=[], stock={})
    seeds = sorted({seed for values in kpis.values() for seed in values})
    runs = [
        Run(
            seed=seed,
            digest="",
            events=0,
            actions={},
            kpis={name: values.get(seed) for name, values in kpis.items()},
            series=nothing,
        )
        for seed in seeds
    ]
    return Arm(scenario=scenario, policy=policy, runs=runs)


def of(arms: list[Arm], seeds: int = 3) -> Result:
    return Result(
        title="What if?",
        world="small",
        days=1,
        currency="EUR",
        seeds=list(range(1, seeds + 1)),
        arms=arms,
        differences=paired_differences(arms),
    )


class Page(HTMLParser):
    """A page as a browser sees it: texts, attributes, and whether all elements are closed."""

    _VOID = frozenset(("meta", "br", "hr", "img", "link", "input"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def printed(result: Result, width: int = 100) -> list[str]:
    text = io.StringIO()
    Console(width=width, file=text).print(comparison(result))
    return text.getvalue().splitlines()


@pytest.fixture(scope="module")
def usual() -> Result:
    return a_result()


@pytest.fixture(scope="module")
def html(usual: Result) -> str:
    return report(usual, command="crossdock whatif --seeds 10")


def test_differences_are_those_worked_out_by_hand() -> None:
    base = an_arm("none", "ours", cost={1: 100.0, 2: 200.0, 3: 300.0})
    other = an_arm("none", "nearest", cost={3: 303.0, 1: 101.0, 2: 202.0})
    (found,) = paired_differences([base, other])
    # Differences 1, 2, 3: mean 2, sd 1; t with 2 degrees of freedom is 4.302653 at 97.5 %.
    reach = 4.302653 / math.sqrt(3)
    assert (found.arm, found.against, found.kpi, found.pairs) == (1, 0, "cost", 3)
    assert found.mean == 2
    assert found.low == pytest.approx(2 - reach, abs=1e-6)
    assert found.high == pytest.approx(2 + reach, abs=1e-6)


def test_pairs_lack_what_either_arm_lacks() -> None:
    base = an_arm("none", "ours", cost={1: 5.0, 2: None, 3: 7.0, 4: math.nan}, fill={1: None})
    other = an_arm("none", "nearest", cost={1: 6.0, 2: 9.0, 4: 1.0, 5: 2.0}, fill={1: 1.0})
    (found,) = paired_differences([base, other])
    assert (found.mean, found.low, found.high, found.pairs) == (1, None, None, 1)


def test_equal_differences_need_no_width() -> None:
    assert interval([3.0, 3.0, 3.0]) == (3, 3, 3)
    assert interval([0.1] * 7) == (0.1, 0.1, 0.1)


def test_arms_are_compared_with_the_baseline_and_within_their_scenario() -> None:
    arms = [
        an_arm(scenario, policy)
        for scenario, policy in (
            ("none", "ours"),
            ("none", "nearest"),
            ("fire", "nearest"),
            ("fire", "ours"),
            ("flood", "cheapest"),
            ("flood", "nearest"),
        )
    ]
    assert list(partners(arms)) == [(i, 0) for i in range(1, 6)] + [(2, 3), (5, 4)]


def test_figures_are_written_in_their_units() -> None:
    cost, on_time, grams = _KPI["cost"], _KPI["on_time"], _KPI["carbon_g"]
    assert value_text(cost, 123_456.7) == "1,234.57"
    assert value_text(cost, -0.2) == "0.00"
    assert value_text(on_time, 0.9512) == "95.1"
    assert value_text(grams, None) == "–"
    assert change_text(on_time, -0.0123) == "−1.23"
    assert change_text(cost, 1e-9) == "0.00"
    assert change_text(grams, 12.34) == "+12.3"


@pytest.mark.parametrize(
    ("kpi", "shift", "word"),
    [
        ("cost", 10.0, "worse"),
        ("cost", -10.0, "better"),
        ("on_time", 0.1, "better"),
        ("on_time", -0.1, "worse"),
        ("orders", 10.0, "higher"),
        ("cost", 0.0, "same"),
    ],
)
def test_a_clear_difference_is_named_for_what_it_is(kpi: str, shift: float, word: str) -> None:
    values: dict[int, float | None] = {1: 1.0, 2: 2.0, 3: 3.0}
    other: dict[int, float | None] = {seed: seed + shift for seed in values}
    arms = [an_arm("none", "ours", **{kpi: values}), an_arm("fire", "ours", **{kpi: other})]
    (found,) = paired_differences(arms)
    assert standing(_KPI[kpi], found) == word


def test_the_verdict_speaks_of_scenarios_first_and_then_of_policies(usual: Result) -> None:
    said = verdict(usual)
    assert said[0].startswith("With “ours”, “hub-fire” costs")
    assert sum("than “ours”" in sentence for sentence in said) == 4
    assert any("no clear difference in" in sentence for sentence in said)
    base = an_arm("none", "ours", cost={1: 500.0, 2: 600.0, 3: 550.0})
    luck = an_arm("none", "nearest", cost={1: 600.0, 2: 500.0, 3: 551.0})
    dear = an_arm("none", "cheapest", cost={1: 605.0, 2: 706.0, 3: 654.0})
    assert verdict(of([base, luck, dear])) == [
        "Undisturbed, “nearest” and “ours” show no clear difference in cost.",
        "Undisturbed, “cheapest” costs 1.05 EUR (19%) more per order than “ours”.",
    ]
    assert "may be mere luck" in verdict(a_result(seeds=1, points=3, nodes=1))[0]
    assert "nothing to compare it with" in verdict(of([base]))[0]


def test_the_report_needs_nothing_else(html: str) -> None:
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "http" not in without_names
    assert "@import" not in html
    page = Page(html)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:")), value
    assert not re.findall(r"url\((?!#)", html)


def test_the_ids_of_figures_are_their_own(html: str) -> None:
    page = Page(html)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = {
        value[1:] for name, value in page.attributes if name == "xlink:href" and value[0] == "#"
    }
    assert used <= set(ids)


def test_the_report_tells_all_of_it(usual: Result, html: str) -> None:
    page = Page(html)
    for arm in usual.arms:
        assert arm.label in page.text
        assert all(run.digest in page.text for run in arm.runs)
    for text in (*usual.notes, usual.title, *verdict(usual), "crossdock whatif --seeds 10"):
        assert text in page.text
    assert page.tags.count("svg") == 5
    assert len(html) < 2_000_000


@pytest.mark.slow
def test_the_same_result_gives_the_same_bytes(usual: Result, tmp_path: Path) -> None:
    again = msgspec.json.decode(msgspec.json.encode(usual), type=Result)
    again.seconds = usual.seconds + 60  # the time it took is left out
    for name, result in (("a", usual), ("b", again)):
        write_report(result, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.slow
def test_names_are_texts_whatever_they_look_like() -> None:
    names = ("none", "<b>bold & $x_1$</b>", "_hidden", "[red]山火[/red]")
    result = a_result(names, ("ours", "<script>"), 2, points=4, nodes=2)
    result.shaded = [("<i>span</i>", 10.0, 20.0), ("<b>bold & $x_1$</b>", 30.0, 9000.0)]
    result.notes = ["<img src=x>"]
    html = report(result)
    page = Page(html)
    assert not {"script", "img"} & set(page.tags)
    assert "<b>bold" not in html and "<i>span" not in html
    assert all(f"{name}, <script>" in page.text for name in names)
    assert any("[red]" in line for line in printed(result))


@pytest.mark.slow
def test_little_is_enough() -> None:
    one = a_result(("none", "fire"), ("ours",), 1, points=1, nodes=1)
    Page(report(one))
    assert any("One seed" in line for line in printed(one))
    nameless = an_arm("none", "ours", cost={1: None, 2: None}, on_time={1: None})
    for arms in ([], [nameless], [nameless, an_arm("fire", "ours"), an_arm("fire", "cheapest")]):
        Page(report(of(arms)))
        printed(of(arms))


@pytest.mark.slow
def test_gaps_in_the_curves_are_no_trouble() -> None:
    result = a_result(seeds=3, points=12, nodes=3)
    for arm in result.arms:
        for run in arm.runs:
            curves = run.series
            curves.on_time = [None] * 12
            curves.cost_per_order_cents[:4] = [None] * 4
            curves.stock["node-00"][0] = 0.0
            curves.stock["odd"] = [1.0] * run.seed
    result.arms[1].runs[0].series = Series(
        hours=[], cost_per_order_cents=[], on_time=[], backlog=[], stock={}
    )
    Page(report(result))


@pytest.mark.parametrize("scenarios", [1, 2, 4])
def test_the_table_fits_a_hundred_columns(scenarios: int) -> None:
    names = ("none", "fire", "a_scenario_of_a_name_that_does_not_end", "strike")[:scenarios]
    result = a_result(names, ("ours", "nearest", "./policies/cautious.toml"), 3, points=2, nodes=1)
    lines = printed(result)
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert "worse" in text and "unclear" in text
    assert "e-0" not in text and "nan" not in text
    assert text.count("cost-to-serve per order, EUR") == (2 if scenarios == 1 else 2 * scenarios)
    assert not any("…" in line for line in lines)
