"""A deployment of its own on one broker and one Redis: processes to start and kill, and a verdict.

Its topics and Redis keys begin with its name, so that many of them, one after the other, share
both services.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

import orjson
import redis

from state.settings import Settings, load_settings
from state.stores.kafka_reader import KafkaReader, committed
from state.stores.kafka_topics import KafkaTopics, planned
from tests.chaos.loads import Mangle, Publisher
from tests.chaos.verdict import Verdict, judge
from tests.services import Child

#: Longer than anything here takes; what takes longer hangs.
HANGS_S = 120.0
_POLL_S = 0.02
_SOON_S = 5.0
_FEEDS = ("inventory", "telemetry", "demand", "control")
_COMMAND = (sys.executable, "-c", "from flows.cli import main; main()")

Role = Literal["ingest", "run"]
ROLES: tuple[Role, ...] = ("ingest", "run")


class Engine:
    """A `crossdock` process that is started again and again, with one log."""

    def __init__(self, arguments: Sequence[str], config: Path, log: Path) -> None:
        env = {**os.environ, "CROSSDOCK_CONFIG": str(config)}
        self._child = Child([*_COMMAND, *arguments], log, env)
        self._begin = 0
        self.log = log

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._child.runs

    def start(self) -> None:
        """Start it; `logged` and `output` begin from here."""
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        self._child.start()

    def kill(self) -> bool:
        """Send SIGKILL; return whether it still ran."""
        ran = self._child.runs
        self._child.kill()
        return ran

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.runs:
            os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> int:
        """Wait for its end; return its exit code."""
        until = time.monotonic() + HANGS_S
        while (code := self._child.exit_code) is None:
            assert time.monotonic() < until, f"it does not end: {self.output()}"
            time.sleep(_POLL_S)
        return code

    def output(self) -> str:
        """Return all its output since it was started."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return its log lines of one kind since it was started."""
        lines = [line for line in self.output().splitlines() if line.startswith("{")]
        return [each for each in map(_parsed, lines) if each.get("event") == event]


def _parsed(line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:  # cut by a kill
        return {}
    return found


class Rig:
    """Topics, keys, settings and processes under a name of their own; a context manager.

    `settings` are further lines of the settings file, by section.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        redis_url: str,
        *,
        partitions: int = 1,
        replication: int = 1,
        stamp: Literal["keep", "now"] = "keep",
        actions: bool = True,
        epoch_s: float = 0.5,
        stop_s: float = 20.0,
        state: Path | None = None,
    ) -> None:
        self.name = f"chaos-{uuid4().hex[:8]}"
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.state = state or self.folder / "state"
        self.redis_url = redis_url
        self.config = self.folder / "crossdock.toml"
        topics = f"""
journal = "{self.name}.journal"
dead_letters = "{self.name}.dead-letters"
actions = "{f"{self.name}.actions" if actions else ""}"
networks = "{self.name}.networks"
partitions = {partitions}
replication = {replication}
"""
        sections = {
            "[kafka]": f'bootstrap = "{bootstrap}"',
            "[topics]": topics,
            "[redis]": f'url = "{redis_url}"\nprefix = "{self.name}"',
            "[ingest]": f'group = "{self.name}"\nstamp = "{stamp}"\ncommit_s = 0.4\ntick_s = 0.1',
            "[run]": f'state = "{self.state}"\nepoch_s = {epoch_s}\nstop_s = {stop_s}',
            "[monitor]": "port = 0",
        }
        text = "\n".join(f"{title}\n{body}" for title, body in sections.items())
        feeds = "".join(f'\n[[feeds]]\ntopic = "{self.name}.{family}"\n' for family in _FEEDS)
        self.config.write_text(text + "\n" + feeds)
        self.settings: Settings = load_settings(self.config)
        self.engines: dict[str, Engine] = {}
        self.kills: Counter[str] = Counter()
        self.deaths: list[str] = []
        self._publishers: list[Publisher] = []

    def __enter__(self) -> Self:
        topics = KafkaTopics(self.settings.kafka)
        rules = self.settings.topics
        for plan in planned(self.settings):
            topics.create(
                plan,
                partitions=plan.partitions or rules.partitions,
                replication=rules.replication,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for engine in self.engines.values():
            engine.kill()
        for publisher in self._publishers:
            publisher.abandon()

    def topic(self, family: str) -> str:
        """Return the raw topic of a family."""
        return f"{self.name}.{family}"

    def publish(
        self,
        logs: Sequence[Path],
        *,
        rate: float = 0.0,
        as_now: bool = False,
        mangle: Mangle = lambda message: (message,),
    ) -> Publisher:
        """Publish logs in the background."""
        publisher = Publisher(
            self.settings, self.name, logs, rate=rate, as_now=as_now, mangle=mangle
        )
        self._publishers.append(publisher)
        return publisher

    @property
    def is_published(self) -> bool:
        """Return whether all that is to be published has been."""
        return all(publisher.is_done for publisher in self._publishers)

    def engine(self, name: str, *arguments: str) -> Engine:
        """Return the process of that name, made with `arguments` (by default its name) if new."""
        if name not in self.engines:
            log = self.folder / f"{name.replace('/', '-')}.log"
            self.engines[name] = Engine(arguments or (name,), self.config, log)
        return self.engines[name]

    def start(self, *roles: Role) -> None:
        """Start `ingest`, `run` or both (the default)."""
        for role in roles or ROLES:
            self.engine(role).start()

    def kill(self, name: str) -> None:
        """Send SIGKILL. One that had already ended is kept in `deaths`, with its output."""
        engine = self.engines[name]
        if engine.kill():
            self.kills[name] += 1
        else:
            self.deaths.append(f"{name}: {engine.output()[-600:]}")

    def keep_alive(self, names: Iterable[str] | None = None) -> None:
        """Start again each process that has ended, as a deployment's supervisor does."""
        for name in list(self.engines) if names is None else names:
            engine = self.engines[name]
            if not engine.runs:
                self.deaths.append(f"{name}: {engine.output()[-600:]}")
                engine.start()

    def stop(self, *names: str) -> None:
        """Send SIGTERM to all that run, and wait: they must end well."""
        running = [n for n in names or list(self.engines) if self.engines[n].runs]
        for name in running:
            self.engines[name].ask_to_stop()
        for name in running:
            code, output = self.engines[name].ended(), self.engines[name].output()
            # One that is still being loaded does not listen yet, and has done nothing.
            is_well = code == 0 or (code == -signal.SIGTERM and not output)
            assert is_well, f"{name} ended with {code}: {output[-2000:]}"

    def once(self, role: Role, *options: str) -> Engine:
        """Run it to the end of what is there: it must end well."""
        engine = self.engine(" ".join((role, "--once", *options)), role, "--once", *options)
        engine.start()
        code = engine.ended()
        assert code == 0, f"{role} --once ended with {code}: {engine.output()[-2000:]}"
        return engine

    def fails(self, role: Role, *options: str) -> str:
        """Run it: it must end with an error of ours; return its output."""
        engine = self.engine(" ".join((role, "failing", *options)), role, *options)
        engine.start()
        code, output = engine.ended(), engine.output()
        assert code == 1, f"{role} ended with {code}: {output[-2000:]}"
        assert "Traceback" not in output and "panicked" not in output, output[-3000:]
        return " ".join(output.split())

    def settle(self) -> None:
        """Publish, ingest and run all there is, to the end."""
        self.join()
        is_ingested = self._is_soon_ingested()
        self.stop()
        if not is_ingested:
            self.once("ingest")
        self.once("run")

    def join(self) -> None:
        """Wait until all has been published."""
        for publisher in self._publishers:
            publisher.join()

    def _is_soon_ingested(self) -> bool:
        """Return whether the ingest that runs, if any, gets to the end within a few seconds."""
        counts = KafkaTopics(self.settings.kafka).partitions()
        topics = [feed.topic for feed in self.settings.feeds]
        places = [(topic, number) for topic in topics for number in range(counts[topic])]
        reader = KafkaReader(self.settings.kafka, dict.fromkeys(places))
        try:
            ends = {place: high for place, (_, high) in reader.ends().items()}
        finally:
            reader.close()
        until = time.monotonic() + _SOON_S
        while "ingest" in self.engines and self.engines["ingest"].runs:
            kept = committed(self.settings.kafka, self.settings.ingest.group, places)
            if all((kept[place] or 0) == ends[place] for place in places):
                return True
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        return False

    def verify(self) -> Verdict:
        """Compare all that is there with a fold; see `tests.chaos.verdict`."""
        with self.client() as client:
            return judge(self.settings, client)

    def client(self) -> redis.Redis:
        """Return a client of the Redis, the caller's to close."""
        return redis.Redis.from_url(self.redis_url, protocol=2)

    def entries(self) -> int:
        """Return the number of actions and KPIs in Redis now; 0 where it does not answer."""
        try:
            with self.client() as client:
                keys = list(client.scan_iter(f"{self.name}:*", count=1_000, _type="stream"))
                return sum(client.xlen(key) for key in keys)
        except redis.RedisError:
            return 0

    def until(self, what: str, holds: Callable[[], bool], *, alive: bool = False) -> None:
        """Wait until `holds` returns True; with `alive`, restart processes that end meanwhile."""
        end = time.monotonic() + HANGS_S
        while not holds():
            assert time.monotonic() < end, f"waited in vain for {what}: {self._last_words()}"
            if alive:
                self.keep_alive()
            time.sleep(_POLL_S)

    def until_entries(self, more_than: int, *, alive: bool = False) -> None:
        """Wait until there are more entries than that in Redis."""
        self.until(f"{more_than} entries", lambda: self.entries() > more_than, alive=alive)

    def until_more(self, *, alive: bool = False) -> None:
        """Wait until the stream has moved on, or has begun and all has been published."""
        before = self.entries()
        self.until(
            f"more than {before} entries",
            lambda: (before > 0 and self.is_published) or self.entries() > before,
            alive=alive,
        )

    def until_logged(
        self, name: str, event: str, times: int = 1, *, alive: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until a process has logged `event` so many times; return these lines."""
        engine = self.engines[name]
        self.until(f"{event!r} of {name}", lambda: len(engine.logged(event)) >= times, alive=alive)
        return engine.logged(event)

    def _last_words(self) -> str:
        return "; ".join(f"{name}: {e.output()[-800:]}" for name, e in self.engines.items())
