"""JSON Schema of everything on the wire, made from the types."""

from typing import Any

import msgspec

from state.actions import ACTION_TYPES, Action, ActionData
from state.codec import Envelope
from state.events import EVENT_TYPES
from state.policy import Policy
from state.settings import Settings

_REF = "#/$defs/{name}"


def schema(**files: type) -> dict[str, Any]:
    """Return schemas by wire type under ``events`` and ``actions``, and of files by their kind.

    Each event and action is the envelope (``$defs``) with ``data`` of the type named. Files are
    ``policy`` and ``settings``, and what is given besides.
    """
    files = {"policy": Policy, "settings": Settings, **files}
    types = (
        *(Envelope, Action, ActionData),
        *files.values(),
        *EVENT_TYPES.values(),
        *ACTION_TYPES.values(),
    )
    roots, components = msgspec.json.schema_components(types, ref_template=_REF)
    of = dict(zip(types, roots, strict=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Crossdock events, actions, policy and settings",
        "events": {
            name: {
                "allOf": [
                    of[Envelope],
                    {"properties": {"type": {"const": name}, "data": of[payload]}},
                ]
            }
            for name, payload in EVENT_TYPES.items()
        },
        "actions": {
            name: {
                "allOf": [
                    of[Action],
                    {
                        "properties": {
                            "type": {"const": name},
                            "data": {
                                "allOf": [of[ActionData], {"properties": {"decision": of[kind]}}]
                            },
                        }
                    },
                ]
            }
            for name, kind in ACTION_TYPES.items()
        },
        **{name: of[kind] for name, kind in files.items()},
        "$defs": components,
    }


def reachable(root: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return `root` with just the definitions that it refers to, directly or not."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [root]
    while waiting:
        match waiting.pop():
            case {"$ref": str(ref), **rest}:
                name = ref.rpartition("/")[2]
                if name not in found:
                    found[name] = definitions[name]
                    waiting.append(definitions[name])
                waiting += rest.values()
            case dict() as inner:
                waiting += inner.values()
            case list() as items:
                waiting += items
            case _:
                pass
    return {**root, "$defs": dict(sorted(found.items()))}
