"""A candidate policy beside the live one: what differs, and nothing where nothing does."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.replay.replay import ReplayPlan, replay
from state.codec import encode
from state.events import PolicyChanged
from state.policy import Governance, Policy, Sourcing, Weights
from tests.builders import Log, order

DEARER_LATENESS = Policy(weights=Weights(late_hour_cents=400.0, late_fixed_cents=4_000.0))


def journal(path: Path, *, changed: bool = False) -> Path:
    log = Log().network_of({("N-NORTH", "BOOK"): 40, ("N-SOUTH", "BOOK"): 40})
    if changed:
        log.add(PolicyChanged(policy={"sourcing": {"max_legs": 1}}, by="ops"))
    for number in range(12):
        promised_s = 30 * 3600 + 4 * 3600 * (number % 6)
        log.add(order(f"O-{number}", {"BOOK": 1}, promised_s=promised_s))
    path.write_bytes(b"".join(encode(event) + b"\n" for event in log.events))
    return path


def shadowed(
    log: Path, live: Policy, candidate: Policy, out: Path | None = None
) -> dict[str, object]:
    return replay(
        ReplayPlan(logs=(log,), policy=live, engine="fold", out=out, shadow=candidate)
    ).shadow


def test_the_same_policy_differs_in_nothing(tmp_path: Path) -> None:
    told = shadowed(journal(tmp_path / "log.jsonl"), Policy(), Policy())
    assert (told["orders"], told["differently"], told["only_live"]) == (12, 0, 0)
    differences = told["differences"]
    assert isinstance(differences, dict)
    assert all(d == {"mean": 0, "low": 0, "high": 0} for d in differences.values())
    assert "live policy" in str(told["caveat"])


def test_what_weighs_lateness_more_pays_more_freight_for_less_of_it(tmp_path: Path) -> None:
    told = shadowed(journal(tmp_path / "log.jsonl"), Policy(), DEARER_LATENESS, tmp_path / "out")
    differences = told["differences"]
    assert isinstance(differences, dict)
    assert told["differently"] and differences["freight"]["mean"] > 0
    assert differences["P(late), points"]["mean"] < 0
    parts = [d["mean"] for name, d in differences.items() if name not in ("sum", "P(late), points")]
    assert sum(parts) == pytest.approx(differences["sum"]["mean"], abs=0.01)
    assert (tmp_path / "out" / "shadow" / "difference.svg").read_bytes().startswith(b"<?xml")
    kept = orjson.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert kept["shadow"] == orjson.loads(orjson.dumps(told))


def test_a_shadow_changes_nothing_of_the_run_beside_it(tmp_path: Path) -> None:
    log = journal(tmp_path / "log.jsonl")
    alone = replay(ReplayPlan(logs=(log,), policy=Policy(), engine="fold"))
    beside = replay(ReplayPlan(logs=(log,), policy=Policy(), engine="fold", shadow=DEARER_LATENESS))
    assert beside.digest == alone.digest


def test_a_candidate_stays_what_it_is_when_the_live_policy_changes(tmp_path: Path) -> None:
    log = journal(tmp_path / "log.jsonl", changed=True)
    candidate = Policy(governance=Governance(autonomy={"allocate": "propose"}))
    told = shadowed(log, Policy(sourcing=Sourcing(max_legs=1)), candidate)
    assert told["proposed"] == (0, 12)


def test_the_command_says_it_in_words(tmp_path: Path) -> None:
    log = journal(tmp_path / "log.jsonl")
    told = ["replay", str(log), "--engine", "fold", "--shadow", "cheapest"]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert "12 orders allocated by both" in done.stdout
    assert CliRunner().invoke(app, [*told, "--follow"]).exit_code == 2
