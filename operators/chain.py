"""Chain of operators: decoded records in, actions out; the same everywhere it runs."""

from operators.core.contract import Chain, Operator
from operators.core.entry import NO_NETWORK as NO_NETWORK
from operators.core.entry import to_record as to_record
from operators.core.loop import Loop
from operators.forecasts.delays import Delays
from operators.forecasts.demand import Demand
from operators.forecasts.lanes import Lanes
from operators.governance.govern import Govern
from operators.hygiene.hygiene import Hygiene
from operators.incidents.incidents import Incidents
from operators.notices.notices import Notices
from operators.orchestrate import Orchestrate
from operators.reporting.rollups import Rollups
from state.policy import Policy

#: Names of the operators in order. Frozen: recovery uses them in its ids.
OPERATORS = (
    "hygiene",
    "demand",
    "lanes",
    "delays",
    "incidents",
    "orchestrate",
    "notices",
    "govern",
    "rollups",
)

#: Stages of the staged dataflow: operators, and the loop of those to which a closed proposal
#: returns.
STAGES = (*OPERATORS[:5], "loop", *OPERATORS[8:])


def build_operator(name: str, network: str, policy: Policy) -> Operator:
    """Return a new operator of the chain for one network; an empty chain for `NO_NETWORK`."""
    if network == NO_NETWORK:
        return Chain([])
    match name:
        case "hygiene":
            return Hygiene(policy)
        case "demand":
            return Demand(policy)
        case "lanes":
            return Lanes(policy)
        case "delays":
            return Delays(policy)
        case "incidents":
            return Incidents(policy)
        case "orchestrate":
            return Orchestrate(policy)
        case "notices":
            return Notices(policy)
        case "govern":
            return Govern(network, policy)
        case "rollups":
            return Rollups(policy)
        case "loop":
            return Loop([Orchestrate(policy), Notices(policy)], Govern(network, policy))
        case _:
            raise ValueError(f"expected one of {', '.join((*OPERATORS, 'loop'))}, was {name}")


def build_chain(network: str, policy: Policy) -> Chain:
    """Return a chain of all operators for one network, in order; empty for `NO_NETWORK`."""
    if network == NO_NETWORK:
        return Chain([])
    return Chain([build_operator(name, network, policy) for name in STAGES])


class Chains(dict[str, Chain]):
    """Chains by network, each built on first use."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __missing__(self, network: str) -> Chain:
        chain = self[network] = build_chain(network, self._policy)
        return chain
