"""Messages on files that people write: the wrong key, and the values allowed there."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_LONGEST = 80


def wrong_value(error: msgspec.ValidationError, document: Any, of: type) -> str:
    """Return ``expected ALLOWED, was ACTUAL, at KEY``: the error of `document` as an `of`.

    The key is the whole path to it, as in ``governance.autonomy.reroute``.
    """
    message = str(error)
    found = _AT.search(message)
    steps = [] if found is None else [a or b for a, b in _STEP.findall(found.group(1))]
    value, place, info = document, "", inspect.type_info(of)
    for depth, step in enumerate(steps):
        key = _culprit(document, of, steps[:depth]) if step == "..." else step
        info = _within(info, key, value)
        if isinstance(value, list):
            value, place = value[int(key)], f"{place}[{key}]"
        else:
            value, place = value[key], f"{place}.{key}" if place else key
        steps[depth] = key
    where = f", at {place}" if place else ""
    text = _AT.sub("", message)
    if unknown := _UNKNOWN.match(text):
        known = ", ".join(_keys(info, value))
        return f"expected one of the keys {known}, was {unknown.group(1)!r}{where}"
    if missing := _MISSING.match(text):
        return f"expected the key {missing.group(1)!r}, was a table without it{where}"
    allowed = _allowed(info) or text.removeprefix("Expected ")
    was = "another" if _is_secret(info) else _shown(value)
    return f"expected {allowed}, was {was}{where}"


def _culprit(document: Any, of: type, steps: list[str]) -> str:
    """Return the key of a table that is refused: msgspec names the path to the table only."""
    table = document
    for step in steps:
        table = table[int(step)] if isinstance(table, list) else table[step]
    for key in table:
        try:
            msgspec.convert(_only(document, steps, key), of)
        except msgspec.ValidationError:
            return str(key)
    raise AssertionError("a table was refused, none of whose keys is")


def _only(document: Any, steps: list[str], key: Any) -> Any:
    """Return the document with nothing but `key` in the table at `steps`."""
    if not steps:
        return {key: document[key]}
    first, rest = steps[0], steps[1:]
    if isinstance(document, list):
        return [
            _only(each, rest, key) if index == int(first) else each
            for index, each in enumerate(document)
        ]
    return {**document, first: _only(document[first], rest, key)}


def _within(info: Any, key: str, table: Any) -> Any:
    tags = []
    for each in _members(info):
        match each:
            case inspect.StructType(fields=fields):
                if key == each.tag_field:
                    tags.append(each.tag)
                for one in fields if _is_meant(each, table) else ():
                    if one.encode_name == key:
                        return one.type
            case inspect.DictType(value_type=inner):
                return inner
            case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
                return inner
            case _:
                pass
    return inspect.LiteralType(tuple(tags)) if tags else inspect.AnyType()


def _is_meant(struct: inspect.StructType, table: Any) -> bool:
    """Return whether `table` marks itself, by its tag, as this one of several structs."""
    if struct.tag_field is None or not isinstance(table, dict):
        return True
    return bool(table.get(struct.tag_field) == struct.tag)


def _is_secret(info: Any) -> bool:
    return any(getattr(getattr(each, "cls", None), "is_secret", False) for each in _members(info))


def _members(info: Any) -> Iterator[Any]:
    match info:
        case inspect.Metadata(type=inner):
            yield from _members(inner)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _members(each)
        case _:
            yield info


def _keys(info: Any, table: Any = None) -> list[str]:
    return [
        field.encode_name
        for each in _members(info)
        if isinstance(each, inspect.StructType) and _is_meant(each, table)
        for field in each.fields
    ]


def _allowed(info: Any) -> str:
    """Return what a key may hold, in words; empty where only msgspec knows."""
    words = [_words(each) for each in _members(info) if not isinstance(each, inspect.NoneType)]
    return " or ".join(words) if all(words) else ""


def _words(info: Any) -> str:
    match info:
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(str(value) or repr(value) for value in values)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case inspect.FloatType():
            return f"a number{_bounds(info)}"
        case inspect.StrType(pattern=str(pattern)):
            return f"text like {pattern.removesuffix(_NO_LINE)}"
        case inspect.StrType():
            return "text"
        case inspect.StructType():
            return f"a table with some of the keys {', '.join(_keys(info))}"
        case inspect.DictType():
            return "a table"
        case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
            item = _allowed(inner)
            return f"a list, each {item}" if item else ""
        case _:
            return ""


#: Written after a pattern's end, against a last line break that Python would let pass.
_NO_LINE = r"(?!\n)"


def _bounds(info: Any) -> str:
    signs = ((">=", info.ge), (">", info.gt), ("<=", info.le), ("<", info.lt))
    return " and".join(f" {sign} {bound:.15g}" for sign, bound in signs if bound is not None)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'table' if isinstance(value, dict) else 'list'}"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
