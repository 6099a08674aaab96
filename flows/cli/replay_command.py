"""`crossdock replay`: a recorded log in, explained actions out."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import named, note, print_json, progress_bar, say, show, warn
from flows.wiring.stop import Stop

if TYPE_CHECKING:
    from flows.replay.summary import Summary

#: Share of dead letters above which a replay warns.
_MOST_REFUSED = 0.05


class RunnerName(StrEnum):
    """Form in which the chain runs; all give the same actions."""

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
        RunnerName, typer.Option(help="dataflow: Bytewax, fused; staged; fold: a plain loop.")
    ] = RunnerName.dataflow,
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
    stop = Stop.on_signals()
    from flows.cli.collector import spare_the_collector
    from flows.cli.summary_view import summary_table
    from flows.replay.replay import ReplayPlan
    from flows.replay.replay import replay as run
    from flows.replay.summary import to_builtins
    from state.policies import find_policy
    from state.stores.redis_keys import checked_name

    if recovery is not None and out_folder is None:
        raise typer.BadParameter(
            "needs --out, whose files a resumed run continues", param_hint="--recovery"
        )
    if recovery is not None and engine is not RunnerName.dataflow:
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

    def started(url: str) -> None:
        if redis == "embedded" and not json:
            note(f"Redis for this run: {url}")

    if follow:
        target = f"; what it does goes to {out_folder}/parts" if out_folder else ""
        note(f"following {logs[0]}{target}; ^C ends it with a summary")
    with progress_bar("replaying") as progress:
        summary = run(plan, stop=stop, progress=progress, started=started)
    if json:
        print_json(to_builtins(summary))
    else:
        show(summary_table(summary))
        if shadow is not None:
            from flows.cli.shadow_view import shadow_table

            show(*shadow_table(summary.shadow, summary.currency))
    _warn(summary)
    if json:
        return
    if redis == "embedded" and out_folder is not None:
        say(f"Read its Redis again with: crossdock redis {out_folder}")


def _warn(summary: "Summary") -> None:
    """Warn where a log is mostly unusable; exit with code 1 if all of it is."""
    if not summary.dead_letters or summary.dead_letters < _MOST_REFUSED * summary.lines:
        return
    reason, count = max(summary.dead_letter_reasons.items(), key=lambda item: item[1])
    hint = {
        "unknown_reference": "is the file with nodes, SKUs and carriers missing?",
        "not_json": "is this a log? Compressed ones end in .gz or .zst.",
    }.get(reason, "dead_letters.jsonl says what was expected (--out DIR keeps it).")
    share = summary.dead_letters / summary.lines
    warn(f"{share:.0%} of the lines are dead letters, {count:,} of them {reason}: {hint}")
    if not summary.events:
        raise typer.Exit(1)
