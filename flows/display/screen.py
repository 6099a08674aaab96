"""Tables and panels on a terminal: the only module that knows Rich.

Text that it takes is data. It never is markup, no character of it acts or hides
(`flows.display.visible`), and its looks are given apart from it, as a style.
"""

from typing import Literal, NamedTuple, NewType

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from flows.display.visible import visible

#: Text in its styles; made by `words`, `beside` and `stacked` only.
Words = NewType("Words", Text)
#: Something drawn of several parts; made by `group`, `panel` and `rule` only.
Drawing = NewType("Drawing", Group)

#: Lines of a table: with all lines, with one below its head, or with none.
Look = Literal["grid", "head", "plain"]
_BOXES = {"grid": box.HEAVY_HEAD, "head": box.SIMPLE_HEAD, "plain": None}


class Column(NamedTuple):
    """A column: its title, on which side its cells stand, and how they wrap.

    Cells are broken between words and, where they must be, within; with `whole` never.
    """

    title: str | Words = ""
    right: bool = False
    style: str = ""
    whole: bool = False
    min_width: int | None = None
    max_width: int | None = None


class Table:
    """Rows of cells; without a title on any column it has no head."""

    def __init__(self, *columns: Column, title: str = "", look: Look = "grid") -> None:
        self._table = RichTable(
            title=words(title) if title else None,
            title_justify="left",
            show_header=any(column.title for column in columns),
            box=_BOXES[look],
            show_edge=look == "grid",
            pad_edge=look != "plain",
        )
        for column in columns:
            self._table.add_column(
                _text(column.title),
                justify="right" if column.right else "left",
                style=column.style,
                overflow="fold",
                no_wrap=column.whole,
                min_width=column.min_width,
                max_width=column.max_width,
            )

    def row(self, *cells: str | Words, style: str = "") -> None:
        """Add a row."""
        self._table.add_row(*map(_text, cells), style=style)

    def __rich__(self) -> RichTable:
        return self._table


#: Things that can be shown. A bare string is none of them: it has no style.
View = Words | Table | Drawing


def words(text: str, style: str = "") -> Words:
    """Return `text` on one line, in a style such as ``bold`` or ``red``."""
    return Words(Text(visible(text), style))


def beside(*parts: Words) -> Words:
    """Return `parts` on one line."""
    return Words(Text().join(parts))


def stacked(*lines: Words) -> Words:
    """Return `lines` one below the other."""
    return Words(Text("\n").join(lines))


def group(*parts: View) -> Drawing:
    """Return `parts` one below the other."""
    return Drawing(Group(*parts))


def panel(title: str, *parts: View) -> Drawing:
    """Return `parts` in a frame with a title."""
    framed = Panel(Group(*parts), title=words(title), title_align="left")
    return Drawing(Group(framed))


def rule(title: str) -> Drawing:
    """Return a line across the screen, with a title in it."""
    return Drawing(Group(Rule(words(title))))


def console(*, to_errors: bool = False) -> Console:
    """Return standard output, or standard error; no text on it is markup."""
    return Console(stderr=to_errors, markup=False, emoji=False, highlight=False)


def progress(unit: str) -> Progress:
    """Return a bar on standard error; its tasks have the field ``units``."""
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[units]:,} " + unit, markup=False),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console(to_errors=True), transient=True)


def _text(cell: str | Words) -> Text:
    return cell if isinstance(cell, Text) else words(cell)
