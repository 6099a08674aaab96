"""Ids of events that were folded in, so that none takes effect twice.

Memory is bounded, and the promise is not: what is forgotten leaves behind, for each producer, the
latest `time` of its forgotten events. An event that is older than that and not remembered may have
been folded in, which is no longer known; it is refused. One that is younger cannot have been.
So a producer that was away for a week, and then sends all that has happened since, is let in; one
that sends a fact behind others that are forgotten by now is not.
"""

from msgspec import Struct, field

from state.quantities import DAY_MS

#: Ids are remembered for so long in journal time, if there are no more of them than the bound:
#: redeliveries come within minutes, and stragglers within a day.
_REMEMBERED_MS = 2 * DAY_MS
#: Ids held in a generation at most, unless the policy's least is more: some 50 MB.
_MOST_IDS = 500_000
#: Producers that are distinguished; further ones share an entry, so that memory is bounded.
_MOST_SOURCES = 1_000
#: Before anything that can have happened.
_NEVER_MS = -(2**62)


class Ids(Struct, array_like=True):
    """Ids of one producer, and the latest `time` (ms) of what bears them."""

    known: dict[str, None] = field(default_factory=dict)
    latest_ms: int = _NEVER_MS


class Generation(Struct, array_like=True):
    """Ids that came one after the other since `since_ms`; `size` counts them."""

    since_ms: int = 0
    size: int = 0
    by_source: dict[str, Ids] = field(default_factory=dict)
    others: dict[tuple[str, str], None] = field(default_factory=dict)
    others_latest_ms: int = _NEVER_MS


class Remembered(Struct, array_like=True):
    """Ids folded in: two generations of them, and the latest times of the forgotten ones.

    When the newer generation is full, the older is dropped whole. `forgotten` is the latest `time`
    (ms) among what was dropped, by producer, and `others_ms` that of producers that share an entry.
    """

    newer: Generation = field(default_factory=Generation)
    older: Generation = field(default_factory=Generation)
    forgotten: dict[str, int] = field(default_factory=dict)
    others_ms: int = _NEVER_MS

    def knows(self, source: str, event: str) -> bool:
        """Return whether the event is remembered; ids are unique within a source."""
        newer, older = self.newer, self.older
        ids = newer.by_source.get(source)
        if ids is not None and event in ids.known:
            return True
        ids = older.by_source.get(source)
        if ids is not None and event in ids.known:
            return True
        if not (newer.others or older.others):
            return False
        shared = (source, event)
        return shared in newer.others or shared in older.others

    def __len__(self) -> int:
        """Return the number of ids held."""
        return self.newer.size + self.older.size

    def forgotten_ms(self, source: str) -> int:
        """Return the `time` (ms) up to which facts of `source` may have been forgotten."""
        forgotten = self.forgotten.get(source, _NEVER_MS)
        return forgotten if forgotten > self.others_ms else self.others_ms

    def add(self, source: str, event: str, time_ms: int, now_ms: int, least: int) -> None:
        """Remember an event from now on: it, and the latest `least` ids in any case."""
        newer = self.newer
        if newer.size >= least:
            is_old = now_ms - newer.since_ms >= _REMEMBERED_MS
            if is_old or newer.size >= max(least, _MOST_IDS):
                self._turn(now_ms)
                newer = self.newer
        elif not newer.size:
            newer.since_ms = now_ms
        newer.size += 1
        ids = newer.by_source.get(source)
        if ids is None:
            if len(newer.by_source) >= _MOST_SOURCES:
                newer.others[(source, event)] = None
                newer.others_latest_ms = max(newer.others_latest_ms, time_ms)
                return
            ids = newer.by_source[source] = Ids()
        ids.known[event] = None
        if time_ms > ids.latest_ms:
            ids.latest_ms = time_ms

    def drop(self, source: str, event: str) -> None:
        """Forget an event, so that it is let in if it comes again."""
        for each in (self.newer, self.older):
            ids = each.by_source.get(source)
            if ids is not None:
                ids.known.pop(event, None)
            each.others.pop((source, event), None)

    def _turn(self, now_ms: int) -> None:
        dropped, self.older, self.newer = self.older, self.newer, Generation(now_ms)
        self.others_ms = max(self.others_ms, dropped.others_latest_ms)
        for source, ids in dropped.by_source.items():
            if source not in self.forgotten and len(self.forgotten) >= _MOST_SOURCES:
                self.others_ms = max(self.others_ms, ids.latest_ms)
            else:
                self.forgotten[source] = max(self.forgotten_ms(source), ids.latest_ms)
