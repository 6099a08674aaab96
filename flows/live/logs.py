"""Structured logs: one JSON object per line on standard error, only at the edges of the engine.

A warning that repeats is written once in a while, with how often it was left out: a store that is
away would otherwise fill a disk with one sentence.
"""

import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from flows.display.visible import visible_json

#: A warning is written again after so many seconds at the soonest.
_REPEAT_S = 10.0
#: Warnings remembered; beyond, the oldest may repeat.
_REMEMBERED = 200
_NUMBER = re.compile(r"\d+")


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


class SparingHandler(logging.StreamHandler[TextIO]):
    """Handler to `stream`; of equal warnings, it writes one every `_REPEAT_S` by `clock`.

    Two say the same if they differ in the numbers of a text at most (a port, a duration). What was
    left out is counted in the next one (`left_out`), or in a line of its own before something else
    is written later on, and at the end.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        #: By message: when it was written last, how many were left out since, and the last.
        self._seen: dict[object, tuple[float, int, logging.LogRecord]] = {}
        self.setFormatter(_AsJson())

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, unless it has just been written."""
        subject = _subject_of(record) if record.levelno >= logging.WARNING else None
        now = self._clock()
        self._write_counts(now, but=subject)
        if subject is not None:
            at, left_out, _ = self._seen.pop(subject, (now - _REPEAT_S, 0, record))
            if now < at + _REPEAT_S:
                self._seen[subject] = (at, left_out + 1, record)
                return
            self._seen[subject] = (now, 0, record)
            if left_out:
                record = _counted(record, left_out)
        super().emit(record)
        while len(self._seen) > _REMEMBERED:
            self._write_count(next(iter(self._seen)))

    def close(self) -> None:
        """Write what was left out."""
        self._write_counts(float("inf"))
        super().close()

    def _write_counts(self, now: float, but: object = None) -> None:
        """Write the counts of warnings left out that have not been repeated for a while."""
        for subject, (at, _, _) in list(self._seen.items()):
            if subject != but and now >= at + _REPEAT_S:
                self._write_count(subject)

    def _write_count(self, subject: object) -> None:
        _, left_out, last = self._seen.pop(subject)
        if left_out:
            super().emit(_counted(last, left_out))


def _counted(record: logging.LogRecord, left_out: int) -> logging.LogRecord:
    record.__dict__["fields"] = {**getattr(record, "fields", {}), "left_out": left_out}
    return record


def _subject_of(record: logging.LogRecord) -> object:
    fields = getattr(record, "fields", {})
    texts = tuple(
        (name, _NUMBER.sub("#", value) if isinstance(value, str) else value)
        for name, value in fields.items()
        if isinstance(value, str | int)
    )
    return record.levelno, record.getMessage(), texts


def start_logging(level: str = "info") -> None:
    """Send everything of ours to standard error, as JSON lines."""
    logger = logging.getLogger("crossdock")
    logger.handlers[:] = [SparingHandler(sys.stderr)]
    logger.propagate = False
    logger.setLevel(level.upper())


def log(level: int, event: str, **fields: Any) -> None:
    """Write one line: what happened, and the names and numbers that go with it."""
    logging.getLogger("crossdock").log(level, event, extra={"fields": fields})


def info(event: str, **fields: Any) -> None:
    """Write a line that is worth knowing."""
    log(logging.INFO, event, **fields)


def warn(event: str, **fields: Any) -> None:
    """Write a line that people should look at."""
    log(logging.WARNING, event, **fields)
