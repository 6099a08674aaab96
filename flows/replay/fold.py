"""The chain as a plain loop over a journal, without Bytewax: the yardstick, and the reference."""

from collections.abc import Sequence

from operators.chain import NO_NETWORK, Chains
from operators.core.contract import Operator, Record
from operators.hygiene.hygiene import Hygiene
from operators.reporting.rollups import Rollups
from state.events import PolicyChanged

#: The operators of each network that a summary is made from.
Counted = dict[str, tuple[Hygiene, Rollups]]


class Fold:
    """Steps records through the chains of their networks; `lines` counts those taken in.

    With `pinned`, the policy stays what it is whatever the journal says.
    """

    def __init__(self, chains: Chains, *, pinned: bool = False) -> None:
        self._chains, self._pinned = chains, pinned
        self.lines = 0

    def step(self, batch: Sequence[Record]) -> list[Record]:
        """Fold a batch in; returns all that leaves the chains, in order."""
        self.lines += len(batch)
        derived: list[Record] = []
        for record in batch:
            if not (self._pinned and isinstance(record.fact, PolicyChanged)):
                derived += self._chains[record.network].step(record)
        return derived

    def counted(self) -> Counted:
        """Return what was counted, by network."""
        return {
            network: pair({operator.name: operator for operator in chain.operators})
            for network, chain in self._chains.items()
            if network != NO_NETWORK
        }


def pair(operators: dict[str, Operator]) -> tuple[Hygiene, Rollups]:
    """Pick what a summary is made from."""
    hygiene, rollups = operators["hygiene"], operators["rollups"]
    assert isinstance(hygiene, Hygiene) and isinstance(rollups, Rollups)
    return hygiene, rollups
