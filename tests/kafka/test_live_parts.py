"""The parts of the live engine that need neither Kafka nor Redis to be tried."""

import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from flows.ingest.clock import SteadyClock
from flows.ingest.networks import Networks
from flows.live.metered import MeteredOutlet
from flows.live.metrics import RunMetrics
from flows.live.monitor import Health, Monitor
from flows.live.patience import PatientOutlet
from flows.live.share import Share, parse_share
from flows.live.state_folder import StateFolder
from flows.live.supervisor import supervise
from flows.wiring.outcomes import Outcome
from flows.wiring.outlets import Mark
from flows.wiring.stop import Stop
from state.errors import (
    Diverged,
    JournalMismatch,
    PolicyError,
    SettingsError,
    StoreError,
    TakenOver,
)
from state.policy import Policy
from state.settings import (
    IngestSettings,
    MonitorSettings,
    Secret,
    Settings,
    load_settings,
    parse_settings,
)
from state.stores.kafka_journal import Arrivals
from state.stores.redis_connection import is_passing
from tests.processes import runs
from tests.services import free_ports
from tests.waiting import LONG_S, eventually


class Kept:
    """An outlet that keeps what it is given, after failing as often as asked."""

    def __init__(self, *failures: StoreError) -> None:
        self.failures, self.found = list(failures), list[Outcome]()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.found += outcomes

    def mark(self) -> Mark:
        return {"found": len(self.found)}

    def rewind(self, mark: Mark) -> None:
        del self.found[int(mark["found"]) :]


def an_outcome(entry_id: str = "5-1") -> Outcome:
    return Outcome("eu", "allocate", entry_id, b"{}", "act", "allocate")


# The clock


@given(
    steps=st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**15), 10**15)), max_size=30)
)
def test_the_clock_never_goes_back_and_never_leaps(steps: list[tuple[int, int]]) -> None:
    wall = steady = 10**18
    clock = SteadyClock(lambda: wall, lambda: steady)
    before, begun = clock.now_ms(), steady
    for passed, set_by in steps:
        steady += passed
        wall += passed + set_by
        now = clock.now_ms()
        assert now >= before
        assert now - 10**12 == (steady - begun) // 10**6
        assert clock.leap_ms() == (wall - steady) // 10**6
        before = now


# Shares


@given(count=st.integers(1, 9), partitions=st.integers(0, 40))
def test_shares_have_every_partition_once(count: int, partitions: int) -> None:
    shares = [Share(index, count).of(partitions) for index in range(count)]
    assert sorted(p for share in shares for p in share) == list(range(partitions))


def test_a_share_is_told_by_a_host_of_a_stateful_set() -> None:
    assert parse_share("crossdock-run-2/4") == parse_share("2/4") == Share(2, 4)
    for text in ("4/4", "a/4", "1", "1/0"):
        with pytest.raises(SettingsError, match="share such as 0/4"):
            parse_share(text)


# Settings


def test_settings_name_the_key_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "crossdock.toml"
    for text, told in (
        ("[kafka]\nbootstap = 'x'", "bootstap"),
        ("[topics]\npartitions = 0", r"at topics\.partitions"),
        ("[run]\nstate = 3", r"at run\.state"),
        ("[kafka", "TOML"),
        ("[[feeds]]\ntopic = 'crossdock.journal'", "our own topics"),
        ("[[feeds]]\ntopic = 'a'\n[[feeds]]\ntopic = 'a'", "twice"),
        ("[[feeds]]\ntopic = 'a'\nformat = 'mapped'", "rules"),
        (
            "[[feeds]]\ntopic = 'a'\nformat = 'mapped'\nnetwork = 'eu'\n"
            "[[feeds.rules]]\ntype = 'stock.eaten'",
            "stock.eaten",
        ),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=told):
            load_settings(path)


def test_a_secret_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "one")
    assert Secret(env="A_SECRET").read() == "one"
    (tmp_path / "secret").write_text("two\n")
    assert Secret(file=str(tmp_path / "secret")).read() == "two"
    for missing in (Secret(), Secret(env="NOT_THERE"), Secret(file=str(tmp_path / "none"))):
        with pytest.raises(SettingsError):
            missing.read()
    with pytest.raises(SettingsError):
        parse_settings({"kafka": {"password": "in the open"}}, "a test")


# Networks


def test_only_so_many_networks_are_let_in_and_each_is_announced_once() -> None:
    networks = Networks(IngestSettings(most_networks=2), ["old"])
    assert networks.refusal("new") is None and "new" not in networks
    networks.let_in("new")
    assert networks.is_new == ["new"] and "new" in networks
    assert "most_networks" in str(networks.refusal("more"))
    closed = Networks(IngestSettings(networks=("eu",)), [])
    assert closed.refusal("eu") is None and "eu" in str(closed.refusal("us"))


# Patience


def raised(cause: Exception) -> StoreError:
    error = StoreError("could not")
    error.__cause__ = cause
    return error


def patient(kept: Kept, metrics: RunMetrics, health: Health, may_wait: bool) -> PatientOutlet:
    return PatientOutlet(kept, "redis", is_passing, lambda: may_wait, metrics, health)


def test_a_store_that_is_away_for_a_while_costs_time_only() -> None:
    import redis

    kept = Kept(raised(redis.ConnectionError("refused")), raised(redis.TimeoutError("slow")))
    metrics, health = RunMetrics(), Health(MonitorSettings())
    patient(kept, metrics, health, True).write([an_outcome()])
    assert kept.found == [an_outcome()]
    assert metrics.registry.get_sample_value("crossdock_store_waits_total", {"store": "redis"}) == 2
    assert metrics.registry.get_sample_value("crossdock_store_waiting", {"store": "redis"}) == 0
    assert health.obstacles() == []


def test_waiting_ends_when_it_is_of_no_use_or_not_allowed() -> None:
    import redis

    metrics, health = RunMetrics(), Health(MonitorSettings())
    with pytest.raises(Diverged):
        patient(Kept(Diverged("other bytes")), metrics, health, True).write([an_outcome()])
    refused = raised(redis.AuthenticationError("WRONGPASS"))
    with pytest.raises(StoreError):
        patient(Kept(refused), metrics, health, True).write([an_outcome()])
    away = raised(redis.ConnectionError("refused"))
    with pytest.raises(StoreError):
        patient(Kept(away), metrics, health, False).write([an_outcome()])
    assert any("waiting for redis" in each for each in health.obstacles())


# Meter


def test_actions_are_counted_and_timed_from_the_record_that_caused_them() -> None:
    metrics, arrivals, kept = RunMetrics(), Arrivals(), Kept()
    arrivals.note({5: 1_000, 6: 1_000})
    outlet = MeteredOutlet(kept, metrics, arrivals)
    outlet.write([an_outcome("5-1"), an_outcome("6-1"), an_outcome("6-2")])
    labels = {"kind": "allocate", "mode": "act"}
    value = metrics.registry.get_sample_value
    assert value("crossdock_actions_total", labels) == 3
    assert value("crossdock_event_to_action_seconds_count") == 3
    assert value("crossdock_journal_to_action_seconds_count") == 3
    arrivals.note({7: 1_000})
    outlet.write([an_outcome("7-1")])
    assert arrivals.of(5) is None and arrivals.of(7) is not None


# Health


def test_health_is_told_over_http_and_ready_says_why_not() -> None:
    registry = CollectorRegistry()
    Counter("crossdock_test", "A test.", registry=registry).inc()
    health = Health(MonitorSettings(ready_lag=10))
    (port,) = free_ports(1)
    with Monitor(MonitorSettings(), port, registry, health):
        assert "crossdock_test_total 1.0" in get(port, "/metrics")[1]
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/readyz") == (503, '{"ok":false,"problems":["starting"]}\n')
        health.turned()
        assert get(port, "/readyz")[0] == 200
        health.behind = 11
        assert "11 records behind" in get(port, "/readyz")[1]
        health.behind = 0
        health.waits_for("redis", "refused")
        assert "waiting for redis" in get(port, "/readyz")[1] and get(port, "/healthz")[0] == 200
        assert get(port, "/else")[0] == 404


def test_a_loop_that_does_not_turn_is_ill() -> None:
    health = Health(MonitorSettings(stuck_s=0.01))
    health.turned()
    time.sleep(0.05)
    assert health.ills()


def test_a_port_that_is_taken_is_named() -> None:
    (port,) = free_ports(1)
    health, registry = Health(MonitorSettings()), CollectorRegistry()
    with (
        Monitor(MonitorSettings(), port, registry, health),
        pytest.raises(SettingsError, match=f"127.0.0.1:{port}"),
    ):
        Monitor(MonitorSettings(), port, registry, health)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONG_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# State folder


def test_a_state_folder_is_of_one_process_one_journal_and_one_policy(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "journal-0", "aaa", Policy())
    assert not folder.open(rebuild=False)
    with pytest.raises(StoreError, match="another process"):
        StateFolder(tmp_path, "journal-0", "aaa", Policy())
    folder.recovery.mkdir()
    (folder.recovery / "part-0.sqlite3").write_bytes(b"")
    assert folder.open(rebuild=False)
    folder.close()
    with pytest.raises(JournalMismatch, match="was of aaa"):
        opened(tmp_path, "bbb", Policy())
    with pytest.raises(PolicyError, match="control policy"):
        opened(tmp_path, "aaa", Policy(currency="USD"))
    again = StateFolder(tmp_path, "journal-0", "aaa", Policy())
    assert not again.open(rebuild=True)
    assert len(list((tmp_path / "journal-0").glob("recovery-before-*"))) == 1
    again.close()


def opened(root: Path, journal: str, policy: Policy) -> None:
    folder = StateFolder(root, "journal-0", journal, policy)
    try:
        folder.open(rebuild=False)
    finally:
        folder.close()


# Supervisor


def test_workers_are_started_again_and_stopped_together(tmp_path: Path) -> None:
    script = (
        "import pathlib,signal,sys,time\n"
        "def end(*_): sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "note = pathlib.Path(sys.argv[1]); note.write_text(note.read_text() + 'x' if "
        "note.exists() else 'x')\n"
        "time.sleep(600 if len(note.read_text()) > 1 else 0.05); sys.exit(7)\n"
    )
    stop = Stop()
    notes = [tmp_path / "0", tmp_path / "1"]

    def end_in_the_second_round() -> None:
        try:
            eventually(lambda: all(note.exists() and note.read_text() == "xx" for note in notes))
        finally:
            stop.set()

    threading.Thread(target=end_in_the_second_round).start()
    ended_well = supervise([0, 1], lambda p: [sys.executable, "-c", script, str(notes[p])], stop)
    assert ended_well
    assert [note.read_text() for note in notes] == ["xx", "xx"]


def test_a_worker_that_may_end_is_not_started_again(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = f"open({str(note)!r}, 'a').write('x')"
    assert supervise([0], lambda _: [sys.executable, "-c", script], Stop(), may_end=True)
    assert note.read_text() == "x"


def test_a_worker_that_was_taken_over_is_left_alone_and_the_others_go_on(tmp_path: Path) -> None:
    script = (
        "import pathlib,sys\n"
        "note = pathlib.Path(sys.argv[1])\n"
        "note.write_text(note.read_text() + 'x' if note.exists() else 'x')\n"
        "sys.exit(int(sys.argv[2]) if len(note.read_text()) < 3 else 0)"
    )
    notes, codes = [tmp_path / "0", tmp_path / "1"], [TakenOver.exit_code, 7]

    def command(partition: int) -> list[str]:
        return [sys.executable, "-c", script, str(notes[partition]), str(codes[partition])]

    with pytest.raises(TakenOver, match=r"\[0\] were taken over"):
        supervise([0, 1], command, Stop(), may_end=True)
    assert [note.read_text() for note in notes] == ["x", "xxx"]


def test_a_worker_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = (
        "from flows.wiring.stop import end_with_parent; import os,sys,time;"
        "end_with_parent(int(sys.argv[1]));"
        f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    parent = (
        "import os,subprocess,sys;"
        f"subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    eventually(lambda: note.exists() and note.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    eventually(lambda: not runs(int(note.read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells workers of it on Linux only")
def test_a_worker_ends_whose_starter_was_gone_before_it_asked() -> None:
    script = "from flows.wiring.stop import end_with_parent; import time; end_with_parent(1 << 22);"
    done = subprocess.run([sys.executable, "-c", f"{script} time.sleep(600)"], check=False)
    assert done.returncode == -signal.SIGTERM


def test_the_schema_of_the_settings_is_printed() -> None:
    from state.schema import schema

    document = schema()
    assert document["settings"] == {"$ref": "#/$defs/Settings"}
    assert orjson.dumps(document["$defs"]["KafkaSettings"])
    assert Settings().monitor.host == "127.0.0.1"
