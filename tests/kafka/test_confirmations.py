"""Commands of people are confirmed, once, at their place in the journal."""

import orjson

from flows.wiring.outcomes import outcomes
from state.codec import encode_action
from state.events import (
    ActionApproved,
    ActionRejected,
    Fact,
    HoldLifted,
    HoldPlaced,
    NetworkHalted,
    NetworkResumed,
    PolicyChanged,
)
from state.policy import Governance, Policy
from state.stores.redis_keys import CONTROL
from tests.builders import Log, fold, order

ASKING = Policy(governance=Governance(autonomy={"allocate": "propose"}))


def confirmations(log: Log, policy: Policy = ASKING) -> list[dict[str, object]]:
    found = [o for o in outcomes(fold(log, policy).records) if o.stream == CONTROL]
    assert not any(outcome.is_action for outcome in found)
    bodies = [orjson.loads(outcome.body) for outcome in found]
    assert [o.entry_id for o in found] == [f"{body['seq']}-1" for body in bodies]
    return bodies


def effects(*facts: Fact) -> list[tuple[object, object]]:
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    for fact in facts:
        log.add(fact)
    return [(body["took_effect"], body["effect"]) for body in confirmations(log)]


def test_each_thing_that_people_say_is_confirmed_with_what_came_of_it() -> None:
    found = effects(
        NetworkHalted(by="ann"),
        NetworkResumed(by="ann"),
        PolicyChanged(policy={}, by="ann"),
        HoldPlaced(kind="node", scope="N-NORTH", by="ann"),
        HoldLifted(kind="node", scope="N-NORTH", by="ann"),
        ActionApproved(action="net:1-1", by="ann"),
        ActionRejected(action="net:1-1", by="ann"),
    )
    assert all(took for took, _ in found[:5])
    assert [str(effect).split(" since ")[0] for _, effect in found] == [
        "halted",
        "acts again",
        f"policy {Policy().fingerprint()} in force",
        "node N-NORTH on hold",
        "node N-NORTH no longer on hold",
        "no such proposal was open",
        "no such proposal was open",
    ]
    assert not any(took for took, _ in found[5:])


def test_what_is_decided_on_an_open_proposal_names_what_follows() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 5})
    log.add(order("O-1"))
    log.add(order("O-2"))
    first, second = fold(log, ASKING).of("allocate")
    log.add(ActionApproved(action=first.id, by="ann"))
    log.add(ActionRejected(action=second.id, by="bob"))
    approved, rejected = confirmations(log)
    carried_out = fold(log, ASKING).of("allocate")[2]
    assert encode_action(carried_out) and carried_out.data.approves == first.id
    assert approved["effect"] == f"to be carried out as {carried_out.id}"
    assert (rejected["effect"], rejected["by"]) == ("rejected", "bob")


def test_an_event_that_comes_twice_is_confirmed_once() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    log.add(NetworkHalted(by="ann"))
    log.events.append(log.events[-1])
    assert len(confirmations(log)) == 1
