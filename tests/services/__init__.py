"""Real services under a test's control: child processes on this machine that it may kill.

Everything here needs POSIX signals. What the services share is in this file; `kafka_broker` and
`redis_server` are what tests use.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
#: Starts of a server whose port another process took first, at most.
PORTS_TRIED = 5
POLL_S = 0.02
# Below the range from which Linux and macOS give ports to outgoing connections: a killed server
# would lose such a port to any client before it is started again.
_PORTS = range(20_000, 32_000)


class ServiceError(Exception):
    """A service that cannot be had or started; the message says what to do."""


class Child:
    """A server process that dies with us, and that is only ever signalled by its own pid.

    Its output is appended to `log`. The kernel ends it together with this process, if it was
    started from the main thread, on Linux with util-linux's `setpriv`.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._command = [str(part) for part in command]
        self._env = None if env is None else dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    @property
    def pid(self) -> int:
        """Return its process id. Raises ServiceError if it does not run."""
        if self._process is None:
            raise ServiceError(f"expected {self._command[0]} to run, was not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the code it ended with unasked; None while it runs, and after `end` or `kill`."""
        return None if self._process is None else self._process.poll()

    @property
    def runs(self) -> bool:
        """Return whether it was started and has not ended; a paused one runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; the caller waits for it to answer."""
        if self.runs:
            raise ServiceError(f"expected {self._command[0]} to be stopped, runs as {self.pid}")
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C is for pytest, which then ends the services in order.
            self._process = subprocess.Popen(
                [*_tied_to_us(), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Send SIGKILL if it runs or is paused, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self, within_s: float) -> None:
        """Ask it to end, kill it if it has not `within_s` seconds later."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)  # a paused one does not react
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def pause(self) -> None:
        """Send SIGSTOP: its connections stay open, without an answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def rss_mb(self) -> float:
        """Return its resident memory in MB. Works where `ps` does."""
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, check=True, text=True
        )
        return int(shown.stdout) / 1024

    def last_words(self, lines: int = 3) -> str:
        """Return the end of its log in one line, without Java's stack traces."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "it left no log"
        said = [line for line in text.strip().splitlines() if not line.startswith("\tat ")]
        return " | ".join(said[-lines:]) or "it said nothing"


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which no process listens at this moment."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found


def answers(port: int) -> bool:
    """Return whether a process listens on `port`."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


@dataclass(frozen=True)
class Certificates:
    """PEM files of a CA and of a server at 127.0.0.1 (and localhost) that it vouches for."""

    ca: Path
    key: Path
    certificate: Path
    #: Key and certificate in one file, as Kafka reads them.
    both: Path


def make_certificates(directory: Path) -> Certificates:
    """Make a CA and a server certificate, good for two days. Raises ServiceError."""
    if shutil.which("openssl") is None:
        raise ServiceError("expected `openssl` on the PATH, to make certificates: install it")
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates(*(directory / f"{n}.pem" for n in ("ca", "key", "certificate", "both")))
    ca_key, request = directory / "ca-key.pem", directory / "request.pem"
    extensions = directory / "extensions"
    extensions.write_text(f"subjectAltName=IP:{HOST},DNS:localhost\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
    ours = ("-subj", "/CN=crossdock-test-ca", "-days", "2", "-out", made.ca)
    signed = ("-CA", made.ca, "-CAkey", ca_key, "-set_serial", "2", "-days", "2")
    for arguments in (
        ("req", "-x509", *key, ca_key, *ours),
        ("req", *key, made.key, "-subj", "/CN=localhost", "-out", request),
        ("x509", "-req", "-in", request, *signed, "-extfile", extensions, "-out", made.certificate),
    ):
        run = subprocess.run(
            ["openssl", *map(str, arguments)], capture_output=True, check=False, text=True
        )
        if run.returncode != 0:
            raise ServiceError(f"openssl {arguments[0]} failed: {run.stderr.strip()}")
    made.both.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    return made


def _tied_to_us() -> list[str]:
    # As state.stores.embedded_redis, but KILL: a paused server could not obey a TERM.
    setpriv = shutil.which("setpriv")
    if (
        sys.platform != "linux"
        or setpriv is None
        or threading.current_thread() is not threading.main_thread()
    ):
        return []
    usage = subprocess.run([setpriv, "--help"], capture_output=True, check=False)
    return [setpriv, "--pdeathsig", "KILL"] if b"--pdeathsig" in usage.stdout else []
