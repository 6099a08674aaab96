"""Confirmations: commands of people, where the engine took them in, and what came of them.

One for each control event that hygiene let in, at its place in the journal: so that a command of a
person can say more than that something was sent.
"""

from collections.abc import Sequence

import orjson

from operators.core.contract import Record
from operators.core.facts import PolicyInForce, ProposalClosed
from state.actions import Action
from state.events import (
    ActionApproved,
    ActionRejected,
    HoldLifted,
    HoldPlaced,
    NetworkHalted,
    NetworkResumed,
    PolicyChanged,
)
from state.quantities import rfc3339

#: Facts of control that are confirmed; each says who it is by.
Confirmed = (
    NetworkHalted
    | NetworkResumed
    | PolicyChanged
    | HoldPlaced
    | HoldLifted
    | ActionApproved
    | ActionRejected
)


def confirmation(record: Record, records: Sequence[Record]) -> bytes:
    """Return the confirmation of a control event, whose record led to `records`."""
    assert record.event is not None
    fact = record.event.fact
    assert isinstance(fact, Confirmed)
    effect = _effect(record, fact, [each.fact for each in records if each.seq == record.seq])
    return orjson.dumps(
        {
            "network": record.network,
            "seq": record.seq,
            "time": rfc3339(record.now_ms),
            "event": record.event.id,
            "type": record.event.type,
            "by": fact.by,
            "took_effect": effect is not None,
            "effect": effect or "no such proposal was open",
        }
    )


def _effect(record: Record, fact: Confirmed, facts: Sequence[object]) -> str | None:
    """Return the effect in words; None where there was none."""
    match fact:
        case NetworkHalted():
            return f"halted since {rfc3339(record.now_ms)}"
        case NetworkResumed():
            return f"acts again since {rfc3339(record.now_ms)}"
        case PolicyChanged():
            policies = [each.policy for each in facts if isinstance(each, PolicyInForce)]
            return f"policy {policies[-1].fingerprint()} in force" if policies else None
        case HoldPlaced() as hold:
            return f"{hold.kind} {hold.scope} on hold"
        case HoldLifted() as hold:
            return f"{hold.kind} {hold.scope} no longer on hold"
        case ActionApproved() as approved:
            return next(
                (
                    f"to be carried out as {each.id}"
                    for each in facts
                    if isinstance(each, Action) and each.data.approves == approved.action
                ),
                None,
            )
        case ActionRejected() as rejected:
            closed = [e.action for e in facts if isinstance(e, ProposalClosed)]
            return "rejected" if rejected.action in closed else None
