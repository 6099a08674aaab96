"""`crossdock explain`: an action and its reason, what else was possible, or an order's story."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import named, print_json, progress_bar, show, warn

if TYPE_CHECKING:
    from flows.explain.explain import Evidence


def explain(
    of: Annotated[
        str,
        typer.Argument(metavar="ID", help="An action, such as demo:17446-1; an order; a parcel."),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder of the replay.", exists=True, file_okay=False),
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(help="Instead of --out: logs, or the folder of a recording.", exists=True),
    ] = None,
    policy: Annotated[
        str, typer.Option(help="With --log: the policy that the journal began with.")
    ] = "ours",
    verify: Annotated[
        bool, typer.Option(help="Derive the action again from the journal and compare.")
    ] = True,
    why_not: Annotated[
        str | None,
        typer.Option(
            help="Price another option: NODE, CARRIER/SERVICE, NODE+CARRIER/SERVICE or, where that "
            "may mean several, the names as a JSON list."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show an action with its reason, and prove it; or what happened to an order, and why.

    Exit code 1 if the action does not come out of the journal again.
    """
    from flows.explain.action_log import ACTION_ID
    from flows.explain.explain import Evidence, evidence_of
    from state.policies import find_policy

    if (out_folder is None) == (not log):
        raise typer.BadParameter("give either --out DIR or --log LOG", param_hint="--out")
    if log:
        evidence = Evidence(tuple(log), named(find_policy, policy, "--policy"))
    is_action = ACTION_ID.fullmatch(of) is not None
    if why_not is not None and not is_action:
        raise typer.BadParameter("goes with an action's id", param_hint="--why-not")
    if out_folder is not None:
        if is_action and why_not is None:
            _recorded(out_folder, of, verify, json)
            return
        evidence = evidence_of(out_folder)
    if not is_action:
        _story(evidence, of, json)
    elif why_not is not None:
        _why_not(evidence, of, out_folder, why_not, json)
    else:
        _derived(evidence, of, json)


def _recorded(folder: Path, action_id: str, verify: bool, json: bool) -> None:
    """Show an action of a replay's folder, derived again."""
    import orjson

    from flows.cli.explanation_view import view
    from flows.explain.action_log import find_action
    from flows.explain.explain import Derivation, derive_again, evidence_of
    from state.codec import encode_action

    action = find_action(folder, action_id)
    derivation = Derivation("", True)
    if verify:
        with progress_bar("deriving it again") as progress:
            derivation = derive_again(evidence_of(folder), action, progress)
    if json:
        print_json(
            {
                "action": orjson.loads(encode_action(action)),
                "verified": derivation.is_same if verify else None,
                "verdict": derivation.verdict,
            }
        )
    else:
        show(view(action, derivation.verdict))
    if not derivation.is_same:
        raise typer.Exit(1)


def _derived(evidence: "Evidence", action_id: str, json: bool) -> None:
    """Show an action as the journal leads to it; there is nothing to compare it with."""
    import orjson

    from flows.cli.explanation_view import view
    from flows.explain.explain import derive
    from state.codec import encode_action

    with progress_bar("deriving it") as progress:
        action = derive(evidence, action_id, progress)
    verdict = "derived from the journal; compare it with what Redis or the actions topic has"
    if json:
        raw = orjson.loads(encode_action(action))
        print_json({"action": raw, "verified": None, "verdict": verdict})
    else:
        show(view(action, verdict))


def _why_not(
    evidence: "Evidence", action_id: str, folder: Path | None, text: str, json: bool
) -> None:
    from msgspec import to_builtins

    from flows.cli.explanation_view import why_not_view
    from flows.explain.action_log import find_action
    from flows.explain.explain import derive
    from flows.explain.why_not import why_not
    from operators.orders.why_not import parse_wanted

    try:
        asked = parse_wanted(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--why-not") from error
    with progress_bar("going back to it") as progress:
        action = (
            derive(evidence, action_id, progress)
            if folder is None
            else find_action(folder, action_id)
        )
        answer = why_not(evidence, action, asked, progress)
    if json:
        print_json({"id": action.id, "why_not": to_builtins(answer)})
    else:
        show(why_not_view(action, answer))


def _story(evidence: "Evidence", about: str, json: bool) -> None:
    from flows.cli.explanation_view import story_table
    from flows.explain.story import story_of
    from state.quantities import rfc3339

    with progress_bar("reading the journal") as progress:
        story = story_of(evidence, about, progress)
    if json:
        chapters = [
            {
                "time": rfc3339(each.at_ms),
                "network": each.network,
                "seq": each.seq,
                "sort": each.sort,
                "text": each.text,
                **({"action": each.action} if each.action else {}),
            }
            for each in story.chapters
        ]
        print_json({"about": about, "parcels": list(story.parcels), "story": chapters})
    elif story.chapters:
        show(story_table(story))
    if not story.chapters:
        warn(f"nothing in the journal is about {about}")
        raise typer.Exit(1)
