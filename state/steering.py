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


class Pricing(_Section, frozen=True, kw_only=True):
    """When a price is proposed to shape demand, and how far it may go."""

    enabled: Annotated[
        bool, doc("whether prices are proposed at all; off, since shops have pricing of their own")
    ] = False
    scarce_above: Annotated[
        Share, doc("P(sold out before the next inbound) from which a higher price is weighed")
    ] = 0.5
    glut_s: Annotated[
        int, Meta(ge=1, le=3650 * DAY_S), doc("s of usual demand on hand from which a lower one is")
    ] = 60 * DAY_S
    horizon_s: Annotated[
        Annotated[int, Meta(ge=3600, le=400 * DAY_S)],
        doc("s looked ahead where no inbound is due earlier"),
    ] = 14 * DAY_S
    most_up_share: Annotated[
        Share, doc("share of the list price by which a region's price may exceed it: trust")
    ] = 0.10
    most_down_share: Annotated[
        Share, doc("share of the list price by which a region's price may fall below it")
    ] = 0.20
    step_share: Annotated[
        Annotated[float, Meta(ge=0.005, le=1.0)],
        doc("share of the list price between prices weighed; smaller changes are noise"),
    ] = 0.025
    check_s: Annotated[
        Seconds, doc("s between two looks at the price of a SKU in a region; bounds the work")
    ] = DAY_S
    window_s: Annotated[
        Annotated[int, Meta(ge=3600, le=400 * DAY_S)],
        doc("s that a price stands before another is proposed, and over which its effect is told"),
    ] = 7 * DAY_S
    change_cents: Annotated[
        TotalCents, doc("cents that a change must earn beforehand: labels, questions, doubt")
    ] = 500
    margin_share: Annotated[
        Share, doc("share of the list price that is margin; what a unit costs is not in the feeds")
    ] = 0.30
    holding_day_share: Annotated[
        Share, doc("share of a unit's cost that a day on the shelf costs; 0.0007 = 25 % a year")
    ] = 0.0007
    elasticity: Annotated[
        Annotated[float, Meta(ge=-10.0, le=0.0)],
        doc("change of log demand per change of log price, before a category has shown its own"),
    ] = -1.5
    elasticity_sd: Annotated[
        Annotated[float, Meta(gt=0.0, le=10.0)],
        doc("how far categories' elasticities are thought to lie from it"),
    ] = 0.7
