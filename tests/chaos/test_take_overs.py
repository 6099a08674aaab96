"""Two `run`s take one partition from each other, awake or paused, under load: each action once."""

import os
import random
import signal

import pytest

from tests.chaos import KILLS
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.take_overs import elsewhere, expect_taken_over

pytestmark = pytest.mark.slow

_ROUNDS = max(2, KILLS // 10)
_RATE = 400.0


def test_taken_over_again_and_again_each_action_is_there_once(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    luck = random.Random("take-overs")
    with make_rig() as rig:
        rig.publish([log_of(events=3_000 + 1_500 * _ROUNDS)], rate=_RATE)
        rig.start("ingest")
        names = ["here", "elsewhere"]
        rig.engine("here", "run", "--take-over").start()
        elsewhere(rig, "--take-over")
        rig.until_more()
        for turn in range(_ROUNDS):
            elder, younger = (rig.engines[names[(turn + k) % 2]] for k in (0, 1))
            is_paused = luck.random() < 0.6
            if is_paused:
                os.kill(elder.pid, signal.SIGSTOP)
            younger.start()
            rig.until("a start", lambda younger=younger: bool(younger.logged("running")))  # type: ignore[misc]
            rig.until_more()
            if is_paused:
                os.kill(elder.pid, signal.SIGCONT)
            expect_taken_over(elder)
            assert younger.runs
        rig.settle()
        assert rig.verify().actions > 300
