"""Messages between desks: one ordered queue, and a type for each kind of message.

A desk posts, and the orchestrator hands the messages of a kind to the desk that takes them, in the
order in which they were posted, within the same record. Supply that is freed while supply is served
waits for the next record, so that the work of a record is bounded.
"""

from typing import TypeVar

from msgspec import Struct, field

from operators.core.facts import ExceptionCase


class _Message(Struct, frozen=True, array_like=True, gc=False):
    """The base of messages; each is tagged with its name in a snapshot."""


class SupplyFreed(_Message, frozen=True, tag=True):
    """More of a SKU can be promised: to be offered to orders that wait for it."""

    sku: str


class Uncovered(_Message, frozen=True, tag=True):
    """Reservations at a shelf may be covered no longer: a transfer to it does not come."""

    node: str
    sku: str


class Doubted(_Message, frozen=True, tag=True):
    """The quantity of the order that follows in the same journal record is not believed."""

    order: str
    reason: str


class CaseChanged(_Message, frozen=True, tag=True):
    """A case was opened, acted on or closed: to be published behind what the desks derive."""

    case: ExceptionCase


Message = SupplyFreed | Uncovered | Doubted | CaseChanged
M = TypeVar("M", SupplyFreed, Uncovered, Doubted, CaseChanged)


class Messages(Struct):
    """The queue. Equal messages all wait in it: a case may open twice in one record."""

    waiting: list[Message] = field(default_factory=list)

    def post(self, message: Message) -> None:
        """Put a message at the end."""
        self.waiting.append(message)

    def take(self, kind: type[M]) -> list[M]:
        """Take out the messages of a kind, the oldest first."""
        taken = [each for each in self.waiting if isinstance(each, kind)]
        if taken:
            self.waiting = [each for each in self.waiting if not isinstance(each, kind)]
        return taken
