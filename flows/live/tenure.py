"""A process's time as the one that runs a journal partition: from taking the lease to its end."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from flows.live import logs
from flows.live.probes import ANSWER_S
from flows.live.state_folder import StateFolder
from state.errors import StoreError
from state.settings import Settings
from state.stores.redis_connection import connect_with, is_passing
from state.stores.redis_lease import Lease

_AGAIN_S = 0.5


class Tenure:
    """Context manager that takes the partition's lease, and reports another process ousted.

    Raises TakenOver where another process ended this folder's last run and still runs, unless
    `take_over` is set. If another one takes the partition meanwhile, the folder keeps that in mind.
    """

    def __init__(
        self,
        settings: Settings,
        journal: str,
        partition: int,
        folder: StateFolder,
        take_over: bool,
        may_wait: Callable[[], bool],
    ) -> None:
        self._folder, self._take_over, self._may_wait = folder, take_over, may_wait
        self._partition = partition
        self._client = connect_with(settings.redis, read_timeout_s=ANSWER_S, retries=0)
        self.lease = Lease(
            self._client,
            journal=journal,
            partition=partition,
            home=folder.home,
            prefix=settings.redis.prefix,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._client.close)
            taken = self.lease.take(None if self._take_over else self._folder.ousted_since())
            stack.callback(self._release)
            stack.enter_context(self._folder.noting_ousting())
            self._stack = stack.pop_all()
        if taken.before is not None:
            logs.warn(
                "took over", partition=self._partition, token=taken.token, earlier=taken.before
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def require(self) -> None:
        """Make sure, once Redis answers, that the lease is held. Raises TakenOver, StoreError."""
        while True:
            try:
                return self.lease.require()
            except StoreError as error:
                if not is_passing(error) or not self._may_wait():
                    raise
                time.sleep(_AGAIN_S)

    def _release(self) -> None:
        with suppress(StoreError):  # then the next start here takes it from a process that is dead
            self.lease.release()
