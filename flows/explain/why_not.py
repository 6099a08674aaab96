"""Comparison of a decision with an option not taken, on the journal that led to it."""

from flows.explain.explain import Evidence, fold_to
from flows.wiring.progress import Progress
from operators.core.contract import Chain
from operators.orchestrate import Orchestrate
from operators.orders.why_not import Ambiguous, Asked, WhyNot, Witness
from operators.sourcing.eliminations import Way
from state.actions import Action
from state.errors import JournalError
from state.keys import ServiceId


def why_not(evidence: Evidence, action: Action, asked: Asked, progress: Progress) -> WhyNot:
    """Price the option asked about, where and when the action was decided.

    Raises JournalError if no node or service was chosen then, if what is asked about may be several
    options, or if the journal has changed.
    """
    witnesses: list[Witness] = []
    sent = action.data.decision.sends
    taken = frozenset(Way(leg.node, ServiceId(leg.carrier, leg.service)) for leg in sent)

    def place(chain: Chain) -> None:
        context = next(o for o in chain.operators if isinstance(o, Orchestrate)).context
        witness = Witness(context, action.correlationid or action.subject, asked, taken)
        context.sourcing = witness
        witnesses.append(witness)

    try:
        fold_to(evidence, action.data.approves or action.id, progress, before=place)
    except Ambiguous as error:
        raise JournalError(str(error)) from error
    answer = witnesses[0].answer if witnesses else None
    if answer is None:
        raise JournalError(
            f"expected a choice of node and service behind {action.id}, was {action.kind}: "
            "--why-not asks about allocations, backorders and parcels sent again"
        )
    return answer
