"""Several journal partitions on one host: a process for each, started again when it dies.

Each partition is a fold of its own, with its own state folder, so that partitions can be moved
between hosts by moving folders, and one that fails does not take the others along.
"""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence

from flows.live import logs
from flows.wiring.stop import Stop
from state.errors import TakenOver

#: Deaths of one worker within `_WITHIN_S` that are put up with.
_MOST_DEATHS = 5
_WITHIN_S = 120.0
_POLL_S = 0.05
_SECOND_S = 1.0
_LONGEST_PAUSE_S = 30.0
#: Environment variable of a worker: the process id of its supervisor.
SUPERVISOR = "CROSSDOCK_SUPERVISOR"


class _Worker:
    def __init__(self, partition: int, command: Sequence[str]) -> None:
        self.partition, self._command = partition, command
        self.deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self.start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.is_done = self.is_taken_over = False

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, SUPERVISOR: str(os.getpid())},
        )

    def died(self, code: int) -> bool:
        """Note a death; return whether it is worth starting again."""
        now = time.monotonic()
        self.process = None
        self.deaths.append(now)
        recent = sum(now - death < _WITHIN_S for death in self.deaths)
        self.start_at = now + min(_LONGEST_PAUSE_S, _SECOND_S * 2 ** (recent - 1))
        logs.warn("worker died", partition=self.partition, code=code, deaths=recent)
        return recent < _MOST_DEATHS


def supervise(
    partitions: Sequence[int],
    command: Callable[[int], Sequence[str]],
    stop: Stop,
    *,
    may_end: bool = False,
) -> bool:
    """Run `command(partition)` for each until `stop` is set; with `may_end` until all ended well.

    Returns whether all ended well. A worker that dies too often ends them all; so does one that
    ends well too often where none may end. One whose partition another process has taken over is
    left alone, or the two would take it from each other for ever: raises TakenOver at the end.
    """
    workers = [_Worker(partition, command(partition)) for partition in partitions]
    is_well = True
    while not stop.is_set and not all(worker.is_done for worker in workers):
        for worker in workers:
            if not _look_after(worker, may_end):
                is_well = False
                stop.set()
        time.sleep(_POLL_S)
    ended_well = _end(workers) and is_well
    lost = [worker.partition for worker in workers if worker.is_taken_over]
    if ended_well and lost:
        raise TakenOver(f"expected to keep all partitions, {lost} were taken over by others")
    return ended_well


def _look_after(worker: _Worker, may_end: bool) -> bool:
    if worker.is_done:
        return True
    if worker.process is None:
        if time.monotonic() >= worker.start_at:
            worker.start()
        return True
    code = worker.process.poll()
    if code is None:
        return True
    if code == TakenOver.exit_code:
        logs.warn("worker taken over; not started again", partition=worker.partition)
        worker.is_done = worker.is_taken_over = True
        return True
    if code == 0 and may_end:
        worker.is_done = True
        return True
    return worker.died(code)


def _end(workers: Sequence[_Worker]) -> bool:
    running = [w.process for w in workers if w.process is not None and not w.is_done]
    for process in running:
        process.send_signal(signal.SIGTERM)
    codes = [process.wait() for process in running]
    return not any(codes)
