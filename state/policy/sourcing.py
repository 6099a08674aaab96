"""Sections on sourcing an order: weights, candidates, and reevaluation before the pick."""

from typing import Annotated, Literal

from msgspec import Meta

from state.policy.values import NonNegative
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc
from state.section import Section


class Weights(Section, frozen=True, kw_only=True):
    """Money value of a unit of harm; terms of every score."""

    late_fixed_cents: Annotated[
        NonNegative, doc("cents for being late at all: a contact and lost goodwill")
    ] = 400.0
    late_hour_cents: Annotated[NonNegative, doc("cents per hour of expected lateness")] = 12.0
    carbon_kg_cents: Annotated[
        NonNegative, doc("cents per kg CO2e; 10 = 100 per tonne, near the EU allowance price")
    ] = 10.0
    displacement_unit_cents: Annotated[
        NonNegative,
        doc("cents of extra freight when a later local customer is served from elsewhere"),
    ] = 120.0


class Sourcing(Section, frozen=True, kw_only=True):
    """Matching of orders with nodes and carriers."""

    rule: Annotated[
        Literal["least_cost", "nearest", "cheapest"],
        doc(
            "least_cost weighs all that is known; nearest and cheapest go by nominal transit, "
            "freight and handling alone, as simple order management does, for comparison"
        ),
    ] = "least_cost"
    max_legs: Annotated[int, Meta(ge=1, le=5), doc("parcels an order may be split into")] = 3
    split_nodes: Annotated[
        int, Meta(ge=2, le=50), doc("nodes looked at when a split is searched; bounds the work")
    ] = 8
    split_fixed_cents: Annotated[
        NonNegative, doc("cents of annoyance per further parcel a customer has to receive")
    ] = 80.0
    reservation_s: Annotated[
        Seconds, doc("s after the planned handover at which unpicked stock is given back")
    ] = 3 * DAY_S
    safety_stock: Annotated[
        int, Meta(ge=0, le=10**9), doc("units per node and SKU never promised: shelves err")
    ] = 0
    inbound_slip_s: Annotated[
        Seconds, doc("s added to an inbound's ETA before units due are promised")
    ] = 6 * HOUR_S
    displacement_horizon_s: Annotated[
        Seconds, doc("s of local demand that stock is wanted for: a replenishment cycle")
    ] = 3 * DAY_S
    alternatives: Annotated[
        int, Meta(ge=0, le=20), doc("rejected options shown with each decision")
    ] = 3


class Reevaluation(Section, frozen=True, kw_only=True):
    """Reevaluation of allocations not picked yet: when, and at what cost."""

    enabled: Annotated[
        bool, doc("whether allocations move at all; never when a person has to agree to them")
    ] = True
    freeze_s: Annotated[
        Seconds,
        doc(
            "s before a parcel's latest start (pickup less handling time) from which it stays: "
            "nodes begin to pick 8 h ahead, and 20 min more are for messages under way"
        ),
    ] = 30_000
    looks_s: Annotated[
        tuple[Seconds, ...],
        doc(
            "s before that latest start at which allocations are looked at again; the last look "
            "knows most, and leaves time before the pick for many orders one after the other"
        ),
    ] = (32_400, 54_000)
    churn_cents: Annotated[
        NonNegative,
        doc("cents an order's move must save on top: it confuses, and estimates are not that good"),
    ] = 100.0
    most_moves: Annotated[
        int, Meta(ge=0, le=100), doc("times one order may be moved; it never goes back")
    ] = 3
    most_later: Annotated[
        Share, doc("P(late) that a move may add, however much it saves: a promise is kept")
    ] = 0.05
    consolidate: Annotated[
        bool,
        doc(
            "whether the rest of an order that would be split is brought to one node first, where "
            "that is cheaper and the promise leaves the time"
        ),
    ] = True
    consolidation_margin: Annotated[
        NonNegative, doc("share by which that way may take longer than expected")
    ] = 0.1
    most_partners: Annotated[
        int,
        Meta(ge=0, le=100),
        doc("orders asked to make room for one that is split; bounds the work"),
    ] = 8
    most_looked: Annotated[
        int,
        Meta(ge=1, le=10_000),
        doc("orders looked at again at once: bounds a record's work"),
    ] = 4
    slower_by: Annotated[
        NonNegative,
        doc("share by which a lane must have become slower at once for its orders to be looked at"),
    ] = 0.155


class Nodes(Section, frozen=True, kw_only=True):
    """Use of nodes' records to predict when a parcel will be ready."""

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


class Exploration(Section, frozen=True, kw_only=True):
    """Occasional choice of another option than the cheapest, to learn its outcome."""

    share: Annotated[
        Share, doc("share of new orders whose allocation is drawn among the others; 0 = off")
    ] = 0.0
    most_extra_cents: Annotated[
        TotalCents, doc("cents that a drawn option may be dearer: the price of learning")
    ] = 50
