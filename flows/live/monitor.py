"""Metrics and health over HTTP: ``/metrics``, ``/healthz`` (is it alive), ``/readyz`` (is it well).

It answers from a thread of its own, and only from what the stream has left for it to read.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from flows.display.visible import visible_json
from state.errors import SettingsError
from state.settings import MonitorSettings


class Health:
    """Health of the stream: that it turns, how far behind it is, what it waits for."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._turned_at = time.monotonic()
        self._began = False
        self._waits: dict[str, str] = {}
        self._unanswered: dict[str, str] = {}
        self.behind = 0

    def turned(self) -> None:
        """Note that the loop has come round."""
        self._turned_at = time.monotonic()
        self._began = True

    def waits_for(self, store: str, why: str) -> None:
        """Note a store that does not answer; the loop is alive and tries again."""
        self._waits[store] = why
        self.turned()

    def found(self, store: str) -> None:
        """Note that it answers again."""
        self._waits.pop(store, None)

    def reached(self, store: str, is_up: bool) -> None:
        """Note whether a store can be reached at all."""
        if is_up:
            self.found(store)
        else:
            self._waits[store] = "no connection"

    def probed(self, store: str, why: str | None) -> None:
        """Note a store's probe, whatever the stream does: None if it answered, or why not."""
        if why is None:
            self._unanswered.pop(store, None)
        else:
            self._unanswered[store] = why

    def ills(self) -> list[str]:
        """Return why the process should be started again; empty if it is alive."""
        quiet = time.monotonic() - self._turned_at
        return [f"nothing has moved for {quiet:.0f} s"] if quiet > self._settings.stuck_s else []

    def obstacles(self) -> list[str]:
        """Return why it cannot be relied on right now; empty if it is ready."""
        found = self.ills()
        if not self._began:
            found.append("starting")
        found += [f"waiting for {store}: {why}" for store, why in self._waits.copy().items()]
        found += [
            f"no answer from {store}: {why}" for store, why in self._unanswered.copy().items()
        ]
        if self.behind > self._settings.ready_lag:
            found.append(f"{self.behind} records behind")
        return found


class Monitor:
    """The HTTP server; a context manager. Without a port it does nothing."""

    def __init__(
        self, settings: MonitorSettings, port: int, registry: CollectorRegistry, health: Health
    ) -> None:
        self._server: ThreadingHTTPServer | None = None
        if not port:
            return

        class Handler(_Handler):
            parts = (registry, health)

        try:
            self._server = ThreadingHTTPServer((settings.host, port), Handler)
        except OSError as error:
            raise SettingsError(
                f"expected a free port for metrics at {settings.host}:{port}, was {error}: "
                "set monitor.port, 0 for none"
            ) from error
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        if self._server is not None:
            serve = self._server.serve_forever
            threading.Thread(target=serve, name="monitor", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    parts: tuple[CollectorRegistry, Health]
    timeout = 10

    def do_GET(self) -> None:
        registry, health = self.parts
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            case "/healthz":
                self._health(health.ills())
            case "/readyz":
                self._health(health.obstacles())
            case _:
                self._answer(404, "text/plain", b"/metrics, /healthz or /readyz\n")

    def _health(self, problems: list[str]) -> None:
        body = visible_json(orjson.dumps({"ok": not problems, "problems": problems})) + b"\n"
        self._answer(503 if problems else 200, "application/json", body)

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: scrapes are not news."""
