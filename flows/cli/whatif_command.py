"""`crossdock whatif`: the same network and luck under other scenarios and other policies."""

import math
import shlex
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import named, note, print_json, progress_bar, say, share_bar, show

if TYPE_CHECKING:
    from flows.whatif.fork import Fork


def whatif(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Fork this journal (logs, or a recording's folder) at its end, or at --at. "
            "Without it and --checkpoint, a simulated world is used.",
            exists=True,
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="A scenario's name or TOML file; may be given several times."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="ours, nearest, cheapest or a TOML file; several times to compare them. The first "
            "is the baseline. Usually all three; in a fork, the policy in force."
        ),
    ] = None,
    world: Annotated[
        str, typer.Option(help="A world's name (small, medium, demo, rough) or TOML file.")
    ] = "small",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Fork this checkpoint, or the newest below this folder.", exists=True),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Where to fork the journal: a place (seq), or a recorded time."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="The network to fork, where there are several.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days that customers order.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Runs of each, paired.")] = 10,
    first_seed: Annotated[int, typer.Option(help="The first run's seed; then one more each.")] = 1,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes at a time; 0 = one for each core.")
    ] = 0,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for report.html and result.json.")
    ] = Path("whatif-output"),
    list_all: Annotated[
        bool, typer.Option("--list", help="Say what scenarios and worlds there are, and end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask what would happen: scenarios and policies, compared run by run under the same luck."""
    from flows.simulation.config import WORLDS, find_world
    from flows.simulation.scenario import SCENARIOS, find_scenario

    if list_all:
        for name in SCENARIOS:
            say(f"{name}  {find_scenario(name).title}")
        say(f"worlds: {', '.join(WORLDS)}")
        return
    import msgspec
    import orjson

    from flows.whatif.comparison import Comparison, ForkComparison, compare, compare_fork
    from flows.whatif.report import write_report
    from flows.whatif.table import comparison as table
    from state.policies import find_policy

    is_fork = bool(logs) or checkpoint is not None
    if logs and checkpoint is not None:
        raise typer.BadParameter("give a journal or a checkpoint", param_hint="--checkpoint")
    if at is not None and not logs:
        raise typer.BadParameter("needs a journal to fork", param_hint="--at")
    scenarios = tuple(named(find_scenario, name, "--scenario") for name in scenario or ())
    names = policy or ([] if is_fork else ["ours", "nearest", "cheapest"])
    policies = tuple((Path(name).stem, named(find_policy, name, "--policy")) for name in names)
    if len(dict(policies)) < len(policies):
        raise typer.BadParameter("give each policy once", param_hint="--policy")
    if not scenarios and len(policies) < 2:
        raise typer.BadParameter(
            "nothing to compare: give a --scenario (see --list), or two policies",
            param_hint="--scenario",
        )
    for each in scenarios:
        if each.end_h() > 24 * days:
            note(
                f"{each.name} lasts until hour {each.end_h():g}, customers order until hour "
                f"{24 * days}: --days {math.ceil(each.end_h() / 24)} would see it whole",
                "yellow",
            )
    seed_range = tuple(range(first_seed, first_seed + seeds))
    if is_fork:
        fork = _fork(logs or [], checkpoint, at, network)
        note(
            f"forked {fork.network} after record {fork.seq:,} of {fork.origin}; "
            f"ready in {fork.ready_s:.2f} s"
        )
        run = partial(
            compare_fork,
            ForkComparison(
                fork=fork,
                days=days,
                seeds=seed_range,
                scenarios=scenarios,
                policies=policies,
                workers=workers,
            ),
        )
    else:
        run = partial(
            compare,
            Comparison(
                world_name=world,
                world=named(find_world, world, "--world"),
                days=days,
                seeds=seed_range,
                scenarios=scenarios,
                policies=policies,
                workers=workers,
            ),
        )
    with share_bar("running what-ifs", "runs") as progress:
        result = run(progress)
    out_folder.mkdir(parents=True, exist_ok=True)
    document = msgspec.to_builtins(result)
    (out_folder / "result.json").write_bytes(orjson.dumps(document))
    report = out_folder / "report.html"
    write_report(result, report, command=shlex.join(["crossdock", *sys.argv[1:]]))
    if json:
        print_json(document)
        return
    show(table(result))
    say(f"{len(result.seeds)} seeds in {result.seconds:.0f} s; report: {report}")


def _fork(logs: list[Path], checkpoint: Path | None, at: str | None, network: str | None) -> "Fork":
    from flows.whatif.fork import fork_checkpoint, fork_journal
    from state.policy import Policy

    if checkpoint is not None:
        return fork_checkpoint(checkpoint, network)
    until_seq, until_ms = _place(at)
    with progress_bar("folding the journal") as progress:
        return fork_journal(
            logs,
            Policy(),
            until_seq=until_seq,
            until_ms=until_ms,
            network=network,
            progress=progress,
        )


def _place(at: str | None) -> tuple[int | None, int | None]:
    """Return a place in a journal: its seq, or a recorded time in ms."""
    from state.quantities import to_ms

    if at is None:
        return None, None
    if at.isdecimal():
        return int(at), None
    try:
        instant = datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a number or a time such as 2026-01-09T12:00Z, was {at}", param_hint="--at"
        ) from error
    return None, to_ms(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
