"""Base of every event payload."""

from typing import ClassVar

from msgspec import Struct


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The payload of an event. `suffix` is its wire type without the ``crossdock.`` in front.

    Unknown fields are refused: a misspelt optional field must not be silently ignored.
    """

    suffix: ClassVar[str] = ""
