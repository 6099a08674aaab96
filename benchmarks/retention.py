"""Measure what Redis holds of a replayed log, with and without a bound by days.

    python -m benchmarks.retention [--events 60000] [--seed 7] [--keep-days 1] [--looks-per-day 4]

The log is folded once; its outcomes are then written to a fresh Redis for each variant, which is
tended as `crossdock run` does it, if at instants of the journal instead of once a minute. A group
that reads at once comes along, and in one variant another that never does.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from msgspec import Struct

from benchmarks.workload import write_workload
from flows.wiring.outcomes import Outcome, outcomes
from flows.wiring.outlets import RedisOutlet
from operators.chain import NO_NETWORK, Chains, to_record
from state.journal import JournalReader
from state.policy import Policy
from state.quantities import DAY_MS
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from state.stores.redis_keys import PREFIX, stream_key
from state.stores.redis_retention import Retention

_KIND = "allocate"


class Step(Struct):
    """Outcomes of some time of the journal, and its now at their end."""

    now_ms: int
    outcomes: list[Outcome]


class Figures(Struct, kw_only=True):
    """Hold what one variant came to. MB are 10**6 bytes, of Redis' own count."""

    name: str
    most_mb: float = 0.0
    end_mb: float = 0.0
    entries: int = 0
    removed: int = 0
    lost: int = 0
    looks: int = 0
    look_ms: float = 0.0


def folded(log: Path, step_ms: int) -> tuple[str, list[Step]]:
    """Fold the log; its one network, and its outcomes, a step for every `step_ms`."""
    chains = Chains(Policy())
    steps = [Step(0, [])]
    for line in JournalReader([log]):
        record = to_record(line)
        if record.network == NO_NETWORK:
            continue
        made = list(chains[record.network].step(record))
        now_ms = made[-1].now_ms if made else steps[-1].now_ms
        if now_ms - steps[-1].now_ms >= step_ms:
            steps.append(Step(now_ms, []))
        steps[-1].outcomes += outcomes(made)
    return next(name for name, _ in chains.items() if name != NO_NETWORK), steps[1:]


def measured(
    name: str, network: str, steps: list[Step], keep_days: float | None, *, with_dead_group: bool
) -> Figures:
    """Write all steps to a Redis of its own, tended after each if there are `keep_days`."""
    figures = Figures(name=name)
    with EmbeddedRedis() as server, connect(server.url) as client:
        outlet = RedisOutlet(client, "benchmark", PREFIX, fresh=False)
        key = stream_key(PREFIX, network, _KIND)
        for group in ("prompt", "dead") if with_dead_group else ("prompt",):
            client.xgroup_create(key, group, "0", mkstream=True)
        retention = None
        if keep_days is not None:
            keep_ms = round(keep_days * DAY_MS)
            retention = Retention(
                client, journal="benchmark", keep_ms=keep_ms, unread_ms=2 * keep_ms
            )
        for step in steps:
            outlet.write(step.outcomes)
            _consume(client, key)
            if retention is not None:
                begun = time.perf_counter()
                tended = retention.tend(network, step.now_ms)
                figures.look_ms += (time.perf_counter() - begun) * 1_000
                figures.looks += 1
                figures.removed += tended.removed
                figures.lost += sum(tended.lost.values())
            figures.end_mb = _used_mb(client)
            figures.most_mb = max(figures.most_mb, figures.end_mb)
        figures.entries = sum(
            client.xlen(each) for each in client.scan_iter(f"{PREFIX}:{network}:*", _type="stream")
        )
    figures.look_ms /= max(1, figures.looks)
    return figures


def _consume(client: redis.Redis, key: str) -> None:
    while True:
        reply: Any = client.xreadgroup("prompt", "one", {key: ">"}, count=500)
        if not reply:
            return
        client.xack(key, "prompt", *(entry_id for entry_id, _ in reply[0][1]))


def _used_mb(client: redis.Redis) -> float:
    info: Any = client.info("memory")
    return int(info["used_memory"]) / 1e6


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep-days", type=float, default=1.0)
    parser.add_argument("--looks-per-day", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workload = write_workload(Path(folder), given.events, given.seed)
        network, steps = folded(workload.log, DAY_MS // given.looks_per_day)
    days = (steps[-1].now_ms - steps[0].now_ms) / DAY_MS
    made = [outcome for step in steps for outcome in step.outcomes]
    size = sum(len(outcome.body) for outcome in made) / 1e6
    print(f"{workload.events} events over {days:.0f} days, {len(made)} outcomes of {size:.1f} MB")
    print("| variant | most, MB | at the end, MB | entries | removed | lost | a look, ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, keep_days, with_dead_group in (
        ("all is kept", None, False),
        (f"{given.keep_days:g} days", given.keep_days, False),
        (f"{given.keep_days:g} days, a dead group", given.keep_days, True),
    ):
        one = measured(name, network, steps, keep_days, with_dead_group=with_dead_group)
        print(
            f"| {one.name} | {one.most_mb:.1f} | {one.end_mb:.1f} | {one.entries} | {one.removed} "
            f"| {one.lost} | {one.look_ms:.1f} |"
        )


if __name__ == "__main__":
    main()
