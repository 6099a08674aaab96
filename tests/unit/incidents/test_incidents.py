"""Alarms with one cause are one incident, named by the widest scope that explains them."""

from typing import Any

import pytest
from msgspec.structs import replace

from operators.core.contract import Record
from operators.core.facts import Alarm, Draft, Incident
from operators.incidents.incidents import Incidents
from state.actions import Escalate
from state.events import CarrierDisrupted, Event
from state.policy import Incidents as Rules
from state.policy import Policy
from state.quantities import from_ms
from tests.builders import HOUR, START_MS, Log, dispatch, fold

HOUR_MS = HOUR * 1000


class Desk:
    """An incidents operator and what it emitted, hour by hour."""

    def __init__(self, **rules: Any) -> None:
        self.operator = Incidents(Policy(incidents=Rules(**rules)))
        self.now_ms, self.seq = START_MS, 0
        self.said: list[Any] = []

    def hear(self, fact: Any, after_h: float = 0.5, event: Event | None = None) -> None:
        self.now_ms += round(after_h * HOUR_MS)
        self.seq += 1
        record = Record("net", self.seq, self.now_ms, fact, event)
        self.said += [r.fact for r in self.operator.step(record) if r.fact is not fact]

    def alarm(self, carrier: str = "", service: str = "", after_h: float = 0.5, **o: Any) -> None:
        values: dict[str, Any] = {
            "measure": "transit",
            "kind": "shock",
            "size": 2.5,
            "factor": 1.8,
            "since_ms": START_MS,
            "observations": 8,
        }
        self.hear(Alarm(carrier=carrier, service=service, **{**values, **o}), after_h)

    def lane(self, service: str, node: str, region: str, **others: Any) -> None:
        carrier, _, name = service.partition("/")
        self.alarm(carrier, name, node=node, region=region, **others)

    def disrupted(self, carrier: str, region: str | None = None, delay_s: int = 36 * HOUR) -> None:
        until = from_ms(self.now_ms + 72 * HOUR_MS)
        fact = CarrierDisrupted(
            carrier=carrier, region=region, delay_s=delay_s, until=until, reason="strike"
        )
        self.hear(fact, event=Log(now_ms=self.now_ms).add(fact))

    def wait(self, hours: float) -> None:
        self.hear(None, hours)

    def incidents(self, state: str | None = None) -> list[Incident]:
        found = [f for f in self.said if isinstance(f, Incident)]
        return [i for i in found if state in (None, i.state)]

    def scope(self) -> dict[str, str]:
        last = self.incidents()[-1]
        named = ("carrier", "service", "node", "region", "category")
        return {name: getattr(last, name) for name in named if getattr(last, name)}


def test_a_closed_hub_is_one_incident_and_not_four_hundred() -> None:
    desk = Desk()
    for number in range(400):
        service = f"C{number % 4}/{'express' if number % 2 else 'standard'}"
        desk.lane(service, "N-3", f"R-{number % 50}", after_h=0.01)
    assert len(desk.incidents("open")) == 1
    assert desk.scope() == {"node": "N-3"}
    drafts = [fact for fact in desk.said if isinstance(fact, Draft)]
    assert len(drafts) == 1
    assert len(desk.incidents()) < 15


def test_many_lanes_of_a_service_are_the_service() -> None:
    desk = Desk()
    for node, region in (("N-1", "A"), ("N-2", "B"), ("N-3", "C"), ("N-1", "D")):
        desk.lane("FAST/express", node, region)
    assert desk.scope() == {"carrier": "FAST", "service": "express"}


def test_many_services_of_a_carrier_are_the_carrier() -> None:
    desk = Desk()
    for service in ("FAST/express", "FAST/standard", "FAST/economy"):
        desk.alarm(*service.split("/"))
    assert desk.scope() == {"carrier": "FAST"}


def test_lanes_to_one_region_are_the_region() -> None:
    desk = Desk()
    for service, node in (("FAST/express", "N-1"), ("SLOW/road", "N-2"), ("BIG/road", "N-3")):
        desk.lane(service, node, "COAST")
    assert desk.scope() == {"region": "COAST"}


def test_an_incident_that_turns_out_wider_keeps_its_name_and_is_told_again() -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", observations=25)
    assert desk.scope() == {"carrier": "FAST", "service": "express", "node": "N-1", "region": "A"}
    for node, region in (("N-2", "B"), ("N-3", "C"), ("N-4", "D")):
        desk.lane("FAST/express", node, region)
    assert desk.incidents()[0].state == "open"
    assert len(desk.incidents("open")) == 1
    assert len({i.name for i in desk.incidents()}) == 1
    assert desk.scope() == {"carrier": "FAST", "service": "express"}


def test_the_same_again_is_not_told_again() -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", observations=100)
    for _ in range(5):
        desk.lane("FAST/express", "N-1", "A")
    assert len(desk.incidents()) == 1


def shipping(desk: Desk) -> None:
    """Two carriers' services from two nodes to two regions, a quarter of each to SOUTH."""
    ways = [(s, n) for s in ("express", "bike") for n in ("N-NORTH", "N-SPARE")]
    for number in range(160):
        service, node = ways[number % 4]
        to = "SOUTH" if number // 4 % 4 == 0 else "NORTH"
        shipped = dispatch(f"P-{number}", "O", service=service, node=node, region=to)
        carrier = "POST" if service == "express" else "PACK"
        desk.hear(replace(shipped, carrier=carrier), 0.01)


def test_a_service_that_is_slow_where_it_goes_to_a_slow_region_is_an_echo() -> None:
    desk = Desk()
    shipping(desk)
    desk.alarm(region="SOUTH", size=3.6, observations=30)
    desk.alarm("POST", "express", size=1.0, observations=40)
    desk.alarm(node="N-NORTH", size=1.1, observations=40)
    assert len(desk.incidents("open")) == 1
    assert desk.scope() == {"region": "SOUTH"}
    assert desk.incidents()[-1].observations == 30


def test_a_trouble_of_all_views_alike_is_the_networks() -> None:
    desk = Desk()
    shipping(desk)
    desk.alarm("POST", "express", size=1.2, observations=40)
    desk.alarm(node="N-NORTH", size=1.3, observations=40)
    desk.alarm(region="SOUTH", size=1.4, observations=40)
    desk.alarm(node="N-SPARE", size=1.2, observations=50)
    desk.alarm(region="NORTH", size=1.3, observations=50)
    desk.alarm("PACK", "bike", size=1.3, observations=50)
    assert len(desk.incidents("open")) == 1
    assert desk.scope() == {}
    assert desk.incidents()[-1].summary.startswith("Parcels have taken 1.8 x the usual")


def test_a_trouble_much_worse_than_another_is_its_own() -> None:
    desk = Desk()
    shipping(desk)
    desk.alarm("POST", "express", size=0.8, observations=40)
    desk.alarm(region="SOUTH", size=3.5, observations=40)
    assert len(desk.incidents("open")) == 2


def test_alarms_that_have_nothing_in_common_are_two_incidents() -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", observations=30)
    desk.lane("SLOW/road", "N-2", "B", observations=30)
    assert len(desk.incidents("open")) == 2


def test_alarms_a_week_apart_are_two_incidents() -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", observations=30)
    desk.lane("FAST/express", "N-2", "A", observations=30, after_h=7 * 24)
    assert [i.state for i in desk.incidents()] == ["open", "closed", "open"]


def test_the_summary_says_it_in_numbers_and_units() -> None:
    desk = Desk()
    for region in ("A", "B", "C", "D", "E"):
        desk.lane("FAST/express", "N-3", region, observations=7)
    opened = desk.incidents("open")[0]
    assert opened.summary == (
        "Parcels of FAST/express from N-3 have taken 1.8 x the usual since 05 Jan 08:00: "
        "21 parcels on 3 lanes."
    )
    assert opened.name == "transit FAST/express N-3 since 05 Jan 08:00"


def test_people_are_asked_once_and_told_why() -> None:
    desk = Desk()
    for region in ("A", "B", "C", "D", "E"):
        desk.lane("FAST/express", "N-3", region, observations=15)
    draft = next(fact for fact in desk.said if isinstance(fact, Draft))
    assert isinstance(draft.decision, Escalate)
    assert draft.decision.about == draft.subject == desk.incidents("open")[0].name
    assert draft.decision.reason == draft.summary == desk.incidents("open")[0].summary
    assert draft.causes == (1, 2)


@pytest.mark.parametrize("small", [{"observations": 5}, {"observations": 50, "factor": 1.05}])
def test_what_is_too_small_is_not_told(small: dict[str, Any]) -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", **small)
    desk.wait(100)
    assert desk.said == []


def test_parcels_faster_than_usual_are_nobodys_trouble() -> None:
    desk = Desk()
    desk.lane("FAST/express", "N-1", "A", size=-3.0, factor=0.5, observations=100)
    assert desk.said == []


def test_a_rush_that_ebbs_away_is_not_a_second_incident() -> None:
    desk = Desk()
    demand: dict[str, Any] = {"measure": "demand", "category": "TOYS", "observations": 30}
    desk.alarm(region="A", **demand)
    desk.alarm(region="A", **demand, size=-3.0, factor=0.4, after_h=24)
    assert len(desk.incidents("open")) == 1
    desk.alarm(region="A", **{**demand, "category": "TOOLS"}, size=-3.0, factor=0.4, after_h=400)
    assert desk.incidents("open")[-1].summary == (
        "Orders of TOOLS in A have been 0.4 x the usual since 05 Jan 08:00: 30 observations."
    )


def test_an_incident_closes_when_it_has_been_quiet() -> None:
    desk = Desk(quiet_s=24 * HOUR)
    desk.lane("FAST/express", "N-1", "A", observations=30)
    desk.wait(20)
    assert desk.incidents("closed") == []
    desk.wait(5)
    assert [i.name for i in desk.incidents("closed")] == [desk.incidents("open")[0].name]
    desk.wait(24 * 30)
    assert len(desk.incidents()) == 2


def test_what_the_carrier_reported_is_the_cause_of_what_is_seen() -> None:
    desk = Desk()
    desk.disrupted("FAST")
    assert desk.said == []
    for node, region in (("N-1", "A"), ("N-2", "B"), ("N-1", "C")):
        desk.lane("FAST/express", node, region)
    assert desk.scope() == {"carrier": "FAST"}
    said = "FAST reports strike: 36 h of delay until 08 Jan 08:00."
    assert [i.cause for i in desk.incidents("open")] == [said]


def test_a_report_that_comes_after_the_alarms_joins_them() -> None:
    desk = Desk()
    for node, region in (("N-1", "A"), ("N-2", "B"), ("N-1", "C")):
        desk.lane("FAST/express", node, region)
    desk.disrupted("FAST")
    desk.lane("FAST/road", "N-1", "D")
    assert len(desk.incidents("open")) == 1
    assert desk.incidents()[-1].cause.startswith("FAST reports strike")


def test_reports_of_all_carriers_for_one_region_are_the_region() -> None:
    desk = Desk()
    for carrier in ("FAST", "SLOW", "BIG"):
        desk.disrupted(carrier, "COAST")
    for carrier in ("FAST", "SLOW", "BIG"):
        desk.lane(f"{carrier}/road", "N-1", "COAST")
    assert len(desk.incidents("open")) == 1
    assert desk.scope() == {"region": "COAST"}


def test_what_a_carrier_reports_is_not_the_cause_of_anothers_trouble() -> None:
    desk = Desk()
    desk.disrupted("SLOW", "COAST")
    for node, region in (("N-1", "A"), ("N-2", "COAST"), ("N-3", "B")):
        desk.lane("FAST/express", node, region, observations=30)
    assert desk.scope() == {"carrier": "FAST", "service": "express"}
    assert desk.incidents()[-1].cause == ""


def test_a_report_that_is_taken_back_no_longer_holds_an_incident_open() -> None:
    desk = Desk(quiet_s=24 * HOUR)
    desk.disrupted("FAST")
    desk.lane("FAST/express", "N-1", "A", observations=30)
    desk.disrupted("FAST", delay_s=0)
    desk.wait(25)
    assert len(desk.incidents("closed")) == 1


def test_memory_is_bounded() -> None:
    desk = Desk()
    for number in range(500):
        desk.lane(f"C{number}/road", f"N-{number}", f"R-{number}", after_h=0.001)
    assert len(desk.operator.snapshot()) < 30_000


def test_a_restored_operator_goes_on_as_before() -> None:
    whole, halves = Desk(), Desk()
    for number in range(60):
        for desk in (whole, halves):
            desk.lane(f"C{number % 3}/road", f"N-{number % 5}", f"R-{number % 7}", after_h=3)
        again = Incidents(Policy())
        again.restore(halves.operator.snapshot())
        halves.operator = again
    assert whole.said == halves.said
    assert whole.operator.snapshot() == halves.operator.snapshot()


def test_the_chain_makes_an_action_of_an_incident() -> None:
    run = fold(Log().network_of({}))
    operator = run.operator("incidents")
    record = Record("net", 99, START_MS, None)
    alarm = Alarm(
        measure="transit",
        kind="shock",
        carrier="POST",
        size=3.0,
        factor=2.0,
        since_ms=START_MS,
        observations=40,
    )
    passed = operator.step(record.derive(alarm))
    govern, rollups = run.operator("govern"), run.operator("rollups")
    acted = [r for each in passed for r in govern.step(each)]
    for each in acted:
        rollups.step(each)
    assert run.totals.actions["escalate"] == 1
    assert run.totals.incidents == 1
