"""Bytewax sinks made of outlets. Always `FixedPartitionedSink`: others lose output at a crash."""

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows.wiring.failure import Failure
from flows.wiring.outcomes import Outcome
from flows.wiring.outlets import Outlet


class OutletSink(FixedPartitionedSink[Outcome, None]):
    """One outlet as a sink of one partition; nothing is written after a `failure`.

    `received` counts what has been written. Where to go on after a crash is kept by
    `flows.wiring.checkpoints`, not here.
    """

    def __init__(self, name: str, outlet: Outlet, failure: Failure) -> None:
        self.name, self.outlet = name, outlet
        self.write = failure.guarded(self._write, lambda: None)
        self.received = 0

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return ["all"]

    def part_fn(self, item_key: str) -> int:
        """Return 0: everything goes to the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_Partition":
        """Open it where it stands."""
        return _Partition(self)

    def _write(self, values: list[Outcome]) -> None:
        self.outlet.write(values)
        self.received += len(values)


class _Partition(StatefulSinkPartition[Outcome, None]):
    def __init__(self, sink: OutletSink) -> None:
        self._sink = sink

    def write_batch(self, values: list[Outcome]) -> None:
        self._sink.write(values)

    def snapshot(self) -> None:
        return None
