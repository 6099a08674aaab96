"""The last gate: act, propose or leave out, and under which id."""

from typing import Literal

import pytest

from operators.chain import to_record
from operators.core.facts import NoAction
from state.actions import Action
from state.events import (
    ActionApproved,
    ActionRejected,
    NetworkHalted,
    NetworkResumed,
    StockReceived,
)
from state.policy import Governance, Limit, Policy
from tests.builders import DAY, HOUR, Log, Run, fold, order

STOCK = {("N-NORTH", "BOOK"): 50}
PROPOSING = Policy(governance=Governance(autonomy={"allocate": "propose"}))


def orders(count: int, after_s: float = 1) -> Log:
    log = Log().network_of(STOCK)
    for number in range(count):
        log.add(order(f"O-{number}"), after_s)
    return log


def modes(run: Run) -> list[str]:
    return [action.data.mode for action in run.of("allocate")]


def limited(**limits: int) -> Policy:
    return Policy(governance=Governance(limits={"allocate": Limit(**limits)}))


def proposal(log: Log) -> Action:
    (action,) = fold(log, PROPOSING).of("allocate")
    return action


def inert(run: Run) -> list[str]:
    return [each.reason for each in run.facts(NoAction)]


@pytest.mark.parametrize("autonomy", ["act", "propose"])
def test_a_kind_does_what_the_policy_says(autonomy: Literal["act", "propose"]) -> None:
    policy = Policy(governance=Governance(autonomy={"allocate": autonomy}))
    run = fold(orders(1), policy)
    assert modes(run) == [autonomy]
    assert run.totals.proposed == (autonomy == "propose")


def test_a_kind_switched_off_is_left_out_and_counted() -> None:
    run = fold(orders(2), Policy(governance=Governance(autonomy={"allocate": "off"})))
    assert run.actions == []
    assert run.totals.inert == {("allocate", "switched off by the policy"): 2}


def test_a_proposal_says_why_and_until_when_it_waits() -> None:
    action = proposal(orders(1))
    assert action.data.because.summary.endswith("Proposed, since the policy asks for a person.")
    assert action.expirytime is not None
    assert (action.expirytime - action.time).total_seconds() == DAY


def test_over_so_many_an_hour_the_rest_is_proposed() -> None:
    run = fold(orders(5), limited(per_hour=3))
    assert modes(run) == ["act"] * 3 + ["propose"] * 2
    assert "3 of its kind acted this hour already" in run.of("allocate")[-1].data.because.summary


def test_every_hour_of_the_journal_begins_anew() -> None:
    assert modes(fold(orders(4, HOUR), limited(per_hour=1))) == ["act"] * 4


def test_over_a_value_it_is_proposed() -> None:
    value = fold(orders(1)).of("allocate")[0].data.value_cents
    assert modes(fold(orders(1), limited(value_cents=value))) == ["act"]
    assert modes(fold(orders(1), limited(value_cents=value - 1))) == ["propose"]


def test_over_a_value_an_hour_the_rest_is_proposed() -> None:
    value = fold(orders(1)).of("allocate")[0].data.value_cents
    run = fold(orders(3), limited(value_cents_per_hour=2 * value))
    assert modes(run) == ["act", "act", "propose"]


def test_what_was_only_proposed_is_not_counted_against_the_limit() -> None:
    log = orders(1)
    log.add(NetworkHalted(by="ops", reason="drill"))
    log.add(order("O-A"))
    log.add(NetworkResumed(by="ops"))
    log.add(order("O-B"))
    assert modes(fold(log, limited(per_hour=2))) == ["act", "propose", "act"]


def test_a_halted_network_only_proposes_until_it_is_resumed() -> None:
    log = orders(1)
    log.add(NetworkHalted(by="ops", reason="drill"))
    log.add(order("O-A"))
    log.add(NetworkResumed(by="ops"))
    log.add(order("O-B"))
    run = fold(log)
    assert modes(run) == ["act", "propose", "act"]
    assert "the network is halted: drill" in run.of("allocate")[1].data.because.summary


def test_an_approved_proposal_is_carried_out_under_an_id_of_its_own() -> None:
    log = orders(1)
    proposed = proposal(log)
    approval = log.add(ActionApproved(action=proposed.id, by="ann"))
    _, done = fold(log, PROPOSING).of("allocate")
    seq = len(log.events)
    assert done.id == f"net:{seq}-1"
    assert (done.data.mode, done.data.approves) == ("act", proposed.id)
    assert done.data.decision == proposed.data.decision
    assert done.causationid == approval.id
    assert done.data.because.causes == (proposed.seq, seq)
    assert done.data.because.summary.endswith("Approved by ann.")


def test_a_proposal_is_approved_once() -> None:
    log = orders(1)
    proposed = proposal(log)
    log.add(ActionApproved(action=proposed.id, by="ann"))
    log.add(ActionApproved(action=proposed.id, by="bob"))
    run = fold(log, PROPOSING)
    assert modes(run) == ["propose", "act"]
    assert inert(run) == ["no such proposal is open"]


def test_an_expired_proposal_cannot_be_approved() -> None:
    log = orders(1)
    log.add(ActionApproved(action=proposal(log).id, by="ann"), DAY + 1)
    run = fold(log, PROPOSING)
    assert modes(run) == ["propose", "propose"]  # the order is decided on again
    assert inert(run) == [
        "the proposal expired: nobody decided in time",
        "no such proposal is open",
    ]


def test_an_unknown_action_cannot_be_approved() -> None:
    log = orders(1)
    log.add(ActionApproved(action="net:4711-1", by="ann"))
    log.add(ActionApproved(action=fold(log).of("allocate")[0].id, by="ann"))  # acted already
    assert inert(fold(log)) == ["no such proposal is open"] * 2


def test_a_rejected_proposal_cannot_be_approved() -> None:
    log = orders(1)
    proposed = proposal(log)
    log.add(ActionRejected(action=proposed.id, by="ann"))
    log.add(ActionApproved(action=proposed.id, by="bob"))
    run = fold(log, PROPOSING)
    assert modes(run) == ["propose"]
    assert inert(run)[-1] == "no such proposal is open"


def test_actions_of_one_record_are_numbered_from_one() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 0})
    for number in range(3):
        log.add(order(f"O-{number}"))
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=3))
    seq = len(log.events)
    run = fold(log)
    assert [a.entry_id for a in run.of("allocate")] == [f"{seq}-{n}" for n in (1, 2, 3)]
    assert [a.entry_id for a in run.of("backorder")] == [f"{seq - n}-1" for n in (3, 2, 1)]


def test_a_proposal_survives_a_restart() -> None:
    log = orders(1)
    log.add(ActionApproved(action=proposal(log).id, by="ann"))
    run = fold(Log(events=log.events[:-1]), PROPOSING)
    govern = run.operator("govern")
    govern.restore(govern.snapshot())
    made = run.chains["net"].step(to_record(log.lines()[-1]))
    assert [r.fact.data.mode for r in made if isinstance(r.fact, Action)] == ["act"]
