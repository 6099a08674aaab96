"""The processes around the engine in the latency measurement: writer, reader, and the floor.

``python -m benchmarks.latency_parts writer|reader|floor ...``. All times are `time.monotonic`,
which Linux and macOS share between processes.
"""

import argparse
import gc
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import redis

from benchmarks.figures import distribution
from state.journal import JournalReader
from state.stores.redis_connection import connect

#: The last stretch before a line is due is waited for awake: a sleep may end 0.1 ms too late.
_AWAKE_S = 0.000_12
_POLL_S = 0.000_2
_BLOCK_MS = 250


def write_paced(source: Path, target: Path, skip: int, count: int, rate: float, at: float) -> None:
    """Append `count` lines of `source` after the first `skip` to `target`, `rate` a second.

    Line i is due at ``at + i / rate`` however late the lines before it were. Prints how late the
    writes ended, in ms.
    """
    with source.open("rb") as file:
        lines = list(islice(file, skip, skip + count))
    late_ms = []
    gc.disable()
    with target.open("ab", buffering=0) as file:
        for number, line in enumerate(lines):
            due = at + number / rate
            ahead = due - time.monotonic()
            if ahead > _AWAKE_S:
                time.sleep(ahead - _AWAKE_S)
            while time.monotonic() < due:
                pass
            file.write(line)
            late_ms.append((time.monotonic() - due) * 1_000)
    sys.stdout.write(orjson.dumps({"lines": len(lines), "late_ms": distribution(late_ms)}).decode())


def read_streams(url: str, streams: list[str], stop: str, until: float) -> None:
    """Follow `streams` from their beginning until there is an entry in `stop`, or until `until`.

    Prints a JSON line for each entry: stream, entry id, when its arrival was noticed.
    """
    client = _client(url)
    at: dict[bytes | str, str | bytes] = dict.fromkeys((*streams, stop), "0")
    arrived: list[tuple[bytes, bytes, float]] = []
    gc.disable()
    is_over = False
    while not is_over and time.monotonic() < until:
        # Typed for all protocols at once; ours gives lists of (key, entries).
        answer: Any = client.xread(at, count=2_000, block=_BLOCK_MS)  # type: ignore[arg-type]
        now = time.monotonic()
        for name, entries in answer or []:
            key = name.decode()
            at[key] = entries[-1][0]
            if key == stop:
                is_over = True
                continue
            arrived += [(name, entry_id, now) for entry_id, _ in entries]
    for name, entry_id, when in arrived:
        sys.stdout.write(orjson.dumps((name.decode(), entry_id.decode(), when)).decode() + "\n")


def pass_through(url: str, log: Path, stream: str, count: int, until: float) -> None:
    """Follow `log` as the engine does and add each line to `stream`, until `count` are there.

    This is what any engine pays between the same two ends.
    """
    client = _client(url)
    reader = JournalReader([log], follow=True)
    seen = 0
    gc.disable()
    while seen < count and time.monotonic() < until:
        lines = reader.read(1_000)
        if not lines:
            time.sleep(_POLL_S)
            continue
        with client.pipeline(transaction=len(lines) > 1) as pipeline:
            for line in lines:
                pipeline.xadd(stream, {b"action": line.raw}, f"{line.seq}-1")
            pipeline.execute()
        seen = lines[-1].seq
    reader.close()


def _client(url: str) -> redis.Redis:
    return connect(url)


def main() -> None:
    """Be the process that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    writer = parts.add_parser("writer")
    writer.add_argument("source", type=Path)
    writer.add_argument("target", type=Path)
    writer.add_argument("skip", type=int)
    writer.add_argument("count", type=int)
    writer.add_argument("rate", type=float)
    writer.add_argument("at", type=float)
    reader = parts.add_parser("reader")
    reader.add_argument("url")
    reader.add_argument("stop")
    reader.add_argument("until", type=float)
    reader.add_argument("streams", nargs="+")
    floor = parts.add_parser("floor")
    floor.add_argument("url")
    floor.add_argument("log", type=Path)
    floor.add_argument("stream")
    floor.add_argument("count", type=int)
    floor.add_argument("until", type=float)
    asked = parser.parse_args()
    match asked.part:
        case "writer":
            write_paced(asked.source, asked.target, asked.skip, asked.count, asked.rate, asked.at)
        case "reader":
            read_streams(asked.url, asked.streams, asked.stop, asked.until)
        case _:
            pass_through(asked.url, asked.log, asked.stream, asked.count, asked.until)


if __name__ == "__main__":
    main()
