"""Ask of a decision why another option was not taken, on the journal that led to it."""

from flows.explain import Evidence, fold_to
from flows.progress import Progress
from operators.contract import Chain
from operators.orchestrate import Orchestrate
from operators.why_not import Wanted, WhyNot, Witness
from state.actions import Action, Allocate, Reship
from state.errors import JournalError


def why_not(evidence: Evidence, action: Action, wanted: Wanted, progress: Progress) -> WhyNot:
    """Price `wanted` where and when the action was decided.

    Raises JournalError if no node or service was chosen then, or the journal has changed.
    """
    witnesses: list[Witness] = []
    decision = action.data.decision
    legs = decision.legs if isinstance(decision, Allocate) else ()
    legs = (decision.leg,) if isinstance(decision, Reship) else legs
    taken = frozenset(f"{leg.node} {leg.carrier}/{leg.service}" for leg in legs)

    def place(chain: Chain) -> None:
        floor = next(o for o in chain.operators if isinstance(o, Orchestrate)).floor
        witness = Witness(floor, action.correlationid or action.subject, wanted, taken)
        floor.sourcing = witness
        witnesses.append(witness)

    fold_to(evidence, action.data.approves or action.id, progress, before=place)
    answer = witnesses[0].answer if witnesses else None
    if answer is None:
        raise JournalError(
            f"expected a choice of node and service behind {action.id}, was {action.kind}: "
            "--why-not asks about allocations, backorders and parcels sent again"
        )
    return answer
