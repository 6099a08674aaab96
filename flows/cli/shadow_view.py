"""Shadow runs, drawn on a terminal."""

from typing import Any

from flows.display.screen import Column, Table, View, words
from flows.replay.shadow import P_LATE, SCORE


def shadow_table(shadow: dict[str, Any], currency: str) -> list[View]:
    """Return the candidate beside the live policy: orders, money per order, actions; the caveat."""
    table = Table(
        Column("per order"),
        Column("candidate − live", right=True),
        Column("95 % interval", right=True),
        title=f"What the candidate {shadow['policy']} would have decided",
    )
    for name, each in shadow["differences"].items():
        unit = "" if name == P_LATE else f" {currency} cents"
        spread = "-" if each["low"] is None else f"{each['low']:+.2f} … {each['high']:+.2f}"
        style = "bold" if name == SCORE else ""
        table.row(name, f"{each['mean']:+.2f}{unit}", spread, style=style)
    changed = ", ".join(
        f"{kind} {live:,} → {candidate:,}"
        for kind, (live, candidate) in shadow["actions"].items()
        if live != candidate
    )
    proposed_live, proposed = shadow["proposed"]
    orders = (
        f"{shadow['orders']:,} orders allocated by both, {shadow['differently']:,} of them "
        f"differently; {shadow['only_live']:,} by the live policy alone, "
        f"{shadow['only_candidate']:,} by the candidate alone."
    )
    actions = (
        f"Actions: {changed or 'as many of each kind'}; proposed {proposed_live:,} → {proposed:,}."
    )
    return [table, words(orders), words(actions), words(shadow["caveat"], "dim")]
