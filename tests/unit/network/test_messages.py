"""Desks get every message, in the order in which it was posted."""

from operators.network.case_book import CaseBook, CaseBookState
from operators.network.messages import CaseChanged, Messages, SupplyFreed, Uncovered


def test_a_case_that_opens_again_in_the_same_record_is_published_again() -> None:
    messages = Messages()
    cases = CaseBook(CaseBookState(), messages)
    for _ in range(2):
        cases.open("unfillable", "retailer", "O-1", "O-1")
        cases.close("unfillable", "O-1")
    states = [each.case.state for each in messages.take(CaseChanged)]
    assert states == ["opened", "closed", "opened", "closed"]


def test_messages_of_a_kind_are_taken_once_and_in_order_and_leave_the_others() -> None:
    messages = Messages()
    for message in (SupplyFreed("B"), Uncovered("N-1", "B"), SupplyFreed("A")):
        messages.post(message)
    assert messages.take(SupplyFreed) == [SupplyFreed("B"), SupplyFreed("A")]
    assert messages.take(SupplyFreed) == []
    assert messages.take(Uncovered) == [Uncovered("N-1", "B")]
