"""Desks: parts of the orchestrator, which declare the facts and deadlines that they handle."""

from collections.abc import Callable, Mapping
from typing import Any

from operators.core.facts import Derived
from operators.network.due import Due
from state.events import Fact

#: Handles a fact, given its time in ms and the id of its event, "" for a derived fact.
FactHandler = Callable[[Any, int, str], list[Derived]]
FactHandlers = Mapping[type[Fact] | type[Derived], FactHandler]
#: Handles what falls due.
DueHandler = Callable[[Any], list[Derived]]
DueHandlers = Mapping[type[Due], DueHandler]


class Desk:
    """Handlers of the kinds of facts and deadlines that concern one matter.

    Several desks may handle a kind: they do so in the order in which the orchestrator lists them.
    """

    def facts(self) -> FactHandlers:
        """Return the handler of each kind of fact."""
        return {}

    def deadlines(self) -> DueHandlers:
        """Return the handler of each kind of deadline."""
        return {}
