"""The dataflow: journal → decode → the chain, keyed by network → outlets.

The chain runs fused in one stateful step, or staged with one step per part; both give the same
actions. Fused is the default: every keyed hop costs time, measured by ``make bench``.
"""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.wiring.adapter import Adapter
from flows.wiring.checkpoints import Checkpoints, require_writable
from flows.wiring.failure import Failure
from flows.wiring.journal_source import JournalSource
from flows.wiring.outcomes import outcomes
from flows.wiring.outlets import Outlet
from flows.wiring.sinks import OutletSink
from operators.chain import STAGES, build_chain, build_operator, to_record
from operators.core.contract import Chain, Operator, Record
from state.codec import JournalLine
from state.errors import StoreError
from state.policy import Policy

#: A checkpoint is committed at an epoch's end; a crash has to do again what came since, some two
#: epochs of a live stream, folded in a few seconds.
EPOCH = timedelta(seconds=10)


class Flow:
    """A dataflow ready to run, and its remains: its operators, and why it failed."""

    def __init__(
        self,
        source: Source[JournalLine],
        outlets: Mapping[str, Outlet],
        policy: Policy,
        *,
        staged: bool = False,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.failure = source.failure if isinstance(source, JournalSource) else Failure()
        self.dataflow = Dataflow("crossdock")
        lines = op.input("journal", self.dataflow, source)
        stream: Any = op.flat_map_batch(
            "decode", lines, self.failure.guarded(_decode, list[tuple[str, Record]])
        )
        self._adapters: dict[str, Adapter] = {}
        steps = STAGES if staged else ("chain",)
        for name in steps:
            hand_on = outcomes if name == steps[-1] else _records
            adapter = Adapter(_builder(name, policy), hand_on, self.failure)
            self._adapters[name] = adapter
            stream = op.stateful_batch(name, stream, adapter)
        sinks = [OutletSink(name, outlet, self.failure) for name, outlet in outlets.items()]
        for sink in sinks:
            op.output(sink.name, stream, sink)
        if checkpoints is not None:
            if staged:
                raise ValueError("expected the fused chain: a staged one has no checkpoints")
            checkpoints.watch(self._adapters["chain"], sinks)

    def operator(self, network: str, name: str) -> Operator:
        """Return the operator `name` of a network that the run has seen."""
        if "chain" in self._adapters:
            chain = self._adapters["chain"].operators[network]
            assert isinstance(chain, Chain)
            return next(o for o in chain.operators if o.name == name)
        return self._adapters[name].operators[network]

    def networks(self) -> list[str]:
        """Return networks seen, sorted; what could not be decoded is of none."""
        adapter = next(iter(self._adapters.values()))
        return sorted(network for network in adapter.operators if network)

    def run(self, recovery: Path | None = None, epoch: timedelta = EPOCH) -> None:
        """Run to the source's end; with `recovery`, from the last checkpoint committed there.

        Raises the error that ended it, if one did.
        """
        config = None
        if recovery is not None:
            require_writable(recovery)
            if not any(recovery.glob("*.sqlite3")):
                _make_store(recovery)
            config = RecoveryConfig(recovery)  # type: ignore[no-untyped-call]
        try:
            cli_main(  # type: ignore[no-untyped-call]
                self.dataflow,
                workers_per_process=1,
                epoch_interval=epoch,
                recovery_config=config,
            )
        except Exception as error:
            self.failure.raise_kept()
            if "SqliteFailure" in str(error):
                raise StoreError(
                    f"expected to write the recovery store in {recovery}, was {error}: make room "
                    "or repair the disk, and start again"
                ) from error
            raise
        self.failure.raise_kept()


def _make_store(recovery: Path) -> None:
    """Make Bytewax's store beside its place first: half of one could never be opened."""
    unfinished = recovery / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]
    for path in unfinished.iterdir():
        path.rename(recovery / path.name)
    unfinished.rmdir()


def _decode(lines: list[JournalLine]) -> list[tuple[str, Record]]:
    records = map(to_record, lines)
    return [(record.network, record) for record in records]


def _records(records: list[Record]) -> list[Record]:
    return records


def _builder(name: str, policy: Policy) -> Any:
    if name == "chain":
        return lambda network: build_chain(network, policy)
    return lambda network: build_operator(name, network, policy)
