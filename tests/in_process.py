"""The command line run within the tests' process: a second of imports less each time.

Signals, the garbage collector, the logger, the working directory and standard streams are put back
as they were.
"""

import contextlib
import gc
import io
import logging
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from flows.cli.app import main
from tests.places import ROOT


def crossdock(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose output goes into pipes."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    code = _run(arguments, *streams)
    shown = []
    for stream in streams:
        stream.flush()
        stream.seek(0)
        shown.append(stream.read())
    return subprocess.CompletedProcess(list(map(str, arguments)), code, *shown)


def on_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command on a terminal without colours; return its exit code and what it shows."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 65_536):
                shown.append(more)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        code = _run(arguments, terminal, terminal, TERM="dumb", COLUMNS="4000")
    reader.join()
    os.close(ours)
    return code, b"".join(shown).decode()


def _run(
    arguments: tuple[str | Path, ...], out: io.TextIOWrapper, err: io.TextIOWrapper, **env: str
) -> int:
    with (
        _as_it_was(),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.dict(os.environ, env),
        patch.object(sys, "argv", ["crossdock", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    thresholds = gc.get_threshold()
    try:
        with logger_as_it_was():
            yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def logger_as_it_was() -> Iterator[None]:
    """Put the handlers and the level of our logger back at the end."""
    logger = logging.getLogger("crossdock")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
