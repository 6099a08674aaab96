"""The result of a what-if on a terminal, within 100 columns."""

from flows.display.screen import Column, Drawing, Table, View, Words, beside, group, stacked, words
from flows.simulation.kpis import Kpi
from flows.whatif.result import Difference, Result
from flows.whatif.statistics import mean_of
from flows.whatif.wording import (
    blocks,
    change_text,
    changes_between,
    interval_text,
    is_term,
    shown_kpis,
    standing,
    titled,
    value_text,
    verdict,
)

#: Arms side by side; beyond that, scenario by scenario.
_MOST_ARMS = 5
#: Differences are wider than values, and the baseline has none.
_MOST_CHANGES = 4
_WIDTH = 100
_INDENT = ("", "  ")
_STYLES = {"better": "green", "worse": "red"}


def comparison(result: Result) -> Drawing:
    """Return the verdict, KPIs by arm, and each arm's differences from the baseline."""
    parts: list[View] = [words(result.title, "bold")]
    parts += [words(f"- {sentence}") for sentence in verdict(result)]
    parts.append(words(""))
    if not result.arms:
        return group(*parts)
    parts += [words(_legend(result), "dim"), words("")]
    for arms in blocks(result.arms, _MOST_ARMS):
        parts += [_values(result, arms), words("")]
        changed = [arm for arm in arms if arm]
        for i in range(0, len(changed), _MOST_CHANGES):
            parts += [
                words(f"difference from {result.arms[0].label}", "bold"),
                _changes(result, changed[i : i + _MOST_CHANGES]),
                words(""),
            ]
    return group(*parts[:-1])


def _legend(result: Result) -> str:
    """Explain how to read the tables."""
    if len(result.arms) == 1:
        return "Mean over the seeds."
    if len(result.seeds) == 1:
        return "One seed: differences may be luck, and have no interval."
    return (
        f"Means over {len(result.seeds)} seeds. Differences are paired by seed, with their 95 % "
        "interval: better or worse where that excludes zero, unclear where it does not."
    )


def _values(result: Result, arms: list[int]) -> Table:
    """Return means over the seeds, a column per arm."""
    table = _table(result, arms)
    for kpi in shown_kpis(result.arms):
        table.row(
            _INDENT[is_term(kpi)] + titled(kpi, result.currency),
            *(value_text(kpi, mean_of(result.arms[arm], kpi.name)) for arm in arms),
        )
    return table


def _changes(result: Result, arms: list[int]) -> Table:
    """Return paired differences from the baseline, a column per arm, the interval below each.

    Terms of the cost, and figures that are the same in all these arms, are left out.
    """
    table = _table(result, arms)
    changes = [changes_between(result, arm, 0) for arm in arms]
    for kpi in shown_kpis(result.arms):
        differences = [by_name.get(kpi.name) for by_name in changes]
        same = all(found is None or standing(kpi, found) == "same" for found in differences)
        if same or is_term(kpi):
            continue
        table.row(
            titled(kpi, result.currency, difference=True),
            *(_cell(kpi, found) for found in differences),
        )
    return table


def _cell(kpi: Kpi, difference: Difference | None) -> Words:
    """Return a difference, its meaning, and its interval on a line below."""
    if difference is None:
        return words(value_text(kpi, None))
    word = standing(kpi, difference)
    cell = words(change_text(kpi, difference.mean))
    if word:
        cell = beside(cell, words(f" {word}", _STYLES.get(word, "dim")))
    if reach := interval_text(kpi, difference):
        cell = stacked(cell, words(reach, "dim"))
    return cell


def _table(result: Result, arms: list[int]) -> Table:
    """Return an empty table with a column for KPIs and one for each arm."""
    columns = [Column(max_width=_WIDTH - 16 * len(arms))]
    for arm in arms:
        head = stacked(words(result.arms[arm].scenario), words(result.arms[arm].policy))
        columns.append(Column(head, right=True, max_width=20))
    return Table(*columns, look="head")
