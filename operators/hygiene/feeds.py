"""Feed health: how far the facts of each family can be trusted right now.

A feed is one producer's (an envelope's `source`) facts of one family. Its score is one minus the
recent share of its facts that came late, were unusable or not believable, and zero while it is
silent. A family (inventory, telemetry, demand) is as healthy as its worst feed. Duplicates are
counted but cost nothing: a redelivery must not change a decision.
"""

from msgspec import Struct, field

from operators.core.facts import FeedHealth
from state.events import FAMILY_OF, Event
from state.policy import Hygiene

#: Facts a feed must have delivered before it is judged.
_JUDGED_AFTER = 50
#: Weight of the newest fact in a feed's score: it remembers about 100 facts.
_FADING = 0.01
#: A feed is silent only if quiet for this many of its usual gaps as well.
_SILENT_GAPS = 20.0
#: Producers that are distinguished; further ones share an entry, so that memory is bounded.
_MOST_FEEDS = 500
_JUDGED_FAMILIES = ("inventory", "telemetry", "demand")


class Feed(Struct):
    """Health of one producer; `bad` and `gap_ms` are exponentially weighted means."""

    family: str
    received: int = 0
    late: int = 0
    duplicates: int = 0
    quarantined: int = 0
    doubted: int = 0
    bad: float = 0.0
    gap_ms: float = 0.0
    last_ms: int = 0
    latest_time_ms: int = 0
    silent: bool = False


class FeedKey(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One producer's facts of one family; without a source, the producers that share an entry."""

    family: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.family} of {self.source or 'others'}"


class Feeds(Struct):
    """All producers of a network, and the last published score of each family."""

    feeds: dict[FeedKey, Feed] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget all producers: others deliver from here on, and the old are not silent."""
        self.feeds.clear()

    def duplicated(self, event: Event) -> str:
        """Count a duplicate; returns the family."""
        feed = self._feed(event)
        feed.duplicates += 1
        return feed.family

    def quarantined(self, event: Event) -> None:
        """Count an unusable fact."""
        feed = self._feed(event)
        feed.quarantined += 1
        feed.bad = _mean(feed.bad, 1.0)

    def doubted(self, event: Event) -> None:
        """Count a fact that arrived before and, now that it is let in, is not believable."""
        feed = self._feed(event)
        feed.doubted += 1
        feed.bad = _mean(feed.bad, 1.0)

    def received(
        self, event: Event, now_ms: int, rules: Hygiene, doubted: bool = False
    ) -> list[FeedHealth]:
        """Count a fact; returns the family's health where it crossed the trusted bound.

        What is `doubted`, because it is not believable, speaks against its feed as lateness does.
        """
        feed, time_ms = self._feed(event), event.time_ms
        is_late = time_ms < now_ms - rules.lateness_s * 1000
        is_bad = is_late or doubted
        if feed.received:
            gap_ms = now_ms - feed.last_ms
            feed.gap_ms = _mean(feed.gap_ms, gap_ms if gap_ms > 0 else 0.0)
        feed.received += 1
        feed.bad = _mean(feed.bad, 1.0 if is_bad else 0.0)
        feed.last_ms = now_ms
        if time_ms > feed.latest_time_ms:
            feed.latest_time_ms = time_ms
        if is_bad:
            feed.late += is_late
            feed.doubted += doubted
        if feed.silent:
            feed.silent = False
            return self._publish(feed.family, rules, f"{event.source} is heard again")
        if is_bad:
            reason = "is not believable" if doubted else "delivers late"
            return self._publish(feed.family, rules, f"{event.source} {reason}")
        if self.published.get(feed.family, 1.0) < rules.trusted_above:
            return self._publish(feed.family, rules, f"{event.source} has recovered")
        return []

    def silent(self, now_ms: int, rules: Hygiene) -> list[FeedHealth]:
        """Return the health of families that lost a feed to silence since the last look."""
        out: list[FeedHealth] = []
        for key, feed in self.feeds.items():
            if feed.silent or feed.received < _JUDGED_AFTER or feed.family not in _JUDGED_FAMILIES:
                continue
            quiet = now_ms - feed.last_ms
            if quiet > rules.silent_s * 1000 and quiet > _SILENT_GAPS * feed.gap_ms:
                feed.silent = True
                reason = f"{key} has been silent for {quiet / 3_600_000:.1f} h"
                out += self._publish(feed.family, rules, reason)
        return out

    def _publish(self, family: str, rules: Hygiene, reason: str) -> list[FeedHealth]:
        judged = [
            0.0 if f.silent else 1.0 - f.bad
            for f in self.feeds.values()
            if f.family == family and f.received >= _JUDGED_AFTER
        ]
        score = min(judged, default=1.0)
        before = self.published.get(family, 1.0)
        if (score < rules.trusted_above) == (before < rules.trusted_above):
            return []
        self.published[family] = score
        return [FeedHealth(family=family, score=score, reason=reason)]

    def _feed(self, event: Event) -> Feed:
        family = FAMILY_OF[type(event.fact)]
        key = FeedKey(family, event.source)
        feed = self.feeds.get(key)
        if feed is None:
            kept = key if len(self.feeds) < _MOST_FEEDS else FeedKey(family)
            feed = self.feeds.setdefault(kept, Feed(family=family))
        return feed


def _mean(mean: float, value: float) -> float:
    return mean + _FADING * (value - mean)
