"""The summary of a replay, drawn on a terminal."""

from flows.display.screen import Column, Table
from flows.replay.summary import Summary


def summary_table(summary: Summary) -> Table:
    """Return the summary as a table that fits a screen."""
    orders, delay = summary.orders, summary.delay
    table = Table(Column(style="bold"), Column(), title="What the engine did")
    table.row(
        "journal",
        f"{summary.first or '-'} to {summary.last or '-'}, {', '.join(summary.networks) or '-'}",
    )
    table.row(
        "events",
        f"{summary.events:,} of {summary.lines:,} lines at {summary.events_per_s:,.0f}/s; "
        f"{summary.duplicates:,} duplicates left out, {summary.dead_letters:,} dead letters, "
        f"{summary.waiting:,} waiting for what they refer to",
    )
    table.row(
        "orders",
        f"{orders.placed:,} placed: {orders.allocated:,} allocated "
        f"({summary.split_orders:,} split), {orders.backordered:,} waiting for stock, "
        f"{orders.unfillable:,} unfillable, {orders.cancelled:,} cancelled",
    )
    if orders.placed:
        cost = sum(summary.planned_cents.values()) / orders.placed / 100
        parts = ", ".join(
            f"{name} {cents / orders.placed / 100:.2f}"
            for name, cents in summary.planned_cents.items()
            if cents
        )
        table.row("planned per order", f"{cost:.2f} {summary.currency} ({parts})")
    if delay.n:
        auc = "-" if delay.roc_auc is None else f"{delay.roc_auc:.3f}"
        table.row(
            "delay forecast",
            f"{delay.n:,} parcels delivered, {delay.late_share or 0:.1%} late; at handover "
            f"ROC-AUC {auc} (0.5 guesses, 1 knows), log loss {delay.log_loss or 0:.3f}; "
            f"{delay.below_p10 or 0:.0%}, {delay.below_p50 or 0:.0%} and "
            f"{delay.below_p90 or 0:.0%} came before their P10, P50 and P90",
        )
    if delay.estimate_off_h is not None:
        table.row(
            "estimates",
            f"off by {delay.estimate_off_h:.1f} h on average, the carriers' own by "
            f"{delay.carrier_estimate_off_h or 0:.1f} h as of the same scans",
        )
    doubted = sum(summary.anomalies.values())
    if summary.incidents or doubted:
        table.row(
            "out of the ordinary",
            f"{summary.incidents:,} incidents (each escalated once), "
            f"{doubted:,} facts not believed",
        )
    table.row(
        "actions",
        ", ".join(f"{count:,} {kind}" for kind, count in summary.actions.items())
        + (f"; {summary.proposed:,} of them only proposed" if summary.proposed else ""),
    )
    if summary.proposed:
        table.row("proposals", _proposals(summary))
    quiet = sum(summary.inert.values())
    table.row("left alone", f"{quiet:,} times, with a reason (summary.json)")
    if summary.redis:
        table.row(
            "Redis",
            f"{summary.redis['new']:,} entries written, {summary.redis['repeated']:,} were there",
        )
    table.row("digest", summary.digest)
    for name, path in summary.files.items():
        table.row(name, path)
    return table


def _proposals(summary: Summary) -> str:
    """Return why actions were only proposed, people's decisions, and whether all was stopped."""
    why = ", ".join(
        f"{count:,} by {gate.replace('_', ' ')}" for gate, count in summary.held_back.items()
    )
    decisions = ", ".join(
        f"{count:,} {kind} {outcome}"
        for kind, outcomes in summary.people.items()
        for outcome, count in outcomes.items()
    )
    trips = summary.blast_radius_trips
    tripped = f"; the blast radius tripped {trips:,} times" if trips else ""
    return f"held back {why}; {decisions or 'no person decided on any'}{tripped}"
