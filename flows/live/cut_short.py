"""Bound on how long a process may take to end."""

import os
import threading
import time

from flows.live import logs
from flows.wiring.stop import Stop


def cut_short_after(seconds: float, stop: Stop) -> None:
    """End the process `seconds` after `stop` is set, even if it could not finish.

    Nothing is lost by that: the next start goes on at the last committed checkpoint.
    """

    def watch() -> None:
        while not stop.is_set:
            time.sleep(0.1)
        time.sleep(seconds)
        logs.warn("stop cut short", after_s=seconds)
        os._exit(1)

    threading.Thread(target=watch, name="stop", daemon=True).start()
