"""Explain an action: find it in a replay's output, and derive it again from the journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from flows.journal_source import Progress
from operators.chain import build_chain, to_record
from state.actions import Action
from state.codec import decode_action, encode_action
from state.errors import JournalError
from state.journal import JournalReader
from state.policy import Policy, parse_policy


class Derivation(Struct, frozen=True):
    """What became of deriving an action again: the same bytes, other bytes, or no such action."""

    verdict: str
    is_same: bool


def find_action(folder: Path, action_id: str) -> Action:
    """The action with `action_id` in a replay's folder; raises JournalError if it is not there."""
    path = folder / "actions.jsonl"
    mark = orjson.dumps({"id": action_id})[1:-1]
    try:
        with path.open("rb") as file:
            for line in file:
                if mark in line[:400]:
                    action = decode_action(line)
                    if action.id == action_id:
                        return action
    except OSError as error:
        raise JournalError(f"expected a replay's output folder, was {error}") from error
    raise JournalError(
        f"expected an action {action_id} in {path}, was none: ids look like network:17446-1, "
        "and `crossdock actions --out` lists them"
    )


def actions_in(folder: Path) -> Iterator[Action]:
    """All actions of a replay's folder, in order; raises JournalError if there is none."""
    path = folder / "actions.jsonl"
    try:
        with path.open("rb") as file:
            for line in file:
                yield decode_action(line)
    except OSError as error:
        raise JournalError(f"expected a replay's output folder, was {error}") from error
    except ValueError as error:
        raise JournalError(f"expected actions in {path}, was {error}") from error


def derive_again(folder: Path, action: Action, progress: Progress) -> Derivation:
    """Fold the replay's own journal and policy up to the action, and compare bytes.

    Raises JournalError if the folder's summary or the logs it names are gone.
    """
    summary, policy = _inputs(folder)
    reader = JournalReader([Path(path) for path in summary["logs"]])
    chain = build_chain(action.partitionkey, policy)
    while lines := reader.read(1_000):
        for line in lines:
            record = to_record(line)
            if record.network != action.partitionkey:
                continue
            made = [r.fact for r in chain.step(record) if isinstance(r.fact, Action)]
            if line.seq == action.seq:
                reader.close()
                return _compare(action, made)
        progress(lines[-1].seq, *reader.progress())
    reader.close()
    return Derivation(f"the journal ends before record {action.seq}", False)


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
