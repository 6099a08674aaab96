"""Renaming: the same log under other names, so that what it leads to can be compared.

A log is first written with plain tokens that are part of no other word. What it leads to under
those, with the tokens replaced, is what the log has to lead to under any other names of like order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from operators.prediction import linear
from state.codec import JournalLine
from tests.builders import line

#: Kind of name in each field of facts; all other fields stay as they are.
KIND_OF = {
    "node": "node",
    "origin": "node",
    "destination": "node",
    "region": "region",
    "place": "region",
    "sku": "sku",
    "category": "category",
    "carrier": "carrier",
    "service": "service",
    "order": "order",
    "shipment": "shipment",
    "transfer": "transfer",
    "inbound": "inbound",
    "customer": "customer",
}
#: Kind of name -> old name -> new name.
Names = dict[str, dict[str, str]]


def names_in(lines: Iterable[JournalLine]) -> dict[str, list[str]]:
    """Return all names in a log by kind, in order."""
    found: dict[str, dict[str, None]] = {}

    def note(kind: str, name: str) -> str:
        found.setdefault(kind, {})[name] = None
        return name

    for each in lines:
        _renamed(orjson.loads(each.raw)["data"], note)
    return {kind: sorted(names) for kind, names in found.items()}


def tokens_of(names: Mapping[str, list[str]]) -> Names:
    """Return a token for each name, in the order of the names."""
    return {
        kind: {name: f"Q{kind}{number:05}Q" for number, name in enumerate(known)}
        for kind, known in names.items()
    }


def in_order(names: Mapping[str, list[str]], new: Callable[[str, int], list[str]]) -> Names:
    """Return other names of like order, drawn from `new`, by kind."""
    renamed = {}
    for kind, known in names.items():
        others = sorted(new(kind, len(known)))
        assert len(set(others)) == len(known), "two things would have one name"
        renamed[kind] = dict(zip(known, others, strict=True))
    return renamed


def renamed(lines: Iterable[JournalLine], names: Names) -> list[JournalLine]:
    """Return the log under other names."""
    found = []
    for each in lines:
        event = orjson.loads(each.raw)
        event = {**event, "data": _renamed(event["data"], lambda kind, name: names[kind][name])}
        event = {k: v for k, v in event.items() if k not in ("subject", "correlationid")}
        found.append(line(orjson.dumps(event), each.seq))
    return found


def replaced(raw: bytes, tokens: Names, names: Names) -> bytes:
    """Return the bytes with each token replaced by its name."""
    text = raw.decode()
    for kind, known in tokens.items():
        for old, token in known.items():
            if token in text:
                text = text.replace(token, orjson.dumps(names[kind][old]).decode()[1:-1])
    return text.encode()


def _renamed(data: dict[str, Any], name: Callable[[str, str], str]) -> dict[str, Any]:
    """Return the fields of a fact with `name` applied to each name in it."""
    new: dict[str, Any] = {}
    for field, value in data.items():
        if field == "policy":
            new[field] = value
        elif field == "scope":
            new[field] = _scope(data["kind"], value, name)
        elif isinstance(value, str) and field in KIND_OF:
            new[field] = name(KIND_OF[field], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            new[field] = [_renamed(each, name) for each in value]
        else:
            new[field] = value
    return new


def _scope(kind: str, scope: str, name: Callable[[str, str], str]) -> str:
    """Return the scope of a hold: two names as a JSON list, which is never ambiguous."""
    marks = {"service": ("/", "carrier", "service"), "lane": (">", "node", "region")}
    if kind not in marks:
        return name(kind, scope)
    mark, *kinds = marks[kind]
    parts = orjson.loads(scope) if scope.startswith("[") else scope.split(mark)
    both = [name(of, part) for of, part in zip(kinds, parts, strict=True)]
    return orjson.dumps(both).decode()


@contextmanager
def luck_apart_from_names() -> Iterator[None]:
    """Draw chances, and hash names to slots, by order of appearance instead of by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("operators.sourcing.exploration.blake2b", lambda *_, **__: _NoLuck())
        patch.setattr("operators.forecasts.delay_shipment.crc32", lambda raw: 0)
        patch.setattr(linear.Slots, "__missing__", _next_slot)
        yield


class _NoLuck:
    def digest(self) -> bytes:
        return bytes(8)


def _next_slot(slots: linear.Slots, name: linear.Name) -> int:
    slot = slots[name] = len(slots)
    return slot
