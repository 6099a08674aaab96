"""Hygiene: admission of facts to the chain, and the health of feeds.

Duplicates are left out; facts that refer to something unknown wait for it, up to the lateness
bound, and then become dead letters; a fact too late or too far ahead to be applied, or so old that
it may be a duplicate and cannot be checked, becomes one at once; one that is not believable
goes on as suspect. Hygiene also owns the journal's now and the policy in force.
"""

from collections.abc import Sequence

from msgspec import Struct, field

from operators.core.contract import Operator, Record, dead_letter, pack, unpack
from operators.core.deadlines import Deadlines
from operators.core.facts import Duplicate, Parked, PolicyInForce
from operators.hygiene.anomalies import Anomalies
from operators.hygiene.feeds import Feeds
from operators.hygiene.redelivery import Remembered
from operators.hygiene.references import References
from state.codec import JournalLine, decode
from state.errors import PolicyError
from state.events import Event, PolicyChanged, StockCounted
from state.keys import Ref
from state.policy import Policy, parse_policy
from state.quantities import rfc3339

_VERSION = "hygiene/4"
#: Records in a row beyond the largest jump, after which the jump is believed.
_JUMPS_BELIEVED = 3
#: Interval, in journal time, of dropping old names and looking for silent feeds.
_FORGET_EVERY_MS = 60_000


class _GivenUp(Struct, frozen=True, array_like=True, gc=False):
    """Deadline of a parked line that waits for the reference `missing`."""

    missing: Ref
    seq: int


class _State(Struct):
    policy: Policy = field(default_factory=Policy)
    now_ms: int = 0
    jumps: int = 0
    seen: Remembered = field(default_factory=Remembered)
    next_forget_ms: int = 0
    references: References = field(default_factory=References)
    feeds: Feeds = field(default_factory=Feeds)
    anomalies: Anomalies = field(default_factory=Anomalies)
    # Missing reference -> the lines waiting for it; and the number waiting in all.
    parked: dict[Ref, list[JournalLine]] = field(default_factory=dict)
    parked_count: int = 0
    deadlines: Deadlines[_GivenUp] = field(default_factory=Deadlines[_GivenUp])


class Hygiene(Operator):
    """The first operator.

    Emits Duplicate, Parked, Anomaly, FeedHealth, PolicyInForce and dead letters.
    """

    name = "hygiene"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy=policy)

    @property
    def parked(self) -> int:
        """Return the number of events that wait for something they refer to."""
        return self._state.parked_count

    @property
    def now_ms(self) -> int:
        """Return the journal's now, ms since the epoch."""
        return self._state.now_ms

    @property
    def feeds(self) -> Feeds:
        """Return the health of the producers; only to be read."""
        return self._state.feeds

    def step(self, record: Record) -> list[Record]:
        """Let a journal record in, leave it out, park it, or make it a dead letter."""
        event = record.event
        if event is None:
            return [record]
        state = self._state
        rules = state.policy.hygiene

        if state.seen.knows(event.source, event.id):
            feed = state.feeds.duplicated(event)
            return [
                Record(
                    record.network,
                    record.seq,
                    state.now_ms,
                    Duplicate(feed=feed),
                )
            ]

        refused = self._impossible(record, event)
        if refused is not None:
            return [*self._advance(record), refused]
        now_ms = state.now_ms
        if event.recorded_ms > now_ms:
            now_ms = state.now_ms = event.recorded_ms
        state.seen.add(event.source, event.id, event.time_ms, now_ms, rules.remembered_ids)
        if record.now_ms != now_ms:
            record = Record(record.network, record.seq, now_ms, record.fact, event, record.line)
        out = self._advance(record)
        missing = state.references.missing(event.fact)
        entering = self._look(record) if missing is None else [record]
        doubted = len(entering) > 1
        for health in state.feeds.received(event, now_ms, rules, doubted):
            out.append(record.derive(health))
        if missing is not None:
            out.append(self._park(record, missing))
            return out
        return out + self._admit(entering)

    def _impossible(self, record: Record, event: Event) -> Record | None:
        """Return a dead letter for a fact whose times are impossible or unknown; else None."""
        state = self._state
        rules = state.policy.hygiene
        ahead = event.recorded_ms - state.now_ms
        if state.now_ms and ahead > rules.largest_jump_s * 1000:
            state.jumps += 1
            if state.jumps < _JUMPS_BELIEVED:
                return dead_letter(
                    Record(
                        record.network, record.seq, state.now_ms, record.fact, event, record.line
                    ),
                    "absurd_time",
                    f"recordedtime within {rules.largest_jump_s} s of {rfc3339(state.now_ms)}",
                    rfc3339(event.recorded_ms),
                )
        state.jumps = 0
        now_ms = state.now_ms if ahead < 0 else event.recorded_ms
        fact, time_ms = event.fact, event.time_ms
        if time_ms > now_ms + rules.clock_skew_s * 1000:
            reason, expected = "absurd_time", f"time up to {rules.clock_skew_s} s past recordedtime"
        elif time_ms <= state.seen.forgotten_ms(event.source) and not (
            state.references.is_news(fact, time_ms)
        ):
            return self._perhaps_redelivered(record, event)
        elif type(fact) is StockCounted and time_ms < now_ms - rules.lateness_s * 1000:
            # The ledger before the bound is settled; sales since then are unknown.
            reason, expected = "too_late", f"a count at most {rules.lateness_s} s old"
        elif type(fact) is PolicyChanged:
            try:
                parse_policy(fact.policy, "policy.changed")
                return None
            except PolicyError as error:
                reason, expected = "invalid_data", f"a valid policy: {error}"
        else:
            return None
        state.feeds.quarantined(event)
        # A refused record does not move the journal's now.
        at = Record(record.network, record.seq, state.now_ms, record.fact, event, record.line)
        return dead_letter(at, reason, expected, rfc3339(event.time_ms))

    def _perhaps_redelivered(self, record: Record, event: Event) -> Record:
        """Return a dead letter for a possible redelivery, which costs its feed no health."""
        state = self._state
        state.feeds.duplicated(event)
        forgotten = rfc3339(state.seen.forgotten_ms(event.source))
        at = Record(record.network, record.seq, state.now_ms, record.fact, event, record.line)
        expected = f"a time after {forgotten}: what {event.source} said up to then is forgotten"
        return dead_letter(at, "too_late", expected, rfc3339(event.time_ms))

    def _look(self, record: Record) -> list[Record]:
        """Return the record; if not believable, marked as suspect and after its anomaly."""
        assert record.event is not None
        anomaly = self._state.anomalies.look(record.event, self._state.policy.anomalies)
        if anomaly is None:
            return [record]
        return [
            record.derive(anomaly),
            Record(
                record.network,
                record.seq,
                record.now_ms,
                record.fact,
                record.event,
                record.line,
                suspect=True,
            ),
        ]

    def _admit(self, entering: list[Record]) -> list[Record]:
        """Pass a fact on, and after it whatever waited for it."""
        state = self._state
        out, record = entering, entering[-1]
        assert record.event is not None
        fact = record.event.fact
        if type(fact) is PolicyChanged:
            state.policy = parse_policy(fact.policy, "policy.changed")
            out.append(record.derive(PolicyInForce(policy=state.policy)))
        known_now = state.references.learn(fact, record.event.time_ms, state.now_ms)
        for known in self._named_by(known_now) if state.parked else ():
            for line in state.parked.pop(known, ()):
                state.parked_count -= 1
                event = decode(line)
                assert isinstance(event, Event)
                out += self._retry(
                    Record(record.network, record.seq, state.now_ms, event.fact, event, line)
                )
        return out

    def _named_by(self, learned: Sequence[Ref]) -> list[Ref]:
        """Return what waiting facts may name from now on: what was learned, and what it tells."""
        if not learned:
            return []
        state = self._state
        named = (
            each for each in state.parked if each.kind in ("service", "lane") and not each.part
        )
        return [*learned, *(each for each in named if state.references.is_known(each))]

    def _retry(self, record: Record) -> list[Record]:
        assert record.event is not None
        missing = self._state.references.missing(record.event.fact)
        if missing is not None:
            return [self._park(record, missing)]
        entering = self._look(record)
        if len(entering) > 1:
            self._state.feeds.doubted(record.event)
        return self._admit(entering)

    def _park(self, record: Record, missing: Ref) -> Record:
        state = self._state
        rules = state.policy.hygiene
        assert record.event is not None and record.line is not None
        if state.parked_count >= rules.parked_events:
            self._quarantine(record.event)
            return dead_letter(
                record, "unknown_reference", f"a known {missing}", "never registered"
            )
        state.parked.setdefault(missing, []).append(record.line)
        state.parked_count += 1
        over_ms = state.now_ms + rules.lateness_s * 1000
        state.deadlines.set(over_ms, _GivenUp(missing, record.line.seq))
        return record.derive(Parked(reference=str(missing)))

    def _advance(self, record: Record) -> list[Record]:
        """Return the records due as now moves on: parked facts given up, feeds gone silent."""
        state = self._state
        out: list[Record] = []
        if state.now_ms < state.next_forget_ms and not state.deadlines.is_due(state.now_ms):
            return out
        for due, _ in state.deadlines.due(state.now_ms):
            missing = due.missing
            waiting = state.parked.get(missing, [])
            for line in [each for each in waiting if each.seq == due.seq]:
                waiting.remove(line)
                state.parked_count -= 1
                event = decode(line)
                assert isinstance(event, Event)
                self._quarantine(event)
                given_up = Record(record.network, record.seq, state.now_ms, event.fact, event, line)
                out.append(
                    dead_letter(given_up, "unknown_reference", f"a known {missing}", "none in time")
                )
            if not waiting:
                state.parked.pop(missing, None)
        if state.now_ms >= state.next_forget_ms:
            state.next_forget_ms = state.now_ms + _FORGET_EVERY_MS
            rules = state.policy.hygiene
            state.references.forget(state.now_ms, rules.lateness_s * 1000)
            out += (record.derive(h) for h in state.feeds.silent(state.now_ms, rules))
        return out

    def _quarantine(self, event: Event) -> None:
        """Count an event against its feed, and forget its id, so that it can be put in again."""
        self._state.feeds.quarantined(event)
        self._state.seen.drop(event.source, event.id)

    def snapshot(self) -> bytes:
        """Return the state as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Restore the state of a snapshot."""
        self._state = unpack(_VERSION, data, _State)
