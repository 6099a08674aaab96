"""Actions that Crossdock emits: one class for each kind, and the envelope they travel in.

`Action` is the wire form: a CloudEvents 1.0 envelope whose ``data`` holds the decision and its
`Because`. An action's id is ``{network}:{seq}-{n}``: the nth action, from 1, caused by the journal
record at `seq`. ``{seq}-{n}`` is also its Redis stream entry id.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Struct, field

from state.because import Alternative as Alternative
from state.because import Because as Because
from state.because import Benefit as Benefit
from state.because import Confidence as Confidence
from state.because import Contribution as Contribution
from state.because import Draw as Draw
from state.because import DrawOption as DrawOption
from state.because import Eliminated as Eliminated
from state.because import Switch as Switch
from state.decision import Autonomy, Limit, News, Overtaken, Topic
from state.decision import Decision as Decision
from state.decision import Leg as Leg
from state.decision import LegLine as LegLine
from state.quantities import (
    HoldKind,
    HoldScope,
    Id,
    Instant,
    SignedTotalCents,
    SignedTotalUnits,
    Text,
    TotalCents,
    TotalUnits,
    doc,
)

ActMode = Literal["act", "propose"]


class Allocate(Decision, frozen=True, kw_only=True):
    """Serve an order: node, carrier and service for each parcel. Its stock is reserved."""

    verb: ClassVar[str] = "allocate"
    rests_on_failing: ClassVar[bool] = True
    moves_goods: ClassVar[bool] = True
    order: Id
    legs: tuple[Leg, ...]
    reserved_until: Annotated[Instant, doc("when the reservation lapses if nothing is picked")]
    replaces: Annotated[Text | None, doc("why an earlier allocation no longer stands")] = None

    @property
    def sends(self) -> tuple[Leg, ...]:
        """Return its legs."""
        return self.legs


class Shortage(Struct, frozen=True, kw_only=True, gc=False):
    """Units of one SKU of an order that no node can promise."""

    sku: Id
    missing: TotalUnits


class Backorder(Decision, frozen=True, kw_only=True):
    """Keep an order waiting, as nothing is feasible now, until stock or capacity comes."""

    verb: ClassVar[str] = "backorder"
    is_statement: ClassVar[bool] = True
    order: Id
    shortages: tuple[Shortage, ...]
    reason: Literal["no_stock", "no_route", "unknown_reference"]

    @property
    def news(self) -> News:
        """Return the notice that the order waits, without a date."""
        return News("backordered")


class Reroute(Decision, frozen=True, kw_only=True):
    """Move a shipment that is under way to a faster service of its carrier."""

    verb: ClassVar[str] = "reroute"
    usual_limit: ClassVar[Limit] = Limit(per_hour=200)
    moves_goods: ClassVar[bool] = True
    needs_report: ClassVar[bool] = True
    order: Id
    shipment: Id
    carrier: Id
    from_service: Id
    to_service: Id
    expected_delivery: Instant

    @property
    def news(self) -> News:
        """Return the delay, with the date by the faster service."""
        return News("delayed", self.expected_delivery)


class Reship(Decision, frozen=True, kw_only=True):
    """Send the content of a shipment again, from stock; the first one is given up."""

    verb: ClassVar[str] = "reship"
    irreversible: ClassVar[str] = (
        "goods leave a second time, and somebody else has to do without them"
    )
    usual_limit: ClassVar[Limit] = Limit(
        per_hour=50, value_cents=50_000, value_cents_per_hour=1_000_000
    )
    moves_goods: ClassVar[bool] = True
    needs_report: ClassVar[bool] = True
    order: Id
    shipment: Annotated[Id, doc("the shipment given up")]
    leg: Leg

    @property
    def sends(self) -> tuple[Leg, ...]:
        """Return its one leg."""
        return (self.leg,)

    @property
    def gives_up(self) -> str:
        """Return the parcel that is late or failed."""
        return self.shipment

    @property
    def news(self) -> News:
        """Return the new parcel's date."""
        return News("reshipped", self.leg.expected_delivery)


class Hold(Decision, frozen=True, kw_only=True):
    """Keep an order or a part of the network from moving, until `lift` or its end."""

    verb: ClassVar[str] = "hold"
    is_of_order: ClassVar[bool] = False
    kind: HoldKind = "order"
    scope: HoldScope
    reason: Text
    by: Annotated[Text, doc("who placed it; crossdock = the engine itself")] = ""
    until: Annotated[Instant | None, doc("when it ends by itself")] = None


class Lift(Decision, frozen=True, kw_only=True):
    """End a hold, so that its order or part of the network moves again."""

    verb: ClassVar[str] = "lift"
    is_of_order: ClassVar[bool] = False
    kind: HoldKind
    scope: HoldScope
    reason: Literal["lifted", "expired"]
    by: Annotated[Text, doc("who lifted it; empty if it expired")] = ""


ReleaseReason = Literal["expired", "shipped_elsewhere", "uncovered", "reassigned"]


class Release(Decision, frozen=True, kw_only=True):
    """Release reserved stock, as the reservation lapsed or is no longer needed."""

    verb: ClassVar[str] = "release"
    order: Id
    node: Id
    lines: tuple[LegLine, ...]
    reason: ReleaseReason

    def overtakes(self, proposed: Decision) -> Overtaken:
        """Return the end of a proposal that would send the released units."""
        released = {(self.node, line.sku) for line in self.lines}
        planned = {(leg.node, line.sku) for leg in proposed.sends for line in leg.lines}
        if planned.isdisjoint(released):
            return ""
        return "expired" if self.reason == "expired" else "withdrawn"


class Cancel(Decision, frozen=True, kw_only=True):
    """Stop the executing systems from working on an order."""

    verb: ClassVar[str] = "cancel"
    irreversible: ClassVar[str] = (
        "the executing systems stop work that they may not be able to take up again"
    )
    needs_report: ClassVar[bool] = True
    order: Id
    reason: Text

    def overtakes(self, proposed: Decision) -> Overtaken:
        """Return the end of a proposal that would send the order's goods, or move its parcels."""
        return "withdrawn" if proposed.moves_goods else ""


class Transfer(Decision, frozen=True, kw_only=True):
    """Move stock between nodes, ahead of demand or to send an order in one parcel."""

    verb: ClassVar[str] = "transfer"
    needs_report: ClassVar[bool] = True
    is_of_order: ClassVar[bool] = False
    origin: Id
    destination: Id
    sku: Id
    quantity: TotalUnits
    order: Annotated[Id | None, doc("the order that it is for; None = ahead of demand")] = None


class Reconcile(Decision, frozen=True, kw_only=True):
    """Set the ledger to a count that contradicts it, and explain the difference."""

    verb: ClassVar[str] = "reconcile"
    usual_limit: ClassVar[Limit] = Limit(value_cents=200_000)
    is_statement: ClassVar[bool] = True
    is_of_order: ClassVar[bool] = False
    node: Id
    sku: Id
    ledger: Annotated[SignedTotalUnits, doc("units the ledger had at the count's time")]
    counted: TotalUnits
    difference: Annotated[SignedTotalUnits, doc("counted - ledger")]
    value_cents: Annotated[SignedTotalCents, doc("difference × unit value")]


class Refund(Decision, frozen=True, kw_only=True):
    """Compensate a customer."""

    verb: ClassVar[str] = "refund"
    irreversible: ClassVar[str] = "money that left does not come back"
    usual_limit: ClassVar[Limit] = Limit(
        per_hour=100, value_cents=20_000, value_cents_per_hour=500_000
    )
    outlives_order: ClassVar[bool] = True
    needs_report: ClassVar[bool] = True
    order: Id
    customer: Id
    cents: TotalCents
    reason: Text
    lines: Annotated[
        tuple[LegLine, ...], doc("goods paid back, which are not sent any more; none: goodwill")
    ] = ()


class Notify(Decision, frozen=True, kw_only=True):
    """Tell a customer what changed and what comes next."""

    verb: ClassVar[str] = "notify"
    irreversible: ClassVar[str] = "a customer cannot unread a message"
    usual_limit: ClassVar[Limit] = Limit(per_hour=2_000)
    order: Id
    customer: Id
    topic: Topic
    promised: Annotated[Instant, doc("the date the customer was promised")]
    expected: Annotated[Instant | None, doc("the new date; None = not known yet")]
    message: Text


class Reprice(Decision, frozen=True, kw_only=True):
    """Propose a price in a region, to make scarce stock last or to sell off a glut."""

    verb: ClassVar[str] = "reprice"
    irreversible: ClassVar[str] = "people have seen the price, and some have bought at it"
    usual_autonomy: ClassVar[Autonomy] = "propose"
    is_of_order: ClassVar[bool] = False
    region: Id
    sku: Id
    price_cents: TotalCents
    from_cents: Annotated[TotalCents, doc("the price that it replaces")]
    reason: Literal["scarcity", "glut"]
    until: Annotated[Instant, doc("when it goes back, unless another is proposed by then")]


class Escalate(Decision, frozen=True, kw_only=True):
    """Ask a person to look."""

    verb: ClassVar[str] = "escalate"
    calls_a_person: ClassVar[bool] = True
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
#: Kind to the decision's class.
KIND_OF: dict[str, type[Decision]] = {d.verb: d for d in DECISIONS}


class ActionData(Struct, frozen=True, kw_only=True, gc=False):
    """Payload of an action. `decision` is of the class that the action's type names."""

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
    """Action as written to Redis and the action log; field order is the wire's."""

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
        """Return the verb: ``allocate``, ``notify`` and so on."""
        return self.data.decision.verb

    @property
    def entry_id(self) -> str:
        """Return ``{seq}-{n}``, the Redis stream entry id."""
        return self.id.rpartition(":")[2]

    @property
    def seq(self) -> int:
        """Return the journal position of the record that caused it."""
        return int(self.entry_id.partition("-")[0])
