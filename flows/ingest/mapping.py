"""Rules of a feed applied: another system's JSON in, an event's document out."""

import re
from collections.abc import Mapping
from typing import Any

from state.feed_settings import FeedSettings, Field, FieldRule, MappingRule
from state.quantities import rfc3339

_MISSING: Any = object()
_INDEX = re.compile(r"0|[1-9]\d{0,5}")
#: Elements of a list that are mapped; more are refused, as no event has so many.
_MOST_ELEMENTS = 1_000
#: The largest whole number that a float holds exactly; JSON's own end soon after it.
_LARGEST = 2**53


class Unmapped(Exception):
    """A message that the rules cannot make an event of: what was expected, and what was there."""

    def __init__(self, expected: str, was: str) -> None:
        super().__init__(f"expected {expected}, was {was}")
        self.expected, self.was = expected, was


def map_message(feed: FeedSettings, document: Any, origin: str) -> dict[str, Any]:
    """Return the CloudEvents document of a message; `origin` becomes its id where it has none.

    It is not validated here. Raises Unmapped.
    """
    rule = _rule(feed, document)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": origin if rule.id is None else str(_required("id", rule.id, document)),
        "source": feed.source or feed.topic,
        "type": f"crossdock.{rule.type}",
        "time": _required("time", rule.time, document),
        "partitionkey": feed.network
        if rule.network is None
        else str(_required("network", rule.network, document)),
    }
    for name, field in (("subject", rule.subject), ("correlationid", rule.correlation)):
        if field is not None and (value := _value(field, document)) is not _MISSING:
            event[name] = str(value)
    event["data"] = _fields(rule.data, document)
    return event


def _rule(feed: FeedSettings, document: Any) -> MappingRule:
    for rule in feed.rules:
        if all(_at(document, path) == value for path, value in rule.when.items()):
            return rule
    tested = sorted({path for rule in feed.rules for path in rule.when})
    seen = {path: _shown(_at(document, path)) for path in tested}
    raise Unmapped(f"a message that a rule of feed {feed.topic} is for", f"{seen}")


def _fields(fields: Mapping[str, Field], document: Any) -> dict[str, Any]:
    found = {name: _value(field, document) for name, field in fields.items()}
    return {name: value for name, value in found.items() if value is not _MISSING}


def _required(name: str, field: Field, document: Any) -> Any:
    value = _value(field, document)
    if value is _MISSING:
        raise Unmapped(f"{name} at {field if isinstance(field, str) else field.from_!r}", "nothing")
    return value


def _value(field: Field, document: Any) -> Any:
    if isinstance(field, str):
        return _at(document, field)
    if field.value is not None:
        return field.value
    value = _at(document, field.from_ or "")
    if value is _MISSING or value is None:
        return _MISSING if field.default is None else field.default
    if field.map is not None:
        value = _looked_up(field, value)
    if field.each is not None:
        return _each(field, value)
    if field.time is not None:
        return _instant(field, value)
    if field.scale is not None:
        return _scaled(field, value)
    return value


def _looked_up(field: FieldRule, value: Any) -> Any:
    assert field.map is not None
    word = str(value)
    if word not in field.map:
        if field.default is not None:
            return field.default
        raise Unmapped(f"one of {', '.join(sorted(field.map))} at {field.from_}", _shown(value))
    return field.map[word]


def _each(field: FieldRule, value: Any) -> list[dict[str, Any]]:
    assert field.each is not None
    if not isinstance(value, list) or len(value) > _MOST_ELEMENTS:
        raise Unmapped(f"a list of at most {_MOST_ELEMENTS} at {field.from_}", _shown(value))
    return [_fields(field.each, element) for element in value]


def _instant(field: FieldRule, value: Any) -> str:
    number = _number(field, value)
    ms = number * 1_000 if field.time == "unix_s" else number
    try:
        return rfc3339(round(ms))
    except (OverflowError, ValueError) as error:
        raise Unmapped(f"an instant as {field.time} at {field.from_}", _shown(value)) from error


def _scaled(field: FieldRule, value: Any) -> int:
    assert field.scale is not None
    try:
        scaled = round(_number(field, value) * field.scale)
    except (OverflowError, ValueError) as error:
        raise Unmapped(f"a number at {field.from_}", _shown(value)) from error
    if abs(scaled) > _LARGEST:
        raise Unmapped(f"a number of at most {_LARGEST} at {field.from_}", _shown(value))
    return scaled


def _number(field: FieldRule, value: Any) -> float:
    if isinstance(value, str):  # money often comes as text
        try:
            value = float(value)
        except ValueError:
            raise Unmapped(f"a number at {field.from_}", _shown(value)) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unmapped(f"a number at {field.from_}", _shown(value))
    return float(value)


def _at(document: Any, path: str) -> Any:
    """Return what stands at a dotted path; numbers are places in lists."""
    value = document
    for part in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(part, _MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
