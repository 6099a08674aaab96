"""Sections on incoming feeds and on reports about them."""

from typing import Annotated

from msgspec import Meta

from state.policy.values import NonNegative, Positive
from state.quantities import DAY_S, HOUR_S, Seconds, Share, doc
from state.section import Section


class Hygiene(Section, frozen=True, kw_only=True):
    """Treatment of imperfect feeds."""

    lateness_s: Annotated[
        Seconds, doc("s that a fact may arrive after it happened and still count in order")
    ] = 2 * HOUR_S
    clock_skew_s: Annotated[
        Seconds, doc("s that a producer's clock may run ahead of the journal's")
    ] = 600
    largest_jump_s: Annotated[
        Seconds, doc("s by which one record may move the journal's now; a wrong date must not")
    ] = 45 * DAY_S
    remembered_ids: Annotated[
        int,
        Meta(ge=1, le=10**7),
        doc("latest event ids known as duplicates in any case, however long ago they came"),
    ] = 20_000
    parked_events: Annotated[
        int, Meta(ge=0, le=10**6), doc("events kept waiting for what they refer to")
    ] = 10_000
    silent_s: Annotated[Seconds, doc("s without a word after which a feed counts as silent")] = (
        6 * HOUR_S
    )
    trusted_above: Annotated[
        Share, doc("feed health below which what rests on the feed is proposed, not done")
    ] = 0.50


class Anomalies(Section, frozen=True, kw_only=True):
    """Limits beyond which a value takes effect, but no model learns from it."""

    wild_above: Annotated[
        Positive,
        doc("robust spreads from the median beyond which a quantity, signal or detour is wild"),
    ] = 8.0
    jump_above: Annotated[
        Positive, doc("robust spreads beyond which a count or an adjustment is a jump")
    ] = 8.0
    fastest_km_h: Annotated[
        Positive, doc("km/h between two scans beyond which one is wrong; aeroplanes fly 900")
    ] = 1_000.0
    slack_km: Annotated[
        NonNegative, doc("km that scans may be off: a hub's place may be its region's centre")
    ] = 100.0
    early_s: Annotated[
        Seconds, doc("s by which a scan may precede the handover or follow the delivery")
    ] = HOUR_S


class Incidents(Section, frozen=True, kw_only=True):
    """Thresholds at which alarms make an incident, and people are notified of it."""

    together_s: Annotated[Seconds, doc("s between alarms that may have one cause")] = DAY_S
    quiet_s: Annotated[Seconds, doc("s without an alarm after which an incident is over")] = (
        2 * DAY_S
    )
    least_observations: Annotated[
        int, Meta(ge=1, le=10**6), doc("observations behind an incident worth telling people")
    ] = 20
    least_factor: Annotated[
        Annotated[float, Meta(ge=1.0, le=1_000.0)],
        doc("multiple of the usual, up or down, from which an incident is worth telling"),
    ] = 1.2


class Reporting(Section, frozen=True, kw_only=True):
    """Windows of the KPIs."""

    window_s: Annotated[
        int, Meta(ge=60, le=30 * DAY_S), doc("s per KPI window, aligned to the epoch")
    ] = HOUR_S
