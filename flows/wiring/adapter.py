"""The one adapter between operators and Bytewax's `stateful_batch`."""

from collections.abc import Callable, Iterable
from typing import Any

from bytewax.operators import StatefulBatchLogic

from flows.wiring.failure import Failure
from operators.core.contract import Operator, Record, step_all

#: Builds the operator of a network.
Build = Callable[[str], Operator]
#: Output of a step: records to the next step, or outcomes from the last one.
HandOn = Callable[[list[Record]], list[Any]]


class Adapter:
    """Maker of one step's logic for each network, and keeper of the operators.

    `taken` counts the records that went in, `given` what was handed on. Bytewax keeps no state of
    it: that is the duty of `flows.wiring.checkpoints`, which needs no pause. Nothing is folded
    after a `failure`.
    """

    def __init__(self, build: Build, hand_on: HandOn, failure: Failure) -> None:
        self._build = build
        self._hand_on = hand_on
        self.fold = failure.guarded(self._fold, list)
        self.operators: dict[str, Operator] = {}
        self.taken = self.given = 0

    def __call__(self, state: None) -> "OperatorLogic":
        """Return the logic of one network."""
        return OperatorLogic(self)

    def restore(self, network: str, state: bytes) -> None:
        """Make the operator of `network` from a snapshot; raises SnapshotError."""
        self._operator(network).restore(state)

    def _fold(self, records: list[Record]) -> list[Any]:
        """Fold a network's records in, in order; return what is handed on."""
        network = records[0].network
        operator = self.operators.get(network) or self._operator(network)
        handed_on = self._hand_on(step_all(operator, records))
        self.taken += len(records)
        self.given += len(handed_on)
        return handed_on

    def _operator(self, network: str) -> Operator:
        operator = self.operators[network] = self._build(network)
        return operator


class OperatorLogic(StatefulBatchLogic[Record, Any, None]):
    """Logic that steps one network's operator through batches."""

    def __init__(self, adapter: Adapter) -> None:
        self._fold = adapter.fold

    def on_batch(self, values: list[Record]) -> tuple[Iterable[Any], bool]:
        """Fold a batch in, in order."""
        return self._fold(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        """Keep no state in Bytewax; see `Adapter`."""
