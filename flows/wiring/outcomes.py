"""Outcomes: output of the chain to the world, already as bytes."""

from collections.abc import Sequence

import orjson
from msgspec import Struct

from flows.wiring.confirmations import Confirmed, confirmation
from operators.core.contract import Record
from operators.core.facts import KpiWindow, ProposalClosed
from state.actions import Action
from state.codec import DeadLetter, encode_action
from state.dead_letters import encode_dead_letter
from state.quantities import rfc3339
from state.stores.redis_keys import CONTROL, DECIDED, KPIS, PROPOSALS

#: Beside the streams of Redis: these go to the log and to Kafka.
DEAD_LETTERS = "dead_letters"
_NO_ACTIONS = (KPIS, DECIDED, CONTROL, DEAD_LETTERS)


class Outcome(Struct, frozen=True, gc=False):
    """One line of output. `stream` is an action's kind, `PROPOSALS`, or one of what is no action.

    What a person has to decide on is in no kind's stream: whoever carries that out never meets it.
    `entry_id` is ``{seq}-{n}``; dead letters have none. `kind` and `mode` are given for actions
    only.
    """

    network: str
    stream: str
    entry_id: str
    body: bytes
    mode: str = ""
    kind: str = ""

    @property
    def is_action(self) -> bool:
        """Return whether it is an action, to be carried out or proposed."""
        return self.stream not in _NO_ACTIONS


def outcomes(records: Sequence[Record]) -> list[Outcome]:
    """Return the outcomes among `records`, in order; `records` has all of each journal record."""
    found = []
    for record in records:
        fact = record.fact
        if isinstance(fact, Action):
            mode = fact.data.mode
            found.append(
                Outcome(
                    record.network,
                    fact.kind if mode == "act" else PROPOSALS,
                    fact.entry_id,
                    encode_action(fact),
                    mode,
                    fact.kind,
                )
            )
        elif isinstance(fact, DeadLetter):
            found.append(Outcome(record.network, DEAD_LETTERS, "", encode_dead_letter(fact)))
        elif isinstance(fact, KpiWindow):
            found.append(Outcome(record.network, KPIS, f"{record.seq}-1", _kpis(record, fact)))
        elif isinstance(fact, ProposalClosed):
            place = f"{record.seq}-{fact.place}"
            found.append(Outcome(record.network, DECIDED, place, _decided(record, fact)))
        elif record.event is not None and isinstance(fact, Confirmed):
            body = confirmation(record, records)
            found.append(Outcome(record.network, CONTROL, f"{record.seq}-1", body))
    return found


def _decided(record: Record, closed: ProposalClosed) -> bytes:
    return orjson.dumps(
        {
            "network": record.network,
            "seq": record.seq,
            "time": rfc3339(record.now_ms),
            "proposal": closed.action,
            "kind": closed.decision.verb,
            "about": closed.about,
            "outcome": closed.outcome,
            "by": closed.by,
            "reason": closed.why,
        }
    )


def _kpis(record: Record, window: KpiWindow) -> bytes:
    return orjson.dumps(
        {
            "network": record.network,
            "seq": record.seq,
            "start": rfc3339(window.start_ms),
            "end": rfc3339(window.end_ms),
            "values": window.values,
        }
    )
