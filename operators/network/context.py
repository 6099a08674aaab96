"""The context: what all desks of the orchestrator share while they work on one record."""

from collections.abc import Iterable

from msgspec import Struct, field

from operators.core.contract import Record
from operators.network.agenda import Agenda
from operators.network.case_book import CaseBook, CaseBookState
from operators.network.due import Unfillable
from operators.network.messages import Messages, SupplyFreed
from operators.network.pickups import Pickups
from operators.prediction.price_elasticity import PriceState
from operators.sourcing.by_rule import ByRule
from operators.sourcing.least_cost import LeastCost
from operators.sourcing.node_record import NodeRecords
from operators.sourcing.outlook import Outlook
from operators.sourcing.plan import Sourcer
from operators.sourcing.rates import RateBook
from state.keys import ShelfKey, TroubleKey
from state.policy import Policy
from state.twin import OpenOrder, Twin
from state.twin.transfer_requests import Landed


class ContextState(Struct):
    """All that the orchestrator remembers; its snapshot."""

    policy: Policy
    twin: Twin = field(default_factory=Twin)
    outlook: Outlook = field(default_factory=Outlook)
    deadlines: Agenda = field(default_factory=Agenda)
    # Trouble that carriers reported -> (extra transit in s, until in ms)
    disruptions: dict[TroubleKey, tuple[int, int]] = field(default_factory=dict)
    # Shelf -> until when stock that transfers moved out of it, or in, must not be moved back, ms.
    moved_out: dict[ShelfKey, int] = field(default_factory=dict)
    moved_in: dict[ShelfKey, int] = field(default_factory=dict)
    # Shelf -> units that transfers brought, until their yield is reported.
    landed: dict[ShelfKey, list[Landed]] = field(default_factory=dict)
    pickups: Pickups = field(default_factory=Pickups)
    cases: CaseBookState = field(default_factory=CaseBookState)
    # Journal seq -> (order, kind of action, the seq that first decided it), of open orders.
    decided: dict[int, list[tuple[str, str, int]]] = field(default_factory=dict)
    prices: PriceState = field(default_factory=PriceState)
    # Messages between desks. An order that moves to freed supply frees some again, which the next
    # record offers.
    messages: Messages = field(default_factory=Messages)


class Context:
    """The state, what is made from it, and where the record in hand stands in the journal."""

    def __init__(self, state: ContextState) -> None:
        self.state = state
        self.twin = state.twin
        self.outlook = state.outlook
        self.deadlines = state.deadlines
        self.rates = RateBook(state.twin)
        self.rates.disruptions = state.disruptions
        self.sourcing: Sourcer = self._sourcing_by(state.policy)
        self.messages = state.messages
        self.cases = CaseBook(state.cases, state.messages)
        self.nodes = NodeRecords(state.outlook)
        self.network = ""
        self.seq = 0
        self.now_ms = 0
        # True if the fact in hand is not believed: it takes effect, nothing is learned from it.
        self.suspect = False

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        return self.state.policy

    def free(self, skus: Iterable[str]) -> None:
        """Have new supply of SKUs offered to the orders that wait for it."""
        for sku in skus:
            self.messages.post(SupplyFreed(sku))

    def adopt(self, policy: Policy) -> None:
        """Let another policy hold from here on."""
        self.state.policy = policy
        if not policy.nodes.learn:
            self.nodes.forget()
        self.sourcing = self._sourcing_by(policy)

    def _sourcing_by(self, policy: Policy) -> Sourcer:
        """Return the sourcer of a policy; it holds no state, so another may take over any time."""
        if policy.sourcing.rule == "least_cost":
            return LeastCost(self.twin, self.outlook, self.rates, policy)
        return ByRule(self.twin, self.rates, policy)

    def turn_to(self, record: Record) -> None:
        """Turn to another record of the journal."""
        self.network = record.network
        self.seq = self.cases.seq = record.seq
        self.now_ms = self.cases.now_ms = record.now_ms
        self.suspect = record.suspect

    def causes(self, order: OpenOrder) -> tuple[int, ...]:
        """Return the journal positions that a decision on an order follows from."""
        return tuple(sorted({order.seq, *order.causes, self.seq}))

    def weigh_paying_back(self, order: OpenOrder) -> None:
        """Have an order that nothing can serve weighed against paying it back, when it is time."""
        ends_ms = order.promised_ms + self.policy.exceptions.unfillable_after_s * 1000
        self.deadlines.set(max(ends_ms, self.now_ms), Unfillable(order.name))

    def forget_decision(self, order: str, seq: int) -> None:
        """Forget what record `seq` decided of an order."""
        others = [each for each in self.state.decided.get(seq, ()) if each[0] != order]
        if others:
            self.state.decided[seq] = others
        else:
            self.state.decided.pop(seq, None)

    @property
    def settled_ms(self) -> int:
        """Return the instant before which no more facts will come, ms."""
        return self.now_ms - self.policy.hygiene.lateness_s * 1000
