"""Text from data is data wherever it is shown: on a terminal, in a log line, in a page."""

import ast
import json
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics import MetricWrapperBase

from flows.display.screen import Column, Table, console, panel, stacked, words
from flows.display.visible import visible, visible_json
from flows.live import logs
from flows.live.metrics import IngestMetrics, RunMetrics, StreamMetrics
from flows.whatif.report import report
from tests.hostile_text import SPOILS, acting
from tests.places import ROOT
from tests.simulation.test_whatif_report import a_result

FLOWS = ROOT / "flows"
#: Texts that labels of metrics may have: names of ours, of topics (which Kafka bounds), of
#: networks, and of consumer groups (which only those with rights in Redis make).
LABELS = {
    *("topic", "partition", "reason", "store", "version", "kind", "mode", "network", "family"),
    *("state", "group"),
}


@given(st.text())
def test_shown_text_neither_acts_nor_hides(text: str) -> None:
    shown = visible(text)
    assert not acting(shown)
    assert visible(shown) == shown


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_json_that_is_shown_is_the_same_document(text: str) -> None:
    shown = visible_json(orjson.dumps({text: [text]}, option=orjson.OPT_INDENT_2))
    assert not acting(shown.decode().replace("\n", ""))
    assert json.loads(shown) == {text: [text]}


@pytest.mark.parametrize("text", ["O-1", "[/b]", "山火 <b>", "Zoë Ångström", "Привет", "שלום", ""])
def test_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\x9b31mb", r"a\x9b31mb"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2066b", r"a\u2066b"),
        ("a\u200bb", r"a\u200bb"),
        ("a\U000e0041b", r"a\U000e0041b"),
        ("a\nb", r"a\nb"),
        ("a\u2028b", r"a\u2028b"),
        ("a\u3164b", r"a\u3164b"),
        ("a\udc80b", r"a\udc80b"),
    ],
)
def test_what_acts_or_hides_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_cell_title_or_style_of_a_table_is_markup() -> None:
    evil = "[/b][red]x[/red]:bomb:\x9b2J\u202e"
    table = Table(Column(evil), Column("b"), title=evil)
    table.row(evil, stacked(words(evil), words(evil, "bold")))
    screen = console()
    with screen.capture() as shown:
        screen.print(panel(evil, table))
    text = shown.get()
    assert not acting(text.replace("\n", ""))
    joined = "".join(char for char in text if char not in "│┃ \n")
    assert joined.count("[/b][red]x[/red]:bomb:\\x9b2J\\u202e") >= 1


def test_a_log_line_shows_what_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start_logging()
    logs.warn("kafka", message=SPOILS)
    line = capsys.readouterr().err.rstrip("\n")
    assert not acting(line)
    assert json.loads(line)["message"] == SPOILS


@pytest.mark.slow
def test_a_page_shows_what_its_names_hide() -> None:
    name = f"fire{SPOILS}"
    html = report(a_result(("none", name), ("ours", name), 2, points=4, nodes=2), command=name)
    ours = report(a_result(("none", "fire"), ("ours", "mine"), 2, points=4, nodes=2))
    assert set(acting(html)) <= set(acting(ours))
    assert r"\u202e" in html


@pytest.mark.parametrize("kind", [StreamMetrics, IngestMetrics, RunMetrics])
def test_labels_of_metrics_say_names_that_are_bounded(kind: type[StreamMetrics]) -> None:
    """A new label has to be thought of: may it hold any text that comes from elsewhere?"""
    metrics = kind()
    found = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    assert found
    assert {name for each in found for name in each._labelnames} <= LABELS


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in FLOWS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield str(path.relative_to(FLOWS)), node


def imported(node: ast.AST) -> set[str]:
    match node:
        case ast.Import():
            return {alias.name.partition(".")[0] for alias in node.names}
        case ast.ImportFrom():
            return {(node.module or "").partition(".")[0]}
        case _:
            return set()


def test_one_module_knows_what_draws_on_a_terminal() -> None:
    assert {name for name, node in sources() if "rich" in imported(node)} == {"display/screen.py"}


def test_only_the_console_and_the_log_write_to_standard_streams() -> None:
    """`print` is refused by the linter; this is for the other ways."""
    found = {
        name
        for name, node in sources()
        if isinstance(node, ast.Attribute)
        and (node.attr in {"stdout", "stderr"} or node.attr in {"echo", "secho"})
        and isinstance(node.value, ast.Name)
        and node.value.id in {"sys", "typer"}
    }
    # The command itself sets its output up, and prints its version.
    assert found == {"cli/console.py", "cli/app.py", "live/logs.py"}
