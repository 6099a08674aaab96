"""Feeds: raw topics, and the rules by which their messages become events.

A feed's messages are CloudEvents already (``events``), or JSON of another system
(``mapped``), for which rules say what is found where. A field is the dotted path of a value in the
message (``"article.code"``, ``"lines.0.qty"``), or a table that says more.

A feed says what it may bring: whoever may write to its topic may say no more than that.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from state.errors import SettingsError
from state.events import EVENT_TYPES
from state.quantities import doc
from state.roles import CONTROL, PREFIX, ROLE_OF, ROLES, ROLES_BY_NAME, covered
from state.section import Section


class FieldRule(Section, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One value of an event: a constant, or something found in the message and changed.

    In this order: found at `from_` (or `default` if there is nothing), looked up in `map`, taken
    `each` by each, read as `time`, multiplied by `scale` and rounded to a whole number.
    """

    value: Annotated[Any, doc("a constant")] = None
    from_: Annotated[str | None, doc("dotted path in the message; empty: the whole of it")] = None
    default: Annotated[Any, doc("where there is nothing; without it the field is left out")] = None
    map: Annotated[dict[str, Any] | None, doc("their word to ours; others are refused")] = None
    each: Annotated[
        "dict[str, str | FieldRule] | None", doc("fields of each element of a list")
    ] = None
    time: Annotated[
        Literal["unix_s", "unix_ms"] | None, doc("number to instant; text is ISO 8601 with offset")
    ] = None
    scale: Annotated[float | None, doc("100 for money in major units, 1000 for kg or km")] = None


Field = str | FieldRule


class MappingRule(Section, frozen=True, kw_only=True):
    """The event that one kind of message becomes; the first rule whose `when` holds is taken."""

    type: Annotated[str, doc("event type, such as stock.counted")]
    when: Annotated[
        dict[str, str | int | bool], doc("dotted path to the value it must have; all must hold")
    ] = field(default_factory=dict)
    id: Annotated[Field | None, doc("default: topic, partition and offset")] = None
    time: Annotated[Field, doc("when it happened")] = "time"
    network: Annotated[Field | None, doc("default: the feed's")] = None
    subject: Field | None = None
    correlation: Field | None = None
    data: dict[str, Field] = field(default_factory=dict)


class FeedSettings(Section, frozen=True, kw_only=True, dict=True):
    """One raw topic."""

    topic: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    format: Annotated[
        Literal["events", "mapped"],
        doc("events: CloudEvents, structured or binary mode; mapped: JSON that the rules explain"),
    ] = "events"
    source: Annotated[str | None, doc("CloudEvents source where the message has none")] = None
    brings: Annotated[
        tuple[str, ...] | None,
        doc(
            "the only events it may bring: families (reference, inventory, telemetry, demand, "
            "control, which has policy.changed in it) or single types such as action.completed. "
            "Default: by the topic's last name, control with reference; of a mapped feed what its "
            "rules make, without control"
        ),
    ] = None
    network: Annotated[str | None, doc("the only network it may be for")] = None
    network_is: Annotated[
        Literal["bound", "default"],
        doc("bound: no other than `network`; default: a message may name another"),
    ] = "bound"
    rules: tuple[MappingRule, ...] = ()

    @cached_property
    def allowed(self) -> frozenset[str]:
        """Return the wire types that it may bring."""
        if self.brings is not None:
            return frozenset[str]().union(*map(covered, self.brings))
        by_name = ROLES_BY_NAME.get(self.topic.rpartition(".")[2], ())
        made = (f"{PREFIX}{rule.type}" for rule in self.rules)
        return frozenset(name for name in made if ROLE_OF.get(name) != CONTROL).union(
            *map(covered, by_name)
        )

    def refusal(self, type_: str, network: str) -> tuple[str, str] | None:
        """Return what was expected and what came instead; None where it may bring the event."""
        if type_ not in self.allowed:
            return f"what feed {self.topic} may bring: {self._brings()}", type_
        if self.network is not None and self.network_is == "bound" and network != self.network:
            return f"what feed {self.topic} may bring: events of network {self.network}", network
        return None

    def _brings(self) -> str:
        """Return what it may bring, as roles where these are whole."""
        whole = [role for role, types in ROLES.items() if types <= self.allowed]
        rest = sorted(self.allowed.difference(*(ROLES[role] for role in whole)))
        return ", ".join(whole + [name.removeprefix(PREFIX) for name in rest]) or "nothing"

    def check(self, origin: str) -> None:
        """Raise SettingsError if the feed does not hold together."""
        for brought in self.brings or ():
            if not covered(brought):
                raise SettingsError(
                    f"expected {', '.join(ROLES)} or an event type of `crossdock schema` in "
                    f"`brings`, was {brought!r}, at feed {self.topic!r} in {origin}"
                )
        if not self.allowed and self.format == "events":
            raise SettingsError(
                f"expected `brings`, as the name of feed {self.topic!r} does not say what it may "
                f"bring, in {origin}"
            )
        if (self.format == "mapped") != bool(self.rules):
            raise SettingsError(
                f"expected rules for a mapped feed and only for one, at feed {self.topic!r} "
                f"in {origin}"
            )
        for number, rule in enumerate(self.rules, 1):
            if f"{PREFIX}{rule.type}" not in EVENT_TYPES:
                raise SettingsError(
                    f"expected an event type of `crossdock schema`, was {rule.type!r}, "
                    f"at feed {self.topic!r} in {origin}"
                )
            if f"{PREFIX}{rule.type}" not in self.allowed:
                raise SettingsError(
                    f"expected rule {number} to make what feed {self.topic!r} may bring "
                    f"({self._brings()}), was {rule.type!r}: name it in `brings`, in {origin}"
                )
            self._check_network(number, rule, origin)
            if rule.network is None and self.network is None:
                raise SettingsError(
                    f"expected a network, of the rule or of the feed, at feed {self.topic!r} "
                    f"in {origin}"
                )

    def _check_network(self, number: int, rule: MappingRule, origin: str) -> None:
        """Raise SettingsError if a rule can only make what the feed's network refuses."""
        if self.network is None or self.network_is != "bound":
            return
        given = rule.network
        if isinstance(given, FieldRule) and given.value not in (None, self.network):
            raise SettingsError(
                f"expected rule {number} of feed {self.topic!r} to make events of network "
                f"{self.network!r}, was {given.value!r}, in {origin}"
            )


def feed_for(feeds: Sequence[FeedSettings], type_: str, network: str) -> FeedSettings:
    """Return the feed for such an event: that of its role's name, `control`, or the first allowed.

    Raises SettingsError if none may.
    """
    able = [feed for feed in feeds if feed.format == "events" and not feed.refusal(type_, network)]
    by_name = {feed.topic.rpartition(".")[2]: feed for feed in able}
    found = by_name.get(ROLE_OF[type_]) or by_name.get(CONTROL) or next(iter(able), None)
    if found is None:
        raise SettingsError(
            f"expected a feed that may bring {type_} of network {network}, was none among "
            f"{', '.join(feed.topic for feed in feeds)}"
        )
    return found
