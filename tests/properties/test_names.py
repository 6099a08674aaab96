"""Names may be anything: decisions do not depend on them.

Only ties are broken by name, so names of like order lead to the same.
"""

import ast
from collections.abc import Callable
from itertools import product
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from flows.explain.offpolicy import cheapest, decisions
from flows.explain.why_not import why_not
from operators.chain import build_chain, to_record
from operators.core.deadlines import Deadlines
from operators.core.facts import DemandLift, ExceptionCase, NoAction
from operators.network.due import Due, Lapse, Look, Sweep
from operators.orders.why_not import parse_wanted
from operators.prediction.lane_transit import LaneTransit, Ratios
from operators.prediction.linear import SLOTS, Slots
from operators.reporting.benefits import by_kind
from operators.reporting.rollups import Totals
from operators.sourcing.outlook import Outlook
from state.actions import Action, Allocate
from state.codec import JournalLine
from state.errors import JournalError
from state.events import (
    ActionFailed,
    CarrierCapacityChanged,
    CarrierDisrupted,
    CarrierRegistered,
    Fact,
    HoldLifted,
    HoldPlaced,
    NodeCapacityChanged,
    SignalObserved,
    StockCounted,
)
from state.keys import ActionId, Lane, Pickup, Ref, ServiceId
from state.policy import Exploration, Policy
from state.quantities import from_ms
from state.spoken import lanes_named, services_named
from tests.builders import DAY, HOUR, Log, Run, carrier, fold, node, order, region, service, sku
from tests.places import ROOT
from tests.random_logs import logs
from tests.renaming import (
    Names,
    in_order,
    luck_apart_from_names,
    names_in,
    renamed,
    replaced,
    tokens_of,
)
from tests.unit.orders.test_explain import evidence, quiet
from tests.unit.sourcing.test_switches import recorded

#: Names that are part of each other, that hold the marks which people and the engine put between
#: names, or that read like what the engine calls things itself. None is sorted as it is read.
HOSTILE = (
    " ", "%s", "'", "*", "+", "/", "/A", ">", "A", "A with A/B", "A/", "A/B", "A/B/C", "A>B", "B",
    "B/C", "B/C>A", "C", "N-1", "N-1 at N-10", "N-10", "N-10>N-1", "N-1>N-10", "O-1", "a", "b ",
    "inbound 1", "lane A>B", "node A", "others", "planned 1", "scheduled", "service A/B", "sku A",
    "transfer 1", "waiting", "{0}", "|", "~", "ß", "地/区",
)  # fmt: skip
_ANY = st.one_of(st.sampled_from(HOSTILE), st.text("/>AB1 :|+-.", min_size=1, max_size=5))
#: Kinds that a log has at most so many names of.
_MOST = 12


@st.composite
def hostile_names(draw: st.DrawFn) -> Callable[[str, int], list[str]]:
    """Names for so many of a kind; those of two kinds may be the same."""
    known = {
        kind: draw(st.lists(_ANY, min_size=_MOST, max_size=_MOST, unique=True))
        for kind in ("node", "region", "sku", "order", "shipment", "transfer", "inbound", "else")
    }
    # Both carriers offer what is written as the same: POST/EU + standard, POST + EU/standard.
    known["carrier"] = ["A", "A/B"]
    known["service"] = ["B/C", "C", "C/D"]
    return lambda kind, count: known.get(kind, known["else"])[:count]


def same_but_for_names(lines: list[JournalLine], policy: Policy, names: Names) -> list[Action]:
    """Fold a log under tokens and under `names`; returns the actions, which have to be the same."""
    tokens = tokens_of(names_in(lines))
    with luck_apart_from_names():
        plain, hostile = (fold(renamed(lines, each), policy) for each in (tokens, names))
    expected = [replaced(raw, tokens, names) for raw in plain.bytes()]
    for ours, theirs in zip(hostile.bytes(), expected, strict=False):
        assert ours == theirs
    assert len(hostile.bytes()) == len(expected)
    assert len(hostile.dead_letters) == len(plain.dead_letters)
    assert totals(hostile) == totals(plain)
    return hostile.actions


def totals(run: Run) -> Totals:
    """Counts of the one network of a run."""
    (network,) = (name for name in run.chains if name)
    counted: Totals = run.operator("rollups", network).totals
    return counted


def rivals() -> tuple[CarrierRegistered, ...]:
    """Two carriers, each with services of the same names."""
    offered = (service("express"), service("parcel"), service("standard"))
    return (carrier("POST", *offered), carrier("POST-EU", *offered[::2]))


@settings(max_examples=25, deadline=None)
@given(logs(carriers=rivals()), hostile_names())
def test_what_is_decided_does_not_depend_on_names(
    log: Log, new: Callable[[str, int], list[str]]
) -> None:
    lines = log.lines()
    same_but_for_names(lines, Policy(), in_order(names_in(lines), new))


def nested(kind: str, count: int) -> list[str]:
    """Names that each begin like the one before, or hold marks; services are written alike."""
    if kind in ("carrier", "service"):
        return ["/".join("P" * (number + 1)) for number in range(count)]
    marks = ("", "/", "/1", ">1", " with P/P", ":1-1", " ", "|", "+P/P", ">")
    return [f"{kind[0]}/{number:05}{marks[number % len(marks)]}" for number in range(count)]


@pytest.mark.slow
def test_a_recorded_log_leads_to_the_same_under_hostile_names() -> None:
    lines = recorded()[:4_000]
    actions = same_but_for_names(lines, Policy(), in_order(names_in(lines), nested))
    assert len(actions) > 500
    assert {"allocate", "release", "transfer"} <= {action.kind for action in actions}


# Defects that the marks between names led to.


def two_alike(*facts: Fact) -> Log:
    """POST/EU + standard and POST + EU/standard: both are written POST/EU/standard."""
    log = Log()
    for fact in (
        region("NORTH"),
        node("N-NORTH"),
        sku("BOOK"),
        carrier("POST", service("EU/standard", base_cents=700)),
        carrier("POST/EU", service("standard")),
        *facts,
    ):
        log.add(fact)
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=9))
    return log


def sent_with(action: Action) -> tuple[str, str]:
    assert isinstance(action.data.decision, Allocate)
    (leg,) = action.data.decision.legs
    return leg.carrier, leg.service


def test_a_carrier_with_a_slash_in_its_name_is_published_as_it_is_called() -> None:
    log = two_alike()
    log.add(order("O-1"))
    (action,) = fold(log).of("allocate")
    assert sent_with(action) == ("POST/EU", "standard")
    assert [a.option for a in action.data.because.alternatives] == ["N-NORTH with POST/EU/standard"]


def test_a_carrier_that_is_registered_again_withdraws_no_other_ones_services() -> None:
    log = two_alike()
    log.add(carrier("POST", service("EU/standard", base_cents=700)))
    log.add(order("O-1"))
    assert sent_with(fold(log).of("allocate")[0]) == ("POST/EU", "standard")


def test_a_service_that_is_full_leaves_the_room_of_one_that_is_written_alike() -> None:
    log = two_alike(
        CarrierCapacityChanged(carrier="POST", service="EU/standard", parcels_per_day=0)
    )
    log.add(order("O-1"))
    assert sent_with(fold(log).of("allocate")[0]) == ("POST/EU", "standard")


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        ('["POST/EU", "standard"]', ("POST", "EU/standard")),
        ('["POST", "EU/standard"]', ("POST/EU", "standard")),
    ],
)
def test_a_hold_on_one_of_two_services_that_are_written_alike_names_both_parts(
    scope: str, sent: tuple[str, str]
) -> None:
    log = two_alike()
    log.add(HoldPlaced(kind="service", scope=scope, by="ann"))
    log.add(order("O-1"))
    log.add(HoldLifted(kind="service", scope="POST/EU/standard", by="ann"))  # one is on hold
    run = fold(log)
    assert sent_with(run.of("allocate")[0]) == sent
    assert len(run.of("lift")) == 1 and not run.twin.holds


def test_a_scope_that_may_mean_two_services_holds_neither_and_says_why() -> None:
    log = two_alike()
    log.add(HoldPlaced(kind="service", scope="POST/EU/standard", by="ann"))
    run = fold(log)
    (inert,) = run.facts(NoAction)
    assert not run.of("hold") and not run.twin.holds
    assert (inert.kind, inert.about) == ("hold", "POST/EU/standard")
    assert inert.reason == "it may mean several: give both names as a JSON list"


def test_a_hold_waits_for_the_service_that_it_names() -> None:
    log = Log()
    log.add(HoldPlaced(kind="service", scope="POST/EU/standard", by="ann"))
    log.add(carrier("POST", service("EU")))
    assert fold(log).parked == 1
    log.add(carrier("POST/EU", service("standard")))
    run = fold(log)
    assert run.parked == 0 and list(run.twin.holds) == [Ref("service", "POST/EU", "standard")]


def test_a_hold_waits_for_the_lane_that_it_names() -> None:
    log = Log()
    log.add(HoldPlaced(kind="lane", scope="N>1>NORTH", by="ann"))
    log.add(region("NORTH"))
    log.add(node("N-NORTH"))
    assert fold(log).parked == 1
    log.add(structs.replace(node("N-NORTH"), node="N>1"))
    run = fold(log)
    assert run.parked == 0 and list(run.twin.holds) == [Ref("lane", "N>1", "NORTH")]


NAMES = st.text("/>A", min_size=1, max_size=4)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_every_service_and_lane_is_among_those_that_its_text_may_mean(
    pairs: list[tuple[str, str]],
) -> None:
    services = {ServiceId(*pair) for pair in pairs}
    nodes, regions = {first for first, _ in pairs}, {second for _, second in pairs}
    for first, second in pairs:
        found = services_named(f"{first}/{second}", services)
        assert ServiceId(first, second) in found
        assert all(str(each) == f"{first}/{second}" for each in found)
        assert (first, second) in lanes_named(f"{first}>{second}", nodes, regions)
        exact = msgspec.json.encode([first, second]).decode()
        assert ServiceId(first, second) in services_named(exact, services)


def test_why_not_does_not_blame_the_shelf_of_a_node_that_is_called_alike(tmp_path: Path) -> None:
    log = Log()
    for fact in (region("NORTH"), sku("BOOK"), carrier()):
        log.add(fact)
    for name, units in (("N-1", 1), ("N-10", 0), ("N-2", 5)):
        log.add(structs.replace(node("N-NORTH"), node=name))
        log.add(StockCounted(node=name, sku="BOOK", quantity=units))
    log.add(order("O-1", {"BOOK": 2}))
    (action,) = fold(log).of("allocate")
    answer = why_not(evidence(tmp_path, log), action, parse_wanted("N-1"), quiet)
    assert answer.ruled_out == ("N-1 can promise only 1 of 2 of BOOK: no whole parcel",)


def test_why_not_asks_which_of_two_services_is_meant(tmp_path: Path) -> None:
    log = two_alike()
    log.add(order("O-1"))
    (action,) = fold(log).of("allocate")
    given_ = evidence(tmp_path, log)
    with pytest.raises(JournalError) as error:
        why_not(given_, action, parse_wanted("POST/EU/standard"), quiet)
    for exact, cents in (('["POST","EU/standard"]', 700), ('["POST/EU","standard"]', 400)):
        assert exact in str(error.value)
        (option,) = why_not(given_, action, parse_wanted(exact), quiet).options
        assert option.terms["freight"] // 100 * 100 == cents


def test_the_same_carrier_is_in_trouble_to_a_region_and_with_a_service_of_its_name() -> None:
    log = Log().network_of({}, carrier("POST", service("NORTH"), service("standard")))
    until = from_ms(log.now_ms + DAY * 1000)
    for scope in ({"region": "NORTH"}, {"service": "NORTH"}):
        log.add(CarrierDisrupted(carrier="POST", delay_s=HOUR, until=until, **scope))
    log.add(CarrierDisrupted(carrier="POST", delay_s=0, until=until, service="NORTH"))
    cases = [(each.about, each.state) for each in fold(log).facts(ExceptionCase)]
    assert cases == [("POST/NORTH", "opened"), ("POST/NORTH", "opened"), ("POST/NORTH", "closed")]


def test_a_failed_action_of_another_network_undoes_nothing_here() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 3})
    log.add(order("O-1"))
    (action,) = fold(log).of("allocate")
    log.add(ActionFailed(action=action.id.replace("net:", "other:"), reason="no such order"))
    run = fold(log)
    assert run.twin.orders["O-1"].status == "allocated" and not run.of("release")
    assert [inert.reason for inert in run.facts(NoAction)] == ["it is of no open order"]
    log.add(ActionFailed(action=action.id, reason="no such order"))
    assert fold(log).twin.orders["O-1"].excluded == ["N-NORTH"]


@pytest.mark.parametrize("text", ["", "net", "net:1", "net:-1", ":1-1", "net:1-٣", "net:1-1-1"])
def test_what_is_no_id_of_an_action_is_not_read_as_one(text: str) -> None:
    assert ActionId.parse(text) is None


def test_an_order_may_be_called_like_a_transfer() -> None:
    def bought(name: str) -> Run:
        log = Log().network_of({("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5})
        log.add(order(name))
        return fold(log, each=lambda run: run.twin.check())

    assert set(bought("transfer 1").twin.position("N-NORTH", "BOOK").reservations) == {"transfer 1"}


def test_waiting_that_was_priced_counts_as_prevented_whatever_the_words_are() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1, ("N-SPARE", "BOOK"): 1})
    log.add(order("O-1", promised_s=9 * DAY))
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0))
    run = fold(log)
    (inert,) = run.facts(NoAction)
    assert inert.reason == "waiting is cheapest while node down"
    assert by_kind(run.totals.benefits) == {"allocate": {"prevented": 1}}


def test_a_signal_of_a_category_is_none_of_a_sku_that_is_called_like_it() -> None:
    log = Log().network_of({})
    log.add(SignalObserved(kind="search", category="BOOK", ratio=3.0))
    (lift,) = fold(log).facts(DemandLift)
    outlook = Outlook()
    outlook.learn_lift(structs.replace(lift, factor=2.0))
    assert outlook._lift("NORTH", "BOOK", "goods", log.now_ms) == 1.0
    assert outlook._lift("NORTH", "LAMP", "BOOK", log.now_ms) == 2.0


@pytest.mark.parametrize("carrier_name", ["C", "A B", "1 ", "A\u00a0"])
def test_a_lane_is_learned_alike_whatever_its_carrier_is_called(carrier_name: str) -> None:
    def learned(carrier: str) -> Ratios:
        transit, lane = LaneTransit(), Lane(ServiceId(carrier, "s"), "N", "R")
        for number in range(900):
            transit.learn(lane, number % 7, 0.8 + number % 11 / 20, number)
        return transit.ratios(lane)

    assert learned(carrier_name) == learned("C/s")


def test_services_that_are_written_alike_have_features_of_their_own() -> None:
    slots, parts = Slots(), ("A", "A/A", "A/A/A", "/", "/A", "A/")
    names = [("service", "dispatched", ServiceId(*pair)) for pair in product(parts, repeat=2)]
    assert len({slots[name] for name in names}) == len(names)
    assert slots["service", "dispatched", ServiceId("POST", "x")] == (
        crc32(b"service\ndispatched\nPOST/x") % SLOTS
    )


def test_options_that_are_written_alike_are_drawn_and_judged_apart() -> None:
    log = two_alike()
    log.add(order("O-1"))
    policy = Policy(exploration=Exploration(share=1.0, most_extra_cents=100_000))
    (action,) = fold(log, policy).of("allocate")
    draw = action.data.because.draw
    assert draw is not None and sent_with(action) == ("POST", "EU/standard")
    assert len({option.option for option in draw.options}) == 1
    assert draw.is_explored and draw.place == 1
    assert [row.target for row in decisions([action], {"O-1": 1.0}, cheapest)] == [0.0]


# The snapshot and the source.


def test_a_snapshot_with_keys_of_all_types_goes_on_to_the_byte() -> None:
    lines = recorded()[:4_000]
    hostile = renamed(lines, in_order(names_in(lines), nested))
    whole, first = build_chain("golden", Policy()), build_chain("golden", Policy())
    for one in hostile[:3_000]:
        whole.step(to_record(one))
        first.step(to_record(one))
    second = build_chain("golden", Policy())
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    for one in hostile[3_000:]:
        assert second.step(to_record(one)) == whole.step(to_record(one))
    assert second.snapshot() == whole.snapshot()


def test_what_falls_due_at_once_fires_in_the_order_it_was_set_also_when_restored() -> None:
    kinds = (Sweep(), Lapse("b"), Look(Pickup("N", ServiceId("C", "s"), 1)), Lapse("a"), Sweep())
    whole: Deadlines[Due] = Deadlines()
    for number, due in enumerate(kinds * 3):
        whole.set(number % 2, due)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=Deadlines[Due])
    assert again.due(5) == whole.due(5)
    assert not whole.heap


#: Places where a text is taken apart all the same: it is the engine's own, with no name in it.
_TAKEN_APART = {
    "operators/core/contract.py": "the version before a snapshot",
    "operators/prediction/transit.py": "a status and how often it was seen",
}
_TAKING_APART = frozenset(
    {"partition", "rpartition", "split", "rsplit", "startswith", "endswith", "removeprefix"}
    | {"removesuffix", "splitlines"}
)


def test_no_operator_takes_a_text_apart() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "operators").rglob("*.py"))
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)
        if each.func.attr in _TAKING_APART
    }
    assert found <= _TAKEN_APART.keys()


@pytest.mark.parametrize("folder", ["operators", "state/twin"])
def test_no_names_are_joined_by_a_control_character(folder: str) -> None:
    joined = [
        f"{path.relative_to(ROOT)}:{each.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.JoinedStr | ast.Call)
        for part in ast.walk(each if isinstance(each, ast.JoinedStr) else each.func)
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and any(mark < " " for mark in part.value)
    ]
    assert not joined
