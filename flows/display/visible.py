r"""Visible text from data: no character of it acts on a terminal or in a page, or hides there.

Names and reasons come from other systems and may hold anything. What is shown to people goes
through here: control characters (also those beyond ASCII, which terminals obey as well), what turns
the direction of writing, and what takes no room or looks like a space is written as Python would
escape it, such as ``\x1b`` or ``\u202e``. All other text, of any script, stays as it is.
"""

import re

#: Printable by their category, and yet nothing is seen: joiners, fillers, variation selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def visible(text: str) -> str:
    """Return `text` on one line, every character of it to be seen."""
    if text.isprintable() and (text.isascii() or _BLANK.search(text) is None):
        return text
    return "".join(char if _is_seen(char) else _escaped(char) for char in text)


def visible_json(raw: bytes) -> bytes:
    """Return `raw`, JSON of some lines, as the same document with every character visible."""
    text = raw.decode()
    if text.isascii() and "\x7f" not in text:  # JSON has escaped the others
        return raw
    return "".join(
        char if char == "\n" or _is_seen(char) else _json_escaped(char) for char in text
    ).encode()


def _is_seen(char: str) -> bool:
    return char.isprintable() and _BLANK.match(char) is None


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
