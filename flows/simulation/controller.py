"""Controllers decide for a world: the chain, the same as everywhere else it runs, or nothing."""

import hashlib
from typing import Protocol

from operators.chain import build_chain
from operators.core.contract import Chain, Record
from state.actions import Action
from state.codec import DeadLetter, JournalLine, encode
from state.events import Event
from state.policy import Policy


class Controller(Protocol):
    """Receiver of every event of the journal, in order, which returns the actions due."""

    def take(self, event: Event) -> list[Action]:
        """Take in the next event; returns the actions that follow from it, in order."""
        ...


class Idle:
    """A controller that does nothing: for what happens without decisions."""

    def take(self, event: Event) -> list[Action]:
        """Return nothing: no action follows."""
        return []


class ChainController:
    """The chain of one network, stepped record by record, as a replay of the journal steps it.

    `seq` is the last record's place in the journal, `journal` the SHA-256 of its lines so far;
    `dead_letters` counts what was refused.
    """

    def __init__(self, network: str, policy: Policy) -> None:
        self.chain: Chain = build_chain(network, policy)
        self.network = network
        self.seq = 0
        self.dead_letters = 0
        self.journal = hashlib.sha256()

    def take(self, event: Event) -> list[Action]:
        """Fold the event in."""
        self.seq += 1
        raw = encode(event)
        self.journal.update(raw + b"\n")
        line = JournalLine(self.seq, "journal", self.seq, raw, len(raw))
        record = Record(event.network, self.seq, event.recorded_ms, event.fact, event, line)
        actions = []
        for derived in self.chain.step(record):
            if type(derived.fact) is Action:
                actions.append(derived.fact)
            elif type(derived.fact) is DeadLetter:
                self.dead_letters += 1
        return actions
