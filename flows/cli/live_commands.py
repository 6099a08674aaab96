"""`crossdock ingest`, `run`, `topics` and `publish`: the engine on Kafka and Redis."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.console import print_json, progress_bar, say, show, warn
from flows.wiring.stop import Stop, end_with_parent

if TYPE_CHECKING:
    from state.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="CROSSDOCK_CONFIG",
        help="Settings file (TOML); `crossdock schema settings` lists its keys.",
        exists=True,
        dir_okay=False,
    ),
]
_Share = Annotated[
    str, typer.Option(help="0/4: the first of four shares of the partitions; HOST-0/4 as well.")
]
Once = Annotated[bool, typer.Option("--once", help="End when all there is has been read.")]
_MonitorPort = Annotated[
    int | None, typer.Option(help="Port of metrics and health, instead of the settings'.")
]
LogLevel = Annotated[Literal["debug", "info", "warning"], typer.Option(help="What is logged.")]


def settings_of(config: Path | None) -> "Settings":
    """Return the settings in `config`, or the defaults: everything on this machine."""
    from state.settings import Settings, load_settings

    return Settings() if config is None else load_settings(config)


def topics(
    config: Config = None,
    create: Annotated[bool, typer.Option("--create", help="Make those that are absent.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the topics of the deployment and what is wrong with them; or make them."""
    from state.stores.kafka_topics import KafkaTopics, planned, problems, warnings

    settings = settings_of(config)
    admin, plans = KafkaTopics(settings.kafka), planned(settings)
    made: dict[str, int] = {}
    if create:
        there = admin.partitions()
        for plan in plans:
            if plan.name not in there:
                made[plan.name] = plan.partitions or settings.topics.partitions
                admin.create(
                    plan,
                    partitions=made[plan.name],
                    replication=settings.topics.replication,
                )
    there = admin.settled(made)
    configs = {plan.name: admin.config(plan.name) for plan in plans if plan.name in there}
    wrong, notes = problems(plans, there, configs), warnings(plans, configs)
    if json:
        listed = {plan.name: there.get(plan.name, 0) for plan in plans}
        print_json({"partitions": listed, "made": list(made), "problems": wrong, "warnings": notes})
    else:
        from flows.display.screen import Column, Table

        columns = map(Column, ("topic", "partitions", "for", ""))
        table = Table(*columns, title=f"Topics at {settings.kafka.bootstrap}")
        for plan in plans:
            state = "made" if plan.name in made else "" if plan.name in there else "absent"
            table.row(plan.name, str(there.get(plan.name, "-")), plan.purpose, state)
        show(table)
        for text in (*wrong, *notes):
            warn(text)
    if wrong:
        raise typer.Exit(1)


def ingest(
    config: Config = None,
    share: _Share = "0/1",
    once: Once = False,
    accept_loss: Annotated[
        bool,
        typer.Option(help="Go on where raw messages were deleted before they were read."),
    ] = False,
    monitor_port: _MonitorPort = None,
    log_level: LogLevel = "info",
) -> None:
    """Turn raw topics into the journal: canonical events, checked, stamped, in one order."""
    stop = listen_for_stop(log_level)
    from flows.ingest.ingest import ingest as run
    from flows.live.cut_short import cut_short_after
    from flows.live.share import parse_share

    settings = settings_of(config)
    cut_short_after(settings.run.stop_s, stop)
    run(
        settings,
        share=parse_share(share),
        once=once,
        accept_loss=accept_loss,
        monitor_port=monitor_port,
        stop=stop,
    )


def run(
    config: Config = None,
    share: _Share = "0/1",
    partition: Annotated[
        list[int] | None, typer.Option(help="These journal partitions instead of a share.")
    ] = None,
    once: Once = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Work the state out from the journal's start again."),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Take the partition back from a process that took it."),
    ] = False,
    monitor_port: _MonitorPort = None,
    log_level: LogLevel = "info",
) -> None:
    """Run the engine: journal in, actions out. One process per journal partition.

    Exit code 3 if another process has taken a partition over: do not start this one again.
    """
    stop = listen_for_stop(log_level)
    from flows.live.cut_short import cut_short_after
    from flows.live.run import Live, run_partition
    from flows.live.share import parse_share
    from flows.live.supervisor import SUPERVISOR, supervise
    from state.errors import SettingsError

    settings = settings_of(config)
    live = Live(settings)
    count = settings.topics.partitions
    mine = partition or parse_share(share).of(count)
    if not mine or max(mine) >= count or min(mine) < 0:
        raise SettingsError(f"expected partitions from 0 to {count - 1}, was {mine or 'none'}")
    if len(mine) == 1:
        supervisor = os.environ.get(SUPERVISOR)
        if supervisor:
            end_with_parent(int(supervisor))
        cut_short_after(settings.run.stop_s, stop)
        run_partition(
            live,
            mine[0],
            once=once,
            rebuild=rebuild,
            take_over=take_over,
            monitor_port=monitor_port,
            stop=stop,
        )
        return
    given = [] if config is None else ["--config", str(config)]
    asked = (("--once", once), ("--rebuild", rebuild), ("--take-over", take_over))
    flags = [name for name, on in asked if on]

    def command(number: int) -> list[str]:
        return [
            *(sys.executable, "-c", "from flows.cli import main; main()", "run", *given, *flags),
            *("--partition", str(number), "--log-level", log_level),
        ]

    if not supervise(mine, command, stop, may_end=once):
        raise typer.Exit(1)


def publish(
    logs: Annotated[
        list[Path], typer.Argument(help="Log files, merged by recorded time.", exists=True)
    ],
    config: Config = None,
    rate: Annotated[float, typer.Option(min=0, help="Events per s; 0: as fast as it goes.")] = 0,
    as_now: Annotated[
        bool, typer.Option("--as-now", help="Move all instants as if recorded now.")
    ] = False,
    to_journal: Annotated[
        bool,
        typer.Option("--to-journal", help="Straight into the journal, in the log's own order."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish logs to the raw topics, each event to the topic of its family."""
    stop = listen_for_stop("warning")
    from msgspec import to_builtins

    from flows.live.publish import publish as run

    settings = settings_of(config)
    with progress_bar("publishing") as progress:
        done = run(
            settings,
            tuple(logs),
            rate=rate,
            as_now=as_now,
            to_journal=to_journal,
            stop=stop,
            progress=progress,
        )
    if json:
        print_json(to_builtins(done))
    else:
        say(f"{done.events:,} events in {done.seconds:.1f} s; {done.unusable:,} unusable")


def listen_for_stop(log_level: str) -> Stop:
    """Log as JSON lines at `log_level`; return a flag that SIGINT and SIGTERM set.

    First thing in a command, before what takes long to import.
    """
    stop = Stop.on_signals()
    from flows.cli.collector import spare_the_collector
    from flows.live.logs import start_logging

    start_logging(log_level)
    spare_the_collector()
    return stop
