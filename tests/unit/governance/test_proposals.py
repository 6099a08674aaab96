"""Proposals on their way: streams of their own, lists, and decisions of people."""

from pathlib import Path

import orjson
import pytest
import redis
from typer.testing import CliRunner

from flows.cli.app import app
from flows.explain.proposals import open_in_folder, open_in_redis, open_proposal
from flows.wiring.outcomes import outcomes
from flows.wiring.outlets import LogOutlet, RedisOutlet
from state.actions import Action
from state.codec import decode_action
from state.events import ActionApproved, ActionRejected
from state.policy import Governance, Policy
from state.stores.redis_consumer import ActionConsumer
from state.stores.redis_keys import DECIDED, PROPOSALS, stream_key
from tests.builders import DAY, Log, Run, fold, order

PROPOSING = Policy(governance=Governance(autonomy={"allocate": "propose"}))


def three_orders() -> Log:
    """O-0 will be approved, O-1 rejected, O-2 left open."""
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    for number in range(3):
        log.add(order(f"O-{number}"))
    first, second, _ = fold(log, PROPOSING).of("allocate")
    log.add(ActionApproved(action=first.id, by="ann"))
    log.add(ActionRejected(action=second.id, by="bob", reason="not this one"))
    return log


@pytest.fixture
def run() -> Run:
    return fold(three_orders(), PROPOSING)


def written(client: redis.Redis, prefix: str, run: Run) -> None:
    RedisOutlet(client, "j", prefix, fresh=False).write(outcomes(run.records))


def subjects(client: redis.Redis, prefix: str, kind: str) -> list[str]:
    entries = client.xrange(stream_key(prefix, "net", kind))
    return [decode_action(fields[b"action"]).subject for _, fields in entries]  # type: ignore[union-attr]


def test_a_kinds_stream_holds_only_what_is_to_be_carried_out(
    redis_client: redis.Redis, prefix: str, run: Run
) -> None:
    written(redis_client, prefix, run)
    assert subjects(redis_client, prefix, "allocate") == ["O-0"]
    assert subjects(redis_client, prefix, PROPOSALS) == ["O-0", "O-1", "O-2"]
    written(redis_client, prefix, run)  # again, as after a crash
    assert subjects(redis_client, prefix, PROPOSALS) == ["O-0", "O-1", "O-2"]


def test_a_service_can_consume_proposals_as_it_does_a_kind(
    redis_client: redis.Redis, redis_url: str, prefix: str, run: Run
) -> None:
    written(redis_client, prefix, run)
    with ActionConsumer(redis_url, group="desk", kinds=[PROPOSALS], prefix=prefix) as consumer:
        found: list[Action] = []
        for action in consumer:
            found.append(action)
            if len(found) == 3:
                consumer.stop()
    assert [(a.subject, a.data.mode) for a in found] == [(f"O-{n}", "propose") for n in range(3)]


def test_what_nobody_has_decided_on_is_found_in_redis(
    redis_client: redis.Redis, prefix: str, run: Run
) -> None:
    written(redis_client, prefix, run)
    (waiting,) = open_in_redis(redis_client, prefix, None)
    assert waiting.subject == "O-2"
    assert open_proposal(redis_client, prefix, waiting.id) == waiting
    assert open_proposal(redis_client, prefix, run.of("allocate")[0].id) is None


def test_what_nobody_has_decided_on_is_found_in_a_folder(tmp_path: Path, run: Run) -> None:
    log = LogOutlet(tmp_path)
    log.write(outcomes(run.records))
    assert [a.subject for a in open_in_folder(tmp_path)] == ["O-2"]
    log.finish(keep_parts=False)
    log.close()
    assert [a.subject for a in open_in_folder(tmp_path)] == ["O-2"]
    said = [
        orjson.loads(line) for line in (tmp_path / f"{DECIDED}.jsonl").read_bytes().splitlines()
    ]
    assert [(each["about"], each["outcome"], each["by"]) for each in said] == [
        ("O-0", "approved", "ann"),
        ("O-1", "rejected", "bob"),
    ]


def test_the_command_lists_them_with_their_deadline(tmp_path: Path, run: Run) -> None:
    log = LogOutlet(tmp_path)
    log.write(outcomes(run.records))
    log.close()
    done = CliRunner().invoke(app, ["proposals", "--out", str(tmp_path), "--json"])
    (waiting,) = orjson.loads(done.stdout)["proposals"]
    assert waiting["subject"] == "O-2"
    assert waiting["expirytime"] == "2026-01-06T08:00:13Z"
    assert "O-2" in CliRunner().invoke(app, ["proposals", "--out", str(tmp_path)]).stdout


def test_after_its_deadline_only_what_is_decided_anew_waits(
    redis_client: redis.Redis, prefix: str
) -> None:
    log = three_orders()
    log.tick(DAY + 1)
    run = fold(log, PROPOSING)
    written(redis_client, prefix, run)
    (again,) = open_in_redis(redis_client, prefix, ["net"])
    assert (again.subject, again.id) == ("O-2", run.of("allocate")[-1].id)


def test_an_id_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(app, ["approve", "O-2", "--by", "ann"])
    assert done.exit_code == 2 and "demo:17446-1" in done.output
