"""Bytewax sinks made of outlets. Always `FixedPartitionedSink`: others lose output at a crash."""

from collections.abc import Callable

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows.outcomes import Outcome
from flows.outlets import Outlet
from state.errors import CrossdockError


class OutletSink(FixedPartitionedSink[Outcome, None]):
    """One outlet as a sink of one partition; `failed` hears of the error that ends the flow.

    `received` counts what has been written. Where to go on after a crash is kept by
    `flows.checkpoints`, not here.
    """

    def __init__(
        self, name: str, outlet: Outlet, failed: Callable[[CrossdockError], object]
    ) -> None:
        self.name, self.outlet, self._failed = name, outlet, failed
        self.received = 0

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["all"]

    def part_fn(self, item_key: str) -> int:
        """Everything goes to the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_Partition":
        """Open it where it stands."""
        return _Partition(self)

    def write(self, values: list[Outcome]) -> None:
        """Write a batch; raises what ends the flow."""
        try:
            self.outlet.write(values)
        except CrossdockError as error:
            self._failed(error)
            raise
        self.received += len(values)


class _Partition(StatefulSinkPartition[Outcome, None]):
    def __init__(self, sink: OutletSink) -> None:
        self._sink = sink

    def write_batch(self, values: list[Outcome]) -> None:
        self._sink.write(values)

    def snapshot(self) -> None:
        return None
