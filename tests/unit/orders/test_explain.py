"""Explanations hold: they are derived again, priced again, and tell an order's whole story."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.explain.action_log import find_action
from flows.explain.explain import Evidence, derive, derive_again, evidence_of
from flows.explain.story import story_of
from flows.explain.why_not import why_not
from flows.replay.replay import ReplayPlan, replay
from operators.orders.why_not import parse_wanted
from state.actions import Action
from state.codec import encode, encode_action
from state.errors import JournalError
from state.events import ActionApproved, HoldPlaced
from state.journal import JournalReader
from state.policy import Governance, Policy
from state.quantities import HoldKind
from tests.builders import DAY, Log, dispatch, fold, line, order
from tests.places import DATA

RECORDED = DATA / "golden.jsonl.zst"
STOCK = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 1, ("N-SPARE", "LAMP"): 5}


def quiet(_lines: int, _done: int, _size: int) -> None:
    """Show no progress."""


def evidence(tmp_path: Path, log: Log, policy: Policy | None = None) -> Evidence:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in log.events))
    return Evidence((path,), policy or Policy())


def allocated() -> Log:
    log = Log().network_of(STOCK)
    log.add(order("O-1", {"BOOK": 2}))
    return log


@pytest.mark.slow
def test_every_action_of_a_run_comes_out_of_its_journal_again(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with JournalReader([RECORDED]) as reader:
        log.write_bytes(b"".join(line.raw.rstrip() + b"\n" for line in reader.read(4_000)))
    policy = Policy(governance=Governance(autonomy={"reroute": "propose", "reship": "propose"}))
    replay(ReplayPlan(logs=(log,), policy=policy, engine="dataflow", out=tmp_path / "out"))
    written = (tmp_path / "out" / "actions.jsonl").read_bytes().splitlines()
    assert len(written) > 200
    lines = [line(raw, seq) for seq, raw in enumerate(log.read_bytes().splitlines(), 1)]
    assert fold(lines, policy).bytes() == written
    action = find_action(tmp_path / "out", orjson.loads(written[len(written) // 2])["id"])
    assert derive_again(evidence_of(tmp_path / "out"), action, quiet).is_same


def test_another_option_is_priced_as_the_decision_itself_would_have(tmp_path: Path) -> None:
    log = allocated()
    (action,) = fold(log).of("allocate")
    given = evidence(tmp_path, log)
    for alternative in action.data.because.alternatives:
        asked = parse_wanted(alternative.option.replace(" with ", "+"))
        answer = why_not(given, action, asked, quiet)
        assert answer.options == (alternative,)
        assert answer.taken is not None and answer.taken.terms == action.data.because.terms
        gap = alternative.score_cents - action.data.because.score_cents
        assert f"{gap / 100:.2f} EUR more than" in answer.summary


def test_what_was_taken_is_said_to_be(tmp_path: Path) -> None:
    log = allocated()
    (action,) = fold(log).of("allocate")
    answer = why_not(evidence(tmp_path, log), action, parse_wanted("N-NORTH+POST/standard"), quiet)
    assert answer.summary.startswith("N-NORTH with POST/standard is what was taken")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("N-SOUTH", "N-SOUTH can promise only 1 of 2 of BOOK"),
        ("N-SPARE", "N-SPARE has never had any of BOOK"),
        ("N-NOWHERE", "N-NOWHERE is not registered"),
        ("N-NORTH+POST/balloon", "POST/balloon is not registered"),
    ],
)
def test_what_could_not_be_had_names_what_was_in_the_way(
    tmp_path: Path, wanted: str, reason: str
) -> None:
    log = allocated()
    (action,) = fold(log).of("allocate")
    answer = why_not(evidence(tmp_path, log), action, parse_wanted(wanted), quiet)
    assert answer.options == () and reason in answer.summary


@pytest.mark.parametrize(
    ("kind", "scope", "reason"),
    [
        ("sku", "BOOK", "N-NORTH: on hold: recall"),
        ("service", "POST/express", "POST/express is on hold"),
    ],
)
def test_what_is_on_hold_could_not_be_had(
    tmp_path: Path, kind: HoldKind, scope: str, reason: str
) -> None:
    log = Log().network_of(STOCK)
    log.add(HoldPlaced(kind=kind, scope=scope, by="ann", reason="recall"))
    log.add(order("O-1", {"BOOK": 2}))
    (action,) = [a for a in fold(log).actions if a.subject == "O-1"]
    answer = why_not(evidence(tmp_path, log), action, parse_wanted("N-NORTH+POST/express"), quiet)
    assert answer.options == () and reason in answer.summary


def test_of_a_decision_without_nodes_nothing_can_be_asked(tmp_path: Path) -> None:
    log = allocated()
    log.tick(8 * DAY)
    release = fold(log).of("release")[0]
    with pytest.raises(JournalError, match="was release"):
        why_not(evidence(tmp_path, log), release, parse_wanted("N-NORTH"), quiet)


def test_an_approved_action_is_asked_about_where_it_was_proposed(tmp_path: Path) -> None:
    policy = Policy(governance=Governance(autonomy={"allocate": "propose"}))
    log = allocated()
    (proposed,) = fold(log, policy).of("allocate")
    log.add(ActionApproved(action=proposed.id, by="ann"))
    done = fold(log, policy).of("allocate")[-1]
    answer = why_not(evidence(tmp_path, log, policy), done, parse_wanted("N-NORTH"), quiet)
    assert answer.taken is not None and answer.taken.terms == done.data.because.terms


@pytest.mark.parametrize("text", ["", "+", "N+", "N+express"])
def test_a_question_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_wanted(text)


def story() -> Log:
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    log.add(order("O-1"))
    log.add(order("O-2"))
    log.add(dispatch("S-1", "O-1"))
    log.add(dispatch("S-1", "O-1"))
    return log


def test_an_orders_story_tells_what_was_done_and_why_nothing_was(tmp_path: Path) -> None:
    told = story_of(evidence(tmp_path, story()), "O-1", quiet)
    assert told.parcels == ("S-1",)
    sorts = [each.sort for each in told.chapters]
    assert sorts[:3] == ["event", "state", "action"]
    assert told.chapters[-1].text == "no dispatch for S-1: the shipment is already under way"
    assert [each.seq for each in told.chapters] == sorted(each.seq for each in told.chapters)
    assert not any("O-2" in each.text for each in told.chapters)


def test_the_commands_take_a_log_instead_of_a_folder(tmp_path: Path) -> None:
    log = story()
    (action,) = fold(log).of("allocate")[:1]
    given = evidence(tmp_path, log)
    assert derive(given, action.id, quiet) == action
    told = ["--log", str(given.logs[0]), "--json"]

    def said(*arguments: str) -> dict[str, object]:
        done = CliRunner().invoke(app, ["explain", *arguments, *told])
        assert done.exit_code == 0, done.output
        found: dict[str, object] = orjson.loads(done.stdout)
        return found

    assert said(action.id)["action"] == orjson.loads(encode_action(action))
    assert said("O-2")["parcels"] == []
    answer = said(action.id, "--why-not", "N-SOUTH")["why_not"]
    assert isinstance(answer, dict) and "N-SOUTH" in answer["summary"]
    plain = CliRunner().invoke(app, ["explain", "O-1", *told[:2]])
    assert "already under way" in plain.stdout
    assert CliRunner().invoke(app, ["explain", "O-9", *told]).exit_code == 1


def test_an_action_that_never_was_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="none comes out"):
        derive(evidence(tmp_path, story()), "net:3-7", quiet)
    assert isinstance(fold(story()).actions[0], Action)
