"""The actions Crossdock emits, and the reason each one carries.

`Action` is the wire form: a CloudEvents 1.0 envelope whose ``data`` holds the decision and its
`Because`. An action's id is ``{network}:{seq}-{n}``: the nth action, from 1, caused by the journal
record at `seq`. ``{seq}-{n}`` is also its Redis stream entry id.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from state.quantities import (
    HoldKind,
    HoldScope,
    Id,
    Instant,
    Share,
    SignedTotalCents,
    SignedTotalUnits,
    Text,
    TotalCents,
    TotalUnits,
    doc,
)

ActMode = Literal["act", "propose"]


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """What is to be done. `verb` is the action's kind: the end of its wire type."""

    verb: ClassVar[str] = ""


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


class Allocate(Decision, frozen=True, kw_only=True):
    """Serve an order: node, carrier and service for each parcel. Its stock is reserved."""

    verb: ClassVar[str] = "allocate"
    order: Id
    legs: tuple[Leg, ...]
    reserved_until: Annotated[Instant, doc("when the reservation lapses if nothing is picked")]
    replaces: Annotated[Text | None, doc("why an earlier allocation no longer stands")] = None


class Shortage(Struct, frozen=True, kw_only=True, gc=False):
    """Units of one SKU of an order that no node can promise."""

    sku: Id
    missing: TotalUnits


class Backorder(Decision, frozen=True, kw_only=True):
    """Keep an order waiting: nothing feasible now. It is served when stock or capacity comes."""

    verb: ClassVar[str] = "backorder"
    order: Id
    shortages: tuple[Shortage, ...]
    reason: Literal["no_stock", "no_route", "unknown_reference"]


class Reroute(Decision, frozen=True, kw_only=True):
    """Move a shipment that is under way to a faster service of its carrier."""

    verb: ClassVar[str] = "reroute"
    order: Id
    shipment: Id
    carrier: Id
    from_service: Id
    to_service: Id
    expected_delivery: Instant


class Reship(Decision, frozen=True, kw_only=True):
    """Send the content of a shipment again, from stock; the first one is given up."""

    verb: ClassVar[str] = "reship"
    order: Id
    shipment: Annotated[Id, doc("the shipment given up")]
    leg: Leg


class Hold(Decision, frozen=True, kw_only=True):
    """Keep an order or a part of the network from moving, until `lift` or its end."""

    verb: ClassVar[str] = "hold"
    kind: HoldKind = "order"
    scope: HoldScope
    reason: Text
    by: Annotated[Text, doc("who placed it; crossdock = the engine itself")] = ""
    until: Annotated[Instant | None, doc("when it ends by itself")] = None


class Lift(Decision, frozen=True, kw_only=True):
    """A hold is over: what it kept may move again."""

    verb: ClassVar[str] = "lift"
    kind: HoldKind
    scope: HoldScope
    reason: Literal["lifted", "expired"]
    by: Annotated[Text, doc("who lifted it; empty if it expired")] = ""


ReleaseReason = Literal["expired", "shipped_elsewhere", "uncovered", "reassigned"]


class Release(Decision, frozen=True, kw_only=True):
    """Give reserved stock back: the reservation lapsed or is no longer needed."""

    verb: ClassVar[str] = "release"
    order: Id
    node: Id
    lines: tuple[LegLine, ...]
    reason: ReleaseReason


class Cancel(Decision, frozen=True, kw_only=True):
    """Tell the executing systems not to work on an order any more."""

    verb: ClassVar[str] = "cancel"
    order: Id
    reason: Text


class Transfer(Decision, frozen=True, kw_only=True):
    """Move stock between nodes: ahead of demand, or for an order that goes in one parcel then."""

    verb: ClassVar[str] = "transfer"
    origin: Id
    destination: Id
    sku: Id
    quantity: TotalUnits
    order: Annotated[Id | None, doc("the order that it is for; None = ahead of demand")] = None


class Reconcile(Decision, frozen=True, kw_only=True):
    """A count contradicts the ledger: the books are set to the count, the difference explained."""

    verb: ClassVar[str] = "reconcile"
    node: Id
    sku: Id
    ledger: Annotated[SignedTotalUnits, doc("units the ledger had at the count's time")]
    counted: TotalUnits
    difference: Annotated[SignedTotalUnits, doc("counted - ledger")]
    value_cents: Annotated[SignedTotalCents, doc("difference × unit value")]


class Refund(Decision, frozen=True, kw_only=True):
    """Compensate a customer."""

    verb: ClassVar[str] = "refund"
    order: Id
    customer: Id
    cents: TotalCents
    reason: Text
    lines: Annotated[
        tuple[LegLine, ...], doc("goods paid back, which nobody sends any more; none: goodwill")
    ] = ()


class Notify(Decision, frozen=True, kw_only=True):
    """Tell a customer what changed and what comes next."""

    verb: ClassVar[str] = "notify"
    order: Id
    customer: Id
    topic: Literal["delayed", "backordered", "reshipped", "refunded", "lost"]
    promised: Annotated[Instant, doc("the date the customer was promised")]
    expected: Annotated[Instant | None, doc("the new date; None = not known yet")]
    message: Text


class Reprice(Decision, frozen=True, kw_only=True):
    """Propose a price in a region, to make scarce stock last or to sell what will not go."""

    verb: ClassVar[str] = "reprice"
    region: Id
    sku: Id
    price_cents: TotalCents
    from_cents: Annotated[TotalCents, doc("the price that it replaces")]
    reason: Literal["scarcity", "glut"]
    until: Annotated[Instant, doc("when it goes back, unless another is proposed by then")]


class Escalate(Decision, frozen=True, kw_only=True):
    """Ask a person to look."""

    verb: ClassVar[str] = "escalate"
    about: Annotated[Id, doc("an order, shipment, action or feed")]
    reason: Text


DECISIONS: tuple[type[Decision], ...] = (
    Allocate,
    Backorder,
    Reroute,
    Reship,
    Hold,
    Lift,
    Release,
    Cancel,
    Transfer,
    Reconcile,
    Refund,
    Notify,
    Reprice,
    Escalate,
)
#: Wire type, such as ``crossdock.action.allocate``, to the decision's class.
ACTION_TYPES: dict[str, type[Decision]] = {f"crossdock.action.{d.verb}": d for d in DECISIONS}
KINDS: tuple[str, ...] = tuple(d.verb for d in DECISIONS)


class Alternative(Struct, frozen=True, kw_only=True, gc=False):
    """An option that was feasible and lost."""

    option: Annotated[str, doc("what it was, in words")]
    score_cents: Annotated[int, doc("sum of its terms")]
    terms: Annotated[dict[str, int], doc("cents by term")]


class Eliminated(Struct, frozen=True, kw_only=True, gc=False):
    """Options that a hard constraint ruled out."""

    constraint: Annotated[str, doc("which constraint")]
    count: Annotated[int, Meta(ge=1), doc("options it ruled out")]
    examples: Annotated[tuple[str, ...], doc("up to three of them")]


class Contribution(Struct, frozen=True, kw_only=True, gc=False):
    """What one feature added to a probability, in log-odds, with sign."""

    feature: str
    log_odds: float


class Confidence(Struct, frozen=True, kw_only=True, gc=False):
    """The probability the action rests on, and what moved it most."""

    statement: Annotated[str, doc("what the probability is of")]
    probability: Share
    contributions: tuple[Contribution, ...] = ()


class Switch(Struct, frozen=True, kw_only=True, gc=False):
    """The nearest point at which the decision would have been another."""

    when: Annotated[str, doc("the change, in words")]
    then: Annotated[str, doc("the option that would be taken")]
    quantity: Annotated[
        str,
        doc(
            "freight_cents of `node` and `service`, remedy_cents of `then`, waiting_cents, "
            "or a key of the policy"
        ),
    ]
    by: Annotated[float, doc("by how much, signed, in the quantity's unit")]
    node: Annotated[str, doc("the node that it is about, if it is about one")] = ""
    service: Annotated[str, doc("carrier/service that it is about, if it is about one")] = ""


class DrawOption(Struct, frozen=True, kw_only=True, gc=False):
    """An option that could have been drawn."""

    option: Annotated[str, doc("what it is, in words")]
    score_cents: Annotated[int, doc("sum of its terms")]
    propensity: Annotated[Share, doc("chance of being drawn; those of all options sum to 1")]


class Draw(Struct, frozen=True, kw_only=True, gc=False):
    """By which chance the option was taken, so that other policies can be judged on the log."""

    taken: Annotated[str, doc("the option taken, in words")]
    place: Annotated[int, Meta(ge=0), doc("its place in `options`, from 0")]
    propensity: Annotated[Share, doc("chance of the option taken")]
    options: Annotated[tuple[DrawOption, ...], doc("all that could be drawn, the cheapest first")]

    @property
    def is_explored(self) -> bool:
        """Whether another option than the cheapest was taken."""
        return self.place > 0


class Because(Struct, frozen=True, kw_only=True, gc=False):
    """Why: readable first, then everything needed to check it.

    ``sum(terms.values()) == score_cents`` holds exactly for every action.
    """

    summary: Annotated[str, doc("one or two sentences with numbers and units")]
    score_cents: Annotated[int, doc("sum of the terms, minor units")]
    terms: Annotated[dict[str, int], doc("cents by term")]
    alternatives: tuple[Alternative, ...] = ()
    eliminated: tuple[Eliminated, ...] = ()
    confidence: Confidence | None = None
    flips_if: tuple[Switch, ...] = ()
    draw: Annotated[Draw | None, doc("given if options were drawn from, to explore")] = None
    causes: Annotated[tuple[int, ...], doc("journal positions it follows from, ascending")] = ()
    policy: Annotated[str, doc("hash of the policy in force")] = ""
    model: Annotated[str, doc("version of the code and models")] = ""


class Benefit(Struct, frozen=True, kw_only=True, gc=False):
    """What an intervention is expected to gain over doing nothing; a forecast, like the terms."""

    expected_cents: Annotated[int, doc("cost of doing nothing - score of what is done")]
    nothing_cents: Annotated[int, doc("expected cost of doing nothing")]
    saves_s: Annotated[
        int | None, doc("s by which it is expected to arrive earlier; None = no parcel")
    ] = None


class ActionData(Struct, frozen=True, kw_only=True, gc=False):
    """The payload of an action. `decision` is the class that the action's type names."""

    mode: Annotated[ActMode, doc("act: carry it out; propose: a person decides first")]
    value_cents: Annotated[TotalCents, doc("money at stake, as counted against limits")]
    decision: Decision
    because: Because
    deadline: Annotated[Instant | None, doc("after this it no longer helps")] = None
    approves: Annotated[str | None, doc("the proposal that a person approved")] = None
    benefit: Annotated[
        Benefit | None, doc("given if doing nothing was possible and was priced")
    ] = None


class Action(Struct, frozen=True, kw_only=True, gc=False):
    """An action as it is written to Redis and the action log; field order is the wire's."""

    specversion: str = "1.0"
    id: Annotated[str, doc("{network}:{seq}-{n}")]
    source: str
    type: str
    time: Annotated[datetime, doc("the journal's now when it was decided")]
    subject: str
    partitionkey: Annotated[str, doc("the network")]
    correlationid: Annotated[str | None, doc("the order or shipment it is about")] = None
    causationid: Annotated[str | None, doc("id of the event that caused it")] = None
    expirytime: Annotated[datetime | None, doc("do not carry it out after this")] = None
    data: ActionData = field()

    @property
    def kind(self) -> str:
        """The verb: ``allocate``, ``notify`` and so on."""
        return self.data.decision.verb

    @property
    def entry_id(self) -> str:
        """``{seq}-{n}``: the Redis stream entry id."""
        return self.id.rpartition(":")[2]

    @property
    def seq(self) -> int:
        """Position in the journal of the record that caused it."""
        return int(self.entry_id.partition("-")[0])
