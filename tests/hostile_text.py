"""Text as it may come from anywhere: it tries to act, to hide, and to be markup."""

from typing import Any

import msgspec
from msgspec import inspect

from state.events import Event, Fact

#: Markup of Rich, an emoji's code, HTML, formats of Python; a terminal's control beyond ASCII (the
#: codec refuses those within), an override and an isolate of direction, what takes no room, a line
#: separator, a tag, and a letter that looks like nothing.
SPOILS = "[/b][red]:bomb:<b>{x}%s\x9b31m\u202e\u2066\u200b\ufeff\u2028\U000e0041\u3164"
#: Names that people join with "/" and ">", which therefore are left out of what spoils them.
_JOINED = {"carrier", "service", "node", "region"}
_JOINERS = str.maketrans("", "", "/>")
#: Printable as far as Unicode says, but not to be seen.
_BLANK = "\u3164\u115f\u1160\uffa0\u034f\u2800"
#: They name another event's thing by its id, and are not shown.
_LEFT = ("action",)


def acting(text: str) -> list[str]:
    """Return the characters that would act or hide if `text` were shown as it is."""
    return [char for char in text if not char.isprintable() or char in _BLANK]


def spoiled_event(event: Event) -> Event:
    """Return the event with every name and every text in it spoiled, always in the same way."""
    fact: Fact = _spoiled(event.fact, inspect.type_info(type(event.fact)))
    return msgspec.structs.replace(event, fact=fact)


def _spoiled(value: Any, kind: inspect.Type, spoils: str = SPOILS) -> Any:
    match kind:
        case inspect.StrType(pattern=None, max_length=most):
            return f"{value}{spoils}"[: most or None] if value else value
        case inspect.StructType(fields=fields):
            changed = {
                each.name: _spoiled(
                    getattr(value, each.name),
                    each.type,
                    SPOILS.translate(_JOINERS) if each.name in _JOINED else SPOILS,
                )
                for each in fields
                if each.name not in _LEFT
            }
            return msgspec.structs.replace(value, **changed)
        case inspect.VarTupleType(item_type=item):
            return tuple(_spoiled(each, item, spoils) for each in value)
        case inspect.UnionType(types=types) if value is not None:
            texts = [each for each in types if not isinstance(each, inspect.NoneType)]
            return _spoiled(value, texts[0], spoils) if len(texts) == 1 else value
        case inspect.Metadata(type=inner):
            return _spoiled(value, inner, spoils)
        case _:
            return value
