"""Dead letters on the wire: one JSON line each, complete enough to be requeued."""

import base64
from typing import Any

import orjson

from state.codec import DeadLetter, JournalLine


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Return one line for the dead-letter log; ``raw_base64`` stands for ``raw`` if not UTF-8."""
    line = letter.line
    document: dict[str, Any] = {
        "reason": letter.reason,
        "expected": letter.expected,
        "was": letter.was,
        "network": letter.network,
        "type": letter.type,
        "source": line.source,
        "line": line.line,
        "seq": line.seq,
        "size": line.size,
    }
    if line.sha256 is not None:
        document["sha256"] = line.sha256
        document["truncated"] = True
    try:
        document["raw"] = line.raw.decode()
    except UnicodeDecodeError:
        document["raw_base64"] = base64.b64encode(line.raw).decode("ascii")
    return orjson.dumps(document)


def reason_of(raw: bytes) -> str:
    """Return the reason of an encoded dead letter, without decoding its bytes."""
    return raw[len(b'{"reason":"') : raw.index(b'"', len(b'{"reason":"'))].decode()


def decode_dead_letter(raw: bytes) -> DeadLetter:
    """Decode a line of `encode_dead_letter`."""
    document = orjson.loads(raw)
    kept = (
        document["raw"].encode() if "raw" in document else base64.b64decode(document["raw_base64"])
    )
    return DeadLetter(
        reason=document["reason"],
        expected=document["expected"],
        was=document["was"],
        network=document["network"],
        type=document["type"],
        line=JournalLine(
            document["seq"],
            document["source"],
            document["line"],
            kept,
            document["size"],
            document.get("sha256"),
        ),
    )
