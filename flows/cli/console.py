"""Output of commands: results to standard output, everything else to standard error.

Text is data here (see `flows.display.visible`). What draws tables is imported when there is one to
draw.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import typer

from flows.display.visible import visible, visible_json
from state.errors import CrossdockError

if TYPE_CHECKING:
    from flows.display.screen import View
    from flows.wiring.progress import Progress

T = TypeVar("T")


def say(text: str, style: str = "") -> None:
    """Write one line of a result."""
    _write(sys.stdout, text, style)


def note(text: str, style: str = "") -> None:
    """Write one line beside the result."""
    _write(sys.stderr, text, style)


def complain(text: str) -> None:
    """Write a line beside the result that stands out, on what is wrong."""
    note(f"crossdock: {text}", "red")


def warn(text: str) -> None:
    """Write a warning beside the result."""
    note(f"crossdock: {text}", "yellow")


def show(*views: "View") -> None:
    """Draw tables and panels as the result."""
    from flows.display.screen import console

    console().print(*views)


def print_json(document: Any) -> None:
    """Print one JSON object and nothing else on standard output."""
    import orjson

    print_json_line(orjson.dumps(document))


def print_json_line(raw: bytes) -> None:
    """Print one line of JSON, or a document of some lines, on standard output.

    In a pipe the bytes stay what they are; on a terminal it is the same document, made visible.
    """
    shown = visible_json(raw) if sys.stdout.isatty() else raw
    sys.stdout.flush()
    sys.stdout.buffer.write(shown + b"\n")
    sys.stdout.buffer.flush()


def _write(stream: TextIO, text: str, style: str) -> None:
    if style and stream.isatty():
        from flows.display.screen import console, words

        console(to_errors=stream is sys.stderr).print(words(text, style), soft_wrap=True)
        return
    stream.write(visible(text) + "\n")
    stream.flush()


@contextmanager
def progress_bar(title: str, unit: str = "events") -> Iterator["Progress"]:
    """Draw a bar on a terminal, nothing in a pipe; yield what to call as work proceeds.

    It is called with the units done, then the work done and the work in all.
    """
    if not sys.stderr.isatty():
        yield lambda _lines, _done, _size: None
        return
    from flows.display.screen import progress

    with progress(unit) as bar:
        task = bar.add_task(visible(title), total=None, units=0)
        yield lambda units, done, size: bar.update(
            task, completed=done, total=size or None, units=units
        )


@contextmanager
def share_bar(title: str, unit: str) -> Iterator[Callable[[int, float], None]]:
    """Draw the same for work with a known share done: called with units done, and share."""
    with progress_bar(title, unit) as progress:
        yield lambda units, share: progress(units, round(share * 1_000), 1_000)


def named(find: Callable[[str], T], name: str, option: str) -> T:
    """Return what `find` finds under a name or in a file; neither is a wrong use of `option`."""
    try:
        return find(name)
    except CrossdockError as error:
        if Path(name).exists():
            raise
        raise typer.BadParameter(str(error), param_hint=option) from error
