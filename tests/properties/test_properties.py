"""Properties of every log: the promises that the rest of the engine rests on."""

import os
import subprocess
import sys

import pytest
from bytewax.testing import TestingSource, run_main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.wiring.dataflow import Flow
from flows.wiring.outcomes import Outcome, outcomes
from operators.chain import OPERATORS, build_chain, to_record
from state.actions import Action, Allocate
from state.codec import JournalLine, encode_action
from state.events import (
    StockAdjusted,
    StockCounted,
    StockPicked,
    StockReceived,
    StockReturned,
    StockShortPicked,
    TransferArrived,
    TransferDeparted,
)
from state.policy import Policy
from tests.builders import HOUR, NODES, SKUS, START_MS, Log, Run, fold, order
from tests.places import ROOT
from tests.random_logs import inventory, logs, telemetry

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


class Kept:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def write(self, outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes

    def mark(self) -> dict[str, int]:
        return {"count": len(self.outcomes)}

    def rewind(self, mark: dict[str, int]) -> None:
        del self.outcomes[mark.get("count", 0) :]

    def actions(self) -> list[bytes]:
        return [o.body for o in self.outcomes if o.is_action]


def flown(lines: list[JournalLine], batch: int, staged: bool) -> list[Outcome]:
    kept = Kept()
    flow = Flow(TestingSource(lines, batch), {"kept": kept}, Policy(), staged=staged)
    run_main(flow.dataflow)
    return kept.outcomes


def states(run: Run) -> tuple[dict[tuple[str, str], int], dict[str, str]]:
    """The ledger, and the shipments' states."""
    ledger = {(node, sku): p.on_hand for node, sku, p in run.twin.positions() if p.on_hand}
    shipments = {
        name: f"{s.status} {s.status_ms} {s.is_terminal}" for name, s in run.twin.shipments.items()
    }
    return ledger, shipments


@FEW
@given(logs(), st.sampled_from([1, 2, 7, 1000]), st.booleans())
def test_the_dataflow_equals_the_fold_at_any_batch_size(log: Log, batch: int, staged: bool) -> None:
    lines = log.lines()
    folded = outcomes(fold(lines).records)
    assert flown(lines, batch, staged) == folded


@MANY
@given(logs(), st.data())
def test_stopping_anywhere_and_restoring_changes_nothing(log: Log, data: st.DataObject) -> None:
    lines = log.lines()
    cut = data.draw(st.integers(0, len(lines)))
    whole = fold(lines)
    chain = build_chain("net", Policy())
    made = [r for line in lines[:cut] for r in chain.step(to_record(line))]
    restored = build_chain("net", Policy())
    restored.restore(chain.snapshot())
    made += [r for line in lines[cut:] for r in restored.step(to_record(line))]
    assert outcomes(made) == outcomes(whole.records)
    assert restored.snapshot() == whole.chains["net"].snapshot()


@(MANY if os.environ.get("CI") else FEW)
@given(logs(), st.data())
def test_redelivered_input_changes_nothing(log: Log, data: st.DataObject) -> None:
    """A redelivered line takes a place in the journal, so ids move; all else stays.

    A line that had become a dead letter is the exception: to put it in again is to repair.
    """
    if any("action.approved" in event.type for event in log.events):
        return  # approvals name actions by id, and ids move
    lines = log.lines()
    once = fold(lines)
    refused = {letter.line.seq for letter in once.dead_letters}
    place: dict[int, int] = {}
    again: list[JournalLine] = []
    for line in lines:
        again.append(JournalLine(len(again) + 1, "x", 1, line.raw, line.size))
        place[len(again)] = line.seq
        while data.draw(st.integers(0, 3)) == 0:
            earlier = lines[data.draw(st.integers(0, line.seq - 1))]
            if earlier.seq not in refused:
                again.append(JournalLine(len(again) + 1, "x", 1, earlier.raw, earlier.size))

    def told(run: Run, at: dict[int, int]) -> list[tuple[object, ...]]:
        return [
            (at[a.seq], a.kind, a.subject, a.data.mode, a.data.decision, a.data.because.terms)
            for a in run.actions
        ]

    twice = fold(again)
    assert told(twice, place) == told(once, {n: n for n in range(len(lines) + 1)})
    assert states(twice) == states(once)


@MANY
@given(st.lists(st.one_of(inventory(), telemetry()), min_size=2, max_size=30), st.randoms())
def test_facts_shuffled_within_the_lateness_bound_end_in_the_same_state(facts, luck) -> None:  # type: ignore[no-untyped-def]
    stock = {(node, sku): 9 for node in NODES for sku in SKUS}
    in_order, shuffled = Log().network_of(stock), Log().network_of(stock)
    ids = [f"f-{number}" for number in range(len(facts))]
    spacing_s = (HOUR - 60) / len(facts)
    seen: set[str] = set()
    for name, fact in zip(ids, facts, strict=True):
        # One dispatch, transfer and schedule per name: the journal's first one counts.
        key = f"{type(fact).__name__} {getattr(fact, 'shipment', getattr(fact, 'transfer', name))}"
        if key in seen or ("inbound" in fact.suffix and fact.inbound in seen):
            continue
        seen |= {key, getattr(fact, "inbound", None) or key}
        in_order.add(fact, spacing_s, id=name)
    start, count = len(shuffled.events), len(in_order.events)
    happened = in_order.events[start:count]
    end_ms = START_MS + HOUR * 1000
    for event in luck.sample(happened, len(happened)):
        shuffled.now_ms = end_ms
        shuffled.add(event.fact, 0, happened_s_ago=(end_ms - event.time_ms) / 1000, id=event.id)
    assert states(fold(shuffled)) == states(fold(in_order))


def never_oversold(run: Run) -> None:
    """A promise was covered by shelf and inbound when it was made; reservations agree."""
    run.twin.check()
    for _, _, position in run.twin.positions():
        assert position.uncovered() == 0


@MANY
@given(logs())
def test_stock_is_never_oversold(log: Log) -> None:
    fold(log, each=never_oversold)


def ledger_by_hand(run: Run) -> dict[tuple[str, str], int]:
    """Return the sums of the facts let in: a count sets, a movement adds, in order of time.

    Written without the twin, as an accountant would: a line per fact, sorted, then summed up.
    """
    entries: dict[tuple[str, str], list[tuple[int, str, bool, int]]] = {}
    under_way: dict[str, str] = {}
    for record in run.records:
        if record.event is None:
            continue
        at, by = record.event.time_ms, record.event.id
        booked: list[tuple[str, str, bool, int, str]] = []
        match record.fact:
            case StockCounted(node=node, sku=sku, quantity=units):
                booked = [(node, sku, True, units, "")]
            case (
                StockReceived(node=node, sku=sku, quantity=units)
                | StockReturned(node=node, sku=sku, quantity=units)
            ):
                booked = [(node, sku, False, units, "")]
            case StockPicked(node=node, sku=sku, quantity=units):
                booked = [(node, sku, False, -units, "")]
            case StockAdjusted(node=node, sku=sku, delta=units):
                booked = [(node, sku, False, units, "")]
            case StockShortPicked(node=node, sku=sku, picked=units):
                booked = [(node, sku, False, -units, ""), (node, sku, True, 0, "~")]
            case TransferDeparted(transfer=name, origin=node, sku=sku, quantity=units):
                booked = [(node, sku, False, -units, "")]
                under_way[name] = sku
            case TransferArrived(transfer=name, node=node, quantity=units) if name in under_way:
                booked = [(node, under_way.pop(name), False, units, "")]
            case _:
                pass
        for node, sku, is_count, units, mark in booked:
            entries.setdefault((node, sku), []).append((at, by + mark, is_count, units))
    ledger = {}
    for key, lines in entries.items():
        units = 0
        for _, _, is_count, number in sorted(lines):
            units = number if is_count else units + number
        ledger[key] = units
    return {key: units for key, units in ledger.items() if units}


@MANY
@given(logs(most=60))
def test_stock_is_conserved(log: Log) -> None:
    run = fold(log)
    ledger, _ = states(run)
    assert ledger == ledger_by_hand(run)


@MANY
@given(logs())
def test_every_action_explains_itself(log: Log) -> None:
    run = fold(log)
    for action in run.actions:
        because = action.data.because
        assert sum(because.terms.values()) == because.score_cents
        assert because.summary
        assert len(because.policy) == 12
        assert because.causes
        assert list(because.causes) == sorted(set(because.causes))
        assert because.causes[-1] <= action.seq
        for other in because.alternatives:
            assert sum(other.terms.values()) == other.score_cents
            is_drawn = because.draw is not None and because.draw.is_explored
            assert is_drawn or other.score_cents >= because.score_cents
        if isinstance(action.data.decision, Allocate):
            legs = sum(leg.cost_cents for leg in action.data.decision.legs)
            assert legs + because.terms.get("split", 0) == because.score_cents


@MANY
@given(logs())
def test_action_ids_grow_and_name_their_record(log: Log) -> None:
    seen: list[tuple[int, int]] = []
    for action in fold(log).actions:
        seq, _, number = action.entry_id.partition("-")
        seen.append((int(seq), int(number)))
        assert action.id == f"net:{action.entry_id}"
    assert seen == sorted(set(seen))


@MANY
@given(logs())
def test_every_order_is_accounted_for(log: Log) -> None:
    run = fold(log)
    totals = run.totals.orders
    kinds = totals.allocated + totals.backordered + totals.unfillable + totals.cancelled
    kinds += totals.held
    assert totals.placed == kinds
    told = {action.correlationid for action in run.actions}
    for name in run.twin.orders:
        left_alone = {r.fact.about for r in run.records if hasattr(r.fact, "about")}
        assert name in told | left_alone


_SCRIPT = """
import sys
from pathlib import Path
from tests.builders import fold
from tests.properties.test_properties import long_log
sys.stdout.write(fold(long_log()).chains["net"].snapshot().hex())
"""


def long_log() -> Log:
    """A deterministic log with a bit of everything."""
    from flows.simulation import WorldConfig, simulate

    world = WorldConfig(network="net", nodes=8, regions=6, skus=60)
    log = Log()
    log.events = list(simulate(seed=5, events=6_000, config=world))
    return log


@pytest.mark.slow
def test_the_hash_seed_of_the_interpreter_does_not_matter() -> None:
    snapshots = set()
    for seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        snapshots.add(done.stdout)
    assert len(snapshots) == 1


def test_the_names_that_recovery_goes_by_are_frozen() -> None:
    """Bytewax keeps state under the step's name: renaming one orphans what is stored."""
    assert OPERATORS == (
        "hygiene",
        "demand",
        "lanes",
        "delays",
        "incidents",
        "orchestrate",
        "notices",
        "govern",
        "rollups",
    )
    flow = Flow(TestingSource([]), {}, Policy())
    assert flow.dataflow.flow_id == "crossdock"


@pytest.mark.parametrize("orders", [1, 30])
def test_actions_do_not_depend_on_what_else_is_in_the_log(orders: int) -> None:
    """Two networks in one log decide as if each were alone."""
    alone = Log("net").network_of({("N-NORTH", "BOOK"): 20})
    other = Log("other").network_of({("N-SOUTH", "BOOK"): 20})
    for number in range(orders):
        alone.add(order(f"O-{number}"))
        other.add(order(f"O-{number}", region="SOUTH"))
    mixed = [event for pair in zip(alone.events, other.events, strict=True) for event in pair]
    both = Log()
    both.events = mixed
    together = [a for a in fold(both).actions if a.partitionkey == "net"]
    separate = fold(alone).actions

    def told(action: Action) -> tuple[object, ...]:
        return action.kind, action.subject, action.data.decision, action.data.because.terms

    assert [told(a) for a in together] == [told(a) for a in separate]
    assert len({encode_action(a) for a in together}) == len(separate)
