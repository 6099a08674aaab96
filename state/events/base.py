"""Base of every event payload."""

from typing import ClassVar, Literal

from msgspec import Struct


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The payload of an event. `suffix` is its wire type without the ``crossdock.`` in front.

    Unknown fields are refused: a misspelt optional field must not be silently ignored.
    """

    suffix: ClassVar[str] = ""
    #: Kinds of reference that must be registered before it takes effect, by field, in this order:
    #: ``node``, ``sku``, ``region``, ``service`` (of the field ``carrier``).
    refers_to: ClassVar[tuple[Literal["node", "sku", "region", "service"], ...]] = ()
