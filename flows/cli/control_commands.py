"""`crossdock record`, `dead-letters`, `requeue` and `control`: around the running engine."""

import time
import tomllib
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from flows.cli.console import note, print_json, print_json_line, say
from flows.cli.live_commands import Config, LogLevel, Once, listen_for_stop, settings_of
from flows.cli.sending import WAIT_S, Create, Wait, require_known, send_and_confirm
from state.quantities import HoldKind

control = typer.Typer(help="Tell the engine something: an event of yours in its journal.")
_Network = Annotated[str, typer.Argument(help="Which network.")]
_By = Annotated[str, typer.Option(help="Who says so.")]
_Reason = Annotated[str, typer.Option(help="Why; it is kept in the journal.")]
_Kind = Annotated[str, typer.Argument(help=f"One of {', '.join(get_args(HoldKind))}.")]
_Scope = Annotated[
    str,
    typer.Argument(
        help="Which: its name; CARRIER/SERVICE; NODE>REGION for a lane. If that may mean several, "
        "both names as a JSON list."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def record(
    config: Config = None, once: Once = False, log_level: LogLevel = "info", json: _Json = False
) -> None:
    """Record the journal to files; `crossdock replay FOLDER` gives the live run's actions."""
    stop = listen_for_stop(log_level)
    from msgspec import to_builtins

    from flows.live.record import record as run

    settings = settings_of(config)
    done = run(settings, once=once, stop=stop)
    if json:
        print_json(to_builtins(done))
    else:
        say(f"{done.records:,} records in {done.segments} new segments, {settings.record.folder}")


def dead_letters(
    config: Config = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write them to a file, to be repaired.")
    ] = None,
) -> None:
    """List what could not be used and was not put in again, one JSON object per line."""
    from flows.live.requeue import listed

    lines = listed(settings_of(config), reason)
    if out_file is None:
        for line in lines:
            print_json_line(line)
        return
    count = 0
    with out_file.open("wb") as target:
        for line in lines:
            target.write(line + b"\n")
            count += 1
    note(f"{count:,} dead letters in {out_file}: repair `raw`, then crossdock requeue {out_file}")


def requeue(
    file: Annotated[
        Path,
        typer.Argument(help="Lines of `crossdock dead-letters`.", exists=True, dir_okay=False),
    ],
    config: Config = None,
    json: _Json = False,
) -> None:
    """Put dead letters in again, repaired or as they were, where they came from."""
    from msgspec import to_builtins

    from flows.live.requeue import requeue as run

    done = run(settings_of(config), file, time.time_ns() // 1_000_000)
    if json:
        print_json(to_builtins(done))
    else:
        say(
            f"{done.messages:,} messages put in again; {done.skipped:,} were no dead letters any "
            "more"
        )


@control.command()
def halt(
    network: _Network,
    by: _By,
    reason: _Reason = "",
    config: Config = None,
    create: Create = False,
    wait: Wait = WAIT_S,
) -> None:
    """Halt a network: from there on everything is only proposed."""
    from state.events import NetworkHalted

    send_and_confirm(
        settings_of(config),
        network,
        NetworkHalted(by=by, reason=reason),
        create=create,
        wait_s=wait,
    )


@control.command()
def resume(
    network: _Network,
    by: _By,
    reason: _Reason = "",
    config: Config = None,
    create: Create = False,
    wait: Wait = WAIT_S,
) -> None:
    """Release the kill switch."""
    from state.events import NetworkResumed

    send_and_confirm(
        settings_of(config),
        network,
        NetworkResumed(by=by, reason=reason),
        create=create,
        wait_s=wait,
    )


@control.command()
def policy(
    network: _Network,
    by: _By,
    file: Annotated[Path, typer.Argument(help="Policy (TOML).", exists=True, dir_okay=False)],
    config: Config = None,
    create: Create = False,
    wait: Wait = WAIT_S,
) -> None:
    """Swap the policy, at the place in the journal where this arrives."""
    from state.events import PolicyChanged
    from state.policy import load_policy

    load_policy(file)  # refuse here what the engine would refuse there
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    send_and_confirm(
        settings_of(config),
        network,
        PolicyChanged(policy=document, by=by),
        create=create,
        wait_s=wait,
    )


@control.command()
def hold(
    network: _Network,
    kind: _Kind,
    scope: _Scope,
    by: _By,
    reason: _Reason = "",
    hours: Annotated[
        float | None, typer.Option(help="Hours until it ends; else the policy's longest.", min=0.01)
    ] = None,
    config: Config = None,
    create: Create = False,
    wait: Wait = WAIT_S,
) -> None:
    """Keep an order, node, SKU, service, lane or region from moving."""
    from state.events import HoldPlaced
    from state.quantities import HOUR_MS, from_ms

    now_ms = time.time_ns() // 1_000_000
    until = None if hours is None else from_ms(now_ms + round(hours * HOUR_MS))
    held = HoldPlaced(kind=_kind(kind), scope=scope, by=by, reason=reason, until=until)
    send_and_confirm(settings_of(config), network, held, create=create, wait_s=wait)


@control.command()
def lift(
    network: _Network,
    kind: _Kind,
    scope: _Scope,
    by: _By,
    reason: _Reason = "",
    config: Config = None,
    create: Create = False,
    wait: Wait = WAIT_S,
) -> None:
    """End a hold; what waited for it is tried again at once."""
    from state.events import HoldLifted

    send_and_confirm(
        settings_of(config),
        network,
        HoldLifted(kind=_kind(kind), scope=scope, by=by, reason=reason),
        create=create,
        wait_s=wait,
    )


@control.command()
def retire(network: _Network, config: Config = None) -> None:
    """Forget a network: no more ticks, its slot is free. Reference data lets it in again."""
    from flows.live.control import send_retired

    settings = settings_of(config)
    require_known(settings, network)
    send_retired(settings, network)
    say(
        f"{network}: retired; ingest ticks it no more, from a second on. What the journal and "
        "Redis hold of it stays."
    )


def _kind(name: str) -> HoldKind:
    if name not in get_args(HoldKind):
        raise typer.BadParameter(f"expected one of {', '.join(get_args(HoldKind))}, was {name!r}")
    return cast(HoldKind, name)
