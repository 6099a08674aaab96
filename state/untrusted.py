"""Untrusted bytes: bounded in size and in nesting before anything else looks at them.

Whatever walks a document (a validator, a message that shows a part of it, an encoder) may recurse,
and each gives up at a depth of its own. So there is one bound, far below all of these, and one
place that asks.
"""

import hashlib
from typing import Any

import orjson

#: A longer line is a dead letter; the longest event of the types fits with room to spare.
MAX_LINE_BYTES = 256 * 1024
#: Bytes of an over-long line that a dead letter keeps; its origin, size and digest find the rest.
MAX_KEPT_BYTES = 1024 * 1024
#: Levels of objects and lists; the deepest event of the types, a policy, has seven.
MAX_DEPTH = 64


class TooDeep(Exception):
    """A document that nests deeper than `MAX_DEPTH`."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_DEPTH} levels")


def parse(raw: bytes) -> Any:
    """Return the JSON document in `raw`; raise orjson.JSONDecodeError or TooDeep."""
    document = orjson.loads(raw)
    # Nothing nests deeper than it has brackets, and few events have that many.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_deep(document):
        raise TooDeep
    return document


def kept(raw: bytes) -> tuple[bytes, str | None]:
    """Return the part of `raw` that a dead letter keeps; if not all, the whole's SHA-256."""
    if len(raw) <= MAX_KEPT_BYTES:
        return raw, None
    return raw[:MAX_KEPT_BYTES], hashlib.sha256(raw).hexdigest()


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
