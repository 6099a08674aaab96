"""Latency: from the instant a line is due in the log to when its action was read from Redis.

Everything is real and in a process of its own: a writer on a fixed schedule, ``crossdock replay
--follow`` with recovery, an embedded Redis, a reader that waits in XREAD. A late write counts
against the engine, so that nothing hides behind a pause. The floor is the same without an engine.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from benchmarks.figures import Target, distribution
from benchmarks.fold import fold
from benchmarks.pauses import CommitWatch, longest_pauses
from benchmarks.processes import ChildFailed, expect_alive, started, stop
from benchmarks.workload import Workload
from flows.wiring.outcomes import DEAD_LETTERS, Outcome
from flows.wiring.outlets import Mark
from state.actions import KINDS
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from state.stores.redis_keys import KPIS, PREFIX, stream_key

_NETWORK = "demo"
_STOP_KEY = "bench:stop"
_FLOOR_KEY = "bench:floor"
_CATCH_UP_S = 300.0
_SETTLE_S = 2.0
_LEAD_S = 1.5
_SLACK_S = 60.0
_PART = (sys.executable, "-m", "benchmarks.latency_parts")
#: Stands for the `crossdock` script, with the code of this tree.
_CROSSDOCK = (sys.executable, "-c", "from flows.cli import main; main()")
_BOUNDS_MS = (("p50", "p50", 0.5), ("p99", "p99", 2.0), ("p99.9", "p99_9", 20.0))

#: A stream's key and an entry id, and when the entry was read.
Arrivals = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Pace:
    """Numbers of lines written at once to begin with, and paced, and their rate."""

    warm_up: int
    paced: int
    rate: float


class _Expected:
    """An outlet that keeps which actions there should be, in order."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, str]] = []

    def write(self, outcomes: Sequence[Outcome]) -> None:
        self.ids += [
            (stream_key(PREFIX, o.network, o.stream), o.entry_id)
            for o in outcomes
            if o.stream not in (KPIS, DEAD_LETTERS)
        ]

    def mark(self) -> Mark:
        return {}

    def rewind(self, mark: Mark) -> None:
        assert not mark, "a measured fold is never resumed"


def measure_latency(
    workload: Workload, folder: Path, seconds: float, rate: float, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[Target]]:
    """Measure `seconds` of the log's end at `rate` events/s; what is before them is warm-up.

    Raises ChildFailed if a part fails or does not catch up, AssertionError if the actions are not
    those of the bare fold.
    """
    paced = min(round(seconds * rate), workload.events - workload.initial)
    pace = Pace(workload.events - paced, paced, rate)
    tell("latency: what the actions should be")
    expected = _Expected()
    fold(workload.log, [expected])
    with EmbeddedRedis() as server:
        tell(f"latency: the floor, {pace.paced / rate / 3:.0f} s")
        floor = _measure_floor(server.url, workload, folder, pace)
        tell(f"latency: the engine, {pace.warm_up:,} events at once, {paced / rate:.0f} s paced")
        engine = _measure_engine(server.url, workload, folder, pace, expected.ids)
    ratios = {
        name: engine["latency_ms"][name] / floor["latency_ms"][name]
        for name in ("p50", "p99", "p99_9")
    }
    document = {
        "events_per_s": rate,
        "warm_up_events": pace.warm_up,
        "paced_events": pace.paced,
        "engine": engine,
        "floor": floor,
        "engine_to_floor": ratios,
    }
    targets = [
        Target(
            name=f"event to action in Redis, {shown}",
            measured=engine["latency_ms"][name],
            bound=bound,
            sense="at most",
            unit="ms",
        )
        for shown, name, bound in _BOUNDS_MS
    ]
    return document, targets


def _measure_floor(url: str, workload: Workload, folder: Path, pace: Pace) -> dict[str, Any]:
    """Measure the same ends with nothing between them but a copy from file to Redis."""
    log = folder / "floor.jsonl"
    log.touch()
    count = pace.paced // 3
    until = time.monotonic() + count / pace.rate + _SLACK_S
    command = (*_PART, "floor", url, log, _FLOOR_KEY, count, until)
    with started(command, folder / "floor.log") as copier:
        at, writing, arrivals = _write_and_read(
            url,
            [_FLOOR_KEY],
            workload,
            log,
            Pace(0, count, pace.rate),
            folder,
            (_FLOOR_KEY, f"{count}-1"),
        )
        _expect_no_failure(copier.poll(), folder / "floor.log")
    found = [
        arrivals[_FLOOR_KEY, f"{number + 1}-1"] - at - number / pace.rate for number in range(count)
    ]
    return {"latency_ms": distribution([s * 1_000 for s in found]), "writer": writing}


def _measure_engine(
    url: str, workload: Workload, folder: Path, pace: Pace, expected: list[tuple[str, str]]
) -> dict[str, Any]:
    log, recovery, errors = folder / "live.jsonl", folder / "recovery", folder / "engine.log"
    with workload.log.open("rb") as source, log.open("wb") as target:
        target.writelines(islice(source, pace.warm_up))
    streams = [stream_key(PREFIX, _NETWORK, kind) for kind in KINDS]
    warm = [each for each in expected if _seq(each[1]) <= pace.warm_up]
    command = (
        *(*_CROSSDOCK, "replay", log, "--follow", "--redis", url),
        *("--out", folder / "out", "--recovery", recovery, "--json"),
    )
    summary = folder / "engine.json"
    with (
        CommitWatch(recovery) as watch,
        started(command, errors, summary) as engine,
    ):
        begun = time.monotonic()
        with connect(url) as client:
            while warm and not client.xrange(*warm[-1], warm[-1][1]):
                expect_alive(engine, errors)
                if time.monotonic() - begun > _CATCH_UP_S:
                    raise ChildFailed(f"the engine did not catch up within {_CATCH_UP_S:g} s")
                time.sleep(0.05)
        time.sleep(_SETTLE_S)
        at, writing, arrivals = _write_and_read(
            url, streams, workload, log, pace, folder, expected[-1]
        )
        expect_alive(engine, errors)
        code = stop(engine)
    if code != 0:
        raise ChildFailed(f"the engine ended with code {code}: {errors.read_text()[-2_000:]}")
    assert set(arrivals) == set(expected), (
        f"expected {len(expected)} actions in Redis, was {len(arrivals)}"
    )
    due_and_latency = []
    for key, arrived in arrivals.items():
        number = _seq(key[1]) - pace.warm_up - 1
        if number >= 0:
            due = at + number / pace.rate
            due_and_latency.append((due, arrived - due))
    due_and_latency.sort()
    commits = [when - at for when in watch.commits]
    return {
        "latency_ms": distribution([latency * 1_000 for _, latency in due_and_latency]),
        "writer": writing,
        "pauses": longest_pauses(due_and_latency, watch.commits),
        "commits_at_s": [when for when in commits if 0 <= when <= pace.paced / pace.rate],
        "digest": orjson.loads(summary.read_bytes())["digest"],
    }


def _write_and_read(
    url: str,
    streams: list[str],
    workload: Workload,
    log: Path,
    pace: Pace,
    folder: Path,
    last: tuple[str, str],
) -> tuple[float, dict[str, Any], Arrivals]:
    """Write the paced lines while reading `streams`, until the entry `last` is there.

    An engine that falls behind is waited for: its latency counts in full.
    Returns when the first line was due, how late the writer was, and what arrived when.
    """
    wanted_s = pace.paced / pace.rate
    until = time.monotonic() + wanted_s + _CATCH_UP_S
    read, wrote, errors = folder / "read.jsonl", folder / "wrote.json", folder / "parts.log"
    for path in (read, wrote):
        path.unlink(missing_ok=True)
    with connect(url) as client:
        client.delete(_STOP_KEY)
        with started((*_PART, "reader", url, _STOP_KEY, until, *streams), errors, read) as reader:
            time.sleep(_LEAD_S)
            at = time.monotonic() + _LEAD_S
            writing = (workload.log, log, pace.warm_up, pace.paced, pace.rate, at)
            with started((*_PART, "writer", *writing), errors, wrote) as writer:
                writer.wait(wanted_s + _SLACK_S)
            while time.monotonic() < until - _SLACK_S and not client.xrange(*last, last[1]):
                time.sleep(_SETTLE_S)
            time.sleep(_SETTLE_S)
            client.xadd(_STOP_KEY, {b"stop": b"1"})
            reader.wait(_SLACK_S)
    arrivals = {}
    for line in read.read_bytes().splitlines():
        stream, entry_id, when = orjson.loads(line)
        arrivals[stream, entry_id] = when
    return at, orjson.loads(wrote.read_bytes()), arrivals


def _expect_no_failure(code: int | None, log: Path) -> None:
    if code not in (None, 0):
        raise ChildFailed(f"a process ended with code {code}: {log.read_text()[-2_000:]}")


def _seq(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
