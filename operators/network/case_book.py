"""The case book: exceptions from the plan, from their opening until facts close them.

A case is known by its kind and its subject; while it is open, the same trouble opens no second one.
Cases of an order close with the order, so that the book is bounded by open work.
"""

from msgspec import Struct, field
from msgspec.structs import astuple

from operators.core.facts import (
    CaseState,
    ClosedBy,
    ExceptionCase,
    ExceptionKind,
    ExceptionParty,
)
from operators.network.messages import CaseChanged, Messages
from state.keys import ShelfKey, TroubleKey

#: Kinds that are over once all of the order was handed over: what follows is another matter.
UNTIL_HANDOVER: tuple[ExceptionKind, ...] = ("short_pick", "oversold", "unfillable", "refused")

#: Subject of a case: an order, a parcel or a node by its name, a shelf, a carrier's trouble.
About = str | ShelfKey | TroubleKey


class CaseKey(Struct, frozen=True, array_like=True, gc=False):
    """Kind of a case and the names of its subject; the kind tells what they name."""

    kind: ExceptionKind
    names: tuple[str, ...]

    @classmethod
    def of(cls, kind: ExceptionKind, about: About) -> "CaseKey":
        """Return the key of a case."""
        return cls(kind, (about,) if isinstance(about, str) else astuple(about))


class Case(Struct, array_like=True):
    """An open case. `needs_person`: a person was asked, or had to decide something about it."""

    name: str
    kind: ExceptionKind
    party: ExceptionParty
    about: str
    order: str
    opened_ms: int
    is_acting: bool = False
    needs_person: bool = False


class CaseBookState(Struct):
    """Open cases, and their keys by order."""

    open: dict[CaseKey, Case] = field(default_factory=dict)
    by_order: dict[str, list[CaseKey]] = field(default_factory=dict)


class CaseBook:
    """Opens and closes cases, and posts each change of one."""

    def __init__(self, state: CaseBookState, messages: Messages) -> None:
        self._state, self._messages = state, messages
        self.seq = 0
        self.now_ms = 0

    def __len__(self) -> int:
        return len(self._state.open)

    def open(
        self, kind: ExceptionKind, party: ExceptionParty, about: About, order: str = ""
    ) -> None:
        """Open a case, unless the same is open."""
        key = CaseKey.of(kind, about)
        if key in self._state.open:
            return
        name = f"{kind}/{about}/{self.seq}"
        case = self._state.open[key] = Case(name, kind, party, str(about), order, self.now_ms)
        if order:
            self._state.by_order.setdefault(order, []).append(key)
        self._post(case, "opened")

    def act(self, kind: ExceptionKind, about: About, *, needs_person: bool = False) -> None:
        """Note that something is done about a case, by a person if `needs_person`."""
        self._act(CaseKey.of(kind, about), needs_person)

    def _act(self, key: CaseKey, needs_person: bool) -> None:
        case = self._state.open.get(key)
        if case is None:
            return
        case.needs_person = case.needs_person or needs_person
        if not case.is_acting:
            case.is_acting = True
            self._post(case, "acting")

    def act_of(self, order: str, *, needs_person: bool = False) -> None:
        """Note that something is done about an order, and so about its cases."""
        for key in self._state.by_order.get(order, ()):
            self._act(key, needs_person)

    def person_decided(self, order: str) -> None:
        """Note that a person decided something about an order."""
        for key in self._state.by_order.get(order, ()):
            self._state.open[key].needs_person = True

    def close(self, kind: ExceptionKind, about: About) -> None:
        """Close a case, if it is open, as facts show that it is over."""
        self._close(CaseKey.of(kind, about))

    def _close(self, key: CaseKey) -> None:
        case = self._state.open.pop(key, None)
        if case is None:
            return
        if case.order:
            keys = self._state.by_order[case.order]
            keys.remove(key)
            if not keys:
                del self._state.by_order[case.order]
        self._post(case, "closed")

    def close_of(self, order: str, *kinds: ExceptionKind) -> None:
        """Close the cases of an order: those of `kinds`, else all."""
        for key in list(self._state.by_order.get(order, ())):
            if not kinds or key.kind in kinds:
                self._close(key)

    def is_open(self, kind: ExceptionKind, about: About) -> bool:
        """Return whether such a case is open."""
        return CaseKey.of(kind, about) in self._state.open

    def _post(self, case: Case, state: CaseState) -> None:
        closed_by: ClosedBy = ""
        if state == "closed":
            closed_by = "person" if case.needs_person else "itself"
        self._messages.post(
            CaseChanged(
                ExceptionCase(
                    name=case.name,
                    kind=case.kind,
                    party=case.party,
                    about=case.about,
                    order=case.order,
                    state=state,
                    closed_by=closed_by,
                    opened_ms=case.opened_ms,
                )
            )
        )
