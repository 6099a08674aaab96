"""Agenda: deadlines fire at once, chores a few at a time, and none is lost."""

from hypothesis import given
from hypothesis import strategies as st

from operators.chain import build_chain, to_record
from operators.network.agenda import CHORES, MOST_CHORES, Agenda
from operators.network.due import Due, Lapse, Restock
from operators.orchestrate import Orchestrate
from state.policy import Policy
from tests.builders import START_MS, Log

MOMENTS = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60)


@given(MOMENTS)
def test_each_is_taken_out_once_and_in_its_order(moments: list[tuple[int, bool]]) -> None:
    agenda, taken = Agenda(), list[tuple[int, Due]]()
    for number, (due_ms, is_chore) in enumerate(moments):
        name = f"{due_ms:02}-{number:02}"
        agenda.set(due_ms, Restock(name) if is_chore else Lapse(name))
    for now_ms in range(51 + len(moments)):
        found = list(agenda.due(now_ms))
        kinds = [isinstance(due, CHORES) for due in found]
        assert kinds == sorted(kinds)  # deadlines first
        assert kinds.count(True) <= MOST_CHORES
        taken += ((now_ms, due) for due in found)
    assert not agenda.is_due(10**9)
    for now_ms, due in taken:
        if isinstance(due, Lapse):
            assert now_ms == int(due.order[:2])
    reviews = [due.sku for _, due in taken if isinstance(due, Restock)]
    assert reviews == sorted(reviews) and len(taken) == len(moments)


def test_a_chore_is_late_from_when_it_was_due() -> None:
    agenda = Agenda()
    assert agenda.late_ms(7) == 0
    agenda.set(5, Restock("BOOK"))
    assert [agenda.late_ms(now_ms) for now_ms in (4, 5, 7)] == [0, 0, 2]
    assert agenda.reviews() == {"BOOK"}


def test_what_waits_is_carried_out_by_ticks() -> None:
    chain = build_chain("net", Policy())
    orchestrate = next(each for each in chain.operators if isinstance(each, Orchestrate))
    log = Log().network_of({("N-NORTH", "BOOK"): 1})
    begun = len(log.events)
    for _ in range(9):
        log.tick(60)
    late = []
    for number, line in enumerate(log.lines()):
        if number == begun:
            for each in range(9):
                orchestrate.context.deadlines.set(START_MS, Restock(f"SKU-{each}"))
        chain.step(to_record(line))
        late.append(orchestrate.late_ms)
    assert late[begun] > 0 and late[-1] == 0
