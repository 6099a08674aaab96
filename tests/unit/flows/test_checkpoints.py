"""Checkpoints: whole or not there, taken without a pause, and brought back as they were."""

import os
import select
from collections.abc import Sequence
from pathlib import Path

import pytest

from flows.wiring.adapter import Adapter
from flows.wiring.checkpoint_file import read_checkpoint, write_checkpoint
from flows.wiring.checkpoints import Checkpoints
from flows.wiring.failure import Failure
from flows.wiring.outcomes import Outcome
from flows.wiring.outlets import Mark
from flows.wiring.sinks import OutletSink
from operators.core.contract import Operator, Record
from state.errors import SnapshotError
from tests.waiting import LONG_S, eventually


class Counting(Operator):
    """An operator whose state is a number of bytes."""

    name = "counting"

    def __init__(self) -> None:
        self.state = b""

    def step(self, record: Record) -> list[Record]:
        self.state += bytes([record.seq % 256])
        return [record]

    def snapshot(self) -> bytes:
        return self.state

    def restore(self, data: bytes) -> None:
        self.state = data


class Numbered:
    """An outlet that counts what it was given."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, outcomes: Sequence[Outcome]) -> None:
        self.count += len(outcomes)

    def mark(self) -> Mark:
        return {"count": self.count}

    def rewind(self, mark: Mark) -> None:
        self.count = int(mark.get("count", 0))


def a_flow(points: Checkpoints) -> tuple[Adapter, OutletSink]:
    adapter = Adapter(
        lambda network: Counting(), lambda records: [r.network for r in records], Failure()
    )
    sink = OutletSink("numbered", Numbered(), Failure())
    points.watch(adapter, [sink])
    return adapter, sink


def take(adapter: Adapter, network: str, *seqs: int) -> None:
    adapter.fold([Record(network, seq, 0, None) for seq in seqs])


def until_ready(points: Checkpoints) -> bytes:
    def ready() -> bytes | None:
        points.is_due()
        return points.latest()

    kept = eventually(ready)
    assert kept is not None
    return kept


def test_a_checkpoint_is_of_the_moment_it_was_begun(tmp_path: Path) -> None:
    points = Checkpoints(tmp_path, 1_000.0)
    adapter, sink = a_flow(points)
    take(adapter, "eu", 1, 2)
    take(adapter, "us", 3)
    sink.write([Outcome("eu", "kpis", "1-1", b"")])
    points.take(b"at 3")
    take(adapter, "eu", 4)
    sink.write([Outcome("eu", "kpis", "4-1", b"")])
    kept = until_ready(points)

    again = Checkpoints(tmp_path, 1_000.0)
    restored, resumed = a_flow(again)
    assert again.resume(kept) == b"at 3"
    states = {name: operator.snapshot() for name, operator in restored.operators.items()}
    assert states == {"eu": b"\x01\x02", "us": b"\x03"}
    assert resumed.outlet.mark() == {"count": 1}
    assert again.latest() == kept


def test_a_flow_is_settled_when_all_that_was_read_is_decided_and_written(tmp_path: Path) -> None:
    points = Checkpoints(tmp_path, 1_000.0)
    adapter, sink = a_flow(points)
    assert points.is_settled(0) and not points.is_settled(1)
    take(adapter, "eu", 1)
    assert not points.is_settled(1)
    sink.write([Outcome("eu", "kpis", "1-1", b"")])
    assert points.is_settled(1)


def test_the_child_holds_no_lock_and_no_connection_of_its_parent(tmp_path: Path) -> None:
    read, write = os.pipe()
    points = Checkpoints(tmp_path, 1_000.0)
    adapter, _ = a_flow(points)

    gate = tmp_path / "gate"

    class Slow(Counting):
        def snapshot(self) -> bytes:
            eventually(gate.exists)
            return b""

    adapter.operators["eu"] = Slow()
    points.take(b"")
    os.close(write)
    # It ends as soon as the other end is closed, while the child is still at work.
    assert select.select([read], [], [], LONG_S)[0]
    assert os.read(read, 1) == b""
    os.close(read)
    gate.touch()
    until_ready(points)


def test_old_checkpoints_are_removed_but_for_the_one_before(tmp_path: Path) -> None:
    points = Checkpoints(tmp_path, 0.0)
    adapter, _ = a_flow(points)
    for seq in range(1, 6):
        take(adapter, "eu", seq)
        points.take(b"", wait=True)
        points.latest()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    said: list[str] = []
    points = Checkpoints(tmp_path / "points", 1_000.0, failed=said.append)
    adapter, _ = a_flow(points)
    points.take(b"first", wait=True)
    kept = points.latest()

    class Broken(Counting):
        def snapshot(self) -> bytes:
            raise OSError(28, "No space left on device")

    adapter.operators["eu"] = Broken()
    for wait in (True, False):
        points.take(b"second", wait=wait)
        eventually(lambda least=2 - wait: (points.is_due(), len(said) >= least)[1])
        assert points.latest() == kept
    assert len(said) == 2 and all("No space left" in each for each in said)


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_damaged_checkpoint_is_named_and_says_what_to_do(tmp_path: Path, cut: int) -> None:
    operator = Counting()
    operator.state = os.urandom(2_000)
    path = tmp_path / "point.zst"
    write_checkpoint(path, {"eu": operator})
    assert list(read_checkpoint(path)) == [("eu", operator.state)]
    data = path.read_bytes()
    for damaged in (data[:-cut], data[: -cut - 1] + b"\x55" + data[-cut:], b""):
        path.write_bytes(damaged)
        with pytest.raises(SnapshotError, match="remove the recovery folder"):
            list(read_checkpoint(path))
