"""`crossdock proposals`, `approve` and `reject`: decisions of people."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import note, print_json, show
from flows.cli.live_commands import Config, settings_of
from flows.cli.sending import WAIT_S, Wait, report_confirmation, require_known

if TYPE_CHECKING:
    from state.events import ActionApproved, ActionRejected

_Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's, such as demo:17446-1.")]
_By = Annotated[str, typer.Option(help="Who decides.")]
_Reason = Annotated[str, typer.Option(help="Why; it is kept in the journal.")]
_Unseen = Annotated[
    bool, typer.Option("--unseen", help="Send it even if Redis has no such open proposal.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def proposals(
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder of a replay.", exists=True, file_okay=False),
    ] = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL; else the settings'.")] = None,
    prefix: Annotated[str | None, typer.Option(help="First part of the Redis keys.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="Only these networks.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds.")] = None,
    config: Config = None,
    json: _Json = False,
) -> None:
    """List what waits for a person, with its deadline, the next one due first."""
    import orjson

    from flows.explain.proposals import open_in_folder, open_in_redis
    from state.codec import encode_action
    from state.stores.redis_connection import connect, connect_with

    if out_folder is not None:
        found = open_in_folder(out_folder)
    else:
        from flows.live.control import REDIS_READ_S, REDIS_RETRIES

        rules = settings_of(config).redis
        with (
            connect_with(rules, read_timeout_s=REDIS_READ_S, retries=REDIS_RETRIES)
            if redis is None
            else connect(redis)
        ) as client:
            found = open_in_redis(client, prefix or rules.prefix, network)
    wanted = [
        action
        for action in found
        if (not network or action.partitionkey in network) and (not kind or action.kind in kind)
    ]
    wanted.sort(key=lambda action: (action.expirytime or action.time, action.id))
    if json:
        print_json({"proposals": [orjson.loads(encode_action(action)) for action in wanted]})
        return
    if not wanted:
        note("nothing waits for a person")
        return
    from flows.display.screen import Column, Table

    columns = [Column(title, whole=True) for title in ("decide by (UTC)", "id", "kind")]
    table = Table(*columns, Column("what and why"), title="What waits for a person")
    for action in wanted:
        by = f"{action.expirytime:%Y-%m-%d %H:%M}" if action.expirytime else "-"
        table.row(by, action.id, action.kind, action.data.because.summary)
    show(table)


def approve(
    action_id: _Id,
    by: _By,
    reason: _Reason = "",
    unseen: _Unseen = False,
    config: Config = None,
    wait: Wait = WAIT_S,
    json: _Json = False,
) -> None:
    """Let a proposal be carried out: it comes again, as an action with an id of its own."""
    from state.events import ActionApproved

    _decide(ActionApproved(action=action_id, by=by, reason=reason), unseen, config, wait, json)


def reject(
    action_id: _Id,
    by: _By,
    reason: _Reason = "",
    unseen: _Unseen = False,
    config: Config = None,
    wait: Wait = WAIT_S,
    json: _Json = False,
) -> None:
    """Refuse a proposal: what it held is given back."""
    from state.events import ActionRejected

    _decide(ActionRejected(action=action_id, by=by, reason=reason), unseen, config, wait, json)


def _decide(
    fact: "ActionApproved | ActionRejected",
    unseen: bool,
    config: Path | None,
    wait: float,
    json: bool,
) -> None:
    from flows.explain.action_log import ACTION_ID, place_of
    from flows.live.control import send_decision

    if ACTION_ID.fullmatch(fact.action) is None:
        raise typer.BadParameter(f"an id such as demo:17446-1, was {fact.action}", param_hint="ID")
    now_ms = time.time_ns() // 1_000_000
    settings = settings_of(config)
    network, _ = place_of(fact.action)
    if unseen:
        require_known(settings, network)
    sent = send_decision(settings, fact, now_ms, unseen=unseen)
    report_confirmation(settings, network, sent, wait, {"action": fact.action} if json else None)
