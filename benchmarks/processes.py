"""Child processes of a measurement: started by us, bounded in time, ended by their own ids."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

#: The folder that ``python -m benchmarks...`` is started from.
ROOT = Path(__file__).resolve().parent.parent
_GRACE_S = 20.0
_LAST_WORDS = 2_000


class ChildFailed(RuntimeError):
    """A child process ended otherwise than it should; the message has its last words."""


def run_module(
    module: str,
    arguments: Sequence[object],
    timeout_s: float,
    *,
    tree: Path = ROOT,
    python: str = sys.executable,
) -> Any:
    """Run ``python -m module`` of a source tree to its end; returns the JSON object that it prints.

    Raises ChildFailed if it fails, subprocess.TimeoutExpired if it takes longer than `timeout_s`.
    """
    done = subprocess.run(  # noqa: S603 - our own modules, no shell
        [python, "-m", module, *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise ChildFailed(f"{module} ended with code {done.returncode}: {_tail(done.stderr)}")
    return orjson.loads(done.stdout)


@contextmanager
def started(
    command: Sequence[object], log: Path, output: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is stopped when the block is left: SIGTERM to its id, then SIGKILL.

    Its standard error goes to `log`, its standard output to `output` or to the log too.
    """
    with log.open("wb") as errors, (output or log).open("ab") as results:
        process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=results,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], grace_s: float = _GRACE_S) -> int:
    """End a process by its own id and wait for it; returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def expect_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raise ChildFailed with the process's last words if it has ended."""
    if process.poll() is not None:
        words = _tail(log.read_bytes()) if log.exists() else ""
        raise ChildFailed(f"process {process.pid} ended with code {process.returncode}: {words}")


def _tail(data: bytes) -> str:
    return data[-_LAST_WORDS:].decode(errors="replace").strip() or "it said nothing"
