"""More processes, fewer processes, other processes under load: each network acts as ever."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.live.supervisor import supervise
from flows.wiring.stop import Stop
from tests.chaos import THOROUGH
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.rig import Rig
from tests.processes import children

pytestmark = pytest.mark.slow

_PARTITIONS = 4
#: One partition has three of them, the others two each.
_NETWORKS = ("berlin", "bremen", "dresden", "essen", "hamburg", "kiel", "leipzig", "mainz", "celle")
_EVENTS = 3_000 if THOROUGH else 600
_RATE = 600.0


def logs(log_of: MakeLog) -> list[Path]:
    return [
        log_of(seed=seed, events=_EVENTS, network=name, skus=30)
        for seed, name in enumerate(_NETWORKS, 1)
    ]


def running_workers(rig: Rig, name: str) -> list[int]:
    """Process ids of a supervisor's workers."""
    return children(rig.engines[name].pid)


def settle_and_verify(rig: Rig) -> None:
    rig.settle()
    verdict = rig.verify()
    assert verdict.actions > 300
    print(f"\n{verdict}")  # noqa: T201


def test_one_process_four_and_two_act_as_one(make_rig: MakeRig, log_of: MakeLog) -> None:
    with make_rig(partitions=_PARTITIONS) as rig:
        rig.publish(logs(log_of), rate=_RATE)
        rig.start("ingest")
        for count in (1, 4, 2):
            names = [f"run-{share}-{count}" for share in range(count)]
            for share, name in enumerate(names):
                rig.engine(name, "run", "--share", f"{share}/{count}").start()
            for name in names:
                rig.until_logged(name, "running", _PARTITIONS // count)
            time.sleep(1.0)
            rig.stop(*names)
        settle_and_verify(rig)


def test_a_worker_that_ends_without_being_asked_is_started_again(tmp_path: Path) -> None:
    starts, stop = tmp_path / "starts", Stop()
    starts.touch()
    script = f"open({str(starts)!r}, 'a').write('x')"

    def watch() -> None:
        while len(starts.read_text()) < 2:
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    supervise([0], lambda number: [sys.executable, "-c", script], stop)
    assert len(starts.read_text()) == 2


@pytest.mark.skipif(not THOROUGH, reason="takes a while: CROSSDOCK_KILLS=60")
def test_processes_are_replaced_one_after_another_under_load(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    with make_rig(partitions=_PARTITIONS) as rig:
        rig.publish(logs(log_of), rate=_RATE)
        rig.start("ingest")
        names = [f"run-p{number}" for number in range(_PARTITIONS)]
        for number, name in enumerate(names):
            rig.engine(name, "run", "--partition", str(number)).start()
        for name in names:
            rig.until_logged(name, "running")
            rig.stop(name)
            rig.engines[name].start()
        settle_and_verify(rig)


@pytest.mark.skipif(not THOROUGH, reason="takes a while: CROSSDOCK_KILLS=60")
def test_workers_that_are_killed_are_started_again(make_rig: MakeRig, log_of: MakeLog) -> None:
    with make_rig(partitions=_PARTITIONS) as rig:
        rig.publish(logs(log_of), rate=_RATE)
        rig.start("ingest", "run")
        rig.until_logged("run", "running", _PARTITIONS)
        for number, worker in enumerate(running_workers(rig, "run")):
            # Killed, or asked to stop from outside, past the supervisor.
            os.kill(worker, signal.SIGKILL if number % 2 else signal.SIGTERM)
        rig.until_logged("run", "running", 2 * _PARTITIONS)
        settle_and_verify(rig)
