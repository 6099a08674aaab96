"""Kill ingest and run anywhere, under load, again and again: nothing lost, nothing twice."""

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

import flows.wiring.dataflow
from flows.replay.replay import ReplayPlan, replay
from state.policy import Policy
from state.stores.kafka_dead_letters import ORIGIN, headers_of
from state.stores.kafka_reader import KafkaReader
from tests.chaos import KILLS, THOROUGH
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.rig import ROLES, Rig
from tests.chaos.verdict import Verdict
from tests.processes import children, runs
from tests.services.kafka_broker import KafkaBroker, KafkaCluster

#: From the middle of the start to well into the steady state, with checkpoints on the way.
_LIFE_S = (0.3, 4.0)
_EVENTS, _RATE = (30_000, 1_200.0) if THOROUGH else (5_000, 700.0)


@pytest.fixture(scope="module")
def broker(kafka: KafkaCluster) -> KafkaBroker:
    """The one of all tests: it is not harmed here."""
    if kafka.broker is None:
        pytest.skip("needs a broker of our own")
    return kafka.broker


def kill_while_it_lasts(rig: Rig, luck: random.Random, most: int) -> None:
    """Kill both at random, each at its own times, until all is published or `most` were killed."""
    dies_at = {}
    for role in ROLES:
        rig.start(role)
        dies_at[role] = time.monotonic() + luck.uniform(*_LIFE_S)
    while not rig.is_published and rig.kills.total() < most:
        role = min(ROLES, key=lambda role: dies_at[role])
        time.sleep(max(0.0, dies_at[role] - time.monotonic()))
        rig.kill(role)
        rig.start(role)
        dies_at[role] = time.monotonic() + luck.uniform(*_LIFE_S)


def has_ticked(rig: Rig) -> bool:
    """Return whether the journal has a record by now that came of no raw message.

    The journal goes on growing, so it is read up to where it ends at this moment.
    """
    journal = rig.settings.topics.journal
    reader = KafkaReader(rig.settings.kafka, {(journal, 0): None}, to_end=True)
    try:
        return any(ORIGIN not in headers_of(each) for each in reader.read_to_end())
    finally:
        reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("stamp", ["keep", "now"])
def test_killed_anywhere_under_load_nothing_is_lost_and_nothing_comes_twice(
    make_rig: MakeRig, log_of: MakeLog, stamp: Literal["keep", "now"]
) -> None:
    wanted = max(1, KILLS * 2 // 3 if stamp == "keep" else KILLS // 3)
    luck = random.Random(f"kills {stamp}")
    kills: Counter[str] = Counter()
    total: Verdict | None = None
    rounds = 0
    while kills.total() < wanted:
        rounds += 1
        log = log_of(seed=rounds, events=_EVENTS)
        with make_rig(stamp=stamp) as rig:
            rig.publish([log], rate=_RATE, as_now=stamp == "now")
            kill_while_it_lasts(rig, luck, wanted - kills.total())
            assert not rig.deaths, rig.deaths
            if stamp == "now":
                rig.until("a tick", lambda rig=rig: has_ticked(rig))  # type: ignore[misc]
            rig.settle()
            verdict = rig.verify()
            kills += rig.kills
        assert verdict.actions > 300
        total = verdict if total is None else total + verdict
    assert total is not None
    assert stamp == "keep" or total.ticks > 0
    print(  # noqa: T201
        f"\nkilled {kills.total()} times (ingest {kills['ingest']}, run {kills['run']}) in "
        f"{rounds} rounds, stamp {stamp}: 0 lost, 0 twice; {total}"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_killed_with_a_checkpoint_in_the_making_it_starts_again_at_once(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    """The child that makes the checkpoint must not hold on to what the next start needs."""
    with make_rig() as rig:
        rig.publish([log_of(seed=1, events=_EVENTS)], rate=_RATE)
        rig.start()
        rig.until_logged("run", "running")
        caught: list[int] = []

        def is_caught() -> bool:
            for child in children(rig.engines["run"].pid):
                with contextlib.suppress(OSError):  # it was done first
                    time.sleep(0.01)  # let it begin
                    os.kill(child, signal.SIGSTOP)  # a large checkpoint takes seconds
                    if runs(child):
                        caught.append(child)
            return bool(caught)

        rig.until("a checkpoint in the making", is_caught)
        try:
            rig.kill("run")
            rig.start("run")
            rig.until("a start", lambda: bool(rig.engines["run"].output()))
            assert rig.engines["run"].logged("running"), rig.engines["run"].output()
        finally:
            for child in caught:
                with contextlib.suppress(ProcessLookupError):  # as it should be
                    os.kill(child, signal.SIGKILL)
        rig.settle()
        assert rig.verify().actions > 300


def test_killed_while_its_recovery_store_is_made_it_starts_again(
    log_of: MakeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ReplayPlan(
        logs=(log_of(seed=1, events=300),),
        policy=Policy(),
        out=tmp_path / "out",
        recovery=tmp_path / "recovery",
    )

    def killed(folder: Path, partitions: int) -> None:
        (folder / "part-0.sqlite3").touch()  # as far as it got
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(flows.wiring.dataflow, "init_db_dir", killed)
        replay(plan)
    assert replay(plan).lines == 300
