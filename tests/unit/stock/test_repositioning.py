"""Repositioning: stock moves ahead of demand, is reserved until then, and never comes back."""

from operators.core.facts import TransferYield
from state.actions import Transfer
from state.events import (
    ActionApproved,
    ActionFailed,
    ActionRejected,
    StockCounted,
    StockPicked,
    TransferArrived,
    TransferDeparted,
)
from state.policy import Governance, Policy, Repositioning
from state.quantities import from_ms
from tests.builders import DAY, HOUR, Log, Run, carrier, fold, order, service

UNEVEN = {("N-NORTH", "BOOK"): 25, ("N-SOUTH", "BOOK"): 300}
#: The north has one unit left for some six orders a day.
SHORT = 1


def wanted_in_the_north(log: Log, days: int = 4, region: str = "NORTH") -> Log:
    """Six orders a day, each picked at its own node as far as that has any."""
    for number in range(6 * days):
        name = f"{region}-{number}"
        log.add(order(name, region=region, placed_ms=log.now_ms), 4 * HOUR)
        log.add(StockPicked(node=f"N-{region}", sku="BOOK", quantity=1, order=name), 60)
    return log


def short_in_the_north() -> Log:
    log = wanted_in_the_north(Log().network_of(UNEVEN))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=SHORT))
    for _ in range(7):
        log.tick(HOUR)
    return log


def transfers(run: Run) -> list[Transfer]:
    run.twin.check()
    return [a.data.decision for a in run.of("transfer") if isinstance(a.data.decision, Transfer)]


def held(run: Run) -> int:
    run.twin.check()
    return sum(move.quantity for move in run.twin.transfer_requests.values())


def departed(log: Log, quantity: int) -> None:
    eta = from_ms(log.now_ms + 10 * HOUR * 1000)
    log.add(
        TransferDeparted(
            transfer="T-1",
            origin="N-SOUTH",
            destination="N-NORTH",
            sku="BOOK",
            quantity=quantity,
            eta=eta,
        )
    )


def test_stock_moves_to_where_it_will_be_wanted() -> None:
    run = fold(short_in_the_north())
    moves = transfers(run)
    assert {(m.origin, m.destination, m.sku) for m in moves} == {("N-SOUTH", "N-NORTH", "BOOK")}
    # Not again and again for the same shortage: at most some four days of demand.
    assert 15 <= held(run) <= 30
    for action in run.of("transfer"):
        because = action.data.because
        assert sum(because.terms.values()) == because.score_cents < 0
        assert because.confidence is not None and because.confidence.probability > 0.5


def test_nothing_moves_where_there_is_enough_or_the_policy_says_no() -> None:
    assert not transfers(fold(wanted_in_the_north(Log().network_of(UNEVEN), days=1)))
    off = Policy(repositioning=Repositioning(enabled=False))
    assert not transfers(fold(short_in_the_north(), off))


def test_it_must_gain_more_than_it_costs() -> None:
    dear = Policy(repositioning=Repositioning(unit_cents=500))
    assert not transfers(fold(short_in_the_north(), dear))


def test_a_region_that_only_one_of_the_nodes_reaches_moves_nothing() -> None:
    near = service("standard", max_distance_km=100)
    log = wanted_in_the_north(Log().network_of(UNEVEN, carrier("POST", near)))
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=SHORT))
    for _ in range(7):
        log.tick(HOUR)
    assert not transfers(fold(log))


def test_what_a_transfer_says_it_would_take_not_to_be_made_is_true() -> None:
    log = short_in_the_north()
    first = fold(log).of("transfer")[0]
    (switch,) = first.data.because.flips_if
    assert switch.quantity == "repositioning.least_gain_cents"
    usual = Repositioning().least_gain_cents
    for by, made in ((switch.by, False), (switch.by - 1, True)):
        rules = Repositioning(least_gain_cents=usual + round(by))
        seqs = [action.seq for action in fold(log, Policy(repositioning=rules)).of("transfer")]
        assert (first.seq in seqs) is made


def test_a_transfer_that_was_not_approved_or_failed_holds_nothing() -> None:
    asking = Policy(governance=Governance(autonomy={"transfer": "propose"}))
    for policy, refused in ((asking, ActionRejected), (Policy(), ActionFailed)):
        log = short_in_the_north()
        made = fold(log, policy).of("transfer")
        assert held(fold(log, policy)) > 0
        for action in made:
            said = {"by": "ann"} if refused is ActionRejected else {}
            log.add(refused(action=action.id, reason="no truck", **said))
        assert held(fold(log, policy)) == 0


def test_an_approved_transfer_that_fails_holds_nothing() -> None:
    asking = Policy(governance=Governance(autonomy={"transfer": "propose"}))
    log = short_in_the_north()
    for action in fold(log, asking).of("transfer"):
        log.add(ActionApproved(action=action.id, by="ann"))
    for action in fold(log, asking).of("transfer"):
        if action.data.mode == "act":
            log.add(ActionFailed(action=action.id))
    assert held(fold(log, asking)) == 0


def test_units_are_held_until_they_depart_and_are_due_until_they_arrive() -> None:
    log = short_in_the_north()
    run = fold(log)
    units = held(run)
    assert 0 < units == run.twin.position("N-SOUTH", "BOOK").reserved
    departed(log, units - 1)
    run = fold(log)
    assert held(run) == 0
    assert run.twin.position("N-SOUTH", "BOOK").reserved == 0
    assert run.twin.position("N-NORTH", "BOOK").due() == units - 1


def test_what_no_truck_comes_for_is_given_back() -> None:
    log = short_in_the_north()
    log.tick(13 * HOUR)
    run = fold(log)
    assert held(run) == 0


def test_customers_go_before_a_transfer_when_a_shelf_turns_out_emptier() -> None:
    log = short_in_the_north()
    log.add(order("LATE", region="SOUTH", placed_ms=log.now_ms), 1)
    log.add(StockCounted(node="N-SOUTH", sku="BOOK", quantity=2))
    run = fold(log)
    assert held(run) <= 2
    assert run.twin.orders["LATE"].reserved


def test_what_was_moved_is_not_moved_back() -> None:
    log = short_in_the_north()
    units = held(fold(log))
    departed(log, units)
    log.add(TransferArrived(transfer="T-1", node="N-NORTH", sku="BOOK", quantity=units))
    log.add(StockCounted(node="N-SOUTH", sku="BOOK", quantity=7))
    wanted_in_the_north(log, days=1, region="SOUTH")
    for _ in range(8):
        log.tick(HOUR)
    assert all(again.destination != "N-SOUTH" for again in transfers(fold(log)))


def test_a_transfer_is_followed_to_its_yield() -> None:
    log = short_in_the_north()
    units = held(fold(log))
    departed(log, units)
    log.add(TransferArrived(transfer="T-1", node="N-NORTH", sku="BOOK", quantity=units))
    log.add(order("X", {"BOOK": 3}, placed_ms=log.now_ms))
    log.add(StockPicked(node="N-NORTH", sku="BOOK", quantity=3, order="X"))
    log.tick(8 * DAY)
    run = fold(log)
    [outcome] = run.facts(TransferYield)
    assert (outcome.units, outcome.sold) == (units, 3)
    assert (run.totals.transferred, run.totals.transferred_sold) == (units, 3)


def test_what_is_only_on_its_way_is_not_moved_on() -> None:
    """With settling times shorter than the drive, units asked for are not there to be loaded."""
    eager = Repositioning(
        least_risk=0.0, origin_risk=1.0, least_wanted=0.0, unit_cents=0.0, kg_100km_cents=0.0,
        least_gain_cents=0, least_return=0.0, settle_s=60, review_s=600, lead_s=HOUR,
    )  # fmt: skip
    log = wanted_in_the_north(Log().network_of({**UNEVEN, ("N-SPARE", "BOOK"): 3}), days=1)
    log.add(StockCounted(node="N-NORTH", sku="BOOK", quantity=SHORT))
    wanted_in_the_north(log, days=2, region="SOUTH")
    for _ in range(20):
        log.tick(HOUR)

    def covered(run: Run) -> None:
        run.twin.check()
        assert not any(position.uncovered() for _, _, position in run.twin.positions())

    assert fold(log, Policy(repositioning=eager), each=covered).of("transfer")


def test_where_transfers_are_switched_off_nothing_is_held_for_them() -> None:
    off = Policy(governance=Governance(autonomy={"transfer": "off"}))
    run = fold(short_in_the_north(), off)
    assert held(run) == 0
    assert run.totals.inert["transfer", "switched off by the policy"] > 0


def test_approving_something_else_or_too_late_keeps_no_stock_of_a_transfer() -> None:
    rules = Governance(autonomy={"transfer": "propose"}, proposal_s=HOUR)
    asking = Policy(governance=rules, repositioning=Repositioning(hold_s=5 * DAY))
    log = short_in_the_north()
    log.events = log.events[: fold(log, asking).of("transfer")[0].seq]
    log.now_ms = log.events[-1].recorded_ms
    (proposed,) = fold(log, asking).of("transfer")
    assert held(fold(log, asking)) > 0
    log.add(ActionApproved(action=f"net:{proposed.seq}-99", by="ann"))
    log.add(ActionApproved(action=proposed.id, by="ann"), HOUR + 1)
    run = fold(log, asking)
    run.twin.check()
    assert 1 not in run.twin.transfer_requests
    assert not any(action.data.mode == "act" for action in run.of("transfer"))
