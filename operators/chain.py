"""The chain of DESIGN: decoded records in, actions out; the same everywhere it runs."""

from operators.core.contract import Chain, Operator
from operators.core.entry import NO_NETWORK as NO_NETWORK
from operators.core.entry import to_record as to_record
from operators.core.loop import Loop
from operators.forecasts.delays import Delays
from operators.forecasts.demand import Demand
from operators.forecasts.lanes import Lanes
from operators.governance.govern import RETURNING, Govern
from operators.hygiene.hygiene import Hygiene
from operators.incidents.incidents import Incidents
from operators.notices.notices import Notices
from operators.orchestrate import Orchestrate
from operators.reporting.rollups import Rollups
from state.policy import Policy

#: Names of the operators in order. Frozen: they are part of the ids that recovery goes by.
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

#: What is stepped in the staged dataflow: operators, and the loop of those between which a closed
#: proposal goes back.
STAGES = (*OPERATORS[:5], "loop", *OPERATORS[8:])


def build_operator(name: str, network: str, policy: Policy) -> Operator:
    """A fresh operator of the chain for one network; for `NO_NETWORK`, one that passes all on."""
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
            operators = [Orchestrate(policy), Notices(policy), Govern(network, policy)]
            return Loop(operators, returning=RETURNING)
        case _:
            raise ValueError(f"expected one of {', '.join((*OPERATORS, 'loop'))}, was {name}")


def build_chain(network: str, policy: Policy) -> Chain:
    """All operators for one network, in order; none for `NO_NETWORK`."""
    if network == NO_NETWORK:
        return Chain([])
    return Chain([build_operator(name, network, policy) for name in STAGES])


class Chains(dict[str, Chain]):
    """Chains by network; each is built when it is first asked for."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __missing__(self, network: str) -> Chain:
        chain = self[network] = build_chain(network, self._policy)
        return chain
