"""Control facts: time passing, and reports by people and executing systems on actions."""

from typing import Annotated, ClassVar

from state.events.base import Fact
from state.quantities import HoldKind, HoldScope, Id, Instant, Text, doc


class ClockTicked(Fact, frozen=True, kw_only=True):
    """The passing of time; its recorded time advances the journal's now if nothing else does."""

    suffix: ClassVar[str] = "clock.ticked"


class ActionApproved(Fact, frozen=True, kw_only=True):
    """A person's approval of a proposed action."""

    suffix: ClassVar[str] = "action.approved"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]
    by: Text
    reason: Text = ""


class ActionRejected(Fact, frozen=True, kw_only=True):
    """A rejection of an action, by a person or an executing system."""

    suffix: ClassVar[str] = "action.rejected"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]
    by: Text
    reason: Text = ""
    kind: Annotated[Text, doc("the action's kind; tells those of one record apart")] = ""
    order: Annotated[Id | None, doc("the order it is of; tells those of one record apart")] = None


class ActionCompleted(Fact, frozen=True, kw_only=True):
    """The completion of an action by an executing system."""

    suffix: ClassVar[str] = "action.completed"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]


class ActionFailed(Fact, frozen=True, kw_only=True):
    """The failure of an executing system to carry an action out."""

    suffix: ClassVar[str] = "action.failed"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]
    reason: Text = ""
    kind: Annotated[Text, doc("the action's kind; tells those of one record apart")] = ""
    order: Annotated[Id | None, doc("the order it is of; tells those of one record apart")] = None


class NetworkHalted(Fact, frozen=True, kw_only=True):
    """The kill switch: from here on nothing acts, everything is only proposed."""

    suffix: ClassVar[str] = "network.halted"

    by: Text
    reason: Text = ""


class NetworkResumed(Fact, frozen=True, kw_only=True):
    """The release of the kill switch."""

    suffix: ClassVar[str] = "network.resumed"

    by: Text
    reason: Text = ""


class HoldPlaced(Fact, frozen=True, kw_only=True):
    """An order that a scope must not move until lifted; a later one on it replaces it."""

    suffix: ClassVar[str] = "hold.placed"

    kind: HoldKind
    scope: HoldScope
    by: Text
    reason: Text = ""
    until: Annotated[
        Instant | None, doc("when it ends; None, or too far = the policy's longest")
    ] = None


class HoldLifted(Fact, frozen=True, kw_only=True):
    """The end of a hold; what waited for it is tried at once."""

    suffix: ClassVar[str] = "hold.lifted"

    kind: HoldKind
    scope: HoldScope
    by: Text
    reason: Text = ""
