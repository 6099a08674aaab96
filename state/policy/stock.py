"""Sections on stock: its demand, repositioning, and prices that shape demand."""

from typing import Annotated

from msgspec import Meta

from state.policy.values import NonNegative, Positive
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc
from state.section import Section


class Demand(Section, frozen=True, kw_only=True):
    """Forecasts of demand."""

    bucket_s: Annotated[
        int, Meta(ge=60, le=30 * DAY_S), doc("s per observation of a demand series")
    ] = DAY_S
    fading: Annotated[
        Annotated[float, Meta(gt=0.0, lt=1.0)],
        doc("weight of the newest bucket in a series' level; 0.05 remembers about 20"),
    ] = 0.05
    signal_memory_s: Annotated[Seconds, doc("s after which a signal no longer counts")] = 2 * DAY_S


class Repositioning(Section, frozen=True, kw_only=True):
    """Moves of stock between nodes ahead of demand."""

    enabled: Annotated[bool, doc("whether stock is moved at all")] = True
    review_s: Annotated[
        int, Meta(ge=600, le=30 * DAY_S), doc("s between two looks at a SKU, signals aside")
    ] = DAY_S
    most_skus: Annotated[
        int, Meta(ge=1, le=10**6), doc("SKUs looked at per review, the fastest sellers first")
    ] = 2_000
    horizon_s: Annotated[
        Seconds, doc("s of demand that counts if no supply is announced before")
    ] = 4 * DAY_S
    least_risk: Annotated[
        Share, doc("chance of running short from which a node may be given stock")
    ] = 0.05
    origin_risk: Annotated[
        Share, doc("chance of running short to which a node's own stock may fall: spill-over limit")
    ] = 0.10
    least_wanted: Annotated[
        Share, doc("chance from which a unit is moved at all: the least yield that is expected")
    ] = 0.30
    least_gain_cents: Annotated[
        TotalCents, doc("cents that a transfer must be expected to save beyond what it costs")
    ] = 20
    least_return: Annotated[
        NonNegative, doc("expected savings ÷ cost below which nothing is moved")
    ] = 1.0
    lot: Annotated[int, Meta(ge=1, le=10**6), doc("units that are moved together")] = 1
    most_units: Annotated[int, Meta(ge=1, le=10**6), doc("units moved at once at most")] = 50
    unit_cents: Annotated[NonNegative, doc("cents of handling per unit moved, both ends")] = 30.0
    kg_100km_cents: Annotated[NonNegative, doc("cents of truck space per kg and 100 km")] = 2.0
    lead_s: Annotated[
        Seconds, doc("s from decision to shelf besides the drive: loading, docking, putting away")
    ] = 9 * HOUR_S
    road_km_h: Annotated[Positive, doc("km/h of the trucks between nodes")] = 55.0
    hold_s: Annotated[Seconds, doc("s that stock is held for a truck, then given back")] = (
        12 * HOUR_S
    )
    settle_s: Annotated[
        Seconds, doc("s within which what was moved is not moved back or on: no A to B to A")
    ] = 14 * DAY_S
    yield_s: Annotated[
        Seconds, doc("s within which moved units should be sold where they went")
    ] = 7 * DAY_S
    signal_above: Annotated[
        Positive, doc("demand × from which a signal makes its SKUs be looked at, at once")
    ] = 1.25
    signal_skus: Annotated[
        int, Meta(ge=1, le=10_000), doc("SKUs looked at per signal, the fastest sellers first")
    ] = 20


class Pricing(Section, frozen=True, kw_only=True):
    """Price proposals that shape demand, and their bounds."""

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
        doc(
            "s that a price stands before the next proposal, and over which its effect is measured"
        ),
    ] = 7 * DAY_S
    change_cents: Annotated[
        TotalCents, doc("cents that a change must earn beforehand: labels, questions, doubt")
    ] = 500
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
