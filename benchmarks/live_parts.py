"""The processes around the live engine in its measurement: publisher, and the floor's copier.

``python -m benchmarks.live_parts publisher|copier ...``. All times are `time.monotonic`, which
Linux and macOS share between processes.
"""

import argparse
import gc
import sys
import time
from itertools import islice
from pathlib import Path

import orjson

from benchmarks.figures import distribution
from state.codec import JournalLine, decode
from state.events import FAMILY_OF, Event
from state.settings import Settings, load_settings
from state.stores.kafka_reader import KafkaReader
from state.stores.kafka_writer import KafkaWriter
from state.stores.redis_connection import connect

_AWAKE_S = 0.000_3
_POLL_S = 0.000_2
#: The raw topic of each family; registrations come with what people send.
TOPICS = {
    "inventory": "inventory",
    "telemetry": "telemetry",
    "demand": "demand",
    "control": "control",
    "reference": "control",
}


def topic_of(raw: bytes) -> str:
    """Return the raw topic that an event goes to."""
    event = decode(JournalLine(1, "", 1, raw, len(raw)))
    assert isinstance(event, Event), event
    return TOPICS[FAMILY_OF[type(event.fact)]]


def publish_paced(
    settings: Settings, log: Path, skip: int, count: int, rate: float, at: float
) -> None:
    """Send lines of `log` to their topics, `rate` a second, line i due at ``at + i / rate``.

    Without a rate, all at once. Prints how late they were handed over, in ms.
    """
    with log.open("rb") as file:
        lines = [line.rstrip() for line in islice(file, skip, skip + count)]
    topics = [topic_of(line) for line in lines]
    writer = KafkaWriter(settings.kafka, linger_ms=0 if rate else 5)
    late_ms = []
    gc.disable()
    for number, (line, topic) in enumerate(zip(lines, topics, strict=True)):
        if rate:
            due = at + number / rate
            ahead = due - time.monotonic()
            if ahead > _AWAKE_S:
                writer.poll()
                time.sleep(max(0.0, due - time.monotonic() - _AWAKE_S))
            while time.monotonic() < due:
                pass
            late_ms.append((time.monotonic() - due) * 1_000)
        writer.send(topic, line, key=b"demo")
    writer.flush()
    sys.stdout.write(orjson.dumps({"lines": len(lines), "late_ms": distribution(late_ms)}).decode())


def copy(settings: Settings, topic: str, url: str, stream: str, until: float) -> None:
    """Follow `topic` as the engine does, and add each message to `stream`: the floor."""
    reader = KafkaReader(settings.kafka, {(topic, 0): None})
    with connect(url) as client:
        gc.disable()
        while time.monotonic() < until:
            messages = reader.read(500)
            if not messages:
                time.sleep(_POLL_S)
                continue
            with client.pipeline(transaction=len(messages) > 1) as pipeline:
                for message in messages:
                    name = f"{(message.offset() or 0) + 1}-1"
                    pipeline.xadd(stream, {b"action": message.value() or b""}, name)
                pipeline.execute()
    reader.close()


def main() -> None:
    """Be the process that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    publisher = parts.add_parser("publisher")
    publisher.add_argument("config", type=Path)
    publisher.add_argument("log", type=Path)
    publisher.add_argument("skip", type=int)
    publisher.add_argument("count", type=int)
    publisher.add_argument("rate", type=float)
    publisher.add_argument("at", type=float)
    copier = parts.add_parser("copier")
    copier.add_argument("config", type=Path)
    copier.add_argument("topic")
    copier.add_argument("url")
    copier.add_argument("stream")
    copier.add_argument("until", type=float)
    asked = parser.parse_args()
    settings = load_settings(asked.config)
    if asked.part == "publisher":
        publish_paced(settings, asked.log, asked.skip, asked.count, asked.rate, asked.at)
    else:
        copy(settings, asked.topic, asked.url, asked.stream, asked.until)


if __name__ == "__main__":
    main()
