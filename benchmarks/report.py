"""The report: tables for a reader, JSON for a comparison."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.against import OLDER, OURS
from benchmarks.figures import Target

_MOST_KINDS = 20
_OCCASIONS = ("facts", "deadlines", "messages", "all")


def show_machine(console: Console, machine: dict[str, Any]) -> None:
    """Show, in a line, the machine that the figures depend on."""
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    console.print(
        f"{machine['usable_cpus']} × {machine['processor'] or 'unknown processor'}, "
        f"Python {machine['python']}, {libraries}; load average {machine['load_average']:.1f}\n"
    )


def show_throughput(console: Console, document: dict[str, Any]) -> None:
    """Show events/s, ratio and memory of each variant, and the cost of a snapshot."""
    table = _table(
        f"Throughput over {document['events']:,} events, median of {document['repeats']} "
        "(min to max); equal actions in all"
    )
    for title in ("variant", "events/s", "÷ fold", "CPU ÷ fold", "peak MB"):
        table.add_column(title, justify="left" if title == "variant" else "right")
    for variant, found in document["variants"].items():
        table.add_row(
            variant,
            _spread(found["events_per_s"], ",.0f"),
            _spread(found["ratio_to_fold"], ".3f"),
            _spread(found["cpu_ratio_to_fold"], ".3f"),
            f"{found['peak_mb']['median']:,.0f}",
        )
    console.print(table)
    snapshot = document["snapshot_at_end"]
    parts = ", ".join(
        f"{name} {found['ms']:.1f} ms/{found['bytes'] / 1e6:.1f} MB"
        for name, found in snapshot["by_operator"].items()
    )
    console.print(
        f"A snapshot at the end: {snapshot['ms']:.1f} ms, {snapshot['bytes'] / 1e6:.1f} MB "
        f"({parts})\n"
    )


def show_cost(console: Console, document: dict[str, Any]) -> None:
    """Show cost by feed and by kind of event, the dearest in all first."""
    decode_us = document["all"]["decode_us"]["mean"]
    table = _table(f"Cost in the bare fold; a step in multiples of decoding, {decode_us:.1f} µs")
    table.add_column("kind")
    for title in (
        "events",
        "share",
        "step, µs",
        "mean",
        "p50",
        "p99",
        "p99.9",
        "max",
        "encode, µs",
    ):
        table.add_column(title, justify="right")
    groups = (
        {"all": document["all"]},
        document["by_family"],
        dict(list(document["by_type"].items())[:_MOST_KINDS]),
    )
    for group in groups:
        for kind, found in group.items():
            step = found["step_us"]
            figures = ("mean", "p50", "p99", "p99_9", "max")
            table.add_row(
                kind.removeprefix("crossdock."),
                f"{found['count']:,}",
                f"{found['share']:.1%}",
                f"{step['mean']:,.1f}",
                *(_three_digits(step[name] / decode_us) for name in figures),
                f"{found['encode_us']['mean']:.1f}",
            )
        table.add_section()
    console.print(table, "")


def show_desks(console: Console, document: dict[str, Any]) -> None:
    """Show the cost of each operator, and of each desk by what occasioned it."""
    table = _table("Cost per event of the log, in multiples of decoding; each its own time")
    for title in ("", "facts", "deadlines", "messages", "all"):
        table.add_column(title, justify="right" if title else "left")
    for name, cost in document["operators"].items():
        table.add_row(name, "", "", "", f"{cost:.2f}")
    table.add_section()
    for name, found in document["desks"].items():
        table.add_row(name, *(f"{found[title]:.2f}" for title in _OCCASIONS))
    console.print(table, "")


def show_against(console: Console, document: dict[str, Any]) -> None:
    """Show how many times as fast this tree is as the older one, in all and by kind of event."""
    commit = document["commit"]
    rates = document["events_per_s"]
    console.print(
        f"Against {commit}, {document['pairs']} pairs over the same log: "
        f"{_spread(document['seconds_ratio'], '.2f')} × as fast, by CPU "
        f"{_spread(document['cpu_ratio'], '.2f')}; "
        + " and ".join(
            f"{_spread(found, ',.0f')} events/s ({name})" for name, found in rates.items()
        )
        + f"; {'equal' if document['equal_actions'] else 'different'} actions."
    )
    for name, count in document["undecodable"].items():
        if count:
            console.print(f"[red]{count:,} events of the log cannot be decoded: {name}[/]")
    table = _table(f"Mean step, µs, and {commit} ÷ this tree")
    table.add_column("kind")
    for title in (commit, "this tree", "ratio"):
        table.add_column(title, justify="right")
    for kind, found in document["kinds"].items():
        table.add_row(
            kind.removeprefix("crossdock."),
            *(f"{found['us'][name]:,.1f}" for name in (OLDER, OURS)),
            _spread(found["ratio"], ".2f"),
        )
    console.print(table, "")


def show_latency(console: Console, document: dict[str, Any]) -> None:
    """Show percentiles of engine and floor, and the longest pauses."""
    table = _table(
        f"Event to action readable in Redis, ms, at {document['events_per_s']:,.0f} events/s, "
        "recovery on"
    )
    table.add_column("")
    names = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "max": "max"}
    for title in ("n", *names.values()):
        table.add_column(title, justify="right")
    rows = (
        ("engine", document["engine"]["latency_ms"]),
        ("floor (no engine)", document["floor"]["latency_ms"]),
        ("how late the writer was", document["engine"]["writer"]["late_ms"]),
    )
    for title, found in rows:
        table.add_row(title, f"{found['n']:,.0f}", *(f"{found[name]:.3f}" for name in names))
    ratios = document["engine_to_floor"]
    table.add_row("engine ÷ floor", "", *(f"{ratios[n]:.1f}" if n in ratios else "" for n in names))
    console.print(table)
    pauses = document["engine"]["pauses"]
    console.print(
        f"{pauses['count']} pauses, {pauses['near_an_epoch']} of them near an epoch's commit"
        + (". The longest:" if pauses["longest"] else ".")
    )
    for pause in pauses["longest"]:
        console.print(
            f"  {pause['ms']:.1f} ms at {pause['at_s']:.1f} s ({pause['actions']} actions), "
            f"{_seconds(pause['since_previous_s'])} after the one before it, "
            f"{_seconds(pause['from_commit_s'])} from the nearest commit"
        )
    console.print()


def show_targets(console: Console, title: str, targets: Sequence[Target]) -> None:
    """Show each target, and the margin of those missed."""
    if not targets:
        return
    table = _table(title)
    for column in ("", "measured", "bound", "met"):
        table.add_column(column, justify="right" if column else "left")
    for target in targets:
        table.add_row(
            target.name,
            f"{_three_digits(target.measured)} {target.unit}",
            f"{target.sense} {target.bound:,g} {target.unit}",
            "[green]yes[/]" if target.is_met else f"[red]no, by {target.missed_by:.0%}[/]",
        )
    console.print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left")


def _spread(found: dict[str, float], shape: str) -> str:
    return f"{found['median']:{shape}} ({found['min']:{shape}} to {found['max']:{shape}})"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
