"""Incidents: alarms with one cause become one incident, reported to people once.

An alarm joins the open group that it has most in common with, or one that accounts for it through
the parcels they share, or starts one. A carrier's own report of trouble starts one too, which stays
silent until something is seen of it. A group is published, and escalated, once it is large enough
to report; again when its scope or size changes materially; and when it has been quiet. An alarm the
other way is its recovery, not another incident.
"""

from typing import Literal

from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import Alarm, Draft, Incident, PolicyInForce
from operators.core.wording import day, span
from operators.incidents.group import (
    JOINS,
    Group,
    Member,
    alarm_member,
    report_member,
    scope_words,
)
from operators.incidents.traffic import Traffic, share_of_any, share_with
from state.actions import Escalate
from state.events import CarrierDisrupted, ShipmentDispatched
from state.keys import ServiceId
from state.policy import Incidents as Rules
from state.policy import Policy
from state.quantities import DAY_MS, HOUR_MS, to_ms

_VERSION = "incidents/3"
#: Interval, in journal time, of looking for groups that are over.
_LOOK_MS = HOUR_MS
#: A closed group is kept so long, so that a late recovery is not taken for news.
_KEPT_MS = 7 * DAY_MS
_MOST_GROUPS = 64
#: A report is not believed to hold for longer, unless it is repeated.
_LONGEST_REPORT_MS = 30 * DAY_MS
#: Longest name: it is the id of what people are asked to look at.
_NAME_LENGTH = 128
_REASON_LENGTH = 1_000
#: Part of an alarm's size that an incident must account for, for the alarm to be its echo.
_EXPLAINS = 0.5
#: Largest quotient of two shifts that may be one, and the least share of parcels in common.
_ALIKE, _OVERLAPS = 2.0, 0.05
#: An incident is reported again when it rests on so many times as much.
_GROWN = 2


Measure = Literal["transit", "demand"]


class _State(Struct):
    rules: Rules
    groups: list[Group] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    next_look_ms: int = 0


class Incidents(Operator):
    """Emitter of Incident (one opens, grows or closes) and of a draft of `escalate` as it opens."""

    name = "incidents"

    def __init__(self, policy: Policy) -> None:
        self._state = _State(policy.incidents)

    def step(self, record: Record) -> list[Record]:
        """Fold in alarms and reports; everything is passed on."""
        out: list[Record] = []
        if record.now_ms >= self._state.next_look_ms:
            out = self._look(record)
        out.append(record)
        fact = record.fact
        if type(fact) is Alarm:
            out += self._alarmed(record, fact)
        elif type(fact) is ShipmentDispatched:
            self._state.traffic.note(fact, record.now_ms)
        elif type(fact) is CarrierDisrupted:
            self._reported(record, fact)
        elif type(fact) is PolicyInForce:
            self._state.rules = fact.policy.incidents
        return out

    def _alarmed(self, record: Record, alarm: Alarm) -> list[Record]:
        member, is_up, now_ms = alarm_member(alarm), alarm.size > 0, record.now_ms
        if self._recovers(alarm.measure, is_up, member):
            return []
        if alarm.measure == "transit" and not is_up:
            return []  # parcels that arrive sooner than usual are no trouble
        group = self._find(alarm.measure, is_up, member, now_ms)
        if group is None:
            group, member = self._overlapping(alarm.measure, is_up, member, now_ms)
        if group is None:
            group = self._start(alarm.measure, is_up, now_ms)
        group.add(member, record.seq)
        group.lasts_ms = max(group.lasts_ms, now_ms)
        return self._publish_news(record, group)

    def _reported(self, record: Record, report: CarrierDisrupted) -> None:
        now_ms = record.now_ms
        until_ms = min(to_ms(report.until), now_ms + _LONGEST_REPORT_MS)
        assert record.event is not None
        member = report_member(report, record.event.time_ms)
        if not report.delay_s or until_ms <= now_ms:
            for reported in self._state.groups:
                if member.key in reported.members:
                    reported.lasts_ms = now_ms
            return
        group = self._find("transit", True, member, now_ms)
        if group is None:
            group = self._start("transit", True, now_ms)
        group.add(member, record.seq)
        group.lasts_ms = max(group.lasts_ms, until_ms)
        if member.key in group.members:
            delay = f"{span(report.delay_s)} of delay until {day(until_ms)}"
            group.reports[member.key] = (
                f"{report.carrier} reports {report.reason or 'trouble'}: {delay}."
            )

    def _recovers(self, measure: Measure, is_up: bool, member: Member) -> bool:
        """Return whether it is the recovery from a group that goes, or went, the other way."""
        return any(
            group.measure == measure
            and group.is_up != is_up
            and group.share(member.traits) >= JOINS
            for group in self._state.groups
        )

    def _find(self, measure: Measure, is_up: bool, member: Member, now_ms: int) -> Group | None:
        """Return the open group that shares most with `member`, the oldest of equals; else None."""
        sharing = [
            group
            for group in self._open(measure, is_up, now_ms)
            if group.share(member.traits) >= JOINS
        ]
        return max(sharing, key=lambda group: group.likeness(member.traits), default=None)

    def _overlapping(
        self, measure: Measure, is_up: bool, member: Member, now_ms: int
    ) -> tuple[Group | None, Member]:
        """Return the open group that shares parcels with the member, and the member as it joins.

        What a group accounts for is its shift, times the share of the member's parcels that are in
        it. If that is half of what the member is off by, the member is an echo. If it is less, and
        the two are off by as much, then there is a wider trouble that both are part of.
        """
        lanes = self._state.traffic.of(member.traits)
        akin: Group | None = None
        echoed, of_echo, most = None, 0.0, _EXPLAINS * member.weight
        for group in self._open(measure, is_up, now_ms):
            share = share_with(lanes, group.scope())
            if group.strength * share >= most:
                echoed, of_echo, most = group, share, group.strength * share
            alike = member.weight <= _ALIKE * group.strength <= _ALIKE**2 * member.weight
            if akin is None and alike and share_of_any(lanes, group.weights()) >= _OVERLAPS:
                akin = group
        if echoed is not None:
            return echoed, member.as_echo(of_echo)
        return akin, member

    def _open(self, measure: Measure, is_up: bool, now_ms: int) -> list[Group]:
        """Return the groups that may still grow."""
        since_ms = now_ms - self._state.rules.together_s * 1000
        return [
            group
            for group in self._state.groups
            if group.measure == measure
            and group.is_up == is_up
            and not group.closed
            and group.lasts_ms >= since_ms
        ]

    def _start(self, measure: Measure, is_up: bool, now_ms: int) -> Group:
        """Open a new group; where there are too many, drop the one that ends first."""
        groups = self._state.groups
        if len(groups) >= _MOST_GROUPS:
            groups.remove(min(groups, key=lambda group: group.lasts_ms))
        group = Group(measure=measure, is_up=is_up, lasts_ms=now_ms)
        groups.append(group)
        return group

    def _publish_news(self, record: Record, group: Group) -> list[Record]:
        """Publish the group if that is news, and have a person look at it if it is new."""
        scope, observations = group.scope(), group.observations
        if group.name:
            grown = observations >= _GROWN * group.published_observations
            if scope == group.published_scope and not grown:
                return []
            return [record.derive(self._publish(group, "grown"))]
        rules, factor = self._state.rules, group.factor
        material = factor >= rules.least_factor or factor <= 1.0 / rules.least_factor
        if observations < rules.least_observations or not material:
            return []
        name = f"{group.measure} {scope_words(scope)} since {day(group.since_ms)}"
        group.name = name[-_NAME_LENGTH:]
        incident = self._publish(group, "open")
        return [record.derive(incident), record.derive(_escalate(group, incident))]

    def _publish(self, group: Group, state: Literal["open", "grown", "closed"]) -> Incident:
        group.published_scope, group.published_observations = group.scope(), group.observations
        scope = group.published_scope
        service = scope.get("service")
        names = {name: value for name, value in scope.items() if isinstance(value, str)}
        return Incident(
            name=group.name,
            state=state,
            measure=group.measure,
            carrier=names.get("carrier", ""),
            service=service.service if isinstance(service, ServiceId) else "",
            node=names.get("node", ""),
            region=names.get("region", ""),
            category=names.get("category", ""),
            since_ms=group.since_ms,
            observations=group.observations,
            lanes=group.lanes,
            factor=group.factor,
            cause=group.cause,
            summary=group.summary(),
        )

    def _look(self, record: Record) -> list[Record]:
        """Close what has been quiet; forget unpublished groups and those closed long ago."""
        state, now_ms = self._state, record.now_ms
        state.next_look_ms = now_ms + _LOOK_MS
        out: list[Record] = []
        kept: list[Group] = []
        for group in state.groups:
            over_ms = group.lasts_ms + state.rules.quiet_s * 1000
            if now_ms >= over_ms and group.name and not group.closed:
                group.closed = True
                out.append(record.derive(self._publish(group, "closed")))
            if now_ms < over_ms or (group.closed and now_ms < over_ms + _KEPT_MS):
                kept.append(group)
        state.groups = kept
        return out

    def snapshot(self) -> bytes:
        """Return the groups as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Restore the groups of a snapshot."""
        self._state = unpack(_VERSION, data, _State)


def _escalate(group: Group, incident: Incident) -> Draft:
    return Draft(
        decision=Escalate(about=incident.name, reason=incident.summary[:_REASON_LENGTH]),
        subject=incident.name,
        correlation=None,
        summary=incident.summary,
        terms={},
        value_cents=0,
        causes=tuple(group.seqs),
        rests_on=("telemetry" if group.measure == "transit" else "demand",),
    )
