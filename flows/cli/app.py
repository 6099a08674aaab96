"""The `crossdock` command and its subcommands.

Exit codes: 0 done, 1 failed, 2 used wrongly, 3 taken over by another process: not to be restarted.
The modules of commands import Typer and little else; what a command needs it imports when it runs.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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
from flows.cli.console import complain, note
from flows.display.visible import visible
from flows.wiring.stop import let_signals_through
from state.errors import CrossdockError

#: Commands that end well when they are asked to stop; they announce when they are ready.
_STOPPABLE = frozenset({"replay", "ingest", "run", "publish", "record"})


class _Commands(TyperGroup):
    """List of commands with a whole sentence each; wrong usage is data when it is shown."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, self.commands[name].get_short_help_str(200)) for name in self.commands]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def make_context(self, *args: Any, **more: Any) -> typer.Context:
        with _visible_errors():
            return super().make_context(*args, **more)  # type: ignore[return-value]

    def invoke(self, ctx: Any) -> Any:
        with _visible_errors():
            return super().invoke(ctx)


@contextmanager
def _visible_errors() -> Iterator[None]:
    try:
        yield
    except typer.TyperException as error:
        error.message = "\n".join(map(visible, error.message.split("\n")))
        raise


app = typer.Typer(
    name="crossdock",
    cls=_Commands,
    help="A streaming engine that runs an e-commerce fulfilment network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: what draws frames around it takes longer to import than all the rest.
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
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
app.add_typer(control_commands.control, name="control", cls=_Commands)
app.command("proposals")(people_commands.proposals)
app.command("approve")(people_commands.approve)
app.command("reject")(people_commands.reject)
app.command("schema")(inspect_commands.schema)
app.command("actions")(inspect_commands.actions)
app.command("explain")(explain_command.explain)
app.command("redis")(inspect_commands.serve_redis)

importers = typer.Typer(help="Make a log from public data.", no_args_is_help=True)
importers.command("olist")(log_commands.import_olist)
app.add_typer(importers, name="import", cls=_Commands)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crossdock {version('crossdock')}")
        raise typer.Exit


@app.callback()
def _crossdock(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run a fulfilment network: recorded log in, explained actions out."""
    if context.invoked_subcommand not in _STOPPABLE:
        let_signals_through()


def main() -> None:
    """Run the command line; errors of ours end it with a message and exit code 1, or 3."""
    # Bytewax panics on any error in a sink; its backtrace would bury our message.
    os.environ["RUST_BACKTRACE"] = "0"
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that cannot show a name's script still gets the name, escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except CrossdockError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output closed it; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        note("crossdock: interrupted")
        sys.exit(1)
    except Exception:  # a defect of ours; its trace may quote data
        for line in traceback.format_exc().splitlines():
            note(line)
        sys.exit(1)
