"""Decisions: base class of all kinds of action, with the traits that each kind states.

Code that treats kinds differently (the gate, proposals, notices, a simulated world) asks the class,
so that a new kind is complete where it is defined. A trait that a class leaves out has its default
here.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from state.quantities import Id, Instant, Share, TotalCents, TotalUnits, doc
from state.section import Section

Autonomy = Literal["act", "propose", "off"]
#: Subject of a message to a customer.
Topic = Literal["delayed", "backordered", "reshipped", "refunded", "lost"]
#: End of a proposal that a later decision overtakes; empty = it stands.
Overtaken = Literal["", "expired", "withdrawn"]


class Limit(Section, frozen=True, kw_only=True):
    """Limit of one kind of action; beyond it, actions are proposed."""

    per_hour: Annotated[int, Meta(ge=0), doc("actions per hour of journal time")] = 1_000_000
    value_cents: Annotated[TotalCents, doc("money at stake in one action")] = 10**12
    value_cents_per_hour: Annotated[TotalCents, doc("money at stake per hour of journal time")] = (
        10**12
    )
    least_confidence: Annotated[
        Share, doc("how sure it must be, where it rests on a probability; P(late) counts against")
    ] = 0.0


class LegLine(Struct, frozen=True, kw_only=True, gc=False):
    """Units of one SKU that a leg carries."""

    sku: Id
    quantity: TotalUnits


class Leg(Struct, frozen=True, kw_only=True, gc=False):
    """One parcel of an allocation: from a node, with a carrier's service, of these lines."""

    node: Id
    carrier: Id
    service: Id
    lines: tuple[LegLine, ...]
    hand_over_by: Annotated[Instant, doc("carrier pickup that this plan counts on")]
    expected_delivery: Annotated[
        Instant, doc("P50: as likely to arrive before as after, by the transit forecast")
    ]
    p_late: Annotated[Share, doc("probability of delivery after the promise")]
    cost_cents: Annotated[TotalCents, doc("this leg's share of the score")]


class News(Struct, frozen=True, gc=False):
    """A change to notify a customer of; without a date, the new date is not known yet."""

    topic: Topic
    expected: datetime | None = None


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all decisions. `verb` is the kind of action: the end of its wire type."""

    verb: ClassVar[str] = ""

    # Traits for the gate.
    #: Reason why it cannot be undone, empty if it can. Such kinds need healthier feeds.
    irreversible: ClassVar[str] = ""
    #: Autonomy and limit of kinds that the policy does not name.
    usual_autonomy: ClassVar[Autonomy] = "act"
    usual_limit: ClassVar[Limit] = Limit()
    #: Its probability is that of failing: its confidence is 1 less that.
    rests_on_failing: ClassVar[bool] = False
    #: It calls a person: no blast radius counts it, and its case needs a person.
    calls_a_person: ClassVar[bool] = False

    # Traits of a proposal that waits for a person.
    #: It moves goods or parcels of its order: pointless once the order needs nothing sent.
    moves_goods: ClassVar[bool] = False
    #: It is owed to the customer, and stays open when its order ends.
    outlives_order: ClassVar[bool] = False

    # Traits for consumers.
    #: It states a fact, and asks for no work.
    is_statement: ClassVar[bool] = False
    #: No fact shows that it was carried out: the executing system reports its completion.
    needs_report: ClassVar[bool] = False
    #: It is about an order, rather than about a shelf, a SKU or a scope of the network.
    is_of_order: ClassVar[bool] = True

    @property
    def sends(self) -> tuple[Leg, ...]:
        """Return the parcels it sends."""
        return ()

    @property
    def gives_up(self) -> str:
        """Return the shipment it gives up; empty if none."""
        return ""

    @property
    def news(self) -> News | None:
        """Return the change to notify the customer of, once it has settled; None if none."""
        return None

    def overtakes(self, proposed: "Decision") -> Overtaken:
        """Return how this decision ends a proposal of the same order; empty if it stands."""
        return ""
