"""How an action and its reason look on a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.story import Story
from operators.why_not import WhyNot
from state.actions import Action, Alternative
from state.quantities import from_ms

_MOST_RULED_OUT = 10
_STYLES = {"action": "bold", "nothing": "dim", "person": "cyan"}


def view(action: Action, verdict: str = "") -> Panel:
    """The action as a panel: what, why, at what price, against what, and when it would flip."""
    because = action.data.because
    parts: list[RenderableType] = [Text(because.summary, style="bold"), Text()]
    if because.terms:
        parts += [_terms(because.terms, because.score_cents, because.alternatives), Text()]
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


def why_not_view(action: Action, answer: WhyNot) -> Panel:
    """What another option would have cost beside what was taken, or what ruled it out."""
    parts: list[RenderableType] = [Text(answer.summary, style="bold")]
    if answer.options:
        taken = answer.taken
        rows = answer.options if taken is None else (taken, *answer.options)
        label = rows[0].option if taken is None else f"{rows[0].option} (taken)"
        parts += [Text(), _terms(rows[0].terms, rows[0].score_cents, rows[1:], label)]
    if answer.options or len(answer.ruled_out) > 1:  # else the summary has said it
        parts += [Text(f"Ruled out: {each}") for each in answer.ruled_out[:_MOST_RULED_OUT]]
    title = f"{action.id}  why not {answer.asked}?"
    return Panel(Group(*parts), title=title, title_align="left")


def story_table(story: Story) -> Table:
    """An order's or a parcel's story, one line per thing that happened."""
    table = Table(title=f"What happened to {story.about}", title_justify="left", box=None)
    table.add_column("UTC", no_wrap=True)
    table.add_column("record", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in story.chapters:
        table.add_row(
            f"{from_ms(each.at_ms):%Y-%m-%d %H:%M:%S}",
            each.action or str(each.seq),
            each.sort,
            Text(each.text),
            style=_STYLES.get(each.sort, ""),
        )
    return table


def _terms(
    terms: dict[str, int], score: int, others: Sequence[Alternative], label: str = "this"
) -> Table:
    """Options as rows, the choice first, then the others; terms in cents, but those all zero."""
    rows = [(terms, score, label)]
    rows += [(other.terms, other.score_cents, other.option) for other in others]
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
