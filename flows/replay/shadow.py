"""Shadow: decisions of a candidate policy on the same journal, order by order.

Orders are paired by their first allocation, made under the same information: later ones follow from
what the live policy's decisions led to, which the candidate's would have changed.
"""

import io
from pathlib import Path

from msgspec import Struct

from flows.explain.action_log import actions_in
from flows.whatif.statistics import interval
from state.actions import Action, Allocate
from state.sums import int_sum

#: Limits of every comparison on a recorded journal; they go wherever its figures go.
CAVEAT = (
    "Each policy's cents are by its own weights: where they differ, compare freight and P(late). "
    "The journal tells what followed from the live policy's actions. What the candidate's would "
    "have led to (delays, returns, stock elsewhere) is only as expected when it was planned, and "
    "stock that live orders took is gone for the candidate too. `crossdock whatif` carries out "
    "both."
)
#: Beside the terms, in cents: chance of being late, in points of a hundred, of an order's parcels.
P_LATE = "P(late), points"
SCORE = "sum"


class PairedDifference(Struct, frozen=True, kw_only=True):
    """Candidate less live, per order: the mean and its 95 % interval; no ends of one order."""

    mean: float
    low: float | None
    high: float | None


class Shadow(Struct, frozen=True, kw_only=True):
    """The comparison. `orders` were allocated by both; `differently` by other legs.

    `differences` are cents per order by term, their `sum`, and P(late). `actions` counts by kind,
    `proposed` among them those that a person would have had to decide on: (live, candidate).
    """

    policy: str
    orders: int
    differently: int
    only_live: int
    only_candidate: int
    differences: dict[str, PairedDifference]
    actions: dict[str, tuple[int, int]]
    proposed: tuple[int, int]
    caveat: str = CAVEAT


class _Planned(Struct, frozen=True):
    legs: tuple[tuple[str, str, str, tuple[tuple[str, int], ...]], ...]
    terms: dict[str, int]
    p_late: float


class _Side:
    """One policy's decisions: the first plan of each order, and actions by kind."""

    def __init__(self, folder: Path) -> None:
        self.planned: dict[tuple[str, str], _Planned] = {}
        self.kinds: dict[str, int] = {}
        self.proposed = 0
        for action in actions_in(folder):
            self._take(action)

    def _take(self, action: Action) -> None:
        self.proposed += action.data.mode == "propose"
        if action.data.approves:
            return  # it was counted when it was proposed
        self.kinds[action.kind] = self.kinds.get(action.kind, 0) + 1
        decision = action.data.decision
        if isinstance(decision, Allocate):
            legs = tuple(
                (
                    leg.node,
                    leg.carrier,
                    leg.service,
                    tuple((line.sku, line.quantity) for line in leg.lines),
                )
                for leg in decision.legs
            )
            planned = _Planned(
                tuple(sorted(legs)),
                action.data.because.terms,
                max((leg.p_late for leg in decision.legs), default=0.0),
            )
            self.planned.setdefault((action.partitionkey, decision.order), planned)


def compare(live: Path, candidate: Path, policy: str) -> Shadow:
    """Compare the output folders of two replays of one journal; raises JournalError.

    `policy` is the candidate's fingerprint.
    """
    ours, theirs = _Side(live), _Side(candidate)
    both = [order for order in ours.planned if order in theirs.planned]
    pairs = [(ours.planned[order], theirs.planned[order]) for order in both]
    terms = list(dict.fromkeys(t for pair in pairs for side in pair for t in side.terms))
    changes: dict[str, list[float]] = {
        term: [b.terms.get(term, 0) - a.terms.get(term, 0) for a, b in pairs] for term in terms
    }
    changes[SCORE] = [int_sum(b.terms.values()) - int_sum(a.terms.values()) for a, b in pairs]
    changes[P_LATE] = [100 * (b.p_late - a.p_late) for a, b in pairs]
    return Shadow(
        policy=policy,
        orders=len(both),
        differently=int_sum(a.legs != b.legs for a, b in pairs),
        only_live=len(ours.planned) - len(both),
        only_candidate=len(theirs.planned) - len(both),
        differences={name: _difference(values) for name, values in changes.items() if values},
        actions={
            kind: (ours.kinds.get(kind, 0), theirs.kinds.get(kind, 0))
            for kind in sorted({*ours.kinds, *theirs.kinds})
        },
        proposed=(ours.proposed, theirs.proposed),
    )


def _difference(values: list[float]) -> PairedDifference:
    mean, low, high = interval(values)
    return PairedDifference(
        mean=round(mean, 3),
        low=None if low is None else round(low, 3),
        high=None if high is None else round(high, 3),
    )


def draw(shadow: Shadow, currency: str) -> bytes:
    """Draw the differences in cents as an SVG: a point and its interval for each term."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # slow to import
    from matplotlib.figure import Figure

    shown = [(name, d) for name, d in shadow.differences.items() if name != P_LATE]
    figure = Figure(figsize=(7.0, 0.9 + 0.35 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for row, (_, each) in enumerate(shown):
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [row, row], color="#0072B2", linewidth=2)
        axes.plot([each.mean], [row], "o", color="#0072B2")
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown])
    axes.invert_yaxis()
    axes.set_xlabel(
        f"candidate less live, cents ({currency}) per order, mean and 95 % interval, "
        f"{shadow.orders:,} orders"
    )
    target = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return target.getvalue()
