"""The decisions benchmark as Markdown: a table per world, put between markers of a document."""

from statistics import fmean
from typing import Any

from benchmarks.decisions_runs import MEASURED, OURS, POLICIES, VARIANTS
from flows.simulation.kpis import COST_TERMS, Kpi

_SHOWN = (
    "cost",
    *(term.name for term in COST_TERMS),
    "on_time",
    "fill",
    "split_excess",
    "local",
    "transfer_yield",
    "churn",
    "told",
    "false_alarms",
    "touchless",
    "touches",
    "carbon_g",
)
#: Columns shown of ours without one of its parts.
_OF_PARTS = ("cost", "on_time", "split_excess", "local", "lost_sale", "touches")
_DASH = "–"
_TERMS = {term.name for term in COST_TERMS}
_KPIS = {kpi.name: kpi for kpi in MEASURED}


def table_of(document: dict[str, Any]) -> str:
    """Return a report as Markdown. Differences are ours − other, with the mean's 95 % interval.

    A term of cost that is always zero is left out.
    """
    kind = "A quick run, to be replaced by a full one: " if document["quick"] else ""
    parts = [
        f"{kind}{len(document['seeds'])} seeds, "
        f"{_duration(document['seconds'])} on {document['machine']['usable_cpus']} cores. Money "
        "in cents per order; brackets are 95 % intervals of paired differences.",
    ]
    for name, found in document["settings"].items():
        parts.append(_table(name, found))
    return "\n\n".join(parts)


def _table(name: str, found: dict[str, Any]) -> str:
    policies = list(POLICIES)
    others = [policy for policy in policies if policy != OURS]
    orders = found["means"][policies[0]]["orders"]
    title = f"**{name}** (world `{found['world']}`, scenario `{found['scenario']}`, "
    title += f"{found['days']} days of orders"
    titles = [f"{orders:,.0f} orders", *policies, *(f"ours − {other}" for other in others)]
    rows = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
    for key in _SHOWN:
        kpi = _KPIS[key]
        values = [found["means"][policy][key] for policy in policies]
        if key in _TERMS and not any(values):
            continue
        cells = [_value(value, kpi) for value in values]
        cells += (_change(found["differences"][other][key], kpi) for other in others)
        label = f"… {kpi.title}" if key in _TERMS else kpi.title
        if key == "cost":
            label, cells = f"**{label}**", [f"**{cell}**" for cell in cells]
        rows.append([label, *cells])
    if found["bounds"]:
        rows += _bound_rows(found, policies, others)
    return f"{title})\n\n{_lines(rows)}\n\n{_lines(_parts_rows(found))}"


def _parts_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the gain of ours by each of its parts: ours − ours without it."""
    titles = ["ours − …", *(f"{name}" for name in VARIANTS)]
    rows = [titles, ["---"] + ["---:"] * len(VARIANTS)]
    for key in _OF_PARTS:
        changes = [_change(found["differences"][name][key], _KPIS[key]) for name in VARIANTS]
        rows.append([_KPIS[key].title, *changes])
    return rows


def _lines(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _bound_rows(found: dict[str, Any], policies: list[str], others: list[str]) -> list[list[str]]:
    """Return the bound, each policy's distance above it, and the share of the gap closed."""
    bound, seconds = found["bound"], [one["seconds"] for one in found["bounds"]]
    loose = {one["status"] for one in found["bounds"]} - {"optimal"}
    note = f"; {', '.join(sorted(loose))}" if loose else ""
    label = f"clairvoyant bound ({len(seconds)} seeds, {max(seconds):.0f} s at most{note})"
    none = [""] * len(others)
    above = [f"{found['means'][policy]['cost'] / bound - 1:+.1%}" for policy in policies]
    least = [f"{min(above_bound(found, policy)):+.1%}" for policy in policies]
    closed = ["" if policy != OURS else f"{found['gap_closed']:.1%}" for policy in policies]
    blind = found["blind"]
    rows = [
        [label, *[f"{bound:.1f}"] * len(policies), *none],
        ["above the bound", *(cell.replace("%", " %") for cell in above), *none],
        ["… in the run that came nearest", *(cell.replace("%", " %") for cell in least), *none],
        [
            "gap closed, (cheapest − ours) ÷ (cheapest − bound)",
            *(cell.replace("%", " %") for cell in closed),
            *none,
        ],
    ]
    if blind:
        least_blind = fmean(one["cents_per_order"] for one in blind)
        share = f"{found['gap_closed_blind']:.1%}".replace("%", " %")
        label = f"gap closed to what can be had without a parcel's own luck ({len(blind)} seeds"
        label += f", {least_blind:.1f})"
        rows.append([label, *(share if policy == OURS else "" for policy in policies), *none])
    return rows


def above_bound(found: dict[str, Any], policy: str) -> list[float]:
    """Return the share by which each run of a policy was dearer than its bound, by seed."""
    pairs = zip(found["runs"][policy], found["bounds"], strict=True)
    return [run["cost"] / bound["cents_per_order"] - 1 for run, bound in pairs]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _value(value: float | None, kpi: Kpi) -> str:
    if value is None:
        return _DASH
    return f"{100 * value:.1f} %" if kpi.unit == "share" else f"{value:,.1f}"


def _change(change: dict[str, Any] | None, kpi: Kpi) -> str:
    if change is None:
        return _DASH
    scale, unit = (100.0, " pp") if kpi.unit == "share" else (1.0, "")
    mean, low, high = (
        None if change[name] is None else scale * change[name] for name in ("mean", "low", "high")
    )
    interval = "" if low is None else f" [{low:+.1f}, {high:+.1f}]"
    return f"{mean:+.1f}{unit}{interval}"
