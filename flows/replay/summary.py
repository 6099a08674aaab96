"""The summary of a replay, as `--json` prints it and ``summary.json`` holds it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from operators.hygiene.hygiene import Hygiene
from operators.prediction.scores import ForecastScore
from operators.reporting.benefits import by_kind
from operators.reporting.rollups import OrderTotals, Rollups, Totals
from state.quantities import rfc3339
from state.sums import int_sum


class DelayScore(Struct, kw_only=True):
    """Accuracy of P(late), over delivered shipments; each forecast came before.

    `roc_auc` and `log_loss` (nats) score the forecast made at handover, the `_at_booking` ones what
    was expected when the parcel was planned, the `_at_last_scan` ones the last one before the truth
    was known. `below_p10` … `below_p90` are shares delivered before those quantiles as of handover.
    `estimate_off_h` and `carrier_estimate_off_h` are mean hours off of our estimate and the
    carrier's, as of the last scan that came with one. None where there was nothing to score.
    """

    n: int
    roc_auc: float | None
    log_loss: float | None
    roc_auc_at_last_scan: float | None
    log_loss_at_last_scan: float | None
    late_share: float | None
    roc_auc_at_booking: float | None
    log_loss_at_booking: float | None
    below_p10: float | None
    below_p50: float | None
    below_p90: float | None
    estimate_off_h: float | None
    carrier_estimate_off_h: float | None


class ExceptionTotals(Struct, kw_only=True):
    """Exceptions by kind, opened and closed, and the share closed without a person.

    `touchless` is None while nothing has closed.
    """

    opened: dict[str, int]
    closed: dict[str, int]
    touchless: float | None


class Summary(Struct, kw_only=True):
    """Totals of a replay. Counts over all networks; `lines` = `events` + `dead_letters`.

    `held_back` has proposals by what kept them from acting, `people` what became of proposals, by
    kind and outcome; `blast_radius_trips` says how often everything was stopped at once.

    `events` are lines that decoded and were not refused, `duplicates` and `waiting` (for something
    they refer to) among them. `digest` is the SHA-256 of the action log: the canonical bytes of all
    actions, each with a newline, in order of id, networks in order of name.
    """

    journal: str
    policy: str
    currency: str
    engine: str
    lines: int
    events: int
    dead_letters: int
    dead_letter_reasons: dict[str, int]
    duplicates: int
    waiting: int
    actions: dict[str, int]
    proposed: int
    held_back: dict[str, int]
    people: dict[str, dict[str, int]]
    blast_radius_trips: int
    digest: str
    seconds: float
    events_per_s: float
    networks: list[str]
    first: str | None
    last: str | None
    orders: OrderTotals
    delay: DelayScore
    demand_wape: float | None
    incidents: int
    exceptions: ExceptionTotals
    anomalies: dict[str, int]
    split_orders: int
    transferred_units: int
    transfer_yield: float | None
    planned_cents: dict[str, int]
    inert: dict[str, int]
    benefits: dict[str, dict[str, int]]
    shadow: dict[str, Any] = field(default_factory=dict)
    redis: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def add_up(operators: Mapping[str, tuple[Hygiene, Rollups]]) -> tuple[Totals, int]:
    """Return totals over networks, and events that still wait for something they refer to."""
    total = Totals()
    waiting = 0
    for _, (hygiene, rollups) in sorted(operators.items()):
        waiting += hygiene.parked
        _add(total, rollups.totals)
    return total, waiting


def summarise(
    totals: Totals,
    waiting: int,
    *,
    lines: int,
    undecodable: int,
    reasons: dict[str, int],
    currency: str,
    seconds: float,
    networks: list[str],
    digest: str,
    journal: str,
    policy: str,
    engine: str,
) -> Summary:
    """Return the summary of one replay."""
    dead_letters = totals.dead_letters + undecodable
    return Summary(
        journal=journal,
        policy=policy,
        currency=currency,
        engine=engine,
        lines=lines,
        events=totals.events + waiting,
        dead_letters=dead_letters,
        dead_letter_reasons=dict(sorted(reasons.items())),
        duplicates=totals.duplicates,
        waiting=waiting,
        actions=dict(sorted(totals.actions.items())),
        proposed=totals.proposed,
        held_back=dict(sorted(totals.held_back.items())),
        people=by_kind(totals.people),
        blast_radius_trips=totals.trips,
        digest=digest,
        seconds=round(seconds, 3),
        events_per_s=round(lines / seconds, 1) if seconds else 0.0,
        networks=networks,
        first=rfc3339(totals.first_ms) if totals.first_ms else None,
        last=rfc3339(totals.now_ms) if totals.now_ms else None,
        orders=totals.orders,
        delay=_delay_score(totals),
        demand_wape=_rounded(totals.demand_error / totals.demand_units)
        if totals.demand_units
        else None,
        incidents=totals.incidents,
        exceptions=ExceptionTotals(
            opened=dict(sorted(totals.exceptions_opened.items())),
            closed=dict(sorted(totals.exceptions_closed.items())),
            touchless=_share(totals.touchless, int_sum(totals.exceptions_closed.values())),
        ),
        anomalies=dict(sorted(totals.anomalies.items())),
        split_orders=totals.split,
        transferred_units=totals.transferred,
        transfer_yield=_share(totals.transferred_sold, totals.transferred),
        planned_cents=totals.planned_cents,
        inert=dict(sorted((f"{kind}: {why}", n) for (kind, why), n in totals.inert.items())),
        benefits=by_kind(totals.benefits),
    )


def _delay_score(totals: Totals) -> DelayScore:
    score, seen, estimated = totals.at_handover, totals.delivered, totals.estimated
    return DelayScore(
        n=score.seen,
        roc_auc=_rounded(score.roc_auc()),
        log_loss=_rounded(score.log_loss()),
        roc_auc_at_last_scan=_rounded(totals.at_last_scan.roc_auc()),
        log_loss_at_last_scan=_rounded(totals.at_last_scan.log_loss()),
        late_share=_share(totals.late, seen),
        roc_auc_at_booking=_rounded(totals.at_booking.roc_auc()),
        log_loss_at_booking=_rounded(totals.at_booking.log_loss()),
        below_p10=_share(totals.below_p10, seen),
        below_p50=_share(totals.below_p50, seen),
        below_p90=_share(totals.below_p90, seen),
        estimate_off_h=_share(totals.estimate_off_s / 3600, estimated),
        carrier_estimate_off_h=_share(totals.carrier_estimate_off_s / 3600, estimated),
    )


def _share(amount: float, of: int) -> float | None:
    return _rounded(amount / of) if of else None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(total: Totals, other: Totals) -> None:
    """Add `other` to `total`, field by field."""
    for name in Totals.__struct_fields__:
        ours, theirs = getattr(total, name), getattr(other, name)
        match theirs:
            case dict():
                for key, value in theirs.items():
                    ours[key] = ours.get(key, 0) + value
            case OrderTotals():
                for key in OrderTotals.__struct_fields__:
                    setattr(ours, key, getattr(ours, key) + getattr(theirs, key))
            case ForecastScore():
                ours.add(theirs)
            case _ if name == "first_ms":
                total.first_ms = min(ours, theirs) if ours and theirs else ours or theirs
            case _ if name == "now_ms":
                total.now_ms = max(ours, theirs)
            case _:
                setattr(total, name, ours + theirs)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def to_builtins(summary: Summary) -> dict[str, Any]:
    """Return the summary as builtins, ready for JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(summary)
    return plain
