"""The command as people run it: exit codes, and one JSON object on standard output."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flows.simulation import WorldConfig, simulate
from state.actions import ACTION_TYPES, KINDS
from state.codec import decode_action
from state.dead_letters import decode_dead_letter
from state.events import EVENT_TYPES
from state.journal_writer import JournalWriter
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect
from state.stores.redis_keys import PROPOSALS
from tests.in_process import crossdock
from tests.places import ROOT

EVENTS = 3_000
COMMAND = (sys.executable, "-c", "from flows.cli import main; main()")
ENGINES = ("dataflow", "staged", "fold")
SUMMARY_KEYS = {
    "events",
    "lines",
    "dead_letters",
    "actions",
    "digest",
    "events_per_s",
    "networks",
    "delay",
    "orders",
}


def json_of(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """Return the one JSON object on standard output; nothing else is there."""
    assert done.returncode == code, done.stderr
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def message_of(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Return the message of a failed command: on standard error, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return " ".join(done.stderr.split())


@dataclass(frozen=True)
class Replayed:
    """A log, and the folder of its replay."""

    log: Path
    folder: Path
    summary: dict[str, Any]

    def actions(self) -> list[dict[str, Any]]:
        text = (self.folder / "actions.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def written(path: Path, seed: int, events: int = EVENTS) -> Path:
    """The log of a small world: that of the command would still be counting its stock."""
    world = WorldConfig(network="demo", nodes=6, regions=5, skus=30, orders_per_day=300)
    with JournalWriter(path) as writer:
        for event in simulate(seed=seed, events=events, config=world):
            writer.write(event)
    return path


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("logs") / "log.jsonl", 7)


@pytest.fixture(scope="session")
def replays(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replayed]:
    """The log replayed by every engine."""
    made = {}
    for engine in ENGINES:
        folder = tmp_path_factory.mktemp("out") / engine
        done = crossdock("replay", log, "--engine", engine, "--out", folder, "--json")
        made[engine] = Replayed(log, folder, json_of(done))
    return made


@pytest.fixture(scope="session")
def replayed(replays: dict[str, Replayed]) -> Replayed:
    return replays["dataflow"]


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """Yield a prefix of this test alone; needs no test client beforehand."""
    name = f"test-{uuid4().hex}"
    yield name
    with connect(redis_url) as client:
        for key in client.scan_iter(f"{name}:*"):
            client.unlink(key)


def simulated(path: Path, seed: int, events: int = EVENTS) -> dict[str, Any]:
    arguments = ("--seed", str(seed), "--events", str(events), "--out", path, "--json")
    return json_of(crossdock("simulate", *arguments))


def test_simulate_writes_exactly_as_many_events_and_says_so(tmp_path: Path) -> None:
    path, again = tmp_path / "log.jsonl", tmp_path / "again.jsonl"
    document = simulated(path, 7)
    lines = path.read_bytes().splitlines()
    assert len(lines) == EVENTS == document["events"]
    assert document["seed"] == 7
    assert document["files"] == {str(path): path.stat().st_size}
    assert document["by_type"] == Counter(json.loads(line)["type"] for line in lines)
    simulated(again, 7)
    assert again.read_bytes() == path.read_bytes()


def test_another_seed_is_another_log(tmp_path: Path) -> None:
    simulated(tmp_path / "7.jsonl", 7, 500)
    simulated(tmp_path / "8.jsonl", 8, 500)
    assert (tmp_path / "7.jsonl").read_bytes() != (tmp_path / "8.jsonl").read_bytes()


def test_a_process_of_its_own_prints_and_ends_as_the_command_within_ours(log: Path) -> None:
    for arguments, code in (("check", log, "--json"), 0), (("actions", "--out", "tests"), 1):
        command = [*COMMAND, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        within = crossdock(*arguments)
        assert done.returncode == within.returncode == code
        assert (done.stdout, done.stderr) == (within.stdout, within.stderr)


@pytest.mark.parametrize("engine", ENGINES)
def test_replay_prints_all_that_is_promised(replays: dict[str, Replayed], engine: str) -> None:
    summary = replays[engine].summary
    assert set(summary) >= SUMMARY_KEYS
    assert set(summary["delay"]) >= {"n", "roc_auc", "log_loss"}
    orders = summary["orders"]
    assert set(orders) == {
        *("placed", "allocated", "backordered", "unfillable", "cancelled", "held")
    }
    assert orders["placed"] == sum(orders.values()) - orders["placed"] > 0
    assert summary["lines"] == EVENTS == summary["events"] + summary["dead_letters"]
    assert summary["networks"] == ["demo"]
    assert summary["events_per_s"] > 0
    assert summary["engine"] == engine


def test_all_engines_leave_the_same_files(replays: dict[str, Replayed]) -> None:
    assert len({r.summary["digest"] for r in replays.values()}) == 1
    for name in ("actions.jsonl", "dead_letters.jsonl", "kpis.jsonl", "policy.json"):
        assert len({(r.folder / name).read_bytes() for r in replays.values()}) == 1, name


def test_the_digest_is_that_of_the_action_log(replayed: Replayed) -> None:
    raw = (replayed.folder / "actions.jsonl").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == replayed.summary["digest"]


def test_the_folder_holds_actions_dead_letters_and_the_summary(replayed: Replayed) -> None:
    actions = replayed.actions()
    assert Counter(a["type"].rpartition(".")[2] for a in actions) == replayed.summary["actions"]
    ids = [tuple(map(int, a["id"].partition(":")[2].split("-"))) for a in actions]
    assert ids == sorted(set(ids))
    letters = (replayed.folder / "dead_letters.jsonl").read_bytes().splitlines()
    assert len(letters) == replayed.summary["dead_letters"]
    kept = json.loads((replayed.folder / "summary.json").read_bytes())
    assert kept["logs"] == [str(replayed.log)]
    assert kept["digest"] == replayed.summary["digest"]
    assert not (replayed.folder / "parts").exists()


def test_what_is_unreadable_is_a_dead_letter_with_its_place_and_bytes(
    log: Path, tmp_path: Path
) -> None:
    lines = log.read_bytes().splitlines()[:800]
    lines[500:500] = [b"not json", b'{"specversion": "1.0"}', b"\xff\xfe"]
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\n".join(lines) + b"\n")
    summary = json_of(crossdock("replay", bad, "--out", tmp_path / "out", "--json"))
    assert summary["lines"] == 803 == summary["events"] + summary["dead_letters"]
    raw = (tmp_path / "out" / "dead_letters.jsonl").read_bytes().splitlines()
    letters = [decode_dead_letter(line) for line in raw]
    ours = [letter for letter in letters if letter.line.line in (501, 502, 503)]
    assert [letter.line.raw for letter in ours] == lines[500:503]
    assert [letter.reason for letter in ours] == ["not_json", "not_an_event", "not_json"]


def test_several_files_are_one_journal(log: Path, tmp_path: Path) -> None:
    made = json_of(
        crossdock(
            *("simulate", "--seed", "7", "--events", "7500", "--split"),
            *("--out", tmp_path / "streams", "--json"),
        )
    )
    files = sorted(made["files"])
    assert len(files) >= 3
    summary = json_of(crossdock("replay", *files, "--json"))
    assert summary["lines"] == 7500 == summary["events"] + summary["dead_letters"]
    assert summary["dead_letters"] == 0
    assert summary["orders"]["placed"] > 0


def test_an_empty_log_gives_an_empty_report(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    summary = json_of(crossdock("replay", empty, "--json"))
    assert (summary["lines"], summary["actions"], summary["networks"]) == (0, {}, [])
    assert summary["digest"] == hashlib.sha256(b"").hexdigest()


def test_check_says_what_is_in_a_log(log: Path) -> None:
    report = json_of(crossdock("check", log, "--json"))
    assert (report["lines"], report["events"], report["dead_letters"]) == (EVENTS, EVENTS, 0)
    assert report["problems"] == []
    assert report["networks"] == {"demo": EVENTS}
    assert "No problems." in crossdock("check", log).stdout


def test_check_fails_on_a_log_with_problems(log: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\n".join([*log.read_bytes().splitlines()[:100], b"not json"]) + b"\n")
    report = json_of(crossdock("check", bad, "--json"), code=1)
    (problem,) = report["problems"]
    assert (problem["reason"], problem["count"]) == ("not_json", 1)
    assert f"{bad}:101" in problem["examples"][0]
    done = crossdock("check", bad)
    assert done.returncode == 1
    assert f"{bad}:101" in done.stdout


def referenced(node: Any) -> Iterator[str]:
    """All ``$ref`` below a node of a schema."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from referenced(value)
    elif isinstance(node, list):
        for value in node:
            yield from referenced(value)


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    done = crossdock("schema")
    assert done.returncode == 0
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_schema_covers_every_event_and_action_and_holds_together(
    schema: dict[str, Any],
) -> None:
    assert schema["events"].keys() == EVENT_TYPES.keys()
    assert schema["actions"].keys() == ACTION_TYPES.keys()
    assert (len(schema["events"]), len(schema["actions"])) == (36, 14)
    assert schema["$schema"].endswith("2020-12/schema")
    for ref in set(referenced(schema)):
        assert ref.removeprefix("#/$defs/") in schema["$defs"]
    for name, definition in schema["$defs"].items():
        assert {"type", "anyOf", "enum"} & definition.keys(), name
        assert set(definition.get("required", ())) <= definition.get("properties", {}).keys()


def test_the_schema_of_one_type_stands_alone() -> None:
    done = crossdock("schema", "crossdock.order.placed")
    document = json.loads(done.stdout)
    assert document["allOf"][1]["properties"]["type"] == {"const": "crossdock.order.placed"}
    assert set(referenced(document)) <= {f"#/$defs/{name}" for name in document["$defs"]}
    assert "did you mean" in message_of(crossdock("schema", "order.placd_or_placed.placed"), 2)


def test_the_schema_matches_what_is_on_the_wire(log: Path, schema: dict[str, Any]) -> None:
    """Structure only: required fields are there, and no field is unknown."""
    lines = log.read_bytes().splitlines()
    for raw in lines[:: EVENTS // 300]:
        event = json.loads(raw)
        payload = schema["events"][event["type"]]["allOf"][1]["properties"]["data"]
        definition = schema["$defs"][payload["$ref"].removeprefix("#/$defs/")]
        assert set(definition.get("required", ())) <= event["data"].keys()
        assert event["data"].keys() <= definition["properties"].keys()


def test_actions_lists_what_a_replay_left(replayed: Replayed) -> None:
    done = crossdock("actions", "--out", replayed.folder, "--json")
    assert done.stdout.encode() == (replayed.folder / "actions.jsonl").read_bytes()
    listed = crossdock("actions", "--out", replayed.folder, "--kind", "allocate", "--limit", "5")
    lines = listed.stdout.splitlines()
    assert len(lines) == 5
    assert all(" allocate " in line for line in lines)
    assert crossdock("actions", "--out", replayed.folder, "--network", "other").stdout == ""


def test_explain_derives_an_action_again(replayed: Replayed) -> None:
    first, *_, last = replayed.actions()
    done = crossdock("explain", last["id"], "--out", replayed.folder)
    assert done.returncode == 0
    assert "identical, byte for byte" in " ".join(done.stdout.split())
    document = json_of(crossdock("explain", first["id"], "--out", replayed.folder, "--json"))
    assert document["verified"] is True
    assert document["action"] == first


def test_explain_tells_if_the_journal_was_changed(replayed: Replayed, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    copy.mkdir()
    changed = tmp_path / "changed.jsonl"
    raw = replayed.log.read_bytes().replace(b'"handling_fixed_cents":', b'"handling_fixed_cents":1')
    changed.write_bytes(raw)
    for name in ("actions.jsonl", "policy.json"):
        (copy / name).write_bytes((replayed.folder / name).read_bytes())
    summary = json.loads((replayed.folder / "summary.json").read_bytes())
    (copy / "summary.json").write_text(json.dumps({**summary, "logs": [str(changed)]}))
    name = next(a["id"] for a in replayed.actions() if a["type"].endswith(".allocate"))
    document = json_of(crossdock("explain", name, "--out", copy, "--json"), code=1)
    assert document["verified"] is False
    assert "DIFFERENT" in document["verdict"]


def test_explain_of_an_unknown_action_says_so(replayed: Replayed, tmp_path: Path) -> None:
    said = message_of(crossdock("explain", "demo:1-99", "--out", replayed.folder))
    assert "demo:1-99" in said and "crossdock actions --out" in said
    said = message_of(crossdock("explain", "demo:1-99", "--out", tmp_path))
    assert "expected the output folder of a replay" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "pyproject.toml", "--engine", "spark"),
        ("replay", "pyproject.toml", "--recovery", "x"),
        ("simulate", "--events", "0", "--out", "x"),
        ("simulate", "--events", "5", "--days", "5", "--out", "x"),
        ("actions",),
        ("actions", "--out", ".", "--kind", "teleport"),
        ("teleport",),
        ("replay", "pyproject.toml", "--policy", "/nowhere/policy.toml"),
        ("run", "--log-level", "nonsense"),
    ],
)
def test_wrong_use_ends_with_code_2(arguments: tuple[str, ...]) -> None:
    assert message_of(crossdock(*arguments), 2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[sourcing]\nmax_leggs = 2", "max_leggs"),
        ("[sourcing\n", "line 1"),
        ("[governance.autonomy]\nteleport = 'act'", "'teleport'"),
    ],
)
def test_a_bad_policy_is_named_with_file_and_key(
    log: Path, tmp_path: Path, text: str, named: str
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    said = message_of(crossdock("replay", log, "--policy", policy, "--json"))
    assert named in said
    assert str(policy) in said


def test_a_policy_changes_what_is_done(log: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[governance.autonomy]\nallocate = "propose"\nnotify = "off"\n')
    summary = json_of(
        crossdock("replay", log, "--engine", "fold", "--policy", policy, "--json"),
    )
    assert "notify" not in summary["actions"]
    assert summary["proposed"] >= summary["actions"]["allocate"] > 0


def test_an_unreachable_redis_is_an_error_of_ours(log: Path) -> None:
    said = message_of(crossdock("replay", log, "--redis", "redis://127.0.0.1:1", "--json"))
    assert "127.0.0.1:1" in said


def entries(client: Any, prefix: str) -> dict[str, bytes]:
    """Entry id of every action under a prefix, and its bytes."""
    found = {}
    for kind in (*KINDS, PROPOSALS):
        for entry_id, fields in client.xrange(f"{prefix}:demo:{kind}"):
            found[entry_id.decode() if isinstance(entry_id, bytes) else entry_id] = fields[
                b"action"
            ]
    return found


def test_the_embedded_redis_of_a_replay_can_be_opened_again(replayed: Replayed) -> None:
    folder = replayed.folder.parent / "embedded"
    done = crossdock("replay", replayed.log, "--redis", "embedded", "--out", folder, "--json")
    summary = json_of(done)
    assert summary["digest"] == replayed.summary["digest"]
    with EmbeddedRedis(persist=folder / "redis") as server, connect(server.url) as client:
        found = entries(client, "crossdock")
    raw = (folder / "actions.jsonl").read_bytes().splitlines()
    assert found == {decode_action(line).entry_id: line for line in raw}


def test_a_second_replay_writes_nothing_new_and_another_journal_is_refused(
    replayed: Replayed, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    total = sum(replayed.summary["actions"].values())
    to = ("--redis", redis_url, "--prefix", prefix, "--engine", "fold", "--json")
    first = json_of(crossdock("replay", replayed.log, *to))["redis"]
    assert (first["repeated"], first["prefix"]) == (0, prefix)
    assert first["new"] >= total
    second = json_of(crossdock("replay", replayed.log, *to))["redis"]
    assert (second["new"], second["repeated"]) == (0, first["new"])
    with connect(redis_url) as client:
        before = entries(client, prefix)
    assert len(before) == total

    other = written(tmp_path / "other.jsonl", 9)
    said = message_of(crossdock("replay", other, *to))
    assert "--prefix" in said and "--fresh" in said
    with connect(redis_url) as client:
        assert entries(client, prefix) == before
    fresh = json_of(crossdock("replay", other, *to, "--fresh"))
    assert fresh["redis"]["new"] >= sum(fresh["actions"].values())
    with connect(redis_url) as client:
        assert len(entries(client, prefix)) == sum(fresh["actions"].values())


def test_actions_are_read_from_redis_as_they_were_written(
    replayed: Replayed, redis_url: str, prefix: str
) -> None:
    to = ("--redis", redis_url, "--prefix", prefix)
    json_of(crossdock("replay", replayed.log, *to, "--engine", "fold", "--json"))
    done = crossdock("actions", *to, "--json", "--kind", "allocate")
    assert done.returncode == 0, done.stderr
    expected = [a["id"] for a in replayed.actions() if a["type"].endswith(".allocate")]
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == expected


def test_the_command_says_its_version_and_its_use() -> None:
    assert crossdock("--version").stdout.startswith("crossdock ")
    assert "explain" in crossdock("--help").stdout


def test_the_outlook_of_a_log_is_told_in_words_and_as_json(log: Path) -> None:
    told = crossdock("outlook", log, "--limit", "3")
    assert "usually" in told.stdout and "80 %" in told.stdout
    assert "Transit:" in told.stdout
    (network,) = json_of(crossdock("outlook", log, "--json")).values()
    assert network["demand"] and network["lanes"]
    for lane in network["lanes"]:
        assert lane["p10"] <= lane["p50"] <= lane["p90"]
