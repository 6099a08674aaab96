"""Waiting in tests: for a condition, for as long as a busy machine may need."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
#: Longer than anything takes that will happen at all, however busy the machine is.
LONG_S = 180.0


def eventually(
    found: Callable[[], T], *, but: tuple[type[Exception], ...] = (), every_s: float = 0.02
) -> T:
    """Return what `found` gives as soon as that is true; errors named in `but` count as false."""
    until = time.monotonic() + LONG_S
    while True:
        try:
            if value := found():
                return value
        except but:
            pass
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(every_s)
