"""Redis killed, paused, full, slow, cut off or emptied: the stream waits, or says what is lost."""

import random
import shutil
import time
from pathlib import Path

import pytest

from tests.chaos import KILLS, THOROUGH
from tests.chaos.conftest import MakeLog, MakeRig
from tests.chaos.proxy import Proxy
from tests.chaos.rig import Rig
from tests.services import HOST
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.slow

_RATE = 1_000.0
#: Longer than one command waits for its answer.
_LONG_PAUSE_S = 6.0
_LOST = "has lost what it had acknowledged"


def settle_and_verify(rig: Rig) -> None:
    """Nothing lost, nothing twice; and no process died over it."""
    assert not rig.deaths, rig.deaths
    assert rig.engines["run"].runs, rig.engines["run"].output()[-2000:]
    rig.settle()
    assert rig.verify().actions > 300


def test_a_redis_killed_with_its_log_on_disk_is_waited_for(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    luck = random.Random(1)
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        for _ in range(max(2, KILLS // 10)):
            rig.until_more()
            time.sleep(luck.uniform(0, 0.5))
            server.kill()
            time.sleep(luck.uniform(0, 2.0))
            server.start()
        settle_and_verify(rig)


def test_a_paused_redis_is_waited_for(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        for pause_s in (0.5, _LONG_PAUSE_S) if THOROUGH else (0.5,):
            rig.until_more()
            server.pause()
            time.sleep(pause_s)
            server.resume()
        rig.until_more()
        settle_and_verify(rig)


def test_a_full_redis_is_waited_for(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until_more()
        with rig.client() as client:
            client.config_set("maxmemory", "1mb")
            rig.until_logged("run", "store away; waiting")
            full = rig.entries()
            time.sleep(1.0)
            assert rig.entries() == full
            client.config_set("maxmemory", "0")
        rig.until_logged("run", "store back")
        settle_and_verify(rig)


def test_a_redis_behind_a_slow_and_breaking_line_gets_everything_once(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    luck = random.Random(2)
    with (
        Proxy(server.port) as proxy,
        make_rig(redis_url=f"redis://{HOST}:{proxy.port}/0") as rig,
    ):
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until_entries(0)
        proxy.delay_s = 0.05
        time.sleep(1.0)
        proxy.delay_s = 0.0
        for _ in range(max(5, KILLS // 5)):
            # Appended, but the writer gets no answer: it has to find out.
            proxy.swallows = True
            time.sleep(luck.uniform(0.02, 0.2))
            proxy.cut()
            proxy.swallows = False
            time.sleep(luck.uniform(0.1, 0.4))
        settle_and_verify(rig)


def test_an_emptied_redis_is_noticed_and_filled_again_by_a_rebuild(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    with make_rig() as rig:
        rig.publish([log_of()], rate=_RATE)
        rig.start()
        rig.until_entries(100)
        rig.stop("run")  # with a checkpoint: without one it would begin from the start, and heal it
        rig.start("run")
        rig.until_more()
        server.restart(empty=True)
        run = rig.engine("run")
        assert run.ended() == 1
        assert _LOST in " ".join(run.output().split())
        assert _LOST in rig.fails("run")
        rig.stop("ingest")
        rig.join()
        rig.once("ingest")
        rig.once("run", "--rebuild")
        assert rig.verify().actions > 300


def test_a_redis_emptied_while_nothing_runs_is_noticed_at_the_start(
    make_rig: MakeRig, log_of: MakeLog, server: RedisServer
) -> None:
    with make_rig() as rig:
        rig.publish([log_of(events=2_000)])
        rig.settle()
        server.restart(empty=True)
        # Nothing is to be written, and still: what is gone is not passed over in silence.
        assert _LOST in rig.fails("run", "--once")
        rig.once("run", "--rebuild")
        rig.verify()


@pytest.mark.parametrize("is_since_the_checkpoint", [True, False] if THOROUGH else [True])
def test_a_redis_that_lost_its_tail_is_healed_or_the_loss_is_named(
    make_rig: MakeRig, log_of: MakeLog, tmp_path: Path, is_since_the_checkpoint: bool
) -> None:
    folder = tmp_path / "redis"
    with (
        RedisServer(appendonly="everysec", directory=folder) as server,
        make_rig(redis_url=server.url, epoch_s=60.0) as rig,
    ):
        rig.publish([log_of(events=1_500, seed=1)])
        rig.settle()
        shutil.copytree(folder / "data", tmp_path / "copy")
        kept = rig.entries()

        rig.publish([log_of(events=2_500, seed=1)])
        if is_since_the_checkpoint:
            # Written since the last recovery point, and not yet kept in another.
            rig.start()
            rig.until_entries(kept + 100)
            rig.kill("run")
        else:
            rig.settle()
        server.kill()
        shutil.rmtree(folder / "data")
        shutil.copytree(tmp_path / "copy", folder / "data")
        server.start()
        assert rig.entries() == kept

        if not is_since_the_checkpoint:
            assert _LOST in rig.fails("run", "--once")
            rig.once("run", "--rebuild")
        rig.settle()
        rig.verify()
