"""Wording of a what-if's figures, and its verdict in plain words."""

from collections.abc import Iterable, Sequence

from flows.simulation.kpis import COST_TERMS, KPIS, Kpi
from flows.simulation.scenario import NONE
from flows.whatif.result import Arm, Difference, Result
from flows.whatif.statistics import first_of_scenario, mean_of

#: Unit of a KPI -> factor to what is shown.
_FACTORS = {"cents": 0.01, "share": 100.0, "g": 1.0, "orders": 1.0, "count": 1.0}
#: Unit of a KPI -> decimals of a value, decimals of a difference.
_DECIMALS = {"cents": (2, 2), "share": (1, 2), "g": (0, 1), "orders": (0, 1), "count": (1, 2)}
_TERMS = {kpi.name for kpi in COST_TERMS}
_BY_NAME = {kpi.name: kpi for kpi in KPIS}
_NOTHING = "–"

#: KPIs the verdict speaks of: names for more of it, less of it, and in a list of no changes.
_SPOKEN = {
    "cost": ("costs {} more per order", "costs {} less per order", "cost"),
    "on_time": (
        "delivers {} more of the orders on time",
        "delivers {} fewer of the orders on time",
        "punctuality",
    ),
    "fill": ("fills {} more of the orders", "fills {} fewer of the orders", "orders filled"),
    "carbon_g": ("emits {} more carbon per order", "emits {} less carbon per order", "carbon"),
    "touches": (
        "raises {} more cases for a person per 1,000 orders",
        "raises {} fewer cases for a person per 1,000 orders",
        "cases for a person",
    ),
}
_MOST_SENTENCES = 10


def is_term(kpi: Kpi) -> bool:
    """Return whether the KPI is a part of the cost, to be shown below it."""
    return kpi.name in _TERMS


def shown_kpis(arms: Iterable[Arm]) -> list[Kpi]:
    """Return KPIs with values in some arm; terms of cost only where not 0.00 everywhere."""
    means = {kpi.name: [mean_of(arm, kpi.name) for arm in arms] for kpi in KPIS}
    return [
        kpi
        for kpi in KPIS
        if any(
            mean is not None and (not is_term(kpi) or _rounded(kpi, mean, 0))
            for mean in means[kpi.name]
        )
    ]


def blocks(arms: Sequence[Arm], most: int) -> list[list[int]]:
    """Return arms to stand side by side: all if at most `most`, else scenario by scenario."""
    if len(arms) <= most:
        return [list(range(len(arms)))]
    scenarios: dict[str, list[int]] = {}
    for i, arm in enumerate(arms):
        scenarios.setdefault(arm.scenario, []).append(i)
    return [same[i : i + most] for same in scenarios.values() for i in range(0, len(same), most)]


def scaled(kpi: Kpi, value: float) -> float:
    """Return the value in the unit in which it is shown."""
    return value * _FACTORS[kpi.unit]


def titled(kpi: Kpi, currency: str, *, difference: bool = False) -> str:
    """Return the KPI's title with the unit of its values or differences."""
    unit = unit_of(kpi, currency, difference=difference)
    return f"{kpi.title}, {unit}" if unit else kpi.title


def unit_of(kpi: Kpi, currency: str, *, difference: bool = False) -> str:
    """Return the unit as it is written; nothing for mere counts."""
    share = "points" if difference else "%"
    return {"cents": currency, "share": share, "g": "g"}.get(kpi.unit, "")


def value_text(kpi: Kpi, value: float | None) -> str:
    """Return a value without its unit."""
    if value is None:
        return _NOTHING
    decimals = _DECIMALS[kpi.unit][0]
    return f"{_rounded(kpi, value, 0):,.{decimals}f}".replace("-", "−")


def change_text(kpi: Kpi, change: float) -> str:
    """Return a difference without its unit, always with its sign."""
    shown = _rounded(kpi, change, 1)
    sign = "+" if shown > 0 else "−" if shown < 0 else ""
    return f"{sign}{abs(shown):,.{_DECIMALS[kpi.unit][1]}f}"


def interval_text(kpi: Kpi, difference: Difference) -> str:
    """Return the 95 % interval; empty with one seed, or where all of it would read as zero."""
    if difference.low is None or difference.high is None or standing(kpi, difference) == "same":
        return ""
    return f"{change_text(kpi, difference.low)} to {change_text(kpi, difference.high)}"


def standing(kpi: Kpi, difference: Difference) -> str:
    """Return the meaning of a difference, in a word.

    ``better`` and ``worse``, or ``higher`` and ``lower`` where neither way is better, if the
    interval excludes zero; ``same`` if all of it is too small to be shown; else ``unclear``.
    Nothing with one seed: there is no interval then.
    """
    if difference.low is None or difference.high is None:
        return ""
    if not any(_rounded(kpi, end, 1) for end in (difference.low, difference.high)):
        return "same"
    if difference.low <= 0 <= difference.high:
        return "unclear"
    more = difference.mean > 0
    if not kpi.better:
        return "higher" if more else "lower"
    return "better" if more == (kpi.better > 0) else "worse"


def changes_between(result: Result, arm: int, against: int) -> dict[str, Difference]:
    """Return the differences of one pair of arms, by KPI."""
    return {
        difference.kpi: difference
        for difference in result.differences
        if (difference.arm, difference.against) == (arm, against)
    }


def verdict(result: Result) -> list[str]:
    """Return the result in sentences: first each scenario's effect, then each other policy's.

    A scenario is described under its first policy, against the baseline; another policy against
    the first one of its scenario. So a sentence speaks of one change at a time.
    """
    if not result.arms:
        return ["Nothing was run."]
    if len(result.arms) == 1:
        cost = mean_of(result.arms[0], "cost")
        amount = value_text(_BY_NAME["cost"], cost)
        return [
            f"There is one arm only, {result.arms[0].label}, and nothing to compare it with; "
            f"an order costs {amount} {result.currency} to serve."
        ]
    firsts = {arm: first_of_scenario(result.arms, arm) for arm in range(1, len(result.arms))}
    by_scenario = [_sentence(result, arm, 0) for arm, first in firsts.items() if first == arm]
    by_policy = [_sentence(result, arm, first) for arm, first in firsts.items() if first != arm]
    sentences = by_scenario + by_policy
    if len(result.seeds) < 2:
        sentences.insert(0, "One seed was run: what follows may be mere luck.")
    if len(sentences) > _MOST_SENTENCES:
        further = len(sentences) - _MOST_SENTENCES
        sentences[_MOST_SENTENCES:] = [f"{further} further arms are in the table."]
    return sentences


def _sentence(result: Result, arm: int, against: int) -> str:
    """Return the sentence on two arms' differences."""
    changes = changes_between(result, arm, against)
    clear: list[str] = []
    unclear: list[str] = []
    for name, (more, less, topic) in _SPOKEN.items():
        if (difference := changes.get(name)) is None:
            continue
        kpi = _BY_NAME[name]
        changed = _rounded(kpi, difference.mean, 1)
        if not changed or standing(kpi, difference) in ("unclear", "same"):
            unclear.append(topic)
            continue
        base = mean_of(result.arms[against], name)
        ratio = abs(difference.mean / base) if base else 1.0
        amount = _amount(result, kpi, difference, ratio)
        clear.append((more if changed > 0 else less).format(amount))
    opening, mine, theirs = _parties(result.arms[arm], result.arms[against])
    if not clear:
        topics = f" in {_listed(unclear, 'or')}" if unclear else ""
        return f"{opening} {mine} and {theirs} show no clear difference{topics}.".lstrip()
    sentence = f"{opening} {mine} {_listed(clear, 'and')} than {theirs}"
    if unclear:
        sentence += f"; no clear difference in {_listed(unclear, 'or')}"
    return f"{sentence}.".lstrip()


def _amount(result: Result, kpi: Kpi, difference: Difference, ratio: float) -> str:
    """Return the size of a difference with its unit, and as a share unless it is of shares."""
    unit = unit_of(kpi, result.currency, difference=True)
    amount = f"{change_text(kpi, abs(difference.mean))[1:]} {unit}".rstrip()
    relative = f" ({ratio:.0%})" if kpi.unit in ("cents", "g") and ratio >= 0.01 else ""
    return amount + relative


def _parties(arm: Arm, against: Arm) -> tuple[str, str, str]:
    """Return the common part of two arms, and the name of each then."""
    if arm.scenario == against.scenario:
        opening = f"Under “{arm.scenario}”," if arm.scenario != NONE else "Undisturbed,"
        return opening, f"“{arm.policy}”", f"“{against.policy}”"
    if arm.policy == against.policy:
        return f"With “{arm.policy}”,", _scenario(arm.scenario), _scenario(against.scenario)
    return "", f"“{arm.label}”", f"“{against.label}”"


def _scenario(name: str) -> str:
    """Return a scenario as it is spoken of."""
    return f"“{name}”" if name != NONE else "the undisturbed world"


def _listed(items: Sequence[str], last: str) -> str:
    """Return items as an enumeration."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def _rounded(kpi: Kpi, value: float, which: int) -> float:
    """Return the value as shown (`which` is 0) or the difference (1); never a negative zero."""
    return round(scaled(kpi, value), _DECIMALS[kpi.unit][which]) + 0.0
