"""Sections on what the engine may do alone, how far a network may go, and what is on hold."""

from typing import Annotated, Literal

from msgspec import Meta, field

from state.policy.section import Section
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc

Autonomy = Literal["act", "propose", "off"]

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


class BlastRadius(Section, frozen=True, kw_only=True):
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


class Limit(Section, frozen=True, kw_only=True):
    """The most that one kind of action may do on its own; beyond it, actions are proposed."""

    per_hour: Annotated[int, Meta(ge=0), doc("actions per hour of journal time")] = 1_000_000
    value_cents: Annotated[TotalCents, doc("money at stake in one action")] = 10**12
    value_cents_per_hour: Annotated[TotalCents, doc("money at stake per hour of journal time")] = (
        10**12
    )
    least_confidence: Annotated[
        Share, doc("how sure it must be, where it rests on a probability; P(late) counts against")
    ] = 0.0


#: What holds for kinds that the policy does not name.
_USUAL_AUTONOMY: dict[str, Autonomy] = {"reprice": "propose"}
# A model gone wrong must not empty the warehouses or flood the customers.
_USUAL_LIMITS = {
    "reroute": Limit(per_hour=200),
    "reship": Limit(per_hour=50, value_cents=50_000, value_cents_per_hour=1_000_000),
    "notify": Limit(per_hour=2_000),
    "reconcile": Limit(value_cents=200_000),
    "refund": Limit(per_hour=100, value_cents=20_000, value_cents_per_hour=500_000),
}
_NO_LIMIT = Limit()


class Governance(Section, frozen=True, kw_only=True):
    """What the engine may do without a person."""

    autonomy: Annotated[
        dict[str, Autonomy],
        doc("act, propose or off by kind; reprice proposes, others act within their limits"),
    ] = field(default_factory=dict)
    limits: Annotated[
        dict[str, Limit],
        doc("limits by kind; reroute, reship, notify, reconcile and refund have usual ones"),
    ] = field(default_factory=dict)
    proposal_s: Annotated[Seconds, doc("s that a proposal waits for a person")] = DAY_S
    trusted_above_irreversible: Annotated[
        Share,
        doc(f"feed health below which {', '.join(IRREVERSIBLE)} are proposed: no way back"),
    ] = 0.60
    blast_radius: BlastRadius = field(default_factory=BlastRadius)

    def is_off(self, kind: str) -> bool:
        """Whether nothing of `kind` is to be decided at all."""
        return self.autonomy_of(kind) == "off"

    def autonomy_of(self, kind: str) -> Autonomy:
        """What `kind` may do: as the policy says, else the usual."""
        return self.autonomy.get(kind) or _USUAL_AUTONOMY.get(kind, "act")

    def asks_a_person(self, kind: str, cents: int) -> bool:
        """Return whether a person decides on an action of this kind and value."""
        return self.autonomy_of(kind) != "act" or cents > self.limit_of(kind).value_cents

    def limit_of(self, kind: str) -> Limit:
        """The limit on `kind`: as the policy says, else the usual."""
        return self.limits.get(kind) or _USUAL_LIMITS.get(kind, _NO_LIMIT)


class Holds(Section, frozen=True, kw_only=True):
    """What is kept from moving until a person looks."""

    suspect_orders: Annotated[
        bool, doc("whether an order of a quantity that is not believed waits for a person")
    ] = True
    suspect_s: Annotated[
        Seconds, doc("s after which such an order is served all the same: nobody objected")
    ] = DAY_S
    longest_s: Annotated[
        Annotated[int, Meta(ge=1, le=400 * DAY_S)],
        doc("s after which any hold ends: what people forget must not stay blocked"),
    ] = 30 * DAY_S
