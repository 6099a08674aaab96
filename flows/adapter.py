"""The one adapter between operators and Bytewax's `stateful_batch`."""

from collections.abc import Callable, Iterable
from typing import Any

import zstandard
from bytewax.operators import StatefulBatchLogic

from operators.contract import Operator, Record, step_all
from state.errors import SnapshotError

# The fastest level: the recovery store takes longer to write a snapshot than this to shrink it.
_COMPRESSOR = zstandard.ZstdCompressor(level=-1)

#: Builds the operator of a network.
Build = Callable[[str], Operator]
#: What a step hands on: records to the next step, or outcomes from the last one.
HandOn = Callable[[list[Record]], list[Any]]
#: A network and its operator's snapshot; Bytewax does not tell a logic its key.
State = tuple[str, bytes]


class Adapter:
    """Makes one step's logic for each network, anew or from a snapshot; remembers the operators.

    Without `is_recoverable` snapshots are None: Bytewax asks for one at each epoch all the same.
    """

    def __init__(self, build: Build, hand_on: HandOn, is_recoverable: bool) -> None:
        self._build = build
        self.hand_on, self.is_recoverable = hand_on, is_recoverable
        self.operators: dict[str, Operator] = {}

    def __call__(self, state: State | None) -> "OperatorLogic":
        """The logic of one network; `state` is what its `snapshot` gave, None for a new one."""
        if state is None:
            return OperatorLogic(self)
        network, packed = state
        operator = self.operator(network)
        try:
            snapshot = zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise SnapshotError(
                f"expected a compressed snapshot of {network}, was {error}: "
                "remove the recovery folder to replay from the start"
            ) from error
        operator.restore(snapshot)
        return OperatorLogic(self, network, operator)

    def operator(self, network: str) -> Operator:
        """A fresh operator for `network`."""
        operator = self.operators[network] = self._build(network)
        return operator


class OperatorLogic(StatefulBatchLogic[Record, Any, State | None]):
    """Steps an operator through batches; its snapshot is made once per change and then kept."""

    def __init__(
        self, adapter: Adapter, network: str = "", operator: Operator | None = None
    ) -> None:
        self._adapter = adapter
        self._hand_on = adapter.hand_on
        self._operator = operator
        self._network = network
        self._snapshot: State | None = None

    def on_batch(self, values: list[Record]) -> tuple[Iterable[Any], bool]:
        """Fold a batch in, in order."""
        self._snapshot = None
        self._network = values[0].network
        if self._operator is None:
            self._operator = self._adapter.operator(self._network)
        return self._hand_on(step_all(self._operator, values)), StatefulBatchLogic.RETAIN

    def snapshot(self) -> State | None:
        """The operator's state, for the recovery store."""
        if not self._adapter.is_recoverable or self._operator is None:
            return None
        if self._snapshot is None:
            packed = _COMPRESSOR.compress(self._operator.snapshot())
            self._snapshot = (self._network, packed)
        return self._snapshot
