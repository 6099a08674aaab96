"""What all commands share: output, progress, and how errors end a command."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from flows.progress import Progress as Report
from state.errors import CrossdockError

T = TypeVar("T")

#: Results go to standard output, everything else to standard error.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """One JSON object and nothing else on standard output."""
    sys.stdout.write(orjson.dumps(document).decode() + "\n")


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[units]:,} " + unit),
        TimeRemainingColumn(),
    )


@contextmanager
def progress_bar(title: str, unit: str = "events") -> Iterator[Report]:
    """A bar on a terminal, nothing in a pipe; yields what to call as work proceeds.

    It is called with the units done, then the work done and the work in all.
    """
    if not err.is_terminal:
        yield lambda _lines, _done, _size: None
        return
    with Progress(*_columns(unit), console=err, transient=True) as bar:
        task = bar.add_task(title, total=None, units=0)
        yield lambda units, done, size: bar.update(
            task, completed=done, total=size or None, units=units
        )


@contextmanager
def share_bar(title: str, unit: str) -> Iterator[Callable[[int, float], None]]:
    """The same for work that knows what share of it is done: called with units done, and share."""
    with progress_bar(title, unit) as progress:
        yield lambda units, share: progress(units, round(share * 1_000), 1_000)


def named(find: Callable[[str], T], name: str, option: str) -> T:
    """What `find` finds under a name or in a file; neither of them is a wrong use of `option`."""
    try:
        return find(name)
    except CrossdockError as error:
        if Path(name).exists():
            raise
        raise typer.BadParameter(str(error), param_hint=option) from error
