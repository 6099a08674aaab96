"""Limits of the engine's autonomy, and the fate of what it only proposes."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.replay.replay import ReplayPlan, replay
from operators.chain import build_chain, to_record
from operators.core.facts import BlastRadiusTripped, OrderMoved, ProposalClosed
from operators.governance.limits import Limits
from state.actions import Escalate
from state.codec import encode
from state.events import (
    ActionApproved,
    ActionFailed,
    ActionRejected,
    NetworkResumed,
    NodeCapacityChanged,
    OrderCancelled,
    PolicyChanged,
    StockCounted,
)
from state.policy import BlastRadius, Governance, Limit, Policy, Sourcing, confidence_in
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order

STOCK = {("N-NORTH", "BOOK"): 5}
PROPOSING = Policy(governance=Governance(autonomy={"allocate": "propose"}))


def orders(count: int, after_s: float = 1, stock: int = 50) -> Log:
    log = Log().network_of({("N-NORTH", "BOOK"): stock})
    for number in range(count):
        log.add(order(f"O-{number}"), after_s)
    return log


def modes(run: Run) -> list[str]:
    return [action.data.mode for action in run.of("allocate")]


def radius(**changes: object) -> Policy:
    return Policy(governance=Governance(blast_radius=BlastRadius(**changes)))  # type: ignore[arg-type]


def reserved(run: Run) -> int:
    run.twin.check()
    return run.twin.position("N-NORTH", "BOOK").reserved


def closed(run: Run) -> list[tuple[str, str]]:
    return [(each.about, each.outcome) for each in run.facts(ProposalClosed)]


def test_what_is_switched_off_holds_no_stock_and_is_tried_again_when_it_is_on() -> None:
    log = orders(2)
    off = fold(log, Policy(governance=Governance(autonomy={"allocate": "off"})))
    assert off.actions == [] and reserved(off) == 0
    assert off.totals.orders.unfillable == 2
    log.add(PolicyChanged(policy={}, by="ops"))
    log.tick(DAY)
    on = fold(log, Policy(governance=Governance(autonomy={"allocate": "off"})))
    assert modes(on) == ["act", "act"] and reserved(on) == 2


def test_an_expired_proposal_gives_back_what_it_held_and_whoever_waits_is_served() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    log.add(order("O-FIRST"))
    log.add(order("O-NEXT"))
    assert reserved(fold(log, PROPOSING)) == 1
    log.tick(DAY + 1)
    run = fold(log, PROPOSING)
    assert closed(run) == [("O-FIRST", "expired")]
    assert [a.subject for a in run.of("allocate")] == ["O-FIRST", "O-NEXT"]
    assert [m.after for m in run.facts(OrderMoved) if m.order == "O-FIRST"][-1] == "unfillable"
    assert run.totals.inert["allocate", "the proposal expired: nobody decided in time"] == 1
    assert run.totals.people == {("allocate", "expired"): 1}
    assert reserved(run) == 1


def test_what_nobody_decides_on_is_given_up_after_some_times_and_paid_back() -> None:
    log = orders(1)
    for _ in range(12):
        log.tick(DAY + 1)
    run = fold(log, PROPOSING)
    attempts = PROPOSING.exceptions.most_attempts
    assert closed(run)[: attempts + 1] == [("O-0", "expired")] * (attempts + 1)
    assert len(run.of("allocate")) == attempts + 1
    (call,) = run.of("escalate")
    assert "nobody decided on the allocate in time" in call.data.because.summary
    assert reserved(run) == 0 and len(run.of("refund")) == 1 and run.twin.orders == {}


def test_a_rejected_proposal_gives_back_what_it_held() -> None:
    log = orders(1)
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(ActionRejected(action=proposed.id, by="ann", reason="fragile"))
    run = fold(log, PROPOSING)
    assert reserved(run) == 0
    (said,) = run.facts(ProposalClosed)
    assert (said.outcome, said.by, said.why) == ("rejected", "ann", "fragile")


def test_an_approved_proposal_keeps_what_it_held_and_is_counted() -> None:
    log = orders(1)
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(ActionApproved(action=proposed.id, by="ann", reason="looks right"))
    log.tick(DAY + 1)
    run = fold(log, PROPOSING)
    assert reserved(run) == 1
    assert run.totals.people == {("allocate", "approved"): 1}
    assert run.of("allocate")[-1].data.because.summary.endswith("Approved by ann: looks right.")


def test_a_cancelled_order_withdraws_its_proposal() -> None:
    log = orders(1)
    log.add(OrderCancelled(order="O-0"))
    run = fold(log, PROPOSING)
    assert closed(run) == [("O-0", "withdrawn")] and reserved(run) == 0


def test_beyond_the_blast_radius_everything_is_proposed_and_it_says_so_once() -> None:
    run = fold(orders(6), radius(actions=3))
    assert modes(run) == ["act"] * 3 + ["propose"] * 3
    (call,) = run.of("escalate")
    assert call.data.mode == "act"
    assert isinstance(call.data.decision, Escalate)
    assert "all kinds together acted 3 times within 3600 s" in call.data.decision.reason
    assert "The next would have been allocate O-3" in call.data.because.summary
    assert run.totals.trips == 1
    assert run.totals.held_back == {"blast_radius": 3}


def test_the_blast_radius_says_so_each_time_it_trips() -> None:
    policy = radius(actions=1, window_s=3600, resumed_by="window")
    run = fold(orders(6, after_s=1800), policy)
    assert run.totals.trips == len(run.of("escalate")) >= 2


def test_the_blast_radius_counts_money_too() -> None:
    value = fold(orders(1)).of("allocate")[0].data.value_cents
    run = fold(orders(3), radius(value_cents=2 * value))
    assert modes(run) == ["act", "act", "propose"]


def test_a_person_ends_what_tripped() -> None:
    log = orders(3)
    log.tick(3 * HOUR)
    log.add(order("O-A"))
    log.add(NetworkResumed(by="ops"))
    log.add(order("O-B"))
    assert modes(fold(log, radius(actions=2))) == ["act", "act", "propose", "propose", "act"]


def test_by_policy_a_window_without_acting_ends_what_tripped() -> None:
    log = orders(3)
    log.add(order("O-A"), HOUR - 2)
    log.add(order("O-B"), 2)
    run = fold(log, radius(actions=2, resumed_by="window"))
    assert modes(run) == ["act", "act", "propose", "propose", "act"]
    assert len(run.facts(BlastRadiusTripped)) == 1


def test_what_is_not_sure_enough_is_proposed() -> None:
    (sure,) = fold(orders(1)).of("allocate")
    assert sure.data.because.confidence is not None
    least = confidence_in("allocate", sure.data.because.confidence.probability)

    def asking(share: float) -> Policy:
        return Policy(governance=Governance(limits={"allocate": Limit(least_confidence=share)}))

    assert modes(fold(orders(1), asking(least - 0.01))) == ["act"]
    run = fold(orders(1), asking(min(1.0, least + 0.01)))
    assert modes(run) == (["propose"] if least < 1.0 else ["act"])


@given(
    st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 50)), max_size=60),
    st.integers(0, 10),
    st.integers(0, 200),
)
def test_no_window_ever_holds_more_than_its_radius(
    steps: list[tuple[int, int]], actions: int, cents: int
) -> None:
    bounds = BlastRadius(window_s=60, actions=actions, value_cents=cents)
    limits, now_ms = Limits(), 1_000_000
    passed: list[tuple[int, int]] = []
    for after_ms, value in steps:
        now_ms += after_ms
        assert limits.exceeded("reroute", value, Limit(), now_ms) is None
        if not limits.overreach(value, bounds, now_ms):
            limits.count("reroute", value, bounds, now_ms)
            passed.append((now_ms, value))
        window = [v for at, v in passed if at > now_ms - 59_000]
        assert len(window) <= actions and sum(window) <= cents


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["order", "approve", "reject", "cancel", "wait", "day"]), max_size=25),
    st.integers(0, 40),
)
def test_whatever_people_decide_reservations_agree_and_a_restart_changes_nothing(
    script: list[str], cut: int
) -> None:
    log, placed = Log().network_of({("N-NORTH", "BOOK"): 3}), 0
    for step in script:
        waiting = [a.id for a in fold(log, PROPOSING).actions if a.data.mode == "propose"]
        match step:
            case "order":
                log.add(order(f"O-{(placed := placed + 1)}"))
            case "approve" if waiting:
                log.add(ActionApproved(action=waiting[-1], by="ann"))
            case "reject" if waiting:
                log.add(ActionRejected(action=waiting[0], by="ann"))
            case "cancel" if placed:
                log.add(OrderCancelled(order=f"O-{placed}"))
            case _:
                log.tick(DAY + 1 if step == "day" else HOUR)
    whole = fold(log, PROPOSING, each=lambda run: run.twin.check())
    lines = log.lines()
    first = fold(lines[: min(cut, len(lines))], PROPOSING)
    rest = build_chain("net", PROPOSING)
    if "net" in first.chains:
        rest.restore(first.chains["net"].snapshot())
    records = [r for one in lines[min(cut, len(lines)) :] for r in rest.step(to_record(one))]
    assert first.bytes() + Run({}, records).bytes() == whole.bytes()
    ended = [each.action for each in whole.facts(ProposalClosed)]
    assert len(ended) == len(set(ended))


@pytest.mark.parametrize("engine", ["dataflow", "staged"])
def test_what_goes_back_goes_back_the_same_however_the_chain_runs(
    engine: Literal["dataflow", "staged"], tmp_path: Path
) -> None:
    log = orders(4, HOUR, stock=2)
    log.tick(DAY)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in log.events))
    plain = fold(log, PROPOSING)
    told = replay(ReplayPlan(logs=(path,), policy=PROPOSING, engine=engine, out=tmp_path / "out"))
    assert told.people["allocate"]["expired"] > 0
    assert (tmp_path / "out" / "actions.jsonl").read_bytes().splitlines() == plain.bytes()


def test_a_rejected_proposal_gives_back_what_it_held_whatever_else_its_record_decided() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-0"))
    (first,) = fold(log, PROPOSING).of("allocate")
    log.add(ActionApproved(action=first.id, by="ann"))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=0))
    again = fold(log, PROPOSING).of("allocate")[-1]
    assert fold(log, PROPOSING).of("release")[-1].seq == again.seq  # an id alone was ambiguous
    log.add(ActionRejected(action=again.id, by="ann"))
    run = fold(log, PROPOSING)
    run.twin.check()
    assert not run.twin.orders["O-0"].reserved and run.twin.orders["O-0"].is_waiting


def test_rejecting_a_proposal_undoes_nothing_else_of_its_record() -> None:
    asking = Policy(governance=Governance(autonomy={"reconcile": "propose"}))
    log = Log().network_of({("N-NORTH", "BOOK"): 1, ("N-NORTH", "LAMP"): 1})
    log.add(order("O-1", {"BOOK": 2}))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=2))
    (reconcile,) = fold(log, asking).of("reconcile")
    assert fold(log, asking).of("allocate")[0].seq == reconcile.seq
    log.add(ActionRejected(action=reconcile.id, by="ann"))
    assert reserved(fold(log, asking)) == 2


def test_of_two_people_the_first_counts_for_the_stock_as_well() -> None:
    log = orders(1)
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(ActionApproved(action=proposed.id, by="ann"))
    log.add(ActionRejected(action=proposed.id, by="bob"))
    run = fold(log, PROPOSING)
    assert reserved(run) == 1 and len(run.of("allocate")) == 2
    log.add(ActionFailed(action=run.of("allocate")[-1].id, reason="no staff"))
    assert reserved(fold(log, PROPOSING)) == 0


def test_a_proposal_that_failed_cannot_be_approved_any_more() -> None:
    log = orders(1)
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(ActionFailed(action=proposed.id, reason="no staff"))
    log.add(ActionApproved(action=proposed.id, by="ann"))
    run = fold(log, PROPOSING)
    assert closed(run) == [("O-0", "rejected")] and modes(run) == ["propose"]


def test_what_is_overtaken_by_facts_cannot_be_approved_and_so_sent_twice() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1, ("N-SOUTH", "BOOK"): 1})
    log.add(order("O-0"))
    (first,) = fold(log, PROPOSING).of("allocate")
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=0))
    log.add(ActionApproved(action=first.id, by="ann"))
    run = fold(log, PROPOSING)
    assert closed(run)[0] == ("O-0", "withdrawn")
    assert modes(run) == ["propose", "propose"]
    assert sum(run.twin.orders["O-0"].reserved.values()) == 1


def test_nothing_more_is_sent_of_an_order_that_is_cancelled_under_way() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2})
    log.add(order("O-0", {"BOOK": 2}))
    (proposed,) = fold(log, PROPOSING).of("allocate")
    log.add(dispatch("S-1", "O-0", node="N-SOUTH"))
    log.add(OrderCancelled(order="O-0"))
    log.add(ActionApproved(action=proposed.id, by="ann"))
    run = fold(log, PROPOSING)
    assert set(modes(run)) == {"propose"} and reserved(run) == 0


def test_of_two_proposals_alike_only_the_one_that_is_rejected_is_undone() -> None:
    careful = Policy(
        governance=Governance(autonomy={"allocate": "propose"}), sourcing=Sourcing(safety_stock=1)
    )
    log = Log().network_of({("N-SOUTH", "LAMP"): 3, ("N-SOUTH", "BOOK"): 4, ("N-NORTH", "LAMP"): 4})
    log.add(order("O-0", {"LAMP": 2, "BOOK": 3}, region="SOUTH"))
    log.add(StockCounted(node="N-SOUTH", sku="LAMP", quantity=1))
    _, part, rest = fold(log, careful).of("allocate")
    assert part.seq == rest.seq
    assert fold(log, careful).twin.position("N-NORTH", "LAMP").reserved == 2
    log.add(ActionRejected(action=part.id, by="ann"))
    assert fold(log, careful).twin.position("N-NORTH", "LAMP").reserved == 1


def test_approving_what_the_same_record_decides_ends() -> None:
    log = orders(1)
    log.add(ActionApproved(action=f"net:{len(log.events) + 1}-1", by="ann"), 9 * DAY)
    assert "release" in [a.kind for a in fold(log).actions]


def test_what_nobody_approved_and_then_nothing_can_serve_is_paid_back_in_the_end() -> None:
    log = orders(1)
    log.add(NodeCapacityChanged(node="N-NORTH", parcels_per_day=0), DAY + 1)
    for _ in range(30):
        log.tick(DAY)
    run = fold(log, PROPOSING)
    assert run.twin.orders == {} and len(run.of("refund")) == 1
