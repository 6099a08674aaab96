"""Services and lanes as people write them, CARRIER/SERVICE or NODE>REGION, and their readings.

Names may hold the mark themselves, so a text is not taken apart: every way to read it is held
against what is registered. Where several fit, both names as a JSON list say which is meant, such as
``["POST/EU", "standard"]``.
"""

from collections.abc import Container
from contextlib import suppress

import msgspec

from state.keys import ARROW, SLASH, ServiceId

_BOTH = msgspec.json.Decoder(tuple[str, str])


def readings(text: str, mark: str) -> list[tuple[str, str]]:
    """Return every way to read a text as two names: with `mark` between them, or as a JSON list."""
    found = []
    at = text.find(mark)
    while at >= 0:
        first, second = text[:at], text[at + len(mark) :]
        if first and second:
            found.append((first, second))
        at = text.find(mark, at + 1)
    with suppress(msgspec.DecodeError):
        found.append(_BOTH.decode(text))
    return found


def services_named(text: str, known: Container[ServiceId]) -> list[ServiceId]:
    """Return the services among `known` that a text may mean."""
    meant = (ServiceId(carrier, service) for carrier, service in readings(text, SLASH))
    return [service for service in meant if service in known]


def lanes_named(text: str, nodes: Container[str], regions: Container[str]) -> list[tuple[str, str]]:
    """Return the lanes, as (node, region), between `nodes` and `regions` that a text may mean."""
    return [
        (node, region)
        for node, region in readings(text, ARROW)
        if node in nodes and region in regions
    ]
