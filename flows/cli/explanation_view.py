"""Actions and their reasons, drawn on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.display.screen import Column, Drawing, Table, View, panel, words
from state.actions import Action, Alternative
from state.quantities import from_ms

if TYPE_CHECKING:
    from flows.explain.story import Story
    from operators.orders.why_not import WhyNot

_MOST_RULED_OUT = 10
_STYLES = {"action": "bold", "nothing": "dim", "person": "cyan"}


def view(action: Action, verdict: str = "") -> Drawing:
    """Return the action as a panel: kind, reason, price, alternatives, and when it would flip."""
    because = action.data.because
    parts: list[View] = [words(because.summary, "bold"), words("")]
    if because.terms:
        parts += [_terms(because.terms, because.score_cents, because.alternatives), words("")]
    if because.eliminated:
        parts.append(words("Ruled out:"))
        for group in because.eliminated:
            examples = ", ".join(group.examples)
            more = " …" if group.count > len(group.examples) else ""
            parts.append(words(f"  {group.count} × {group.constraint}: {examples}{more}"))
    if action.data.benefit is not None:
        gained = action.data.benefit
        parts.append(
            words(
                f"Expected to gain {gained.expected_cents} cents over doing nothing "
                f"({gained.nothing_cents})"
            )
        )
    if because.draw is not None:
        parts.append(
            words(
                f"Drawn with a chance of {because.draw.propensity:.1%} "
                f"among {len(because.draw.options)}"
            )
        )
    if because.confidence is not None:
        sure = because.confidence
        parts.append(words(f"Rests on: {sure.probability:.1%} that {sure.statement}"))
        for moved in sure.contributions:
            parts.append(words(f"  {moved.log_odds:+.2f} log-odds: {moved.feature}"))
    for switch in because.flips_if:
        then = "" if switch.then in switch.when else f": then {switch.then}"
        parts.append(words(f"Flips if {switch.when}{then}"))
    expiry = f", expires {action.expirytime:%Y-%m-%d %H:%M}" if action.expirytime else ""
    parts.append(
        words(
            f"Follows from journal records {', '.join(map(str, because.causes))}; "
            f"policy {because.policy}, {because.model}{expiry}",
            "dim",
        )
    )
    if verdict:
        parts.append(words(verdict, "green" if "identical" in verdict else "red"))
    title = f"{action.id}  {action.kind} {action.subject}  ({action.data.mode})"
    return panel(title, *parts)


def why_not_view(action: Action, answer: "WhyNot") -> Drawing:
    """Return what another option would have cost, or what ruled it out."""
    parts: list[View] = [words(answer.summary, "bold")]
    if answer.options:
        taken = answer.taken
        rows = answer.options if taken is None else (taken, *answer.options)
        label = rows[0].option if taken is None else f"{rows[0].option} (taken)"
        parts += [words(""), _terms(rows[0].terms, rows[0].score_cents, rows[1:], label)]
    if answer.options or len(answer.ruled_out) > 1:  # else it is in the summary
        parts += [words(f"Ruled out: {each}") for each in answer.ruled_out[:_MOST_RULED_OUT]]
    title = f"{action.id}  why not {answer.asked}?"
    return panel(title, *parts)


def story_table(story: "Story") -> Table:
    """Return an order's or a parcel's story, one line per thing that happened."""
    table = Table(
        Column("UTC", whole=True),
        Column("record", right=True, whole=True),
        Column(whole=True),
        Column(),
        title=f"What happened to {story.about}",
        look="plain",
    )
    for each in story.chapters:
        table.row(
            f"{from_ms(each.at_ms):%Y-%m-%d %H:%M:%S}",
            each.action or str(each.seq),
            each.sort,
            each.text,
            style=_STYLES.get(each.sort, ""),
        )
    return table


def _terms(
    terms: dict[str, int], score: int, others: Sequence[Alternative], label: str = "this"
) -> Table:
    """Return options as rows, the choice first; terms in cents, but those all zero."""
    rows = [(terms, score, label)]
    rows += [(other.terms, other.score_cents, other.option) for other in others]
    names: list[str] = []
    for terms, _, _ in rows:
        names += [name for name, cents in terms.items() if cents and name not in names]
    titles = (name.removeprefix("expected ").replace("displacement", "displaced") for name in names)
    table = Table(
        Column("cents", min_width=22),
        *(Column(title, right=True) for title in titles),
        Column("sum", right=True),
        look="plain",
    )
    for position, (terms, score, option) in enumerate(rows):
        cells = [str(terms.get(name, 0)) for name in names]
        table.row(option, *cells, str(score), style="bold" if position == 0 else "")
    return table
