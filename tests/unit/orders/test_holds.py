"""Holds: what may not move does not move, what was promised stays, and all resumes afterwards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.cli.app import app
from operators.core.facts import NoAction
from state.actions import Action, Allocate, Hold, Lift
from state.events import (
    ActionApproved,
    ActionRejected,
    HoldLifted,
    HoldPlaced,
    OrderCancelled,
    ShipmentDispatched,
    StockAdjusted,
    StockPicked,
    StockReceived,
)
from state.keys import Ref
from state.policy import Governance, Holds, Policy
from state.quantities import HoldKind, from_ms
from tests.builders import DAY, HOUR, START_MS, Log, Run, dispatch, fold, order

BOTH = {("N-NORTH", "BOOK"): 5, ("N-SOUTH", "BOOK"): 5}
ONE = {("N-NORTH", "BOOK"): 5}


def hold(kind: HoldKind, scope: str, log: Log, hours: float | None = None) -> HoldPlaced:
    until = None if hours is None else from_ms(log.now_ms + round(hours * HOUR * 1000))
    return HoldPlaced(kind=kind, scope=scope, by="ann", reason="smoke", until=until)


def lift(kind: HoldKind, scope: str) -> HoldLifted:
    return HoldLifted(kind=kind, scope=scope, by="ann")


def nodes(run: Run) -> list[str]:
    found = (a.data.decision for a in run.of("allocate"))
    return [leg.node for d in found if isinstance(d, Allocate) for leg in d.legs]


def told(run: Run) -> list[tuple[str, str]]:
    return [(a.kind, a.subject) for a in run.actions]


@pytest.mark.parametrize(("kind", "scope"), [("node", "N-NORTH"), ("lane", "N-NORTH>NORTH")])
def test_nothing_is_sourced_from_where_it_is_held(kind: HoldKind, scope: str) -> None:
    log = Log().network_of(BOTH)
    log.add(hold(kind, scope, log))
    log.add(order("O-1"))
    run = fold(log)
    assert nodes(run) == ["N-SOUTH"]
    (ruled_out,) = (
        e for e in run.of("allocate")[0].data.because.eliminated if "hold" in e.constraint
    )
    assert (ruled_out.constraint, ruled_out.examples) == ("on hold: smoke", ("N-NORTH",))


def test_a_lane_on_hold_still_serves_other_regions() -> None:
    log = Log().network_of(ONE)
    log.add(hold("lane", "N-NORTH>NORTH", log))
    log.add(order("O-1", region="SOUTH"))
    assert nodes(fold(log)) == ["N-NORTH"]


def test_a_service_on_hold_carries_nothing_until_it_is_lifted() -> None:
    log = Log().network_of(ONE)
    log.add(hold("service", "POST/standard", log))
    log.add(order("O-1"))
    log.add(lift("service", "POST/standard"))
    log.add(order("O-2"))
    first, second = (a.data.decision for a in fold(log).of("allocate"))
    assert isinstance(first, Allocate) and isinstance(second, Allocate)
    assert (first.legs[0].service, second.legs[0].service) == ("express", "standard")


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        ("node", "N-NORTH"),
        ("sku", "BOOK"),
        ("region", "NORTH"),
        ("lane", "N-NORTH>NORTH"),
        ("order", "O-1"),
    ],
)
@pytest.mark.parametrize("expires", [False, True])
def test_what_waited_is_served_when_the_hold_is_over(
    kind: HoldKind, scope: str, expires: bool
) -> None:
    log = Log().network_of(ONE)
    log.add(hold(kind, scope, log, hours=2 if expires else None))
    log.add(order("O-1"))
    log.tick(HOUR)
    if expires:
        log.tick(HOUR)
    else:
        log.add(lift(kind, scope))
    run = fold(log)
    held, *_, lifted, allocated = run.actions
    assert isinstance(held.data.decision, Hold) and isinstance(lifted.data.decision, Lift)
    assert lifted.data.decision.reason == ("expired" if expires else "lifted")
    assert (allocated.kind, allocated.subject) == ("allocate", "O-1")
    assert run.totals.orders.allocated == 1 and run.totals.orders.held == 0


def test_a_reservation_does_not_lapse_while_its_order_is_on_hold() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(hold("order", "O-1", log))
    log.tick(10 * DAY)
    assert fold(log).twin.position("N-NORTH", "BOOK").reserved == 1
    log.add(lift("order", "O-1"))
    log.tick(DAY)
    assert fold(log).twin.position("N-NORTH", "BOOK").reserved == 1
    log.tick(3 * DAY)
    run = fold(log)
    assert run.twin.position("N-NORTH", "BOOK").reserved == 0
    assert told(run)[-1] == ("release", "O-1")


def test_a_hold_ends_after_the_longest_that_the_policy_allows() -> None:
    log = Log().network_of(ONE)
    log.add(hold("node", "N-NORTH", log, hours=100))
    log.add(order("O-1"))
    log.tick(2 * HOUR)
    run = fold(log, Policy(holds=Holds(longest_s=HOUR)))
    assert not run.twin.holds and nodes(run) == ["N-NORTH"]


def test_a_later_hold_on_the_same_scope_replaces_the_earlier() -> None:
    log = Log().network_of(ONE)
    log.add(hold("node", "N-NORTH", log, hours=1))
    log.add(hold("node", "N-NORTH", log, hours=5))
    log.tick(2 * HOUR)
    run = fold(log)
    assert list(run.twin.holds) == [Ref("node", "N-NORTH")] and not run.of("lift")


def test_a_closed_order_takes_its_hold_along() -> None:
    log = Log().network_of(ONE)
    log.add(order("O-1"))
    log.add(hold("order", "O-1", log))
    log.add(OrderCancelled(order="O-1"))
    assert not fold(log).twin.holds


def test_a_hold_that_is_over_or_was_never_placed_is_inert() -> None:
    log = Log().network_of(ONE)
    log.add(lift("node", "N-NORTH"))
    log.add(hold("node", "N-NORTH", log, hours=-1))
    assert [i.reason for i in fold(log).facts(NoAction)] == [
        "it is not on hold",
        "it has ended already",
    ]


def wild() -> Log:
    log = Log().network_of({("N-NORTH", "BOOK"): 10_000})
    for number in range(40):
        log.add(order(f"O-{number}", {"BOOK": 1 + number % 2}))
    log.add(order("O-WILD", {"BOOK": 50}))
    return log


def test_an_order_of_a_quantity_not_believed_waits_for_a_person() -> None:
    log = wild()
    run = fold(log)
    held = run.actions[-1]
    assert (held.kind, held.subject) == ("hold", "O-WILD")
    assert isinstance(held.data.decision, Hold) and held.data.decision.by == "crossdock"
    assert run.twin.orders["O-WILD"].status == "held"
    log.tick(DAY)
    assert told(fold(log))[-2:] == [("lift", "O-WILD"), ("allocate", "O-WILD")]


def test_the_policy_may_let_doubtful_orders_through() -> None:
    run = fold(wild(), Policy(holds=Holds(suspect_orders=False)))
    assert told(run)[-1] == ("allocate", "O-WILD")


_SCOPES: list[tuple[HoldKind, str]] = [
    ("order", "O-1"),
    ("node", "N-NORTH"),
    ("sku", "BOOK"),
    ("service", "POST/standard"),
    ("lane", "N-SOUTH>NORTH"),
    ("region", "NORTH"),
]
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.sampled_from(_SCOPES), st.integers(1, 30)),
        st.tuples(st.just("lift"), st.sampled_from(_SCOPES), st.just(0)),
        st.tuples(st.just("order"), st.sampled_from(_SCOPES), st.integers(0, 3)),
        st.tuples(st.just("ship"), st.sampled_from(_SCOPES), st.integers(0, 3)),
    ),
    max_size=14,
)


def rests_on_held(action: Action, holds: dict[Ref, object]) -> bool:
    decision = action.data.decision
    if not isinstance(decision, Allocate):
        return False
    scopes = {Ref("order", decision.order), Ref("region", "NORTH")}
    for leg in decision.legs:
        scopes |= {Ref("node", leg.node), Ref("service", leg.carrier, leg.service)}
        scopes |= {Ref("lane", leg.node, "NORTH"), *(Ref("sku", ln.sku) for ln in leg.lines)}
    return not scopes.isdisjoint(holds)


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_nothing_on_hold_is_planned_and_all_is_served_once_every_hold_is_over(
    steps: list[tuple[str, tuple[HoldKind, str], int]],
) -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 20, ("N-SOUTH", "BOOK"): 20})
    log.add(StockReceived(node="N-NORTH", sku="LAMP", quantity=20))
    for number, (what, (kind, scope), n) in enumerate(steps):
        match what:
            case "hold":
                log.add(hold(kind, scope, log, hours=n), HOUR)
            case "lift":
                log.add(lift(kind, scope), HOUR)
            case "order":
                log.add(order(f"O-{n}", {"BOOK": 1, "LAMP": 1}, placed_ms=log.now_ms), HOUR)
            case _:
                shipped: ShipmentDispatched = dispatch(
                    f"S-{number}", f"O-{n}", {"BOOK": 1}, promised_ms=log.now_ms + DAY * 1000
                )
                log.add(shipped, HOUR)
    log.tick(2 * DAY)
    seen = 0
    before: dict[Ref, object] = {}

    def check(run: Run) -> None:
        nonlocal seen, before
        run.twin.check()
        both = {key: None for key, held in run.twin.holds.items() if before.get(key) == held}
        fresh = [r.fact for r in run.records[seen:] if isinstance(r.fact, Action)]
        assert not any(rests_on_held(action, both) for action in fresh)
        seen, before = len(run.records), dict(run.twin.holds)

    run = fold(log, each=check)
    assert not run.twin.holds
    assert not any(o.is_waiting or o.status == "held" for o in run.twin.orders.values())


def test_a_kind_of_hold_that_is_none_is_refused_with_those_that_are() -> None:
    done = CliRunner().invoke(app, ["control", "hold", "demo", "planet", "X", "--by", "ann"])
    assert done.exit_code == 2
    assert "planet" in done.output


def test_rejecting_a_hold_leaves_a_later_one_with_the_same_end() -> None:
    asking = Policy(governance=Governance(autonomy={"hold": "propose"}))
    log = Log().network_of(ONE)
    for _ in range(2):
        until = from_ms(START_MS + 9 * HOUR * 1000)
        log.add(HoldPlaced(kind="node", scope="N-NORTH", by="ann", until=until))
    first, second = fold(log, asking).of("hold")
    log.add(ActionApproved(action=second.id, by="ann"))
    log.add(ActionRejected(action=first.id, by="ann"))
    run = fold(log, asking)
    assert list(run.twin.holds) == [Ref("node", "N-NORTH")] and not run.of("lift")


def test_an_order_of_which_all_was_picked_on_hold_is_held_no_longer_afterwards() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2})
    log.add(order("O-1", {"BOOK": 2}))
    log.add(hold("order", "O-1", log))
    log.add(StockAdjusted(node="N-NORTH", sku="BOOK", delta=-1, reason="damage"))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=2, order="O-1"))
    assert fold(log).twin.orders["O-1"].status == "held"
    log.add(lift("order", "O-1"))
    run = fold(log)
    assert run.twin.orders["O-1"].status == "allocated" and run.totals.orders.held == 0
