"""Explanation of an action: derived again from the journal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from flows.explain.action_log import place_of
from flows.wiring.progress import Progress
from flows.wiring.records import records
from operators.chain import build_chain
from operators.core.contract import Chain
from state.actions import Action
from state.codec import encode_action
from state.errors import JournalError
from state.policy import Policy, parse_policy


class Evidence(Struct, frozen=True):
    """Origin of an action: the journal, and the policy that it began with."""

    logs: tuple[Path, ...]
    policy: Policy


class Derivation(Struct, frozen=True):
    """Result of deriving an action again: the same bytes, other bytes, or no such action."""

    verdict: str
    is_same: bool


def evidence_of(folder: Path) -> Evidence:
    """Return the origin that a replay's folder names; raise JournalError if it names none."""
    summary, policy = _inputs(folder)
    return Evidence(tuple(Path(path) for path in summary["logs"]), policy)


def derive_again(evidence: Evidence, action: Action, progress: Progress) -> Derivation:
    """Fold the journal up to the action, and compare bytes; raises JournalError."""
    made, _ = fold_to(evidence, action.id, progress)
    if made is None:
        return Derivation(f"the journal ends before record {action.seq}", False)
    return _compare(action, made)


def derive(evidence: Evidence, action_id: str, progress: Progress) -> Action:
    """Return the action with this id, derived from the journal; raise JournalError if none."""
    made, _ = fold_to(evidence, action_id, progress)
    for action in made or ():
        if action.id == action_id:
            return action
    raise JournalError(f"expected an action {action_id}, but none comes out of the journal")


def fold_to(
    evidence: Evidence,
    action_id: str,
    progress: Progress,
    before: Callable[[Chain], None] | None = None,
) -> tuple[list[Action] | None, Chain]:
    """Fold the journal up to an action's record: return its actions, and the chain then.

    None if the journal ends before it. `before` meets the chain just before that record. Raises
    JournalError.
    """
    network, seq = place_of(action_id)
    chain = build_chain(network, evidence.policy)
    for record in records(evidence.logs, progress):
        if record.network != network:
            continue
        if record.seq == seq and before is not None:
            before(chain)
        made = [r.fact for r in chain.step(record) if isinstance(r.fact, Action)]
        if record.seq == seq:
            return made, chain
    return None, chain


def _compare(action: Action, made: list[Action]) -> Derivation:
    for again in made:
        if again.id == action.id:
            if encode_action(again) == encode_action(action):
                return Derivation("derived again from the journal: identical, byte for byte", True)
            return Derivation(
                "derived again from the journal: DIFFERENT. Journal, policy or code have changed "
                f"since; this version decides: {again.data.because.summary}",
                False,
            )
    return Derivation("derived again from the journal: no such action comes out", False)


def _inputs(folder: Path) -> tuple[dict[str, Any], Policy]:
    try:
        summary = orjson.loads((folder / "summary.json").read_bytes())
        policy = orjson.loads((folder / "policy.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise JournalError(f"expected summary.json and policy.json in {folder}: {error}") from error
    return summary, parse_policy(policy, str(folder / "policy.json"))
