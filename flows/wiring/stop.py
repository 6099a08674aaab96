"""Requests to stop a process: signals wait while it starts, then they set a flag.

A service manager may ask at any moment, also in the seconds that imports take. Python would die of
it there and then; so `hold_signals` is the first thing that a process does, and what came until
`on_signals` or `let_signals_through` is delivered by the latter.
"""

import os
import signal
import sys
import time

_ASKING = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


class Stop:
    """A flag that ends the source, so that the last epoch is committed before the process ends."""

    def __init__(self) -> None:
        self.is_set = False
        self._set_at = 0.0

    @classmethod
    def on_signals(cls) -> "Stop":
        """Return a flag that SIGINT and SIGTERM set, held signals included."""
        stop = cls()
        for number in _ASKING:
            signal.signal(number, stop.set)
        let_signals_through()
        return stop

    def set(self, *_: object) -> None:
        """End the source at its next batch; also fits as a signal handler."""
        if not self.is_set:
            self._set_at = time.monotonic()
        self.is_set = True

    def allows(self, seconds: float) -> bool:
        """Return whether there is still time to finish: not set, or set less than that ago."""
        return not self.is_set or time.monotonic() - self._set_at < seconds


def hold_signals() -> None:
    """Keep SIGINT and SIGTERM waiting, until it is known what they are to do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)


def let_signals_through() -> None:
    """Deliver what was held, and what comes from now on, to the handlers that stand."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)


def end_with_parent(parent: int) -> None:
    """Have the kernel ask this process to stop when `parent`, which started it, is gone (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes  # late: a process needs it once, and begins with this module

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it went before we could ask
        os.kill(os.getpid(), signal.SIGTERM)
