"""Outcomes: what leaves the chain for the world, already as bytes."""

from collections.abc import Iterable

import orjson
from msgspec import Struct

from operators.contract import Record
from operators.derived import KpiWindow
from state.actions import Action
from state.codec import DeadLetter, encode_action
from state.dead_letters import encode_dead_letter
from state.quantities import rfc3339

#: Streams beside those of the actions' kinds.
KPIS = "kpis"
DEAD_LETTERS = "dead_letters"


class Outcome(Struct, frozen=True, gc=False):
    """One line of output. `stream` is an action's kind, `KPIS` or `DEAD_LETTERS`.

    `entry_id` is ``{seq}-{n}``; dead letters have none. `mode` is given for actions only.
    """

    network: str
    stream: str
    entry_id: str
    body: bytes
    mode: str = ""


def outcomes(records: Iterable[Record]) -> list[Outcome]:
    """The outcomes among `records`, in order."""
    found = []
    for record in records:
        fact = record.fact
        kind = type(fact)
        if kind is Action:
            found.append(
                Outcome(
                    record.network,
                    fact.kind,
                    fact.entry_id,
                    encode_action(fact),
                    fact.data.mode,
                )
            )
        elif kind is DeadLetter:
            found.append(Outcome(record.network, DEAD_LETTERS, "", encode_dead_letter(fact)))
        elif kind is KpiWindow:
            found.append(Outcome(record.network, KPIS, f"{record.seq}-1", _kpis(record, fact)))
    return found


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
