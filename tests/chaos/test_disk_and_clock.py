"""Disks that are full, clocks that are set, and stops: what was promised holds all the same."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ingest.clock import SteadyClock
from tests.chaos import THOROUGH
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.rig import Rig
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.slow

_RATE = 800.0


@contextmanager
def small_disk(path: Path, size_kb: int) -> Iterator[Path]:
    """Mount a disk of that size at `path`; skip where that takes rights that we lack."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", str(path)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("expected to be allowed to mount a small disk (root on Linux)")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(filler: Path) -> None:
    """Let a file grow until its disk is full to the last byte."""
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def partition_folder(rig: Rig) -> Path:
    return rig.state / f"{rig.settings.topics.journal}-0"


def checkpoint_failures(rig: Rig) -> list[str]:
    return [
        each["reason"]
        for each in rig.engine("run").logged("checkpoint failed; the one before stays")
    ]


def test_a_disk_without_room_for_checkpoints_holds_nothing_up(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    with (
        make_rig() as rig,
        small_disk(partition_folder(rig) / "recovery" / "checkpoints", 8_000) as disk,
    ):
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until("a checkpoint", lambda: any(disk.glob("*.zst")))
        filler = disk / "filler"

        def is_full() -> bool:
            fill(filler)  # the engine makes room too, with each checkpoint that it needs no more
            return bool(checkpoint_failures(rig))

        rig.until("the warning", is_full)
        expected = ("No space left", "ended with status")
        assert all(any(t in reason for t in expected) for reason in checkpoint_failures(rig))
        rig.until_more()
        assert rig.engine("run").runs
        rig.kill("run")  # it resumes at the checkpoint before
        rig.start("run")
        rig.until("the warning", is_full)
        assert rig.engine("run").logged("running")[0]["resumed"]

        kept = set(disk.glob("*.zst"))
        filler.unlink(missing_ok=True)
        rig.until("a new checkpoint", lambda: set(disk.glob("*.zst")) - kept != set())
        rig.settle()
        assert rig.verify().actions > 300


def test_a_disk_too_full_for_the_recovery_store_ends_the_process_which_resumes_later(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    with make_rig() as rig, small_disk(partition_folder(rig), 16_000) as disk:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until("a checkpoint", lambda: any(disk.glob("recovery/checkpoints/*.zst")))
        rig.until_more()
        filler = disk / "filler"

        def has_ended() -> bool:
            fill(filler)
            return not rig.engine("run").runs

        rig.until("the end", has_ended)
        code = rig.engine("run").ended()
        output = rig.engine("run").output()
        assert code == 1, f"ended with {code}: {output[-1500:]}"
        assert "Traceback" not in output, output[-3000:]
        filler.unlink(missing_ok=True)
        rig.start("run")
        assert rig.until_logged("run", "running")[0]["resumed"]
        rig.settle()
        assert rig.verify().actions > 300


def test_asked_to_stop_it_commits_all_and_goes_on_after_the_last_record(
    make_rig: MakeRig, log_of: MakeLog
) -> None:
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        last = None
        for _ in range(2):
            rig.until_more()
            rig.stop("run")
            (ended,) = rig.engine("run").logged("run ended")
            assert rig.engine("run").logged("running")[0]["next_seq"] == (last or 0) + 1
            last = ended["seq"]
            rig.start("run")
            rig.until_logged("run", "running")
        assert rig.engine("run").logged("running")[0]["next_seq"] == (last or 0) + 1
        rig.stop("ingest")
        assert rig.engine("ingest").logged("ingest ended")
        rig.settle()
        assert rig.verify().duplicates <= 20  # those of the log itself: ingest repeated nothing


@pytest.mark.parametrize("away", ["redis", "kafka"] if THOROUGH else ["redis"])
def test_asked_to_stop_while_a_store_is_away_it_ends_and_resumes(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer, broker: KafkaBroker, away: str
) -> None:
    service = server if away == "redis" else broker
    with make_rig(stop_s=4.0) as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until_more()
        service.pause()
        try:
            time.sleep(0.3)
            engines = list(rig.engines.values())
            for engine in engines:
                engine.ask_to_stop()
            codes = [engine.ended() for engine in engines]
        finally:
            service.resume()
        output = [engine.output() for engine in engines]
        assert all(code in (0, 1) for code in codes), output
        assert not any("Traceback" in text for text in output), output
        rig.settle()
        assert rig.verify().actions > 300


@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**18), 10**18)), max_size=20),
    st.integers(0, 2 * 10**18),
)
def test_a_clock_never_goes_back_and_never_leaps_however_the_wall_clock_is_set(
    moves: list[tuple[int, int]], began_ns: int
) -> None:
    wall, steady = began_ns, 0
    clock = SteadyClock(lambda: wall, lambda: steady)
    begun_ms = before = clock.now_ms()
    assert begun_ms == began_ns // 1_000_000
    for passed, leap in moves:
        steady += passed
        wall += passed + leap
        now = clock.now_ms()
        assert before <= now
        assert now == (began_ns + steady) // 1_000_000
        assert clock.leap_ms() == (wall - steady - began_ns) // 1_000_000
        before = now
