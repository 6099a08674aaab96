"""`crossdock replay`: a recorded log in, explained actions out."""

import gc
import signal
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flows.cli.console import err, named, out, print_json, progress_bar
from flows.summary import Summary, to_builtins

#: Share of dead letters above which a replay warns.
_MOST_REFUSED = 0.05


class EngineName(StrEnum):
    """How the chain runs; all give the same actions."""

    dataflow = "dataflow"
    staged = "staged"
    fold = "fold"


def replay(
    logs: Annotated[
        list[Path],
        typer.Argument(
            help="Log files (.jsonl, .jsonl.gz, .jsonl.zst), merged by recorded time; "
            "or the folder of a recording.",
            exists=True,
        ),
    ],
    policy: Annotated[
        str, typer.Option(help="Policy file (TOML); or ours, nearest, cheapest.")
    ] = "ours",
    engine: Annotated[
        EngineName, typer.Option(help="dataflow: Bytewax, fused; staged; fold: a plain loop.")
    ] = EngineName.dataflow,
    redis: Annotated[
        str, typer.Option(help="Redis URL; embedded: a server of our own; none.")
    ] = "none",
    prefix: Annotated[str, typer.Option(help="First part of all Redis keys.")] = "crossdock",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the networks' keys in Redis first.")
    ] = False,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for actions, dead letters, KPIs, summary.")
    ] = None,
    recovery: Annotated[
        Path | None, typer.Option(help="Folder to resume from after a crash; needs --out.")
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option(help="A candidate policy: what would it have decided? It acts nowhere."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for lines still to be appended; end with ^C.")
    ] = False,
    epoch_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds between recovery points.")
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay recorded logs through the engine and report what it did."""
    from flows.replay import ReplayPlan
    from flows.replay import replay as run
    from flows.stop import Stop
    from state.policies import find_policy
    from state.stores.redis_keys import checked_name

    if recovery is not None and out_folder is None:
        raise typer.BadParameter(
            "needs --out, whose files a resumed run continues", param_hint="--recovery"
        )
    if recovery is not None and engine is not EngineName.dataflow:
        raise typer.BadParameter("needs --engine dataflow", param_hint="--recovery")
    if shadow is not None and follow:
        raise typer.BadParameter("needs a journal that ends: no --follow", param_hint="--shadow")
    if fresh and redis == "none":
        raise typer.BadParameter("needs --redis: it deletes keys there", param_hint="--fresh")
    try:
        checked_name(prefix, "prefix")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--prefix") from error
    plan = ReplayPlan(
        logs=tuple(logs),
        policy=named(find_policy, policy, "--policy"),
        engine=engine.value,
        redis=redis,
        prefix=prefix,
        fresh=fresh,
        out=out_folder,
        recovery=recovery,
        follow=follow,
        epoch=timedelta(seconds=epoch_s),
        shadow=None if shadow is None else named(find_policy, shadow, "--shadow"),
    )
    spare_the_collector()
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.set)

    def started(url: str) -> None:
        if redis == "embedded" and not json:
            err.print(f"Redis for this run: {url}")

    if follow:
        told = f"; what it does goes to {out_folder}/parts" if out_folder else ""
        err.print(f"following {logs[0]}{told}; ^C ends it with a summary", soft_wrap=True)
    with progress_bar("replaying") as progress:
        summary = run(plan, stop=stop, progress=progress, started=started)
    if json:
        print_json(to_builtins(summary))
    else:
        show(summary)
        if shadow is not None:
            from flows.cli.shadow_view import shadow_table

            out.print(shadow_table(summary.shadow, summary.currency))
    _warn(summary)
    if json:
        return
    if redis == "embedded" and out_folder is not None:
        out.print(f"Read its Redis again with: crossdock redis {out_folder}")


def _proposals(summary: Summary) -> str:
    """Why actions were only proposed, what people said, and whether all of it was stopped."""
    why = ", ".join(
        f"{count:,} by {gate.replace('_', ' ')}" for gate, count in summary.held_back.items()
    )
    said = ", ".join(
        f"{count:,} {kind} {outcome}"
        for kind, outcomes in summary.people.items()
        for outcome, count in outcomes.items()
    )
    trips = summary.blast_radius_trips
    tripped = f"; the blast radius tripped {trips:,} times" if trips else ""
    return f"held back {why}; {said or 'nobody decided on any'}{tripped}"


def _warn(summary: Summary) -> None:
    """Say it where a log is mostly unusable; exit code 1 if all of it is."""
    if not summary.dead_letters or summary.dead_letters < _MOST_REFUSED * summary.lines:
        return
    reason, count = max(summary.dead_letter_reasons.items(), key=lambda item: item[1])
    hint = {
        "unknown_reference": "is the file with nodes, SKUs and carriers missing?",
        "not_json": "is this a log? Compressed ones are told by .gz and .zst.",
    }.get(reason, "dead_letters.jsonl says what was expected (--out DIR keeps it).")
    share = summary.dead_letters / summary.lines
    err.print(
        f"crossdock: {share:.0%} of the lines are dead letters, {count:,} of them {reason}: {hint}",
        style="yellow",
        soft_wrap=True,
    )
    if not summary.events:
        raise typer.Exit(1)


def spare_the_collector() -> None:
    """Keep Python's cyclic collector from pausing the stream.

    The chain leaves next to no cycles behind, but holds many objects for long: a full collection
    walks all of them, some 100 ms, and finds nothing. Young ones are still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 1_000_000)


def show(summary: Summary) -> None:
    """The summary as a table that fits a screen."""
    orders, delay = summary.orders, summary.delay
    table = Table(title="What the engine did", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row(
        "journal",
        f"{summary.first or '-'} to {summary.last or '-'}, {', '.join(summary.networks) or '-'}",
    )
    table.add_row(
        "events",
        f"{summary.events:,} of {summary.lines:,} lines at {summary.events_per_s:,.0f}/s; "
        f"{summary.duplicates:,} duplicates left out, {summary.dead_letters:,} dead letters, "
        f"{summary.waiting:,} waiting for what they refer to",
    )
    table.add_row(
        "orders",
        f"{orders.placed:,} placed: {orders.allocated:,} allocated "
        f"({summary.split_orders:,} split), {orders.backordered:,} waiting for stock, "
        f"{orders.unfillable:,} unfillable, {orders.cancelled:,} cancelled",
    )
    if orders.placed:
        cost = sum(summary.planned_cents.values()) / orders.placed / 100
        parts = ", ".join(
            f"{name} {cents / orders.placed / 100:.2f}"
            for name, cents in summary.planned_cents.items()
            if cents
        )
        table.add_row("planned per order", f"{cost:.2f} {summary.currency} ({parts})")
    if delay.n:
        auc = "-" if delay.roc_auc is None else f"{delay.roc_auc:.3f}"
        table.add_row(
            "delay forecast",
            f"{delay.n:,} parcels delivered, {delay.late_share or 0:.1%} late; at handover "
            f"ROC-AUC {auc} (0.5 guesses, 1 knows), log loss {delay.log_loss or 0:.3f}; "
            f"{delay.below_p10 or 0:.0%}, {delay.below_p50 or 0:.0%} and "
            f"{delay.below_p90 or 0:.0%} came before their P10, P50 and P90",
        )
    if delay.estimate_off_h is not None:
        table.add_row(
            "estimates",
            f"off by {delay.estimate_off_h:.1f} h on average, the carriers' own by "
            f"{delay.carrier_estimate_off_h or 0:.1f} h as of the same scans",
        )
    doubted = sum(summary.anomalies.values())
    if summary.incidents or doubted:
        table.add_row(
            "out of the ordinary",
            f"{summary.incidents:,} incidents (each escalated once), "
            f"{doubted:,} facts not believed",
        )
    table.add_row(
        "actions",
        ", ".join(f"{count:,} {kind}" for kind, count in summary.actions.items())
        + (f"; {summary.proposed:,} of them only proposed" if summary.proposed else ""),
    )
    if summary.proposed:
        table.add_row("proposals", _proposals(summary))
    quiet = sum(summary.inert.values())
    table.add_row("left alone", f"{quiet:,} times, with a reason (summary.json)")
    if summary.redis:
        table.add_row(
            "Redis",
            f"{summary.redis['new']:,} entries written, {summary.redis['repeated']:,} were there",
        )
    table.add_row("digest", summary.digest)
    for name, path in summary.files.items():
        table.add_row(name, path)
    out.print(table)
