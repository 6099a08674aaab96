"""The action log of a replay's folder, and the parts of an action's id."""

import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from state.actions import Action
from state.codec import decode_action
from state.errors import JournalError

#: {network}:{seq}-{n}
ACTION_ID = re.compile(r"([^:]+):(\d+)-\d+")


def place_of(action_id: str) -> tuple[str, int]:
    """Return network and journal position of an action's id; raise JournalError if it is none."""
    found = ACTION_ID.fullmatch(action_id)
    if found is None:
        raise JournalError(f"expected an action's id such as demo:7262-1, was {action_id}")
    return found.group(1), int(found.group(2))


def find_action(folder: Path, action_id: str) -> Action:
    """Return the action `action_id` of a replay's folder; raise JournalError if it is not there."""
    mark = orjson.dumps({"id": action_id})[1:-1]
    for line in _lines(folder):
        if mark in line[:400]:
            action = decode_action(line)
            if action.id == action_id:
                return action
    raise JournalError(
        f"expected an action {action_id} in {folder}, was none: ids look like demo:7262-1; "
        f"`crossdock actions --out {folder}` lists them, with --about those of an order or parcel"
    )


def actions_in(folder: Path) -> Iterator[Action]:
    """Yield all actions of a replay's folder, in order; raise JournalError if there is none."""
    try:
        for line in _lines(folder):
            yield decode_action(line)
    except ValueError as error:
        raise JournalError(f"expected actions in {folder}, was {error}") from error


def _lines(folder: Path) -> Iterator[bytes]:
    """Yield lines of the action log; of its parts, while the replay has not ended."""
    whole = folder / "actions.jsonl"
    paths = [whole] if whole.exists() else sorted((folder / "parts").glob("actions:*"))
    if not paths:
        raise JournalError(f"expected the output folder of a replay, was {folder} without actions")
    try:
        for path in paths:
            with path.open("rb") as file:
                yield from file
    except OSError as error:
        raise JournalError(f"expected a readable action log, was {error}") from error
