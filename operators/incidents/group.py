"""Incident groups: alarms that may have one cause, and the scope that explains most of them.

A hub that closes raises alarms on each of its lanes, on services and on regions. What they have in
common is what weighs: a trait (such as ``node N-3``) is part of the scope if members with four
fifths of the group's weight have it; else the one on which most of those that name its kind agree
(nodes differ, services differ, but all regions are one); else it is the whole network.
"""

from typing import Literal

from msgspec import Struct, field

from operators.core.facts import Alarm
from operators.core.wording import day
from state.events import CarrierDisrupted
from state.keys import ServiceId
from state.quantities import HOUR_S
from state.sums import float_sum, int_sum

#: Share of a group's weight that a trait needs to be part of the scope, and to let an alarm join.
_IN_SCOPE, JOINS = 0.8, 0.5
#: Members that are distinguished; further ones keep a group open, and no more.
_MOST_MEMBERS = 500
#: The most that one member weighs.
_HEAVIEST = 4.0
#: Seconds of delay that are about one usual spread of transit: what a report is believed to weigh.
_SPREAD_S = 12 * HOUR_S

#: Traits of a scope, the likeliest cause first where two explain as much.
Trait = str | ServiceId
Traits = dict[str, Trait]
_ORDER = ("node", "service", "carrier", "region", "category")


class MemberKey(Struct, frozen=True, array_like=True, gc=False):
    """Identity of a member; a report and an alarm of one scope are two."""

    kind: Literal["alarm", "report"]
    traits: tuple[tuple[str, Trait], ...]


class Member(Struct, array_like=True):
    """One alarmed scope, or a report (without observations); `weight` is the size of its shift."""

    traits: Traits
    weight: float
    since_ms: int
    factor: float = 1.0
    observations: int = 0

    def as_echo(self, share: float) -> "Member":
        """Return the part of it that another trouble accounts for: counted, but without weight."""
        observations = max(1, round(self.observations * share))
        return Member(self.traits, 0.0, self.since_ms, self.factor, observations)

    @property
    def is_lane(self) -> bool:
        """Return whether it is of a service and one of its ends, or both."""
        return "service" in self.traits and ("node" in self.traits or "region" in self.traits)

    @property
    def key(self) -> MemberKey:
        """Return its identity."""
        return MemberKey("alarm" if self.observations else "report", tuple(self.traits.items()))


class Group(Struct):
    """Members by key, and the state last published.

    It lasts until its last alarm, or for as long as a carrier announced.
    """

    measure: Literal["transit", "demand"]
    is_up: bool
    lasts_ms: int
    members: dict[MemberKey, Member] = field(default_factory=dict)
    # Carriers' own reports of it, by the key of the report's member.
    reports: dict[MemberKey, str] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    name: str = ""
    published_scope: Traits = field(default_factory=dict)
    published_observations: int = 0
    closed: bool = False

    @property
    def strength(self) -> float:
        """Return the largest shift of a member, in usual spreads."""
        return max(member.weight for member in self.members.values())

    def share(self, traits: Traits) -> float:
        """Return the largest share of the group's weight that shares a trait with `traits`.

        All have the network in common, where that is the scope.
        """
        return max(self._supports(traits)) if self.scope() else 1.0

    def likeness(self, traits: Traits) -> float:
        """Return the sum of the shares of its weight that have each of `traits`."""
        return float_sum(self._supports(traits))

    def _supports(self, traits: Traits) -> list[float]:
        total = float_sum(member.weight for member in self.members.values())
        return [self._support(name, value) / total for name, value in traits.items()]

    def _support(self, name: str, value: Trait) -> float:
        return float_sum(m.weight for m in self.members.values() if m.traits.get(name) == value)

    def add(self, member: Member, seq: int) -> None:
        """Take in a member, or what is new of it."""
        before = self.members.get(member.key)
        if before is not None:
            before.observations += member.observations
            before.factor, before.weight = member.factor, member.weight
        elif len(self.members) < _MOST_MEMBERS:
            self.members[member.key] = member
        self.seqs = sorted({*self.seqs, seq})[-8:]

    def weights(self) -> dict[tuple[str, Trait], float]:
        """Return the members' weight by trait; echoes weigh nothing and are left out."""
        weights: dict[tuple[str, Trait], float] = {}
        for member in self.members.values():
            if member.weight:
                for trait in member.traits.items():
                    weights[trait] = weights.get(trait, 0.0) + member.weight
        return weights

    def scope(self) -> Traits:
        """Return the traits that explain the members; none if only the whole network does."""
        weights = self.weights()
        total = float_sum(member.weight for member in self.members.values())
        found = {name: value for (name, value), w in weights.items() if w >= _IN_SCOPE * total}
        if not found:
            # Views of one trouble: where they are of one node but many services, it is the node.
            named: dict[str, float] = {}
            for (name, _), weight in weights.items():
                named[name] = named.get(name, 0.0) + weight
            agreed = [trait for trait, w in weights.items() if w >= _IN_SCOPE * named[trait[0]]]
            # Equals of one kind are compared by name: all of a kind are of one type.
            agreed.sort(key=lambda t: (-weights[t], _ORDER.index(t[0]), t[1]))
            found = dict(agreed[:1])
        service = found.get("service")
        if isinstance(service, ServiceId):
            found["carrier"] = service.carrier
        return {name: found[name] for name in _ORDER if name in found}

    def _finest(self) -> list[Member]:
        """Return the alarmed members of the kind of scope that most observations are of.

        Scopes of one kind, such as all lanes or all services, do not overlap; those of two do.
        """
        kinds: dict[tuple[str, ...], list[Member]] = {}
        for member in self.members.values():
            if member.observations:
                kinds.setdefault(tuple(member.traits), []).append(member)
        return max(kinds.values(), key=_observed, default=[])

    @property
    def lanes(self) -> int:
        """Return the number of lanes that raised an alarm, from a node or to a region."""
        return int_sum(bool(m.observations) and m.is_lane for m in self.members.values())

    @property
    def observations(self) -> int:
        """Return the number of observations behind it, each counted once."""
        return _observed(self._finest())

    @property
    def factor(self) -> float:
        """Return the mean multiple of the prediction, weighted by observations."""
        members, total = self._finest(), self.observations
        return float_sum(m.factor * m.observations for m in members) / total if total else 1.0

    @property
    def since_ms(self) -> int:
        """Return the median onset of its members: a quiet lane shows a change late."""
        since = sorted(m.since_ms for m in self.members.values() if m.observations)
        return since[len(since) // 2] if since else self.lasts_ms

    @property
    def cause(self) -> str:
        """Return the worst report by a carrier on the scope or a part of it; empty if none."""
        scope, worst, cause = self.scope(), 0.0, ""
        for key, text in self.reports.items():
            report = self.members[key]
            of_it = all(scope.get(name, value) == value for name, value in report.traits.items())
            if of_it and report.weight > worst:
                worst, cause = report.weight, text
        return cause

    def summary(self) -> str:
        """Summarise the group for a person, with numbers and units."""
        scope, observations = self.scope(), self.observations
        if self.measure == "transit":
            who = f"Parcels{_words(scope)} have taken"
            seen = f"{observations} parcels" + (f" on {self.lanes} lanes" if self.lanes else "")
        else:
            who = f"Orders{_words(scope)} have been"
            seen = f"{observations} observations"
        text = f"{who} {self.factor:.1f} x the usual since {day(self.since_ms)}: {seen}."
        return f"{text} {self.cause}" if self.cause else text


def _observed(members: list[Member]) -> int:
    return int_sum(member.observations for member in members)


def alarm_traits(alarm: Alarm) -> Traits:
    """Return the traits of an alarm's scope; services are named with their carrier."""
    named: Traits = {
        "node": alarm.node,
        "service": ServiceId(alarm.carrier, alarm.service) if alarm.service else "",
        "carrier": alarm.carrier,
        "region": alarm.region,
        "category": alarm.category,
    }
    return {name: value for name, value in named.items() if value}


def alarm_member(alarm: Alarm) -> Member:
    """Return an alarm as a member."""
    weight = min(abs(alarm.size), _HEAVIEST)
    return Member(alarm_traits(alarm), weight, alarm.since_ms, alarm.factor, alarm.observations)


def report_member(report: CarrierDisrupted, time_ms: int) -> Member:
    """Return a carrier's report of itself as a member."""
    traits: Traits = {"carrier": report.carrier}
    if report.service:
        traits["service"] = ServiceId(report.carrier, report.service)
    if report.region:
        traits["region"] = report.region
    return Member(traits, min(report.delay_s / _SPREAD_S, _HEAVIEST), time_ms)


def scope_words(scope: Traits) -> str:
    """Return the name of a scope, such as ``POST/express N-3 to NORTH``."""
    what, node, place = _parts(scope)
    named = [str(each) for each in (what, node) if each]
    return " ".join([*named, *([place] if place else [])]) or "network"


def _words(scope: Traits) -> str:
    what, node, place = _parts(scope)
    return (
        (f" of {what}" if what else "")
        + (f" from {node}" if node else "")
        + (f" {place}" if place else "")
    )


def _parts(scope: Traits) -> tuple[Trait | None, Trait | None, str]:
    """Return a scope's subject, its node of origin, and its region with "to" or "in"."""
    what = scope.get("service") or scope.get("carrier") or scope.get("category")
    to = "in" if "category" in scope else "to"
    return what, scope.get("node"), f"{to} {scope['region']}" if "region" in scope else ""
