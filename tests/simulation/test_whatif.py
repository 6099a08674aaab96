"""What-ifs: paired runs of a world, and forks of a journal that leave the journal alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

import flows.whatif.comparison
from flows.cli.app import app
from flows.replay.replay import ReplayPlan, replay
from flows.simulation import WorldConfig
from flows.simulation.controller import ChainController
from flows.simulation.scenario import UNDISTURBED, find_scenario
from flows.simulation.simulation import Simulation
from flows.whatif.comparison import Comparison, ForkComparison, compare, compare_fork
from flows.whatif.fork import Fork, ForkTrial, fork_checkpoint, fork_journal, open_fork, run_fork
from flows.whatif.trial import Trial, run_trial
from state.codec import encode
from state.errors import JournalError
from state.events import OrderPlaced
from state.journal_writer import JournalWriter
from state.policies import find_policy
from state.policy import Policy
from tests.processes import children, runs
from tests.waiting import eventually

WORLD = WorldConfig(
    network="tiny",
    nodes=5,
    regions=5,
    skus=30,
    orders_per_day=60,
    fronts_per_day=0.4,
    disruptions_per_day=0.3,
    promotions_per_day=0.3,
    shrinkages_per_day=3,
    adjustments_per_day=1,
    counts_per_node_day=2,
    weather_every_h=12,
    traffic_every_h=12,
    tick_s=900,
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of a tiny network, cut off in the middle of things."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    simulation = Simulation(3, WORLD)
    with JournalWriter(path) as writer:
        for event in simulation.run(ChainController(WORLD.network, Policy())):
            writer.write(event)
            if simulation.now_ms > WORLD.start_ms + 3 * 86_400_000:
                break
    return path


@pytest.fixture(scope="module")
def fork(log: Path) -> Fork:
    return fork_journal([log], Policy())


def crossdock(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_arms_differ_in_what_they_decide_and_in_nothing_else() -> None:
    comparison = Comparison(
        world_name="tiny",
        world=WORLD,
        days=3,
        seeds=(1, 2),
        scenarios=(),
        policies=tuple((name, find_policy(name)) for name in ("ours", "nearest")),
        workers=1,
    )
    heard: list[tuple[int, float]] = []
    result = compare(comparison, lambda done, share: heard.append((done, share)))
    ours, nearest = result.arms
    assert (ours.label, nearest.label) == ("none, ours", "none, nearest")
    assert [run.seed for run in ours.runs] == result.seeds == [1, 2]
    assert [r.kpis["orders"] for r in ours.runs] == [r.kpis["orders"] for r in nearest.runs]
    assert len({run.digest for arm in result.arms for run in arm.runs}) == 4
    assert {d.kpi for d in result.differences} >= {"cost", "on_time", "fill"}
    assert heard[-1] == (4, 1.0)
    assert [share for _, share in heard] == sorted(share for _, share in heard)


def test_a_worker_reports_the_share_done_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [0.0, 0.0]
    monkeypatch.setattr(flows.whatif.comparison, "_shares", shares)
    flows.whatif.comparison._run_one(lambda trial, progress: progress(0.25), 1, None)
    assert shares == [0.0, 0.25]


@pytest.mark.slow
def test_runs_in_other_processes_are_the_same_runs() -> None:
    comparison = Comparison(
        world_name="tiny",
        world=replace(WORLD, orders_per_day=20),
        days=1,
        seeds=(1, 2),
        scenarios=(),
        policies=(("ours", Policy()),),
        workers=2,
    )
    shares: list[float] = []
    apart = compare(comparison, lambda done, share: shares.append(share))
    here = compare(replace(comparison, workers=1))
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [run.digest for run in apart.arms[0].runs] == [run.digest for run in here.arms[0].runs]


@pytest.mark.slow
def test_a_disturbance_costs_and_is_seen_where_it_happens() -> None:
    fire = find_scenario("node_fire")
    runs = [
        run_trial(Trial(seed=1, world=WORLD, days=8, scenario=scenario, policy=Policy()))
        for scenario in (UNDISTURBED, fire)
    ]
    usual, burnt = (run.series for run in runs)
    before = sum(hours <= fire.disturbances[0].start_h for hours in usual.hours)
    assert usual.backlog[:before] == burnt.backlog[:before]
    assert usual.stock.keys() == burnt.stock.keys()
    fallen = [n for n in usual.stock if burnt.stock[n][before] < 0.8 * usual.stock[n][before]]
    assert len(fallen) == 1


@pytest.mark.slow
def test_a_fork_of_a_checkpoint_is_a_fork_of_the_journal(
    log: Path, fork: Fork, tmp_path: Path
) -> None:
    plan = ReplayPlan(logs=(log,), policy=Policy(), out=tmp_path / "out", recovery=tmp_path / "r")
    replay(plan)
    kept = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*.zst")}
    from_checkpoint = fork_checkpoint(tmp_path / "r")
    assert (from_checkpoint.seq, from_checkpoint.now_ms) == (fork.seq, fork.now_ms)
    here, there = (
        run_fork(ForkTrial(fork=f, seed=1, days=2, scenario=UNDISTURBED, policy=None))
        for f in (fork, from_checkpoint)
    )
    assert here.digest == there.digest
    assert {path: path.read_bytes() for path in (tmp_path / "r").rglob("*.zst")} == kept


def test_a_fork_begins_where_its_journal_was_left(log: Path, fork: Fork) -> None:
    lines = log.read_bytes().splitlines()
    assert fork.seq == len(lines)
    earlier = fork_journal([log], Policy(), until_seq=fork.seq - 500)
    by_time = fork_journal([log], Policy(), until_ms=earlier.now_ms)
    assert (earlier.seq, by_time.now_ms) == (fork.seq - 500, earlier.now_ms)
    assert earlier.seq <= by_time.seq < fork.seq


def test_a_fork_goes_on_with_the_open_work_and_with_names_of_its_own(log: Path, fork: Fork) -> None:
    simulation, engine = open_fork(
        ForkTrial(fork=fork, seed=1, days=2, scenario=UNDISTURBED, policy=None)
    )
    before = {
        event.split(b'"order":"')[1].split(b'"')[0].decode()
        for event in log.read_bytes().splitlines()
        if b"order.placed" in event
    }
    new = set()
    under_way, dispatched = 0, set()
    for event in simulation.run(engine):
        assert event.recorded_ms >= fork.now_ms
        if isinstance(event.fact, OrderPlaced):
            new.add(event.fact.order)
        if event.type.endswith("shipment.dispatched"):
            dispatched.add(event.fact.shipment)  # type: ignore[attr-defined]
        elif event.type.endswith("shipment.delivered"):
            under_way += event.fact.shipment not in dispatched  # type: ignore[attr-defined]
    simulation.check()
    assert new and not new & before
    assert under_way > 10, "parcels handed over before the fork arrive after it"
    assert not simulation.fulfilment.orders, "all open orders came to an end"
    assert engine.dead_letters <= 3


@pytest.mark.slow
def test_a_forks_scenarios_are_paired_and_its_first_fact_may_be_another_policy(fork: Fork) -> None:
    comparison = ForkComparison(
        fork=fork,
        days=2,
        seeds=(1,),
        scenarios=(replace(find_scenario("competitor_outage"), name="rush"),),
        policies=(("nearest", find_policy("nearest")),),
        workers=1,
    )
    result = compare_fork(comparison)
    assert [arm.label for arm in result.arms] == ["none, nearest", "rush, nearest"]
    assert any("Forked after record" in note for note in result.notes)
    simulation, engine = open_fork(
        ForkTrial(fork=fork, seed=1, days=1, scenario=UNDISTURBED, policy=find_policy("nearest"))
    )
    first = next(iter(simulation.run(engine)))
    assert first.type == "crossdock.policy.changed"
    assert b'"nearest"' in encode(first)


def test_what_cannot_be_forked_is_refused_with_a_way_on(log: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="expected a checkpoint"):
        fork_checkpoint(tmp_path)
    with pytest.raises(JournalError, match=r"expected network nope in .*, was tiny: name one"):
        fork_journal([log], Policy(), network="nope")
    with pytest.raises(JournalError, match=r"a day of orders behind it.* fork it at a later place"):
        fork_journal([log], Policy(), until_seq=60)


@pytest.mark.slow
def test_the_command_writes_a_table_a_result_and_a_report(tmp_path: Path) -> None:
    world = tmp_path / "tiny.toml"
    world.write_text('network = "tiny"\nnodes = 4\nregions = 4\nskus = 20\norders_per_day = 30.0\n')
    scenario = tmp_path / "bad_day.toml"
    scenario.write_text(
        'name = "bad_day"\ntitle = "A strike"\n[[disturbances]]\nwhat = "carrier_strike"\n'
        "start_h = 10\nend_h = 30\n"
    )
    arguments = ("whatif", "--world", world, "--scenario", scenario, "--days", 1, "--seeds", 2)
    told = crossdock(*arguments, "--workers", 1, "--policy", "ours", "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "bad_day" in told.output and "cost-to-serve per order" in told.output
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [arm["scenario"] for arm in result["arms"]] == ["none", "bad_day"]
    assert "bad_day" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells workers of it on Linux only")
def test_workers_end_with_the_command_that_started_them(tmp_path: Path) -> None:
    """They run for hours: one that outlives a command that was killed takes a core for nothing."""
    what = ("whatif", "--world", "small", "--days", "3000", "--seeds", "2", "--workers", "2")
    command = (
        Path(sys.executable).with_name("crossdock"),
        *what,
        "--policy",
        "ours",
        "--scenario",
        "none",
    )
    process = subprocess.Popen((*command, "--out", tmp_path), stderr=subprocess.DEVNULL)
    try:
        # The third keeps track of resources.
        started = eventually(lambda: [*found] if len(found := children(process.pid)) == 3 else [])
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not any(map(runs, started)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("whatif", "--policy", "ours"), "nothing to compare"),
        (("whatif", "--scenario", "node_fire", "--at", "5"), "needs a journal"),
        (("whatif", "--policy", "ours", "--policy", "ours"), "give each policy once"),
    ],
)
def test_the_command_says_what_it_misses(arguments: tuple[str, ...], expected: str) -> None:
    told = crossdock(*arguments)
    assert told.exit_code == 2
    assert expected in told.output


def test_the_command_lists_what_there_is_and_refuses_what_there_is_not() -> None:
    assert "perfect_storm" in crossdock("whatif", "--list").output
    for option in ("--scenario", "--world", "--policy"):
        refused = crossdock("whatif", "--scenario", "node_fire", option, "nope")
        assert refused.exit_code == 2
        assert option in refused.output and "nope" in refused.output
