"""Eliminations: options that hard constraints ruled out, as values.

They are published in words (`operators.sourcing.explanation`); no code reads the words.
"""

from typing import Literal

from msgspec import Struct

from state.keys import ANY_SERVICE, ServiceId


class Way(Struct, frozen=True, order=True, gc=False):
    """An option that is ruled out or chosen: a node, its stock of a SKU, or a node and service."""

    node: str
    service: ServiceId = ANY_SERVICE
    sku: str = ""

    def __str__(self) -> str:
        if self.service:
            return f"{self.node} with {self.service}"
        return self.node


class Constraint(Struct, frozen=True, gc=False, cache_hash=True):
    """Reason why an option is out; `note` is the text a person gave for it."""

    kind: Literal["nothing_left", "closed", "held", "reach", "room", "weight", "parcels", "barred"]
    note: str = ""

    def __str__(self) -> str:
        words = _WORDS[self.kind]
        return f"{words}: {self.note}" if self.note else words


_WORDS = {
    "nothing_left": "nothing left to promise",
    "closed": "node closed",
    "held": "on hold",
    "reach": "out of the service's reach",
    "room": "no capacity within days",
    "weight": "over the service's weight limit",
    "parcels": "in more parcels than allowed",
    "barred": "the order left it before, or it is likelier late than what it has",
}
NOTHING_LEFT, CLOSED = Constraint("nothing_left"), Constraint("closed")
OUT_OF_REACH, NO_ROOM = Constraint("reach"), Constraint("room")
TOO_HEAVY, TOO_MANY_PARCELS = Constraint("weight"), Constraint("parcels")
BARRED = Constraint("barred")


#: Constraint -> options ruled out, in the order found: ways, or all ways of a split plan.
Eliminations = dict[Constraint, list[Way | tuple[Way, ...]]]


def in_words(constraint: Constraint, option: Way | tuple[Way, ...]) -> str:
    """Return an option that was ruled out, in words."""
    if isinstance(option, tuple):
        return " + ".join(map(str, option))
    if not option.sku:
        return str(option)
    if constraint.kind == "held":
        return f"{option.sku} at {option.node}"
    return f"{option.node} of {option.sku}"
