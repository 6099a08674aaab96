"""The `crossdock` command and its subcommands.

Exit codes: 0 done, 1 failed, 2 used wrongly, 3 taken over by another process: not to be restarted.
"""

import os
import sys
from typing import Annotated

import typer

from flows.cli import (
    control_commands,
    explain_command,
    inspect_commands,
    live_commands,
    log_commands,
    outlook_command,
    people_commands,
    replay_command,
    whatif_command,
)
from flows.cli.console import err
from state.errors import CrossdockError

app = typer.Typer(
    name="crossdock",
    help="A streaming engine that runs an e-commerce fulfilment network by itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("replay")(replay_command.replay)
app.command("simulate")(log_commands.simulate)
app.command("whatif")(whatif_command.whatif)
app.command("check")(log_commands.check)
app.command("outlook")(outlook_command.outlook)
app.command("topics")(live_commands.topics)
app.command("ingest")(live_commands.ingest)
app.command("run")(live_commands.run)
app.command("publish")(live_commands.publish)
app.command("record")(control_commands.record)
app.command("dead-letters")(control_commands.dead_letters)
app.command("requeue")(control_commands.requeue)
app.add_typer(control_commands.control, name="control")
app.command("proposals")(people_commands.proposals)
app.command("approve")(people_commands.approve)
app.command("reject")(people_commands.reject)
app.command("schema")(inspect_commands.schema)
app.command("actions")(inspect_commands.actions)
app.command("explain")(explain_command.explain)
app.command("redis")(inspect_commands.serve_redis)

importers = typer.Typer(help="Make a log from public data.", no_args_is_help=True)
importers.command("olist")(log_commands.import_olist)
app.add_typer(importers, name="import")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crossdock {version('crossdock')}")
        raise typer.Exit


@app.callback()
def _crossdock(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run a fulfilment network by itself: recorded log in, explained actions out."""


def main() -> None:
    """Run the command line; errors of ours end it with a message and exit code 1, or 3."""
    # Bytewax panics on any error in a sink; its backtrace would bury our message.
    os.environ["RUST_BACKTRACE"] = "0"
    try:
        app()
    except CrossdockError as error:
        err.print(f"crossdock: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output left; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        err.print("crossdock: interrupted")
        sys.exit(1)
