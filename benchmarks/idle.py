"""Measure what idle processes cost: CPU seconds per minute of `ingest`, `run`, `record`, `replay`.

``python -m benchmarks.idle``. A real Kafka and a real Redis; nothing is published but the ticks of
one network. Exit code 0 whatever is found: it is judged by who reads it.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.live_run import CROSSDOCK, make_topics, settings_file
from benchmarks.processes import expect_alive, started
from flows.simulation import WorldConfig, simulate
from state.journal_writer import JournalWriter
from state.settings import load_settings
from state.stores.kafka_writer import KafkaWriter
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

_EVENTS = 2_000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def idle(
    seconds: Annotated[float, typer.Option(min=1, help="How long to look.")] = 60.0,
    settle_s: Annotated[float, typer.Option(min=1, help="How long to let them start.")] = 12.0,
) -> None:
    """Measure the CPU seconds per minute of each process, with a tick a second and without."""
    found = {name: _measure(tick_s, seconds, settle_s) for name, tick_s in _CASES.items()}
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


_CASES = {"a tick a second": 1.0, "nothing at all": 0.0}


def _measure(tick_s: float, seconds: float, settle_s: float) -> dict[str, float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossdock-bench-")))
        broker = stack.enter_context(KafkaBroker())
        server = stack.enter_context(RedisServer())
        config, _ = settings_file(folder, broker.bootstrap, server.url)
        text = config.read_text().replace('stamp = "keep"', f'stamp = "now"\ntick_s = {tick_s}')
        config.write_text(text + f'[record]\nfolder = "{folder / "recording"}"\n')
        settings = load_settings(config)
        make_topics(settings)
        log = folder / "log.jsonl"
        writer = KafkaWriter(settings.kafka)
        with JournalWriter(log) as lines:
            world = WorldConfig(nodes=6, regions=5, skus=40)
            for event in simulate(seed=1, events=_EVENTS, config=world):
                lines.write(event)
        for line in log.read_bytes().splitlines():
            writer.send(settings.feeds[0].topic, line, key=b"demo")
        writer.flush()
        watched = {}
        for name, arguments in {
            "ingest": ("ingest", "--config", config),
            "run": ("run", "--config", config),
            "record": ("record", "--config", config),
            "replay --follow": ("replay", log, "--follow", "--out", folder / "out"),
        }.items():
            said = folder / f"{name}.log"
            watched[name] = (stack.enter_context(started((*CROSSDOCK, *arguments), said)), said)
        time.sleep(settle_s)
        before = {name: _cpu_s(process.pid) for name, (process, _) in watched.items()}
        begun = time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - begun) / 60
        spent = {}
        for name, (process, said) in watched.items():
            expect_alive(process, said)
            spent[name] = round((_cpu_s(process.pid) - before[name]) / minutes, 3)
    return spent


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


if __name__ == "__main__":
    typer.run(idle)
