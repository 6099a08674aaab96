"""The embedded Redis: it starts, it ends, and it leaves nothing behind but what was asked for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from state.errors import StoreError
from state.stores import embedded_redis
from state.stores.embedded_redis import SNAPSHOT, EmbeddedRedis, find_server
from state.stores.redis_connection import connect
from tests.processes import runs
from tests.waiting import eventually


def test_it_answers_while_the_block_lasts_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedRedis() as server:
        pid = server.pid
        with connect(server.url) as client:
            assert client.info("server")["process_id"] == pid
            assert client.config_get("bind")["bind"] == "127.0.0.1"
    assert not runs(pid)
    assert list(tmp_path.iterdir()) == []
    server.stop()
    with pytest.raises(StoreError, match="stopped"):
        _ = server.pid


def test_several_run_side_by_side() -> None:
    with EmbeddedRedis() as one, EmbeddedRedis() as two:
        assert one.url != two.url


def test_a_later_one_goes_on_from_what_an_earlier_one_saved(tmp_path: Path) -> None:
    out = tmp_path / "not" / "yet"
    with EmbeddedRedis(persist=out) as server, connect(server.url) as client:
        client.xadd("stream", {"action": "x"}, "5-1")
    assert [path.name for path in out.iterdir()] == [SNAPSHOT]
    with EmbeddedRedis(persist=out) as server, connect(server.url) as client:
        assert client.xrange("stream") == [(b"5-1", {b"action": b"x"})]


def test_its_death_at_the_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / SNAPSHOT).write_bytes(b"this is no snapshot")
    with pytest.raises(StoreError, match=r"ended with code 1 .*Wrong signature"):
        EmbeddedRedis(persist=tmp_path).start()


def test_what_could_not_be_saved_is_told(tmp_path: Path) -> None:
    server = EmbeddedRedis(persist=tmp_path)
    server.start()
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(StoreError, match="could not save"):
        server.stop()


def test_a_given_directory_keeps_the_log(tmp_path: Path) -> None:
    with EmbeddedRedis(directory=tmp_path):
        pass
    assert "Ready to accept connections" in (tmp_path / "redis.log").read_text()


def test_a_taken_port_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as first:
        taken = int(first.url.rpartition(":")[2].partition("/")[0])
        ports = iter([taken, embedded_redis._free_port()])
        monkeypatch.setattr(embedded_redis, "_free_port", lambda: next(ports))
        with EmbeddedRedis() as second:
            assert second.url != first.url


def test_where_there_is_none_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(StoreError, match=r"--redis redis://HOST:PORT"):
        find_server()


def test_it_ends_with_a_process_that_is_killed() -> None:
    if not embedded_redis._tied_to_us():
        pytest.skip("no setpriv that can do it")
    code = (
        "from state.stores.embedded_redis import EmbeddedRedis\n"
        "with EmbeddedRedis() as server:\n"
        "    print(server.pid, server._work, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, _, work = parent.stdout.readline().strip().partition(" ")
        parent.kill()
    eventually(lambda: not runs(int(pid)))
    (Path(work) / "redis.log").unlink()
    Path(work).rmdir()
