"""Kill the real process anywhere, start it again: the same actions, in files and in Redis."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import redis

from flows.replay.replay import ReplayPlan, replay
from flows.simulation import WorldConfig, simulate
from state.actions import KINDS
from state.errors import JournalError
from state.journal_writer import JournalWriter
from state.policy import Policy
from state.stores.redis_keys import PROPOSALS
from tests.waiting import eventually

#: Kills per run in the suite; `make chaos` asks for more.
KILLS = int(os.environ.get("CROSSDOCK_KILLS", "3"))
_WORLD = WorldConfig(nodes=10, regions=8, skus=120)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.jsonl.zst"
    with JournalWriter(path) as writer:
        for event in simulate(seed=11, events=24_000, config=_WORLD):
            writer.write(event)
    return path


def command(log: Path, folder: Path, url: str, prefix: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        "replay",
        str(log),
        "--out",
        str(folder / "out"),
        "--recovery",
        str(folder / "recovery"),
        "--epoch-s",
        "0.3",
        "--redis",
        url,
        "--prefix",
        prefix,
        "--json",
    ]


def streams(client: redis.Redis, prefix: str) -> dict[str, list[tuple[bytes, bytes]]]:
    found = {}
    for kind in (*KINDS, PROPOSALS):
        entries = client.xrange(f"{prefix}:demo:{kind}")
        found[kind] = [(entry_id, fields[b"action"]) for entry_id, fields in entries]
    return found


def run_killed(
    log: Path, folder: Path, url: str, prefix: str, luck: random.Random
) -> tuple[int, dict[str, object]]:
    """Run to the end, killed and started again on the way; returns kills and the summary."""
    kills = 0
    while True:
        run = subprocess.Popen(
            command(log, folder, url, prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        # It needs a second to import, and a checkpoint counts an epoch later: on a busy machine
        # each start is given longer, or it would never get further.
        time.sleep(luck.uniform(0.9, 2.4 + 0.3 * kills))
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
            kills += 1
            continue
        out, err = run.communicate(timeout=600)
        assert run.returncode == 0, err.decode()
        return kills, json.loads(out)


def test_killed_anywhere_and_resumed_it_acts_as_if_nothing_had_happened(
    log: Path, tmp_path: Path, redis_url: str, redis_client: redis.Redis, prefix: str
) -> None:
    whole = tmp_path / "whole"
    expected = replay(ReplayPlan(logs=(log,), policy=Policy(), engine="fold", out=whole))
    luck = random.Random(5)
    kills = rounds = 0
    while kills < KILLS:
        assert rounds < 20 * KILLS, "the runs end before they can be killed"
        folder, mine = tmp_path / f"round-{rounds}", f"{prefix}:{rounds}".replace(":", ".")
        died, summary = run_killed(log, folder, redis_url, mine, luck)
        kills, rounds = kills + died, rounds + 1
        assert summary["digest"] == expected.digest
        assert summary["lines"] == expected.lines
        resumed = (folder / "out" / "actions.jsonl").read_bytes()
        assert resumed == (whole / "actions.jsonl").read_bytes()
        kept = [body for entries in streams(redis_client, mine).values() for _, body in entries]
        assert sorted(kept) == sorted(resumed.splitlines())
        for entries in streams(redis_client, mine).values():
            for entry_id, body in entries:
                assert json.loads(body)["id"] == f"demo:{entry_id.decode()}"
        for key in redis_client.scan_iter(f"{mine}:*"):
            redis_client.unlink(key)
    print(f"killed {kills} times in {rounds} runs: 0 actions lost, 0 twice")  # noqa: T201


def test_a_run_is_not_resumed_as_another(log: Path, tmp_path: Path) -> None:
    plan = ReplayPlan(
        logs=(log,), policy=Policy(), out=tmp_path / "out", recovery=tmp_path / "recovery"
    )
    small = tmp_path / "small.jsonl"
    with JournalWriter(small) as writer:
        for event in simulate(seed=12, events=200, config=_WORLD):
            writer.write(event)
    replay(msgspec.structs.replace(plan, logs=(small,)))
    with pytest.raises(JournalError, match="choose another --recovery"):
        replay(plan)


def test_asked_to_stop_it_commits_and_goes_on_later(
    log: Path, tmp_path: Path, redis_url: str, prefix: str
) -> None:
    expected = replay(ReplayPlan(logs=(log,), policy=Policy(), engine="fold"))
    first = subprocess.Popen(
        command(log, tmp_path, redis_url, prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    eventually(lambda: (tmp_path / "out" / "parts").exists() or first.poll() is not None)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=600)
    assert first.returncode == 0, err.decode()
    assert json.loads(out)["lines"] <= expected.lines
    again = subprocess.run(
        command(log, tmp_path, redis_url, prefix), capture_output=True, check=False, timeout=600
    )
    assert again.returncode == 0, again.stderr.decode()
    assert json.loads(again.stdout)["digest"] == expected.digest
    once_more = subprocess.run(
        command(log, tmp_path, redis_url, prefix), capture_output=True, check=False, timeout=600
    )
    summary = json.loads(once_more.stdout)
    assert summary["digest"] == expected.digest
    assert summary["lines"] == expected.lines


@pytest.mark.parametrize("module", ["typer", "flows.replay", "bytewax", "river"])
def test_asked_to_stop_while_it_starts_it_ends_well(log: Path, tmp_path: Path, module: str) -> None:
    """A service manager asks at any moment; here it is while a module is being imported."""
    asked = (
        "import os, signal, sys\n"
        "class Ask:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Ask())\n"
        "from flows.cli import main; main()\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", asked, "replay", str(log), "--out", str(tmp_path / "out")),
            *("--recovery", str(tmp_path / "recovery"), "--json"),
        ],
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["lines"] == 0


def test_asked_to_stop_while_it_starts_another_command_is_ended(tmp_path: Path) -> None:
    asked = (
        "import os, signal, flows.cli\n"
        "hold = flows.cli.hold_signals\n"
        "flows.cli.hold_signals = lambda: (hold(), os.kill(os.getpid(), signal.SIGTERM))\n"
        "flows.cli.main()\n"
    )
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-c", asked, "simulate", "--events", "9", "--out", str(log)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    assert done.returncode == -signal.SIGTERM
    assert not log.exists()
