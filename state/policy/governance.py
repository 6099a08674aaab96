"""Sections on what the engine may do alone, how far a network may go, and what is on hold."""

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, field

from state.actions import DECISIONS, KIND_OF
from state.decision import Autonomy as Autonomy
from state.decision import Decision
from state.decision import Limit as Limit
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc
from state.section import Section


def _listed(kinds: Iterable[type[Decision]]) -> str:
    *others, last = [kind.verb for kind in kinds]
    return f"{', '.join(others)} and {last}" if others else last


#: Kinds without a way back -> why. Their feeds have to be healthier than others' feeds.
IRREVERSIBLE = {
    verb: kind.irreversible for verb, kind in sorted(KIND_OF.items()) if kind.irreversible
}

_PROPOSED = _listed(kind for kind in DECISIONS if kind.usual_autonomy == "propose")
_LIMITED = _listed(kind for kind in DECISIONS if kind.usual_limit != Limit())


def confidence_in(kind: str, probability: float) -> float:
    """Return how sure an action of `kind` is, 0 to 1, if it rests on `probability`.

    An allocation rests on P(late) of what it plans, a reroute on P(late) of what it leaves.
    """
    return 1.0 - probability if KIND_OF[kind].rests_on_failing else probability


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


class Governance(Section, frozen=True, kw_only=True):
    """Autonomy and limits of the engine without a person."""

    autonomy: Annotated[
        dict[str, Autonomy],
        doc(f"act, propose or off by kind; {_PROPOSED} proposes, others act within their limits"),
    ] = field(default_factory=dict)
    limits: Annotated[
        dict[str, Limit],
        doc(f"limits by kind; {_LIMITED} have usual ones"),
    ] = field(default_factory=dict)
    proposal_s: Annotated[Seconds, doc("s that a proposal waits for a person")] = DAY_S
    trusted_above_irreversible: Annotated[
        Share,
        doc(f"feed health below which {', '.join(IRREVERSIBLE)} are proposed: no way back"),
    ] = 0.60
    blast_radius: BlastRadius = field(default_factory=BlastRadius)

    def is_off(self, kind: str) -> bool:
        """Return whether nothing of `kind` is to be decided at all."""
        return self.autonomy_of(kind) == "off"

    def autonomy_of(self, kind: str) -> Autonomy:
        """Return the autonomy of `kind`: as the policy says, else the usual."""
        return self.autonomy.get(kind) or KIND_OF[kind].usual_autonomy

    def asks_a_person(self, kind: str, cents: int) -> bool:
        """Return whether a person decides on an action of this kind and value."""
        return self.autonomy_of(kind) != "act" or cents > self.limit_of(kind).value_cents

    def limit_of(self, kind: str) -> Limit:
        """Return the limit on `kind`: as the policy says, else the usual."""
        return self.limits.get(kind) or KIND_OF[kind].usual_limit


class Holds(Section, frozen=True, kw_only=True):
    """Orders and parts of the network kept from moving until a person looks."""

    suspect_orders: Annotated[
        bool, doc("whether an order of a quantity that is not believed waits for a person")
    ] = True
    suspect_s: Annotated[
        Seconds, doc("s after which such an order is served all the same, if not objected to")
    ] = DAY_S
    longest_s: Annotated[
        Annotated[int, Meta(ge=1, le=400 * DAY_S)],
        doc("s after which any hold ends: what people forget must not stay blocked"),
    ] = 30 * DAY_S
