"""`crossdock simulate`, `import` and `check`: make logs, and check them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import named, print_json, progress_bar, say, show

if TYPE_CHECKING:
    from flows.wiring.progress import Progress
    from state.events import Event

_Out = Annotated[
    Path, typer.Option("--out", help="Log to write (.jsonl, .jsonl.gz or .jsonl.zst).")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def simulate(
    out_log: _Out,
    seed: Annotated[int, typer.Option(help="Same seed, same log.")] = 1,
    events: Annotated[int | None, typer.Option(min=1, help="Events to make.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days to make, if not events.")] = None,
    world: Annotated[
        str, typer.Option(help="A world's name (demo, small, medium, rough) or TOML file.")
    ] = "demo",
    scenario: Annotated[
        str, typer.Option(help="What happens besides: a scenario's name or TOML file.")
    ] = "none",
    policy: Annotated[
        str, typer.Option(help="Who decides: ours, nearest, cheapest or a TOML file.")
    ] = "ours",
    network: Annotated[
        str | None, typer.Option(help="Name of the network, if not the world's.")
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Make --out a folder with one log per stream.")
    ] = False,
    json: _Json = False,
) -> None:
    """Make the log of a network that does not exist, run by the engine."""
    from msgspec.structs import asdict

    from flows.simulation import simulate as run
    from flows.simulation.config import find_world, parse_world
    from flows.simulation.scenario import find_scenario
    from state.policies import find_policy

    if events is not None and days is not None:
        raise typer.BadParameter("give either --events or --days", param_hint="--events")
    config = named(find_world, world, "--world")
    if network is not None:
        config = parse_world({**asdict(config), "network": network}, "--network")
    made = run(
        seed=seed,
        events=events,
        days=days,
        config=config,
        policy=named(find_policy, policy, "--policy"),
        scenario=named(find_scenario, scenario, "--scenario"),
    )
    details = {"seed": seed, "world": world, "scenario": scenario, "policy": policy}
    _write(made, out_log, split, f"simulating seed {seed}", events, details, json)


def import_olist(
    folder: Annotated[Path, typer.Argument(help="Folder of the Olist tables (.csv, .csv.gz).")],
    out_log: _Out,
    network: Annotated[str, typer.Option(help="Name of the network.")] = "olist",
    json: _Json = False,
) -> None:
    """Make a log from the public Olist tables; what they lack is assumed, and marked so."""
    from dataclasses import asdict, is_dataclass

    import msgspec

    from flows.importers.olist import import_olist as run
    from flows.importers.olist_sales import OlistReport

    report = OlistReport()
    made = run(folder, network, report)
    details: Any = asdict(report) if is_dataclass(report) else msgspec.to_builtins(report)
    _write(made, out_log, False, "importing Olist", None, {"report": details}, json)


def check(
    logs: Annotated[
        list[Path], typer.Argument(help="Log files, or a recording's folder.", exists=True)
    ],
    json: _Json = False,
) -> None:
    """Validate logs: counts, time span, networks, problems. Exit code 1 if there are any."""
    from flows.replay.check import check as run

    with progress_bar("checking") as progress:
        report = run(tuple(logs), progress)
    if json:
        print_json(report)
    else:
        _show_check(report)
    if report["problems"]:
        raise typer.Exit(1)


def _write(
    events: Iterator["Event"],
    target: Path,
    split: bool,
    title: str,
    expected: int | None,
    details: dict[str, Any],
    json: bool,
) -> None:
    """Write events, with a progress bar, and report what was written."""
    from state.events import FAMILY_OF
    from state.journal_writer import JournalWriter
    from state.quantities import rfc3339

    counts: Counter[str] = Counter()
    first = last = 0
    writers: dict[str, JournalWriter] = {}
    with progress_bar(title) as progress:
        for event in _counted(events, expected, progress):
            stream = FAMILY_OF[type(event.fact)] if split else ""
            writer = writers.get(stream)
            if writer is None:
                path = target / f"{stream}.jsonl" if split else target
                writer = writers[stream] = JournalWriter(path)
            writer.write(event)
            counts[event.type] += 1
            first, last = first or event.recorded_ms, event.recorded_ms
    for writer in writers.values():
        writer.close()
    files = {str(w.path): w.path.stat().st_size for w in writers.values()}
    document = {
        "events": counts.total(),
        "by_type": dict(sorted(counts.items())),
        "first": rfc3339(first),
        "last": rfc3339(last),
        "files": files,
        **details,
    }
    if json:
        print_json(document)
        return
    from flows.display.screen import Column, Table

    table = Table(Column(), Column(), title="What was written")
    table.row("events", f"{counts.total():,}, {rfc3339(first)} to {rfc3339(last)}")
    for name, count in counts.most_common():
        table.row(name, f"{count:,}")
    for name, size in files.items():
        table.row(name, f"{size / 1e6:.1f} MB")
    show(table)


def _counted(
    events: Iterable["Event"], expected: int | None, progress: "Progress"
) -> Iterator["Event"]:
    for number, event in enumerate(events, 1):
        if number % 1_000 == 0:
            progress(number, number, expected or 0)
        yield event


def _show_check(report: dict[str, Any]) -> None:
    from flows.display.screen import Column, Table

    table = Table(Column(), Column(), title="The log")
    table.row("lines", f"{report['lines']:,}")
    table.row("events", f"{report['events']:,}")
    table.row("journal", report["journal"])
    table.row("time span", f"{report['first']} to {report['last']}")
    table.row("networks", ", ".join(f"{n} ({c:,})" for n, c in report["networks"].items()))
    for name, count in report["by_type"].items():
        table.row(name, f"{count:,}")
    show(table)
    for note in report["notes"]:
        say(f"note: {note}")
    for problem in report["problems"]:
        say(f"{problem['count']:,} × {problem['reason']}, such as:", "red")
        for example in problem["examples"]:
            say(f"  {example}")
    if not report["problems"]:
        say("No problems.")
