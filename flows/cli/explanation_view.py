"""How an action and its reason look on a terminal."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from state.actions import Action, Because


def view(action: Action, verdict: str = "") -> Panel:
    """The action as a panel: what, why, at what price, against what, and when it would flip."""
    because = action.data.because
    parts: list[RenderableType] = [Text(because.summary, style="bold"), Text()]
    if because.terms:
        parts += [_terms(because), Text()]
    if because.eliminated:
        parts.append(Text("Ruled out:"))
        for group in because.eliminated:
            examples = ", ".join(group.examples)
            more = " …" if group.count > len(group.examples) else ""
            parts.append(Text(f"  {group.count} × {group.constraint}: {examples}{more}"))
    if action.data.benefit is not None:
        gained = action.data.benefit
        parts.append(
            Text(
                f"Expected to gain {gained.expected_cents} cents over doing nothing "
                f"({gained.nothing_cents})"
            )
        )
    if because.draw is not None:
        parts.append(
            Text(
                f"Drawn with a chance of {because.draw.propensity:.1%} "
                f"among {len(because.draw.options)}"
            )
        )
    if because.confidence is not None:
        sure = because.confidence
        parts.append(Text(f"Rests on: {sure.probability:.1%} that {sure.statement}"))
        for moved in sure.contributions:
            parts.append(Text(f"  {moved.log_odds:+.2f} log-odds: {moved.feature}"))
    for switch in because.flips_if:
        then = "" if switch.then in switch.when else f": then {switch.then}"
        parts.append(Text(f"Flips if {switch.when}{then}"))
    expiry = f", expires {action.expirytime:%Y-%m-%d %H:%M}" if action.expirytime else ""
    parts.append(
        Text(
            f"Follows from journal records {', '.join(map(str, because.causes))}; "
            f"policy {because.policy}, {because.model}{expiry}",
            style="dim",
        )
    )
    if verdict:
        parts.append(Text(verdict, style="green" if "identical" in verdict else "red"))
    title = f"{action.id}  {action.kind} {action.subject}  ({action.data.mode})"
    return Panel(Group(*parts), title=title, title_align="left")


def one_line(action: Action) -> str:
    """The action in one line: when, which, what, why."""
    mode = "" if action.data.mode == "act" else " (proposed)"
    return (
        f"{action.time:%Y-%m-%d %H:%M:%S}  {action.id}  {action.kind}{mode}  "
        f"{action.data.because.summary}"
    )


def _terms(because: Because) -> Table:
    """Options as rows, the choice first, then what it beat; terms in cents, but those all zero."""
    rows = [(because.terms, because.score_cents, "this")]
    rows += [(other.terms, other.score_cents, other.option) for other in because.alternatives]
    names: list[str] = []
    for terms, _, _ in rows:
        names += [name for name, cents in terms.items() if cents and name not in names]
    table = Table(box=None, pad_edge=False)
    table.add_column("cents", overflow="fold", min_width=22)
    for name in names:
        table.add_column(
            name.removeprefix("expected ").replace("displacement", "displaced"), justify="right"
        )
    table.add_column("sum", justify="right")
    for position, (terms, score, option) in enumerate(rows):
        cells = [str(terms.get(name, 0)) for name in names]
        table.add_row(option, *cells, str(score), style="bold" if position == 0 else "")
    return table
