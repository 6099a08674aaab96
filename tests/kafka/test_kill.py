"""Kill the real process anywhere, start it again: the same actions, in files and in Redis."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

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
Popen = subprocess.Popen[bytes]
_WORLD = WorldConfig(nodes=10, regions=8, skus=120)


class Whole:
    """A log, and what a fold of it leaves that is not interrupted."""

    def __init__(self, log: Path, out: Path) -> None:
        plan = ReplayPlan(logs=(log,), policy=Policy(), engine="fold", out=out)
        self.log, self.out, self.summary = log, out, replay(plan)


def written(path: Path, events: int) -> Path:
    with JournalWriter(path) as writer:
        for event in simulate(seed=11, events=events, config=_WORLD):
            writer.write(event)
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("log") / "log.jsonl.zst", 9_000)


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes longer to replay than a process is let live."""
    return written(tmp_path_factory.mktemp("log") / "log.jsonl.zst", 24_000)


@pytest.fixture(scope="module")
def whole(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(log, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def long_whole(long_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(long_log, tmp_path_factory.mktemp("whole"))


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


class Writing:
    """Tells when a run has gone on writing for some epochs since its first checkpoint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: set[int] = set()

    def __call__(self) -> bool:
        if any((self._folder / "recovery").rglob("*.zst")):
            parts = (self._folder / "out" / "parts").glob("actions:*")
            self._sizes.add(sum(part.stat().st_size for part in parts))
        return len(self._sizes) > 4


def streams(client: redis.Redis, prefix: str) -> dict[str, list[tuple[bytes, bytes]]]:
    found = {}
    for kind in (*KINDS, PROPOSALS):
        entries = client.xrange(f"{prefix}:demo:{kind}")
        found[kind] = [(entry_id, fields[b"action"]) for entry_id, fields in entries]
    return found


def run_killed(
    log: Path, folder: Path, url: str, prefix: str, lives: Callable[[Popen, int], None]
) -> tuple[int, dict[str, object]]:
    """Run to the end, killed and started again on the way; returns kills and the summary.

    `lives` waits until a process is to be killed; it is given how many were killed before.
    """
    kills = 0
    while True:
        run = subprocess.Popen(
            command(log, folder, url, prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        lives(run, kills)
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
            kills += 1
            continue
        out, err = run.communicate(timeout=600)
        assert run.returncode == 0, err.decode()
        return kills, json.loads(out)


def expect_all_of_it_once(
    whole: Whole, folder: Path, summary: dict[str, object], client: redis.Redis, prefix: str
) -> None:
    """Check that a run killed and resumed left the same actions, in its folder and in Redis."""
    assert summary["digest"] == whole.summary.digest
    assert summary["lines"] == whole.summary.lines
    resumed = (folder / "out" / "actions.jsonl").read_bytes()
    assert resumed == (whole.out / "actions.jsonl").read_bytes()
    kept = [body for entries in streams(client, prefix).values() for _, body in entries]
    assert sorted(kept) == sorted(resumed.splitlines())
    for entries in streams(client, prefix).values():
        for entry_id, body in entries:
            assert json.loads(body)["id"] == f"demo:{entry_id.decode()}"
    for key in client.scan_iter(f"{prefix}:*"):
        client.unlink(key)


def test_killed_amid_its_writing_and_resumed_it_acts_as_if_nothing_had_happened(
    whole: Whole, tmp_path: Path, redis_url: str, redis_client: redis.Redis, prefix: str
) -> None:
    kills = rounds = 0
    while not kills:  # a run may end before it is killed
        assert rounds < 20, "the runs end before they can be killed"
        rounds += 1
        folder, mine = tmp_path / prefix, f"{prefix}.{uuid4().hex}"

        def lives(run: Popen, killed: int, folder: Path = folder) -> None:
            if killed:
                run.wait(600)
            else:
                is_writing = Writing(folder)
                eventually(lambda: is_writing() or run.poll() is not None)

        kills, summary = run_killed(whole.log, folder, redis_url, mine, lives)
        expect_all_of_it_once(whole, folder, summary, redis_client, mine)
        tmp_path /= "again"


@pytest.mark.slow
def test_killed_anywhere_and_resumed_it_acts_as_if_nothing_had_happened(
    long_whole: Whole, tmp_path: Path, redis_url: str, redis_client: redis.Redis, prefix: str
) -> None:
    luck = random.Random(5)

    def lives(run: Popen, killed: int) -> None:
        # It needs a second to import, and a checkpoint counts an epoch later: on a busy machine
        # each start is given longer, or it would never get further.
        time.sleep(luck.uniform(0.9, 2.4 + 0.3 * killed))

    kills = rounds = 0
    while kills < KILLS:
        assert rounds < 20 * KILLS, "the runs end before they can be killed"
        folder, mine = tmp_path / f"round-{rounds}", f"{prefix}:{rounds}".replace(":", ".")
        died, summary = run_killed(long_whole.log, folder, redis_url, mine, lives)
        kills, rounds = kills + died, rounds + 1
        expect_all_of_it_once(long_whole, folder, summary, redis_client, mine)
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


@pytest.mark.slow
def test_asked_to_stop_it_commits_and_goes_on_later(
    whole: Whole, tmp_path: Path, redis_url: str, prefix: str
) -> None:
    log, expected = whole.log, whole.summary
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


@pytest.mark.parametrize(
    "module",
    [
        "bytewax",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("typer", "flows.replay", "river")
        ),
    ],
)
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
