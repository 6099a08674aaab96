"""`crossdock schema`, `actions` and `redis`: look at types and actions."""

import signal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import note, print_json_line, say

if TYPE_CHECKING:
    from state.actions import Action

_Out = Annotated[
    Path | None,
    typer.Option("--out", help="Output folder of a replay.", exists=True, file_okay=False),
]


def schema(
    of: Annotated[str | None, typer.Argument(help="One wire type; all if left out.")] = None,
) -> None:
    """Print JSON Schema of events, actions, and the files people write, or of one of them."""
    import orjson

    from flows.simulation.config import WorldConfig
    from flows.simulation.scenario import Scenario
    from state.schema import reachable
    from state.schema import schema as make

    document = make(world=WorldConfig, scenario=Scenario)
    if of is not None:
        known = {**document["events"], **document["actions"]}
        known |= {name: document[name] for name in ("policy", "settings", "world", "scenario")}
        if of not in known:
            near = ", ".join(name for name in known if of.rpartition(".")[2] in name)
            raise typer.BadParameter(
                f"{of} is no type" + (f"; did you mean {near}?" if near else ""), param_hint="of"
            )
        document = reachable(known[of], document["$defs"])
    print_json_line(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def actions(
    out_folder: _Out = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL to read from.")] = None,
    prefix: Annotated[str, typer.Option(help="First part of the Redis keys.")] = "crossdock",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new ones.")] = False,
    network: Annotated[list[str] | None, typer.Option(help="Only these networks.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds.")] = None,
    about: Annotated[
        str | None, typer.Option(help="Only those about this order, parcel or shelf.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List actions, from Redis (--redis) or from a replay's folder (--out)."""
    from flows.explain.action_log import actions_in
    from state.actions import KINDS
    from state.codec import encode_action
    from state.stores.redis_connection import connect
    from state.stores.redis_follow import follow as read
    from state.stores.redis_keys import PROPOSALS

    if (out_folder is None) == (redis is None):
        raise typer.BadParameter("give either --redis URL or --out DIR", param_hint="--redis")
    for name in kind or ():
        if name not in KINDS:
            raise typer.BadParameter(f"one of {', '.join(KINDS)}", param_hint="--kind")
    if redis is not None:
        client = connect(redis)
        streams = (*(kind or KINDS), PROPOSALS)
        found = (
            each.action
            for each in read(client, network, streams, prefix=prefix, live=follow)
            if not kind or each.action.kind in kind
        )
    else:
        assert out_folder is not None
        found = (
            action
            for action in actions_in(out_folder)
            if (not network or action.partitionkey in network) and (not kind or action.kind in kind)
        )
    if about is not None:
        found = (a for a in found if about in (a.subject, a.correlationid))
    is_empty = True
    for action in islice(found, limit):
        is_empty = False
        if json:
            print_json_line(encode_action(action))
        else:
            say(_one_line(action))
    if is_empty:
        note("no actions found")


def _one_line(action: "Action") -> str:
    """Return the action in one line: time, id, kind, reason."""
    mode = "" if action.data.mode == "act" else " (proposed)"
    return (
        f"{action.time:%Y-%m-%d %H:%M:%S}  {action.id}  {action.kind}{mode}  "
        f"{action.data.because.summary}"
    )


def serve_redis(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a replay.", exists=True, file_okay=False)
    ],
) -> None:
    """Open the Redis kept by a replay with --redis embedded, until interrupted."""
    from flows.replay.replay import REDIS_FOLDER
    from state.errors import StoreError
    from state.stores.embedded_redis import EmbeddedRedis, find_server

    data = folder / REDIS_FOLDER
    if not (data / "dump.rdb").exists():
        raise StoreError(f"expected data of a replay with --redis embedded at {data}, was none")
    with EmbeddedRedis(persist=data) as server:
        port = server.url.rpartition(":")[2].partition("/")[0]
        client = Path(find_server()).with_name("redis-cli")
        say(server.url)
        note(f"Try: {client} -p {port} SMEMBERS crossdock:networks")
        note("Stop with ^C.")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            note("stopped")
