"""Keeper of Redis within bounds, once a minute, in a thread and over a connection of its own.

The stream never waits for it. Where it fails, Redis keeps more than it should, which is logged.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import redis
from msgspec import Struct
from redis.exceptions import RedisError

from flows.live import logs
from flows.live.metrics import RunMetrics
from state.errors import CrossdockError
from state.settings import RedisSettings
from state.stores.redis_connection import store_error
from state.stores.redis_retention import Retention

_EVERY_S = 60.0
#: A Redis that hangs does not keep the process from ending: nothing is lost with the thread.
_END_S = 2.0
#: Share of its memory from which Redis is about to be full, and below which it no longer is.
_NEARLY_FULL, _ROOM_AGAIN = 0.8, 0.75


class Memory(Struct, frozen=True):
    """Bytes that Redis uses, and may use: its `maxmemory`, or else the machine's."""

    used: int
    limit: int
    #: Its policy when full; anything but ``noeviction`` throws streams away.
    eviction: str = "noeviction"

    @property
    def share(self) -> float:
        """Return the share used of what may be used; 0 where the limit is not known."""
        return self.used / self.limit if self.limit else 0.0


def memory_of(client: redis.Redis) -> Memory:
    """Return Redis's memory; raises StoreError."""
    try:
        info: Any = client.info("memory")
    except RedisError as error:
        raise store_error(client, "ask for its memory", error) from error
    limit = int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))
    return Memory(
        int(info.get("used_memory", 0)), limit, str(info.get("maxmemory_policy", "noeviction"))
    )


class Keeper:
    """Context manager: while it lasts, the networks that it is given are looked after.

    `connect` opens a client of its own. `settings.keep_days` of 0 removes nothing, and measures.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        settings: RedisSettings,
        journal: str,
        metrics: RunMetrics,
        every_s: float = _EVERY_S,
    ) -> None:
        self._connect, self._settings, self._journal = connect, settings, journal
        self._metrics, self._every_s = metrics, every_s
        self._now_ms: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._is_failing = self._is_full = self._evicts = False

    def now_is(self, network: str, now_ms: int) -> None:
        """Take in a network, and its journal's now."""
        self._now_ms[network] = now_ms

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(_END_S)

    def _run(self) -> None:
        # A journal that is read from its start is bounded on the way: the first look comes soon.
        wait_s = min(1.0, self._every_s)
        while not self._ended.wait(wait_s):
            try:
                self._look()
                self._is_failing = False
            except CrossdockError as error:
                self._metrics.retention_failures.inc()
                if not self._is_failing:
                    logs.warn("Redis is not kept within bounds", error=str(error))
                self._is_failing = True
            wait_s = self._every_s

    def _look(self) -> None:
        rules = self._settings
        with self._connect() as client:
            self.watch(memory_of(client))
            retention = Retention(
                client,
                journal=self._journal,
                prefix=rules.prefix,
                keep_ms=rules.keep_ms,
                unread_ms=rules.unread_ms,
            )
            for network, now_ms in sorted(self._now_ms.copy().items()):
                if self._ended.is_set():
                    return
                self._tend(retention, network, now_ms)

    def _tend(self, retention: Retention, network: str, now_ms: int) -> None:
        metrics = self._metrics
        tended = retention.tend(network, now_ms)
        metrics.kept_entries.labels(network).set(tended.entries)
        metrics.kept_bytes.labels(network).set(tended.size)
        metrics.trimmed.labels(network).inc(tended.removed)
        for group, lag_ms in tended.lag_ms.items():
            metrics.group_lag.labels(network, group).set(lag_ms / 1_000)
        for group, lost in tended.lost.items():
            metrics.trimmed_unread.labels(network, group).inc(lost)
            logs.warn(
                "trimmed before they were acknowledged",
                network=network,
                group=group,
                entries=lost,
                unread_days=self._settings.unread_days,
            )

    def watch(self, memory: Memory) -> None:
        """Report how much memory Redis has left, and warn once when it ends."""
        metrics = self._metrics
        metrics.redis_used.set(memory.used)
        metrics.redis_limit.set(memory.limit)
        if memory.share >= _NEARLY_FULL and not self._is_full:
            self._is_full = True
            logs.warn(
                "Redis is nearly full: it will refuse actions, and the engine will wait",
                used_mb=round(memory.used / 1e6),
                limit_mb=round(memory.limit / 1e6),
                keep_days=self._settings.keep_days,
            )
        elif memory.share < _ROOM_AGAIN:
            self._is_full = False
        if memory.eviction != "noeviction" and not self._evicts:
            self._evicts = True
            logs.warn(
                "Redis throws streams away when it is full: set maxmemory-policy noeviction",
                policy=memory.eviction,
            )
