"""The case book: what goes otherwise than planned, from its opening until the facts close it.

A case is known by its kind and by what it is about; while it is open, the same trouble opens no
second one. Cases of an order close with the order, so that the book is bounded by open work.
"""

from msgspec import Struct, field

from operators.derived import Derived, ExceptionCase, ExceptionKind, ExceptionParty

#: Kinds that are over once all of the order was handed over: what follows is another matter.
UNTIL_HANDOVER: tuple[ExceptionKind, ...] = ("short_pick", "oversold", "unfillable", "refused")

#: Kinds that are of a parcel that failed.
PARCEL_KINDS: tuple[ExceptionKind, ...] = ("lost", "damage", "failed_delivery", "address")


class Case(Struct, array_like=True):
    """An open case. `needs_person`: somebody was asked, or had to decide something about it."""

    name: str
    kind: ExceptionKind
    party: ExceptionParty
    about: str
    order: str
    opened_ms: int
    is_acting: bool = False
    needs_person: bool = False


class CaseBookState(Struct):
    """Open cases by kind and subject, and their keys by order."""

    open: dict[str, Case] = field(default_factory=dict)
    by_order: dict[str, list[str]] = field(default_factory=dict)


class CaseBook:
    """Opens and closes cases; what there is to say of them gathers in `news`."""

    def __init__(self, state: CaseBookState) -> None:
        self._state = state
        self.news: list[Derived] = []
        self.seq = 0
        self.now_ms = 0

    def __len__(self) -> int:
        return len(self._state.open)

    def open(self, kind: ExceptionKind, party: ExceptionParty, about: str, order: str = "") -> None:
        """Open a case, unless the same is open."""
        key = f"{kind}\n{about}"
        if key in self._state.open:
            return
        name = f"{kind}/{about}/{self.seq}"
        case = self._state.open[key] = Case(name, kind, party, about, order, self.now_ms)
        if order:
            self._state.by_order.setdefault(order, []).append(key)
        self._say(case, "opened")

    def act(self, kind: ExceptionKind, about: str, *, needs_person: bool = False) -> None:
        """Note that something is done about a case, by a person if it is one's to decide."""
        case = self._state.open.get(f"{kind}\n{about}")
        if case is None:
            return
        case.needs_person = case.needs_person or needs_person
        if not case.is_acting:
            case.is_acting = True
            self._say(case, "acting")

    def act_of(self, order: str, *, needs_person: bool = False) -> None:
        """Note that something is done about an order, and so about its cases."""
        for key in self._state.by_order.get(order, ()):
            case = self._state.open[key]
            self.act(case.kind, case.about, needs_person=needs_person)

    def person_decided(self, order: str) -> None:
        """Note that a person decided something about an order."""
        for key in self._state.by_order.get(order, ()):
            self._state.open[key].needs_person = True

    def close(self, kind: ExceptionKind, about: str) -> None:
        """Close a case, if it is open: the facts say that it is over."""
        key = f"{kind}\n{about}"
        case = self._state.open.pop(key, None)
        if case is None:
            return
        if case.order:
            keys = self._state.by_order[case.order]
            keys.remove(key)
            if not keys:
                del self._state.by_order[case.order]
        self._say(case, "closed")

    def close_of(self, order: str, *kinds: ExceptionKind) -> None:
        """Close the cases of an order: those of `kinds`, else all."""
        for key in list(self._state.by_order.get(order, ())):
            case = self._state.open[key]
            if not kinds or case.kind in kinds:
                self.close(case.kind, case.about)

    def is_open(self, kind: ExceptionKind, about: str) -> bool:
        """Whether such a case is open."""
        return f"{kind}\n{about}" in self._state.open

    def _say(self, case: Case, state: str) -> None:
        closed_by = "person" if case.needs_person else "itself"
        self.news.append(
            ExceptionCase(
                name=case.name,
                kind=case.kind,
                party=case.party,
                about=case.about,
                order=case.order,
                state=state,  # type: ignore[arg-type] # one of the three
                closed_by=closed_by if state == "closed" else "",  # type: ignore[arg-type]
                opened_ms=case.opened_ms,
            )
        )
