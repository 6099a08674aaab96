"""Benefits: expected and realised gains of interventions over doing nothing.

The cost of doing nothing is a prediction and stays one: what would have happened cannot be seen.
What was done is priced as it came: its own terms, with the lateness of the parcel as it was. An
intervention was unnecessary if the parcel came so early before its promise that the original,
later by the time that was expected to be saved, would have been in time as well.
"""

from msgspec import Struct, field

from operators.core.facts import BenefitRealised, DelayOutcome, NoAction
from operators.sourcing.rates import lateness_cents
from state.actions import Action, Reroute, Reship
from state.policy import Weights

#: Interventions whose parcels are waited for; those of parcels lost go first.
_MOST_OPEN = 10_000


class _Open(Struct, array_like=True):
    """An intervention whose parcel has not arrived. `given_up` is a parcel that is not it."""

    kind: str
    action: str
    expected_cents: int
    nothing_cents: int
    sunk_cents: int
    saves_s: int | None
    given_up: str


class Parcel(Struct, frozen=True, array_like=True, gc=False):
    """The parcel that an intervention is about: one that is under way, or one that is to come."""

    shipment: str = ""
    order: str = ""
    node: str = ""


#: Counts of interventions, by their kind and the thing counted.
Totals = dict[tuple[str, str], int]


class Benefits(Struct):
    """Open interventions by parcel.

    Totals are counted by kind of action and name: ``actions`` and ``expected_cents`` of all that
    were carried out; ``realised``, ``realised_cents`` and ``unnecessary`` of those that are over;
    ``prevented``, which were priced and not worth it.
    """

    weights: Weights
    open: dict[Parcel, _Open] = field(default_factory=dict)

    def acted(self, action: Action, totals: Totals) -> None:
        """Count an action that is carried out and is to gain something; others are passed over."""
        benefit, decision = action.data.benefit, action.data.decision
        if benefit is None or action.data.mode != "act":
            return
        _add(totals, action.kind, "actions", 1)
        _add(totals, action.kind, "expected_cents", benefit.expected_cents)
        match decision:
            case Reroute():
                key, given_up = Parcel(decision.shipment), ""
            case Reship():
                key = Parcel("", decision.order, decision.leg.node)
                given_up = decision.shipment
            case _:
                return
        because = action.data.because
        self.open[key] = _Open(
            action.kind,
            action.id,
            benefit.expected_cents,
            benefit.nothing_cents,
            because.score_cents - because.terms.get("expected lateness", 0),
            benefit.saves_s,
            given_up,
        )
        if len(self.open) > _MOST_OPEN:
            del self.open[next(iter(self.open))]

    def arrived(self, outcome: DelayOutcome) -> BenefitRealised | None:
        """Return the gain of an intervention, if the parcel that arrived ends one."""
        key = Parcel(outcome.shipment)
        known = self.open.get(key)
        if known is None:
            key = Parcel("", outcome.order, outcome.node)
            known = self.open.get(key)
            if known is None or known.given_up == outcome.shipment:
                return None
        del self.open[key]
        late = lateness_cents(1.0, outcome.lateness_s, self.weights) if outcome.late else 0
        early = known.saves_s is not None and outcome.lateness_s + known.saves_s <= 0
        return BenefitRealised(
            kind=known.kind,
            action=known.action,
            expected_cents=known.expected_cents,
            realised_cents=known.nothing_cents - known.sunk_cents - late,
            unnecessary=early,
        )

    def realised(self, benefit: BenefitRealised, totals: Totals) -> None:
        """Count what an intervention gained."""
        _add(totals, benefit.kind, "realised", 1)
        _add(totals, benefit.kind, "realised_cents", benefit.realised_cents)
        _add(totals, benefit.kind, "unnecessary", int(benefit.unnecessary))

    def declined(self, inert: NoAction, totals: Totals) -> None:
        """Count an intervention that was priced and found not worth it."""
        if inert.prevented:
            _add(totals, inert.kind, "prevented", 1)


def by_kind(totals: Totals) -> dict[str, dict[str, int]]:
    """Return totals as they are shown: counts by kind."""
    found: dict[str, dict[str, int]] = {}
    for (kind, what), amount in sorted(totals.items()):
        found.setdefault(kind, {})[what] = amount
    return found


def _add(totals: Totals, kind: str, what: str, amount: int) -> None:
    totals[kind, what] = totals.get((kind, what), 0) + amount
