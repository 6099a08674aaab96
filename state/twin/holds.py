"""Holds: what may not move, and until when."""

from msgspec import Struct

from state.quantities import HoldKind


class Held(Struct, array_like=True):
    """A hold in force, placed by the journal record `seq`; it ends by itself at `until_ms`."""

    kind: HoldKind
    scope: str
    reason: str
    by: str
    until_ms: int
    seq: int


def hold_key(kind: HoldKind, scope: str) -> str:
    """Where a hold is kept: ``node N-7``, ``service C/S``, ``lane N-7>NORTH``."""
    return f"{kind} {scope}"
