"""Structured logs: one JSON object per line on standard error, only at the edges of the engine."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from flows.visible import visible_json


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info is not None:
            document["error"] = self.formatException(record.exc_info)
        raw = orjson.dumps(document, option=orjson.OPT_UTC_Z, default=str)
        return visible_json(raw).decode()


def start_logging(level: str = "info") -> None:
    """Send everything of ours to standard error, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    logger = logging.getLogger("crossdock")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())


def log(level: int, event: str, **fields: Any) -> None:
    """Write one line: what happened, and the names and numbers that go with it."""
    logging.getLogger("crossdock").log(level, event, extra={"fields": fields})


def info(event: str, **fields: Any) -> None:
    """Write what is worth knowing."""
    log(logging.INFO, event, **fields)


def warn(event: str, **fields: Any) -> None:
    """Write what somebody should look at."""
    log(logging.WARNING, event, **fields)
