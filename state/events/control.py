"""Control facts: time passing, and what people and executing systems say of actions."""

from typing import Annotated, ClassVar

from state.events.base import Fact
from state.quantities import HoldKind, HoldScope, Id, Instant, Text, doc


class ClockTicked(Fact, frozen=True, kw_only=True):
    """Time passed; its recorded time advances the journal's now when nothing else happens."""

    suffix: ClassVar[str] = "clock.ticked"


class ActionApproved(Fact, frozen=True, kw_only=True):
    """A person approved a proposed action."""

    suffix: ClassVar[str] = "action.approved"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]
    by: Text
    reason: Text = ""


class ActionRejected(Fact, frozen=True, kw_only=True):
    """A person or an executing system refused an action."""

    suffix: ClassVar[str] = "action.rejected"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]
    by: Text
    reason: Text = ""
    kind: Annotated[Text, doc("the action's kind; tells those of one record apart")] = ""
    order: Annotated[Id | None, doc("the order it is of; tells those of one record apart")] = None


class ActionCompleted(Fact, frozen=True, kw_only=True):
    """An executing system carried an action out."""

    suffix: ClassVar[str] = "action.completed"

    action: Annotated[Id, doc("the action's id, {network}:{seq}-{n}")]


class ActionFailed(Fact, frozen=True, kw_only=True):
    """An executing system could not carry an action out."""

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
    """The kill switch is released."""

    suffix: ClassVar[str] = "network.resumed"

    by: Text
    reason: Text = ""


class HoldPlaced(Fact, frozen=True, kw_only=True):
    """Keep a scope from moving until it is lifted; a later hold on the same scope replaces it."""

    suffix: ClassVar[str] = "hold.placed"

    kind: HoldKind
    scope: HoldScope
    by: Text
    reason: Text = ""
    until: Annotated[
        Instant | None, doc("when it ends by itself; None, or too far = the policy's longest")
    ] = None


class HoldLifted(Fact, frozen=True, kw_only=True):
    """What was on hold may move again; what waited for it is tried at once."""

    suffix: ClassVar[str] = "hold.lifted"

    kind: HoldKind
    scope: HoldScope
    by: Text
    reason: Text = ""
