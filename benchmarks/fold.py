"""The yardstick: the chain as a bare loop over a journal, as `flows.replay.replay` folds it."""

from collections.abc import Sequence
from pathlib import Path

from flows.wiring.outcomes import Outcome, outcomes
from flows.wiring.outlets import Outlet
from operators.chain import build_chain, to_record
from operators.core.contract import Chain
from state.journal import JournalReader
from state.policy import Policy

#: Lines per read, the default of `flows.wiring.journal_source` too.
BATCH = 1_000


def fold(log: Path, outlets: Sequence[Outlet]) -> dict[str, Chain]:
    """Read, decode, step and encode all of `log` into `outlets`; returns the networks' chains."""
    reader = JournalReader([log])
    policy = Policy()
    chains: dict[str, Chain] = {}
    while lines := reader.read(BATCH):
        found: list[Outcome] = []
        for line in lines:
            record = to_record(line)
            chain = chains.get(record.network)
            if chain is None:
                chain = chains[record.network] = build_chain(record.network, policy)
            found += outcomes(chain.step(record))
        for outlet in outlets:
            outlet.write(found)
    reader.close()
    return chains
