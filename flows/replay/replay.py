"""Replay: a recorded log through the chain, in the dataflow or as a plain fold, into outlets."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from flows.replay.fold import Counted, Fold, pair
from flows.replay.outputs import Outputs
from flows.replay.shadow import compare, draw
from flows.replay.summary import Summary
from flows.wiring.checkpoints import Checkpoints
from flows.wiring.dataflow import EPOCH, Flow
from flows.wiring.journal_source import JournalSource
from flows.wiring.outcomes import outcomes
from flows.wiring.outlets import RedisOutlet
from flows.wiring.progress import Progress
from flows.wiring.records import batches
from flows.wiring.stop import Stop
from operators.chain import NO_NETWORK, Chains, to_record
from state.errors import JournalError
from state.journal import JournalReader
from state.journals import open_journal
from state.policy import Policy
from state.recording_reader import RecordingReader
from state.stores.embedded_redis import EmbeddedRedis
from state.stores.redis_connection import connect

#: Form in which the chain runs; all give the same actions.
Runner = Literal["dataflow", "staged", "fold"]
#: Embedded Redis keeps its data here, below the output folder.
REDIS_FOLDER = "redis"
#: Below the output folder: the decisions of a candidate policy.
SHADOW_FOLDER = "shadow"
#: Below a recovery folder: the checkpoints that its store names.
CHECKPOINTS = "checkpoints"
#: Lines looked at for the networks whose keys are claimed at once; others are when they act.
_LOOKED_AT = 1_000


class ReplayPlan(Struct, frozen=True, kw_only=True):
    """Inputs, mode and outputs of a replay.

    `redis` is a URL, ``embedded`` (a server of our own, saved below `out`) or ``none``. `recovery`
    is a folder to resume from after a crash; it goes with `out`, whose files it continues. With
    `pinned`, the policy stays what it is whatever the journal says. `shadow` is a policy that the
    same journal is folded under as well, acting nowhere, to be compared.
    """

    logs: tuple[Path, ...]
    policy: Policy
    engine: Runner = "dataflow"
    redis: str = "none"
    prefix: str = "crossdock"
    fresh: bool = False
    out: Path | None = None
    recovery: Path | None = None
    follow: bool = False
    batch: int = 1_000
    pinned: bool = False
    shadow: Policy | None = None
    epoch: timedelta = EPOCH


def replay(
    plan: ReplayPlan,
    *,
    stop: Stop | None = None,
    progress: Progress | None = None,
    started: Callable[[str], None] | None = None,
) -> Summary:
    """Run the plan to the end of its logs.

    `started` gets the Redis URL in use. Raises a CrossdockError if the logs cannot be read, or an
    outlet cannot be written or belongs to another journal.
    """
    with ExitStack() as stack:
        outputs = stack.enter_context(
            Outputs(plan.logs, plan.policy, plan.out, resumed=plan.recovery is not None)
        )
        is_resumed = _is_resumed(plan, outputs.identity)
        redis_outlet = None
        if plan.redis != "none":
            url = stack.enter_context(_redis(plan, outputs.folder, is_resumed))
            if started is not None:
                started(url)
            redis_outlet = RedisOutlet(connect(url), outputs.identity, plan.prefix, plan.fresh)
            redis_outlet.claim(_networks_at_the_start(plan.logs))
            # First: a caller may wait for it.
            outputs.outlets = {"redis": redis_outlet, **outputs.outlets}

        begun = time.perf_counter()
        run = _fold if plan.engine == "fold" else _flow
        lines, counted = run(plan, outputs, stop, progress)
        summary = outputs.finish(
            counted,
            lines=lines,
            seconds=time.perf_counter() - begun,
            engine=plan.engine,
            keep_parts=plan.recovery is not None,
        )
        if redis_outlet is not None:
            written = redis_outlet.written
            summary.redis = {
                "prefix": plan.prefix,
                "new": written.new,
                "repeated": written.repeated,
                "trimmed": written.trimmed,
            }
        if plan.shadow is not None:
            summary.shadow = _shadow(plan, plan.shadow, outputs.folder, progress)
        outputs.describe(summary)
    return summary


def _shadow(
    plan: ReplayPlan, policy: Policy, folder: Path, progress: Progress | None
) -> dict[str, Any]:
    """Return the candidate's decisions on the same journal, against those that were made."""
    beside = folder / SHADOW_FOLDER
    replay(
        ReplayPlan(logs=plan.logs, policy=policy, engine="fold", out=beside, pinned=True),
        progress=progress,
    )
    compared = compare(folder, beside, policy.fingerprint())
    if plan.out is not None:
        (beside / "difference.svg").write_bytes(draw(compared, plan.policy.currency))
    found: dict[str, Any] = msgspec.to_builtins(compared)
    return found


def _is_resumed(plan: ReplayPlan, identity: str) -> bool:
    """Return whether there is something to resume; raise JournalError if it is of another run.

    A position in one journal means nothing in another.
    """
    if plan.recovery is None:
        return False
    plan.recovery.mkdir(parents=True, exist_ok=True)
    note = plan.recovery / "run"
    this = f"journal {identity}"
    if not any(plan.recovery.glob("*.sqlite3")):
        note.write_text(this)
        return False
    before = note.read_text() if note.exists() else "an unknown run"
    if before != this:
        raise JournalError(
            f"expected {plan.recovery} to hold a run of {this}, was {before}: choose another "
            "--recovery folder, or remove this one to replay from the start"
        )
    return True


def _networks_at_the_start(logs: Sequence[Path]) -> list[str]:
    """Return networks of the first lines, so that keys of another journal are refused early."""
    with open_journal(logs) as reader:
        records = map(to_record, reader.read(_LOOKED_AT))
        return sorted({record.network for record in records} - {NO_NETWORK})


def _flow(
    plan: ReplayPlan, outputs: Outputs, stop: Stop | None, progress: Progress | None
) -> tuple[int, Counted]:
    reader: JournalReader | RecordingReader | None = None

    checkpoints = None
    if plan.recovery is not None:
        checkpoints = Checkpoints(plan.recovery / CHECKPOINTS, plan.epoch.total_seconds())

    def open_reader(position: bytes | None) -> JournalReader | RecordingReader:
        nonlocal reader
        reader = open_journal(plan.logs, position, follow=plan.follow)
        report(0, *reader.progress())
        return reader

    def report(_seq: int, done: int, size: int) -> None:
        if progress is not None and reader is not None:
            progress(reader.lines, done, size)

    source = JournalSource(
        open_reader, batch=plan.batch, stop=stop, progress=report, checkpoints=checkpoints
    )
    staged = plan.engine == "staged"
    flow = Flow(source, outputs.outlets, plan.policy, staged=staged, checkpoints=checkpoints)
    flow.run(plan.recovery, plan.epoch)
    assert reader is not None
    return reader.lines, {
        network: pair({name: flow.operator(network, name) for name in ("hygiene", "rollups")})
        for network in flow.networks()
    }


def _fold(
    plan: ReplayPlan, outputs: Outputs, stop: Stop | None, progress: Progress | None
) -> tuple[int, Counted]:
    fold = Fold(Chains(plan.policy), pinned=plan.pinned)
    for batch in batches(plan.logs, progress, size=plan.batch, stop=stop):
        outputs.write(outcomes(fold.step(batch)))
    return fold.lines, fold.counted()


def _redis(plan: ReplayPlan, folder: Path, is_resumed: bool) -> AbstractContextManager[str]:
    if plan.redis != "embedded":
        return nullcontext(plan.redis)
    data = folder / REDIS_FOLDER
    if not is_resumed and data.exists():
        shutil.rmtree(data)  # our own copy of an earlier replay into this folder
    data.mkdir(parents=True, exist_ok=True)
    return _saved(data)


@contextmanager
def _saved(data: Path) -> Iterator[str]:
    """Yield the URL of an embedded server that keeps its data in a folder when it stops."""
    with EmbeddedRedis(persist=data) as server:
        yield server.url
