"""What can be taken back, what speaks for an action, and how far a network may go on its own."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from state.quantities import HOUR_S, TotalCents, doc

#: Kinds that nobody can take back -> why. Their feeds have to be healthier than others' feeds.
IRREVERSIBLE = {
    "cancel": "the executing systems stop work that they may not be able to take up again",
    "notify": "a customer cannot unread a message",
    "refund": "money that left does not come back",
    "reprice": "people have seen the price, and some have bought at it",
    "reship": "goods leave a second time, and somebody else has to do without them",
}

#: Kinds whose probability is that of failing: their confidence is what is left of it.
_OF_FAILING = ("allocate",)


def confidence_in(kind: str, probability: float) -> float:
    """How sure an action of `kind` is, 0 to 1, if it rests on `probability`.

    An allocation rests on P(late) of what it plans, a reroute on P(late) of what it leaves.
    """
    return 1.0 - probability if kind in _OF_FAILING else probability


class BlastRadius(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that all kinds together may do on their own; beyond it, all is only proposed.

    `escalate` is not counted: it only calls people, who are needed most just then.
    """

    window_s: Annotated[
        int, Meta(ge=60, le=30 * 86_400), doc("s that slide along, in sixty steps")
    ] = HOUR_S
    actions: Annotated[
        int,
        Meta(ge=0),
        doc("actions per window; some thirty a second, which no network keeps up for an hour"),
    ] = 100_000
    value_cents: Annotated[
        TotalCents, doc("money at stake per window; five million, more than a day's freight")
    ] = 500_000_000
    resumed_by: Annotated[
        Literal["person", "window"],
        doc(
            "who ends it: a person (network.resumed), since what ran away once does so again; "
            "or a whole window having passed"
        ),
    ] = "person"
