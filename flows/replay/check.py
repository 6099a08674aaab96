"""Check of a log: its contents, and its problems."""

from collections import Counter
from pathlib import Path
from typing import Any

from flows.wiring.progress import Progress
from flows.wiring.records import records
from operators.core.contract import Record
from operators.core.entry import NO_NETWORK
from operators.core.facts import Duplicate
from operators.hygiene.hygiene import Hygiene
from state.codec import DeadLetter
from state.journals import journal_identity
from state.policy import Policy
from state.quantities import rfc3339

_EXAMPLES = 3


def check(logs: tuple[Path, ...], progress: Progress) -> dict[str, Any]:
    """Read logs as a replay would, up to hygiene; return counts, span, networks and problems.

    Problems are dead letters by reason, with where the first of each stand; notes are what the
    engine copes with: duplicates, disorder, facts that wait for what they refer to.
    """
    found = _Found()
    lines = 0
    for lines, record in enumerate(records(logs, progress), 1):  # noqa: B007 - counted to the last
        found.take(record)
    waiting = sum(hygiene.parked for hygiene in found.hygienes.values())
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (found.duplicates, "duplicates: the same source and id came again"),
            (found.disordered, "lines were recorded before the line above them"),
            (waiting, "events still wait for something they refer to at the end"),
        )
        if count
    ]
    return {
        "journal": journal_identity(logs),
        "lines": lines,
        "events": sum(found.types.values()),
        "dead_letters": sum(found.reasons.values()),
        "first": rfc3339(found.first_ms) if found.first_ms else None,
        "last": rfc3339(found.last_ms) if found.last_ms else None,
        "networks": dict(sorted(found.networks.items())),
        "by_type": dict(sorted(found.types.items())),
        "duplicates": found.duplicates,
        "disordered": found.disordered,
        "waiting": waiting,
        "notes": notes,
        "problems": [
            {"reason": reason, "count": count, "examples": found.examples[reason]}
            for reason, count in found.reasons.most_common()
        ],
    }


class _Found:
    """Counts so far, and a hygiene operator per network."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.networks: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.hygienes: dict[str, Hygiene] = {}
        self.duplicates = self.disordered = 0
        self.first_ms = self.last_ms = self._previous_ms = 0

    def take(self, record: Record) -> None:
        """Count one line."""
        event = record.event
        if event is not None:
            self.types[event.type] += 1
            self.networks[event.network] += 1
            self.first_ms = min(self.first_ms or event.recorded_ms, event.recorded_ms)
            self.last_ms = max(self.last_ms, event.recorded_ms)
            self.disordered += event.recorded_ms < self._previous_ms
            self._previous_ms = event.recorded_ms
        hygiene = self.hygienes.setdefault(record.network, Hygiene(Policy()))
        passed = [record] if record.network == NO_NETWORK else hygiene.step(record)
        for each in passed:
            if isinstance(each.fact, DeadLetter):
                self._problem(each.fact, had_decoded=record.network != NO_NETWORK)
            elif isinstance(each.fact, Duplicate):
                self.duplicates += 1

    def _problem(self, letter: DeadLetter, had_decoded: bool) -> None:
        self.reasons[letter.reason] += 1
        if had_decoded and letter.type is not None:
            self.types[letter.type] -= 1  # counted as an event, and then refused
        examples = self.examples.setdefault(letter.reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(str(letter))
