"""How a shadow run looks on a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows.shadow import P_LATE, SCORE


def shadow_table(shadow: dict[str, Any], currency: str) -> RenderableType:
    """The candidate beside the live policy: orders, money per order, actions; and the caveat."""
    table = Table(
        title=f"What the candidate {shadow['policy']} would have decided", title_justify="left"
    )
    table.add_column("per order")
    table.add_column("candidate − live", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, each in shadow["differences"].items():
        unit = "" if name == P_LATE else f" {currency} cents"
        spread = "-" if each["low"] is None else f"{each['low']:+.2f} … {each['high']:+.2f}"
        style = "bold" if name == SCORE else ""
        table.add_row(name, f"{each['mean']:+.2f}{unit}", spread, style=style)
    changed = ", ".join(
        f"{kind} {live:,} → {candidate:,}"
        for kind, (live, candidate) in shadow["actions"].items()
        if live != candidate
    )
    proposed_live, proposed = shadow["proposed"]
    words = (
        f"{shadow['orders']:,} orders allocated by both, {shadow['differently']:,} of them "
        f"differently; {shadow['only_live']:,} by the live policy alone, "
        f"{shadow['only_candidate']:,} by the candidate alone.\n"
        f"Actions: {changed or 'as many of each kind'}; "
        f"proposed {proposed_live:,} → {proposed:,}."
    )
    return Group(table, Text(words), Text(shadow["caveat"], style="dim"))
