"""Feeds: which raw topics there are, and how their messages become events.

A feed's messages are CloudEvents already (``events``), or JSON of somebody else's making
(``mapped``), for which rules say what is found where. A field is the dotted path of a value in the
message (``"article.code"``, ``"lines.0.qty"``), or a table that says more.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from state.errors import SettingsError
from state.events import EVENT_TYPES
from state.quantities import doc


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the settings file."""


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
    """What one kind of message becomes; the first rule whose `when` holds is taken."""

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


class FeedSettings(Section, frozen=True, kw_only=True):
    """One raw topic."""

    topic: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    format: Annotated[
        Literal["events", "mapped"],
        doc("events: CloudEvents, structured or binary mode; mapped: JSON that the rules explain"),
    ] = "events"
    source: Annotated[str | None, doc("CloudEvents source where the message has none")] = None
    network: Annotated[str | None, doc("network where the message has none")] = None
    rules: tuple[MappingRule, ...] = ()

    def check(self, origin: str) -> None:
        """Raise SettingsError if the feed does not hold together."""
        if (self.format == "mapped") != bool(self.rules):
            raise SettingsError(
                f"expected rules for a mapped feed and only for one, at feed {self.topic!r} "
                f"in {origin}"
            )
        for rule in self.rules:
            if f"crossdock.{rule.type}" not in EVENT_TYPES:
                raise SettingsError(
                    f"expected an event type of `crossdock schema`, was {rule.type!r}, "
                    f"at feed {self.topic!r} in {origin}"
                )
            if rule.network is None and self.network is None:
                raise SettingsError(
                    f"expected a network, of the rule or of the feed, at feed {self.topic!r} "
                    f"in {origin}"
                )
