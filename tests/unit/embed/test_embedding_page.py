"""The page on embedding: its blocks run, in order, and do what the text says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from crossdock import Action, Engine, Policy
from flows.replay.replay import ReplayPlan, replay
from state.actions import Allocate, Hold
from tests.builders import Log, order
from tests.places import ROOT

PAGE = ROOT / "docs" / "embedding.md"
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
REDIS = '"redis://127.0.0.1:6379/0", group="mailer"'


def blocks() -> Iterator[str]:
    """Python of the page, each block at its line, so that a traceback leads there."""
    text = PAGE.read_text()
    for found in FENCE.finditer(text):
        yield "\n" * text.count("\n", 0, found.start(1)) + found[1]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Hold the names that the blocks define as they run."""
    return {"__name__": "embedding"}


def test_every_block_runs(
    names: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    redis_url: str,
    prefix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = 0
    for block in blocks():
        if REDIS in block:
            plan = ReplayPlan(
                logs=(Path("log.jsonl"),),
                policy=Policy(),
                engine="fold",
                redis=redis_url,
                prefix=prefix,
            )
            replay(plan)
        places += block.count(REDIS)
        ours = block.replace(REDIS, f"{redis_url!r}, group='mailer', prefix={prefix!r}")
        exec(compile(ours, str(PAGE), "exec"), names)
    assert places == 1
    printed = capsys.readouterr().out
    assert "small:" in printed or "demo:" in printed
    assert (tmp_path / "run" / "actions.jsonl").exists()
    assert names["ours"].actions and names["nearest"].policy != names["ours"].policy


def test_the_operator_of_the_page_has_a_hoarder_s_order_wait(names: dict[str, Any]) -> None:
    engine = Engine(after={"hygiene": names["Hoarders"]})
    log = Log().network_of({("N-NORTH", "BOOK"): 500})
    for event in log.events:
        engine.feed(event)
    modest = decided(engine, log, "o1", 30)
    greedy = decided(engine, log, "o2", 30)
    assert isinstance(modest[0].data.decision, Allocate)
    assert [type(action.data.decision) for action in greedy] == [Hold]
    assert "takes 60 units within an hour" in greedy[0].data.because.summary
    later = decided(engine, log, "o3", 30, after_s=3_700)
    assert Allocate in {type(action.data.decision) for action in later}


def decided(engine: Engine, log: Log, name: str, books: int, after_s: float = 60) -> list[Action]:
    placed = order(name, {"BOOK": books}, placed_ms=log.now_ms)
    return engine.feed(log.add(changed(placed, customer="ada"), after_s))


def test_a_copy_of_the_page_s_operator_goes_on_from_its_snapshot(names: dict[str, Any]) -> None:
    hoarders = {"hygiene": names["Hoarders"]}
    log = Log().network_of({("N-NORTH", "BOOK"): 500})
    engine, again = Engine(after=hoarders), Engine(after=hoarders)
    for event in log.events:
        engine.feed(event)
    decided(engine, log, "o1", 30)
    again.restore(engine.snapshot())
    assert [type(each.data.decision) for each in decided(again, log, "o2", 30)] == [Hold]
