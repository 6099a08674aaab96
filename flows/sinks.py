"""Bytewax sinks made of outlets. Always `FixedPartitionedSink`: others lose output at a crash."""

from collections.abc import Callable

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows.outcomes import Outcome
from flows.outlets import Mark, Outlet
from state.errors import CrossdockError


class _Partition(StatefulSinkPartition[Outcome, Mark]):
    def __init__(self, outlet: Outlet, failed: Callable[[CrossdockError], None]) -> None:
        self._outlet, self._failed = outlet, failed

    def write_batch(self, values: list[Outcome]) -> None:
        try:
            self._outlet.write(values)
        except CrossdockError as error:
            self._failed(error)
            raise

    def snapshot(self) -> Mark:
        return self._outlet.mark()


class OutletSink(FixedPartitionedSink[Outcome, Mark]):
    """One outlet as a sink of one partition; `failed` hears of the error that ends the flow."""

    def __init__(self, outlet: Outlet, failed: Callable[[CrossdockError], None]) -> None:
        self._outlet, self._failed = outlet, failed

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["all"]

    def part_fn(self, item_key: str) -> int:
        """Everything goes to the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Mark | None) -> _Partition:
        """Open it where the last committed epoch left off; at its start if none was committed.

        A run killed before its first epoch has written, and will write the same again.
        """
        self._outlet.rewind(resume_state or {})
        return _Partition(self._outlet, self._failed)
