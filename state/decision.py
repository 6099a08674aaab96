"""Decisions as classes: the traits that every kind of action states beside its fields.

Whoever treats kinds differently (the gate, the proposals, the notices, a simulated world) asks the
class, so that a new kind is complete where it is defined. A trait that a class leaves out has the
value given here.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from state.quantities import Id, Instant, Share, TotalCents, TotalUnits, doc

Autonomy = Literal["act", "propose", "off"]
#: Subject of a message to a customer.
Topic = Literal["delayed", "backordered", "reshipped", "refunded", "lost"]
#: End of a proposal that a later decision makes pointless; empty = it stands.
Overtaken = Literal["", "expired", "withdrawn"]


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that one kind of action may do on its own; beyond it, actions are proposed."""

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
    """A change that a customer hears of once it has settled; without a date it is not known yet."""

    topic: Topic
    expected: datetime | None = None


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """What is to be done. `verb` is the action's kind: the end of its wire type."""

    verb: ClassVar[str] = ""

    # What the gate asks.
    #: The reason why there is no way back, empty if there is one. Such kinds need healthier feeds.
    irreversible: ClassVar[str] = ""
    #: Autonomy and limit of kinds that the policy does not name.
    usual_autonomy: ClassVar[Autonomy] = "act"
    usual_limit: ClassVar[Limit] = Limit()
    #: The probability under it is that of failing: its confidence is what is left of it.
    rests_on_failing: ClassVar[bool] = False
    #: It asks a person: no blast radius counts it, and a case that it is about needs a person.
    calls_a_person: ClassVar[bool] = False

    # What becomes of it while it waits for a person.
    #: It moves goods or parcels of its order: once the order needs nothing sent, it is pointless.
    moves_goods: ClassVar[bool] = False
    #: It is owed to the customer, so that it stays open when its order ends.
    outlives_order: ClassVar[bool] = False

    # What it means to those who carry it out, and read of it.
    #: It states how things are, and asks nobody to do anything.
    is_statement: ClassVar[bool] = False
    #: No fact tells that it was carried out: whoever does it reports it as completed.
    needs_report: ClassVar[bool] = False
    #: It is about an order, rather than about a shelf, a SKU or a scope of the network.
    is_of_order: ClassVar[bool] = True

    @property
    def sends(self) -> tuple[Leg, ...]:
        """The parcels that it sends."""
        return ()

    @property
    def gives_up(self) -> str:
        """The shipment that it gives up; empty if none."""
        return ""

    @property
    def news(self) -> News | None:
        """The change that its customer hears of, once it has settled; None if there is none."""
        return None

    def overtakes(self, proposed: "Decision") -> Overtaken:
        """Return the end that a proposal of the same order comes to by this decision."""
        return ""
