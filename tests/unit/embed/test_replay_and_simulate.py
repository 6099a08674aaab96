"""Logs replayed and worlds simulated by a program, as the commands do it."""

import json
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest

from crossdock import Policy, replay, simulate
from flows.cli.app import app
from flows.simulation.config import find_world
from flows.simulation.scenario import find_scenario
from state.codec import encode, encode_action
from state.errors import JournalError, SettingsError
from state.journals import open_journal


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = tmp_path_factory.mktemp("small") / "log.jsonl.zst"
    assert simulate(3, events=2_500, world="small").write(log) == 2_500
    return log


def test_a_folder_is_written_as_the_command_writes_it(small: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    summary = replay([small], Policy()).write(ours)
    with pytest.raises(SystemExit) as ended:
        app(["replay", str(small), "--out", str(theirs), "--json"], standalone_mode=True)
    assert ended.value.code == 0
    names = {path.name for path in theirs.iterdir()}
    assert {path.name for path in ours.iterdir()} == names
    for name in names - {"summary.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    mine, its = (json.loads((folder / "summary.json").read_bytes()) for folder in (ours, theirs))
    differing = {key for key in its if mine[key] != its[key]}
    assert differing <= {"engine", "files", "seconds", "events_per_s"}
    assert summary.actions


def test_actions_come_before_their_summary_and_are_those_of_the_folder(
    small: Path, tmp_path: Path
) -> None:
    run, digest = replay(str(small)), sha256()
    for action in run:
        digest.update(encode_action(action) + b"\n")
    assert list(run) == []
    assert digest.hexdigest() == run.summary.digest == replay(small).write(tmp_path).digest
    assert run.summary is run.summary


def test_a_replay_decides_as_it_is_asked_and_leaves_nothing_behind(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = replay(small)
    assert not list(tmp_path.iterdir())
    first = next(run)
    assert first.seq > 0
    with pytest.raises(ValueError, match="under way"):
        run.write(tmp_path / "out")
    del run
    assert not list(tmp_path.iterdir())


def test_a_log_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    for logs in (tmp_path / "none.jsonl", [tmp_path / "none.jsonl"], []):
        with pytest.raises(JournalError):
            replay(logs)
    log = tmp_path / "log.jsonl"
    log.touch()
    with pytest.raises(ValueError, match="expected a place"):
        replay(log, after={"nowhere": lambda network, policy: pytest.fail()})


def test_bad_lines_are_counted_and_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"nonsense\n{}\n")
    summary = replay(log).write(tmp_path / "out")
    assert (summary.lines, summary.dead_letters, summary.events) == (2, 2, 0)
    assert len((tmp_path / "out" / "dead_letters.jsonl").read_bytes().splitlines()) == 2


def test_a_simulated_log_is_the_same_as_events_and_as_a_file(small: Path) -> None:
    with open_journal([small]) as reader:
        written = [each.raw for each in reader]
    assert [encode(event) for event in simulate(3, events=2_500, world="small")] == written
    by_value = simulate(3, world=find_world("small"), scenario=find_scenario("none"))
    assert [encode(event) for event in islice(by_value, 300)] == written[:300]


def test_a_scenario_and_a_policy_make_another_log() -> None:
    plain = next(simulate(3, events=1, world="small"))
    assert next(simulate(3, events=1, world="small", scenario="carrier_strike")) != plain
    assert next(simulate(3, events=1, world="small", policy=Policy(currency="USD"))) != plain


def test_a_world_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="demo, small"):
        simulate(world="atlantis")
    with pytest.raises(SettingsError, match="carrier_strike"):
        simulate(scenario=tmp_path / "none.toml")
    with pytest.raises(ValueError, match="both"):
        simulate(events=1, days=1)
