"""Faults of documents, in words: what was expected, and what was there instead."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH = re.compile(r" - at `\$(.*)`$")


def explain(error: Exception, document: object) -> tuple[str, str]:
    """Return expected and actual value, from msgspec's message and the parsed document."""
    message = str(error)
    found = _PATH.search(message)
    expected = _PATH.sub("", message).removeprefix("Expected ")
    expected = expected.replace("Object missing required field", "the required field")
    if expected.startswith("Invalid enum value"):
        expected = "one of the values that `crossdock schema` lists"
    if found is None:
        if message.startswith("Object missing"):
            return expected, "an object without it"
        return expected, short(document)
    path = found.group(1)
    value = document
    for part in re.findall(r"\.([^.\[\]]+)|\[(\d*|\.\.\.)\]", path):
        key, index = part
        if key and isinstance(value, dict):
            value = value.get(key)
        elif index.isdigit() and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            break
    return f"{expected} at {path.lstrip('.')}", short(value)


def control_character(document: object) -> str | None:
    """Return the first string of the document, names included, that holds a control character."""
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str() as text:
                if _CONTROL.search(text):
                    return text
            case dict() as inner:
                waiting += [*inner, *inner.values()]
            case list() as items:
                waiting += items
            case _:
                pass
    return None


def known(document: object) -> dict[str, str]:
    """Return network and type of a document that failed as an envelope, where they can be read."""
    if not isinstance(document, dict):
        return {}
    found = {}
    for name, attribute in (("network", "partitionkey"), ("type", "type")):
        value = document.get(attribute)
        if isinstance(value, str):
            found[name] = value[:128]
    return found


def short(value: object) -> str:
    """Return a value as it is written in Python, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def excerpt(raw: bytes) -> str:
    """Return the beginning of a line, as it is written in Python."""
    text = repr(raw[:60])[1:]
    return text if len(raw) <= 60 else f"{text}..."
