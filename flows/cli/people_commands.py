"""`crossdock proposals`, `approve` and `reject`: what people decide."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows.cli.console import err, out, print_json
from flows.cli.live_commands import Config, settings_of
from state.settings import RedisSettings

if TYPE_CHECKING:
    from redis import Redis

#: Replies of a Redis that is there come at once; a person does not wait long for another.
_READ_S, _RETRIES = 10.0, 3
_ID = re.compile(r"([^:]+):\d+-\d+")
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

    from flows.proposals import open_in_folder, open_in_redis
    from state.codec import encode_action
    from state.stores.redis_connection import connect

    if out_folder is not None:
        found = open_in_folder(out_folder)
    else:
        rules = settings_of(config).redis
        with _client(rules) if redis is None else connect(redis) as client:
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
        err.print("nothing waits for a person")
        return
    table = Table(title="What waits for a person", title_justify="left")
    for title in ("decide by (UTC)", "id", "kind"):
        table.add_column(title, no_wrap=True)
    table.add_column("what and why", overflow="fold")
    for action in wanted:
        by = f"{action.expirytime:%Y-%m-%d %H:%M}" if action.expirytime else "-"
        table.add_row(by, action.id, action.kind, action.data.because.summary)
    out.print(table)


def approve(
    action_id: _Id,
    by: _By,
    reason: _Reason = "",
    unseen: _Unseen = False,
    config: Config = None,
    json: _Json = False,
) -> None:
    """Let a proposal be carried out: it comes again, as an action with an id of its own."""
    from state.events import ActionApproved

    _decide(action_id, ActionApproved(action=action_id, by=by, reason=reason), unseen, config, json)


def reject(
    action_id: _Id,
    by: _By,
    reason: _Reason = "",
    unseen: _Unseen = False,
    config: Config = None,
    json: _Json = False,
) -> None:
    """Refuse a proposal: what it held is given back."""
    from state.events import ActionRejected

    _decide(action_id, ActionRejected(action=action_id, by=by, reason=reason), unseen, config, json)


def _decide(action_id: str, fact: object, unseen: bool, config: Path | None, json: bool) -> None:
    from flows.live.control import send_control
    from flows.proposals import open_proposal
    from state.errors import JournalError
    from state.events import Fact

    assert isinstance(fact, Fact)
    parts = _ID.fullmatch(action_id)
    if parts is None:
        raise typer.BadParameter(f"an id such as demo:17446-1, was {action_id}", param_hint="ID")
    settings = settings_of(config)
    if not unseen:
        with _client(settings.redis) as client:
            if open_proposal(client, settings.redis.prefix, action_id) is None:
                raise JournalError(
                    f"expected an open proposal {action_id}, was none: somebody has decided, it "
                    "has expired, or it was never there (`crossdock proposals` lists the open "
                    "ones); --unseen sends it all the same"
                )
    network = parts.group(1)
    sent = send_control(settings, network, fact, time.time_ns() // 1_000_000)
    if json:
        print_json({"network": network, "action": action_id, "event": sent})
    else:
        out.print(f"sent to {network}: {sent}")


def _client(rules: RedisSettings) -> "Redis":
    from state.stores.redis_connection import connect_with

    return connect_with(rules, read_timeout_s=_READ_S, retries=_RETRIES)
