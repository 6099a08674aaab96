"""Policy sections on holds, experiments, nodes' records and prices; a part of `state.policy`."""

from typing import Annotated

from msgspec import Meta, Struct

from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc


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


class Exploration(_Section, frozen=True, kw_only=True):
    """Now and then another option than the cheapest, so that what it leads to is known at all."""

    share: Annotated[
        Share, doc("share of new orders whose allocation is drawn among the others; 0 = off")
    ] = 0.0
    most_extra_cents: Annotated[
        TotalCents, doc("cents that a drawn option may be dearer: the price of learning")
    ] = 50


class Nodes(_Section, frozen=True, kw_only=True):
    """What nodes' records say of when a parcel will be ready."""

    learn: Annotated[bool, doc("whether missed handovers and short picks count at all")] = True
    grace_s: Annotated[
        Seconds, doc("s after the planned handover that are no miss: scanning takes its time")
    ] = HOUR_S
    most_s: Annotated[
        Seconds, doc("s of delay that one parcel counts at most: one forgotten is no habit")
    ] = 2 * DAY_S
    short_pick_s: Annotated[
        Seconds, doc("s that a short pick costs: the line is sourced again, for a later pickup")
    ] = DAY_S
    fading: Annotated[
        Annotated[float, Meta(gt=0.0, lt=1.0)],
        doc("weight of the newest parcel in a node's record; 0.02 remembers about 50"),
    ] = 0.02
