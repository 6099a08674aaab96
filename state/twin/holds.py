"""Holds: scopes that may not move, and until when."""

from msgspec import Struct

from state.keys import Ref
from state.quantities import HoldKind


class Held(Struct, array_like=True):
    """A hold in force, placed by the journal record `seq`; it ends at `until_ms`.

    `of` is what is on hold, `scope` what people called it.
    """

    kind: HoldKind
    of: Ref
    scope: str
    reason: str
    by: str
    until_ms: int
    seq: int
