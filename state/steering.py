"""Policy sections on holds, experiments, nodes' records and prices; a part of `state.policy`."""

from typing import Annotated

from msgspec import Meta, Struct

from state.quantities import DAY_S, Seconds, doc


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the policy file."""


class Holds(_Section, frozen=True, kw_only=True):
    """What is kept from moving until a person looks."""

    suspect_orders: Annotated[
        bool, doc("whether an order of a quantity that is not believed waits for a person")
    ] = True
    suspect_s: Annotated[
        Seconds, doc("s after which such an order is served all the same: nobody objected")
    ] = DAY_S
    longest_s: Annotated[
        Annotated[int, Meta(ge=1, le=400 * DAY_S)],
        doc("s after which any hold ends: what people forget must not stay blocked"),
    ] = 30 * DAY_S
